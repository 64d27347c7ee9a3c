"""The assessment: what is resized, what is refused, and that reductions always find a way."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from parley.messages import Cash, Proposal, StateView
from parley.risk import Assessment, Limits, assess, limits_of
from parley.risk.correlation import Correlations, CorrelationState
from parley.view import FirmView
from tests.kit.builders import T0, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import holding_account, make_account, make_holding, make_position, make_reservation

D = Decimal
LIMITS = Limits()
SYMBOLS = ("BTC/USDT", "ETH/USDT", "ETH/BTC", "LTC/USDT")
INSTRUMENTS = {s: make_instrument(s) for s in SYMBOLS} | {
    "ETH/BTC": make_instrument("ETH/BTC", tick="0.00001", min_notional="0.0001")
}
MARKS = {"BTC/USDT": 60_000.0, "ETH/USDT": 3_000.0, "ETH/BTC": 0.05, "LTC/USDT": 300.0}
HOUR = 3_600_000_000_000


def judge(
    proposal: Proposal,
    state: StateView | None = None,
    correlations: dict[tuple[str, str], float] | None = None,
    size: float = 1.0,
    marks: dict[str, float] = MARKS,
    now: int = T0,
) -> Assessment:
    view = FirmView(state if state is not None else make_account())
    return assess(proposal, size, view, LIMITS, INSTRUMENTS, marks, correlations or {}, now)


def buying(qty: str, symbol: str = "BTC/USDT", **over: object) -> Proposal:
    return make_proposal(symbol=symbol, legs=(make_leg(symbol=symbol, qty=qty),), **over)


def selling(qty: str) -> Proposal:
    return make_proposal(legs=(make_leg(side="sell", qty=qty, reduce_only=True),))


def test_small_order_passes_whole() -> None:
    assert judge(buying("0.1")) == Assessment(ok=True, max_qty=D("0.1"), breached=(), codes=())


def test_large_order_is_cut_to_the_tightest_limit() -> None:
    # 20 % of 100,000, 2 % of it kept back: 19,600 / 60,000
    result = judge(buying("0.5"))

    assert result.ok
    assert result.max_qty == D("0.32666")
    assert result.codes == ("max_order_notional", "max_position")
    assert (result.breached[0].value, result.breached[0].cap) == ("0.300000", "0.20")


def test_resized_order_is_not_cut_again() -> None:
    assert judge(buying(str(judge(buying("1")).max_qty))).breached == ()


def test_position_with_little_room_left_is_refused() -> None:
    state = holding_account(positions=(make_position(qty="0.405"),))
    result = judge(buying("0.2"), state)

    assert not result.ok
    assert result.codes[0] == "max_position"


def test_pending_buys_of_others_count() -> None:
    pending = make_reservation(pid=b"o" * 16, qty_left=D("0.3"), amount=D(18_018))
    cash = (Cash(asset="USDT", total=D(100_000), reserved=D(18_018)),)
    result = judge(buying("0.2"), make_account(reservations=(pending,), cash=cash))

    assert result.max_qty == D("0.10833")
    assert result.codes == ("max_position",)


def test_correlated_heap_is_capped_and_uncorrelated_is_not() -> None:
    state = make_account(
        positions=(make_position("BTC/USDT", "0.4", "60000"), make_position("LTC/USDT", "60", "300")),
        cash=(Cash(asset="USDT", total=D(58_000), reserved=D(0)),),
    )
    pairs = {("BTC/USDT", "ETH/USDT"): 0.9, ("ETH/USDT", "LTC/USDT"): 0.2}
    loose = dict.fromkeys(pairs, 0.1)

    # 49 % allowed, 24 % held by BTC; LTC moves on its own: 25,000 left, so the order cap binds first
    assert judge(buying("6", "ETH/USDT"), state, pairs).codes == ()
    assert judge(buying("6", "ETH/USDT"), state, loose).codes == ()
    # nothing known about correlations: everything counts as one heap, 7 % are left
    assert judge(buying("6", "ETH/USDT"), state).codes == ("max_correlated",)
    assert judge(buying("6", "ETH/USDT"), state).max_qty == D("2.33333")


def test_uninvested_share_is_kept() -> None:
    state = make_account(cash=(Cash(asset="USDT", total=D(25_000), reserved=D(0)),))

    assert judge(buying("0.1"), state).codes == ("min_uninvested",)
    assert judge(buying("0.1"), replace(state, cash=())).ok is False


def test_drawdown_halves_what_is_left() -> None:
    result = judge(buying("0.2"), make_account(peak=112_000))

    assert result.max_qty == D("0.1")
    assert result.codes == ("drawdown_reduce",)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (make_account(trading="REDUCING"), "trading_state"),
        (make_account(day_open=104_000, peak=104_000), "max_daily_loss"),
        (make_account(peak=126_000), "max_drawdown"),
        (make_account(trades_today=2000), "max_daily_trades"),
        (make_account(blocked=("BTC/USDT",)), "symbol_blocked"),
        (
            make_account(
                positions=(make_position(qty="0.008"),),
                holdings=tuple(make_holding(f"strategy/{n}", qty="0.001") for n in range(8)),
            ),
            "max_open_trades",
        ),
        (holding_account(holdings=(make_holding(opened=T0 - 169 * HOUR),)), "max_position_age"),
        (make_account(equity=0), "not_finite"),
        (holding_account(positions=(make_position(mark="NaN"),)), "not_finite"),
        (holding_account(positions=(make_position("XYZ/USDT", mark="0"),)), "no_price"),
    ],
)
def test_state_that_forbids_opening(state: StateView, code: str) -> None:
    result = judge(buying("0.01"), state)

    assert not result.ok
    assert code in result.codes
    assert result.max_qty == 0


@pytest.mark.parametrize(
    ("proposal", "size", "code"),
    [
        (buying("0.1"), float("nan"), "bad_size"),
        (buying("0.1"), 0.0, "bad_size"),
        (buying("NaN"), 1.0, "not_finite"),
        (buying("0.1", edge_bps=float("inf")), 1.0, "not_finite"),
        (buying("0.1", "DOGE/USDT"), 1.0, "unknown_instrument"),
        (make_proposal(legs=()), 1.0, "not_finite"),
        (make_proposal(legs=(make_leg(side="hold"),)), 1.0, "unknown_enum"),
        (buying("0.00005"), 1.0, "below_min_notional"),
        (make_proposal(legs=(make_leg(side="sell", qty="1"),)), 1.0, "no_short"),
    ],
)
def test_nonsense_is_refused(proposal: Proposal, size: float, code: str) -> None:
    result = judge(proposal, size=size)

    assert not result.ok
    assert code in result.codes


def test_missing_price_is_refused() -> None:
    assert judge(buying("0.1"), marks={}).codes == ("no_price",)
    assert judge(buying("0.1"), marks={"BTC/USDT": float("nan")}).codes == ("no_price",)


def test_reduction_passes_all_limits_but_not_more_than_is_held() -> None:
    bad_day = holding_account(day_open=200_000, peak=200_000, trading="REDUCING", trades_today=9999)

    assert judge(selling("0.2"), bad_day) == Assessment(ok=True, max_qty=D("0.2"), breached=(), codes=())
    capped = judge(selling("0.5"), bad_day)
    assert (capped.ok, capped.max_qty, capped.codes) == (True, D("0.2"), ("reduce_only",))
    assert not judge(selling("0.2"), make_account()).ok
    assert not judge(selling("0.2"), holding_account(trading="HALTED")).ok


def test_reduction_of_a_short_buys() -> None:
    short = holding_account(positions=(make_position(qty="-0.2"),))
    back = make_proposal(legs=(make_leg(side="buy", qty="0.2", reduce_only=True),))

    assert judge(back, short).ok
    assert not judge(selling("0.2"), short).ok


def test_cycle_legs_share_the_room() -> None:
    cycle = make_proposal(
        coupled=True,
        legs=(
            make_leg(qty="0.3"),
            make_leg(symbol="ETH/BTC", qty="6", limit_px="0.05"),
            make_leg(symbol="ETH/USDT", side="sell", qty="6"),
        ),
    )
    held = holding_account(
        cash=(
            Cash(asset="BTC", total=D("0.3"), reserved=D(0)),
            Cash(asset="ETH", total=D(3), reserved=D(0)),
            Cash(asset="USDT", total=D(73_000), reserved=D(0)),
        ),
        positions=(make_position(qty="0.3"), make_position("ETH/USDT", "3", "3000")),
    )
    result = judge(cycle, held)

    # 18,000 + 18,000 of buys in a heap of 49 %, 27 % held: the legs get 22,000 together
    assert result.ok
    assert result.codes[0] == "max_position"
    assert "max_correlated" in result.codes
    # the ETH sold at the end are those bought in the middle
    assert "no_short" not in result.codes
    assert result.max_qty == D("0.10833")


def test_correlations_of_equal_and_opposite_series() -> None:
    fold = Correlations(0.9, 5)
    price = 100.0
    for n in range(20):
        price *= 1.01 if n % 3 else 0.985
        fold.see({"A/USDT": price, "B/USDT": 2 * price, "C/USDT": 1e4 / price})

    assert fold.of("A/USDT", "B/USDT") == pytest.approx(1.0)
    assert fold.of("A/USDT", "C/USDT") == pytest.approx(-1.0)
    assert fold.of("A/USDT", "D/USDT") is None
    assert set(fold.with_symbol("B/USDT")) == {("A/USDT", "B/USDT"), ("B/USDT", "C/USDT")}


def test_correlations_ignore_nonsense_and_wait_until_warm() -> None:
    fold = Correlations(0.9, 5, CorrelationState())
    fold.see({"A/USDT": float("nan"), "B/USDT": -1.0})
    fold.see({"A/USDT": 1.0, "B/USDT": 1.0})
    fold.see({"A/USDT": 1.1, "B/USDT": 1.1})

    assert fold.of("A/USDT", "B/USDT") is None
    assert fold.sigma("A/USDT") == pytest.approx(0.0953101798)


def test_dust_of_an_old_trade_does_not_keep_its_agent_out() -> None:
    bid = buying("0.05")
    old = {"agent": bid.agent, "opened": 0}
    dust = holding_account(
        holdings=(make_holding(qty="0.000001", **old),), positions=(make_position(qty="0.000001"),)
    )
    assert "max_position_age" not in judge(bid, dust).codes
    assert "max_position_age" in judge(bid, holding_account(holdings=(make_holding(**old),))).codes


def test_a_later_slice_is_not_counted_beside_the_reservation_it_is_part_of() -> None:
    bid = buying("0.1")
    own = make_reservation(pid=bid.pid, amount=Decimal(24_000), qty_left=Decimal("0.4"))
    foreign = replace(own, pid=b"x" * 16)
    assert judge(bid, make_account(reservations=(own,))).max_qty == Decimal("0.1")
    assert judge(bid, make_account(reservations=(foreign,))).max_qty < Decimal("0.1")


def test_what_a_bot_itself_lost_and_sent_is_left_to_the_gate() -> None:
    # the account's loss is not the bot's, and nobody told the risk agent what is
    state = make_account(100_000, day_open=102_000, peak=105_000, trades_today=5)
    own = {"max_daily_loss": "0.01", "max_drawdown": "0.01", "max_daily_trades": 1, "orders_per_s": 1}
    proposal = buying("0.1")

    def codes(tree: dict[str, object]) -> tuple[str, ...]:
        limits = limits_of({"tree": tree})
        return assess(proposal, 1.0, FirmView(state), limits, INSTRUMENTS, MARKS, {}, T0).codes

    assert codes({f"bot:{proposal.agent}": own}) == ()
    assert codes({f"bot:{proposal.agent}": {**own, "max_gross": "0.03"}}) == (
        f"bot:{proposal.agent} max_gross",
    )  # fmt: skip
    assert codes({"account": {"max_daily_loss": "0.01"}}) == ("account max_daily_loss",)
