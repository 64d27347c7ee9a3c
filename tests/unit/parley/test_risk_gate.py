"""The gate, rule by rule: one fact changed, the refusal named."""

import pickle
from decimal import Decimal

import msgspec
import pytest

from parley.messages import Cash, Intent
from parley.risk import Approved, GateFacts, Limits, Recent, Refused, check
from parley.risk._token import mint
from parley.risk.case import Case
from parley.risk.limits import limits_of
from parley.risk.rules import ALWAYS, OPENING
from parley.view import FirmView
from tests.kit.builders import T0, make_instrument
from tests.kit.risk_cases import (
    SECOND,
    exit_facts,
    holding_account,
    make_account,
    make_exit,
    make_facts,
    make_holding,
    make_intent,
    make_order,
    make_position,
    make_reservation,
    make_verdict,
    wide_book,
)  # fmt: skip

D = Decimal
LIMITS = Limits()


def codes(intent: Intent, facts: GateFacts, limits: Limits = LIMITS) -> list[str]:
    answer = check(intent, facts, limits)
    return [b.limit for b in answer.breaches] if isinstance(answer, Refused) else []


def test_sound_opening_order_is_approved_with_the_hash_of_what_was_judged() -> None:
    answer = check(make_intent(), make_facts(), LIMITS)

    assert isinstance(answer, Approved)
    assert len(answer.intent.risk_hash) == 16
    assert msgspec.structs.replace(answer.intent, risk_hash=b"") == make_intent()
    other = check(make_intent(), make_facts(verdict=make_verdict(valid_until=T0 + 11 * SECOND)), LIMITS)
    assert isinstance(other, Approved)
    assert other.intent.risk_hash != answer.intent.risk_hash


def test_same_question_gets_the_same_answer() -> None:
    first, second = (check(make_intent(), make_facts(), LIMITS) for _ in range(2))

    assert isinstance(first, Approved)
    assert isinstance(second, Approved)
    assert (first.intent, first.values) == (second.intent, second.values)


def test_exit_passes_without_verdict_and_clock_while_reducing() -> None:
    assert codes(make_exit(), exit_facts()) == []


def test_short_is_left_by_buying_and_long_by_selling() -> None:
    # trap T1
    short = holding_account(positions=(make_position(qty="-0.2"),))
    buy_back = make_exit(side="buy")
    facts = exit_facts(short, reservation=make_reservation(amount=D(7000)))

    assert codes(buy_back, facts) == []
    assert codes(make_exit(), exit_facts(short)) == ["reduce_only"]
    assert "reduce_only" in codes(buy_back, exit_facts(reservation=make_reservation(amount=D(7000))))


@pytest.mark.parametrize(
    ("intent", "facts", "code"),
    [
        (make_intent(), make_facts(view=None), "unknown_account"),
        (make_intent(account="other"), make_facts(), "unknown_account"),
        (make_intent(), make_facts(instrument=None), "unknown_instrument"),
        (make_intent(), make_facts(instrument=make_instrument("ETH/USDT")), "unknown_instrument"),
        (make_intent(venue="binance"), make_facts(), "unknown_instrument"),
        (make_intent(qty=D("NaN")), make_facts(), "not_finite"),
        (make_intent(qty=D("sNaN")), make_facts(), "not_finite"),
        (make_intent(qty=D("Infinity")), make_facts(), "not_finite"),
        (make_intent(qty=D("-0.1")), make_facts(), "not_finite"),
        (make_intent(px=D("1E+999")), make_facts(), "not_finite"),
        (make_intent(ref_px=None), make_facts(), "not_finite"),
        (make_intent(side="long"), make_facts(), "unknown_enum"),
        (make_intent(style="twap"), make_facts(), "unknown_enum"),
        (make_intent(tif="DAY"), make_facts(), "unknown_enum"),
        (make_intent(px=None), make_facts(), "unknown_enum"),
        (make_intent(iid=b""), make_facts(), "unknown_origin"),
        (make_intent(mandate_id=b"m"), make_facts(), "unknown_mandate"),
        (make_intent(), make_facts(trading="HALTED"), "trading_state"),
        (make_intent(), make_facts(trading="REDUCING"), "trading_state"),
        (make_intent(), make_facts(trading=""), "trading_state"),
        (make_intent(), make_facts(make_account(trading="HALTED")), "trading_state"),
        (make_intent(), make_facts(make_account(limits_version=7)), "limits_version"),
        (make_intent(), make_facts(gateway_alive=False), "gateway_silent"),
        (make_intent(), make_facts(data_age_ms=None), "stale_data"),
        (make_intent(), make_facts(data_age_ms=float("nan")), "stale_data"),
        (make_intent(), make_facts(data_age_ms=5001.0), "stale_data"),
        (make_intent(), make_facts(now=T0 - 60 * SECOND), "stale_data"),
        (make_intent(), make_facts(book=None), "bad_book"),
        (make_intent(), make_facts(book=wide_book("ETH/USDT")), "bad_book"),
        (make_intent(), make_facts(book=wide_book(bid=60_002.0)), "bad_book"),
        (make_intent(), make_facts(book=wide_book(qty=float("nan"))), "bad_book"),
        (make_intent(qty=D("0.0999999")), make_facts(), "off_grid"),
        (make_intent(px=D("60010.001")), make_facts(), "off_grid"),
        (make_intent(qty=D("0.00005")), make_facts(), "below_min_notional"),
        (make_intent(px=D(62_000)), make_facts(), "collar"),
        (make_intent(px=D(50_000)), make_facts(), "collar_away"),
        (make_intent(ref_px=D(50_000)), make_facts(), "cumulative_collar"),
        (make_intent(), make_facts(counters=None), "duplicate"),
        (make_intent(), make_facts(make_account(orders=(make_order(),)), reservation=None), "no_reservation"),
        (make_intent(reservation_id=b"x"), make_facts(), "wrong_reservation"),
        (make_intent(), make_facts(reservation=make_reservation(qty_left=D("0.05"))), "reservation"),
        (make_intent(), make_facts(reservation=make_reservation(amount=D(6000))), "reservation"),
        (make_intent(), make_facts(verdict=None), "no_verdict"),
        (make_intent(), make_facts(verdict=make_verdict(ok=False)), "verdict"),
        (make_intent(), make_facts(verdict=make_verdict(pid=b"x")), "verdict"),
        (make_intent(), make_facts(verdict=make_verdict(max_qty=D("0.09"))), "verdict_qty"),
        (make_intent(), make_facts(verdict=make_verdict(max_qty=D("0.14")), beside=D("0.05")), "verdict_qty"),
        (make_intent(), make_facts(verdict=make_verdict(state_version=0)), "verdict_version"),
        (make_intent(), make_facts(verdict=make_verdict(state_version=2)), "verdict_version"),
        (make_intent(), make_facts(verdict=make_verdict(valid_until=T0)), "verdict_expired"),
        (make_intent(), make_facts(risk_epoch=1), "verdict_epoch"),
        (make_intent(), make_facts(clock_offset_ms=None), "clock_offset"),
        (make_intent(), make_facts(clock_offset_ms=-101.0), "clock_offset"),
        (make_intent(), make_facts(make_account(blocked=("BTC/USDT",))), "symbol_blocked"),
        (make_intent(), make_facts(book=wide_book(bid=59_400.0, ask=60_600.0)), "spread"),
        (make_intent(px=D(60_700)), make_facts(reservation=make_reservation(amount=D(7000))), "slippage"),
        (make_intent(), make_facts(book=wide_book(qty=0.04)), "book_share"),
        (make_intent(), make_facts(make_account(25_000)), "max_order_notional"),
        (make_intent(), make_facts(make_account(day_open=104_000, peak=104_000)), "max_daily_loss"),
        (make_intent(), make_facts(make_account(peak=126_000)), "max_drawdown"),
        (make_intent(), make_facts(make_account(trades_today=2000)), "max_daily_trades"),
    ],
)  # fmt: skip
def test_changed_fact_refuses_the_order(intent: Intent, facts: GateFacts, code: str) -> None:
    assert code in codes(intent, facts)


def test_position_and_gross_count_what_is_pending() -> None:
    others = tuple(
        make_reservation(rid=bytes([n]), pid=bytes([n]), qty_left=D("0.33"), amount=D(19_900))
        for n in range(4)
    )
    cash = (Cash(asset="USDT", total=D(100_000), reserved=D(79_600)),)
    found = codes(make_intent(), make_facts(make_account(reservations=others, cash=cash)))

    assert {"max_position", "max_gross", "max_net", "min_uninvested"} <= set(found)


def test_own_standing_reservation_is_counted_once() -> None:
    own = make_reservation(qty_left=D("0.4"), amount=D(24_024))
    state = make_account(
        reservations=(own,), cash=(Cash(asset="USDT", total=D(100_000), reserved=D(24_024)),)
    )
    assert codes(make_intent(), make_facts(state, reservation=own)) == []


def test_live_child_uses_up_its_reservation() -> None:
    own = make_reservation(qty_left=D("0.15"), amount=D(9_009))
    live = make_order(pid=make_intent().pid, side="buy", px=D(60_000))
    state = make_account(
        reservations=(own,), orders=(live,), cash=(Cash(asset="USDT", total=D(100_000), reserved=D(9_009)),)
    )
    found = codes(make_intent(child=1), make_facts(state, reservation=own))

    assert found == ["reservation"]


def test_later_child_rests_on_the_verdict_of_its_decision() -> None:
    facts = make_facts(make_account(state_version=9), now=T0 + 3600 * SECOND)

    assert codes(make_intent(child=1), facts) == []
    assert "verdict_version" in codes(make_intent(child=0), facts)
    assert "verdict_expired" in codes(make_intent(child=1), make_facts(now=T0 + 15_000 * SECOND))


def test_equal_order_within_the_window_is_a_duplicate() -> None:
    def sent(t: int) -> GateFacts:
        recent = Recent("BTC/USDT", "buy", D("0.1"), D("60010"), t)
        return make_facts(counters=msgspec.structs.replace(_counters(), recent=(recent,)))

    assert codes(make_intent(), sent(T0 - SECOND)) == ["duplicate"]
    assert codes(make_intent(), sent(T0 - 3 * SECOND)) == []


def _counters(**over: int) -> object:
    facts = make_facts()
    return msgspec.structs.replace(facts.counters, **over)  # type: ignore[type-var]


def test_order_that_would_trade_with_an_own_resting_order_is_refused() -> None:
    facts = make_facts(make_account(orders=(make_order(px=D("60005")),)))

    assert codes(make_intent(), facts) == ["self_match"]
    assert codes(make_intent(), facts, Limits(self_match_prevention=False)) == []


def test_exit_is_checked_for_duplicate_self_match_collar_and_rate() -> None:
    crossing = make_order(side="buy", px=D(60_100))
    recent = Recent("BTC/USDT", "sell", D("0.1"), None, T0)

    assert codes(make_exit(), exit_facts(holding_account(orders=(crossing,)))) == ["self_match"]
    assert codes(make_exit(), exit_facts(counters=_counters(orders_1s=20, orders_10s=20))) == []
    assert codes(make_exit(), exit_facts(counters=_counters(orders_1s=40, orders_10s=40))) == ["order_rate"]
    again = msgspec.structs.replace(make_facts().counters, recent=(recent,))  # type: ignore[type-var]
    assert codes(make_exit(), exit_facts(counters=again)) == ["duplicate"]
    assert "collar" in codes(make_exit(px=D(58_000), style="limit"), exit_facts())


def test_reductions_together_never_exceed_the_position() -> None:
    pending = make_reservation(
        rid=b"o", pid=b"o", side="sell", asset="BTC", qty_left=D("0.15"), amount=D("0.15")
    )
    assert "reduce_only" in codes(make_exit(), exit_facts(holding_account(reservations=(pending,))))
    assert "reduce_only" in codes(make_exit(qty=D("0.3")), exit_facts())


def test_halt_stops_exits_too() -> None:
    assert "trading_state" in codes(make_exit(), exit_facts(trading="HALTED"))


def test_lists_decide_over_symbols() -> None:
    assert "symbol_list" in codes(make_intent(), make_facts(), Limits(blacklist=("BTC/USDT",)))
    assert "symbol_list" in codes(make_intent(), make_facts(), Limits(whitelist=("ETH/USDT",)))
    assert codes(make_intent(), make_facts(), Limits(whitelist=("BTC/USDT",))) == []
    assert codes(make_exit(), exit_facts(), Limits(blacklist=("BTC/USDT",))) == []


def test_book_that_stands_still_is_old_data_although_other_streams_go_on() -> None:
    limits = Limits(max_book_age_ms=60_000)
    late = T0 + 60 * SECOND

    opening = {"now": late, "verdict": make_verdict(valid_until=late + 10 * SECOND)}
    assert codes(make_intent(), make_facts(**opening), limits) == []
    opening["now"] = late + 1
    assert codes(make_intent(), make_facts(**opening), limits) == ["stale_data"]
    assert codes(make_intent(), make_facts(**opening)) == []
    assert codes(make_exit(), exit_facts(now=late + 1), limits) == ["stale_data"]
    # a firm that leaves everything does not wait for a book that may never come again
    leaving = exit_facts(holding_account(trading="FLATTENING"), now=late + 1, trading="FLATTENING")
    assert codes(make_exit(), leaving, limits) == []


def test_dead_book_of_one_symbol_frees_no_exit_of_window_and_rate_while_market_time_goes_on() -> None:
    # a delisted pair: its book stands still, other pairs bring a batch every few ms, each try is refused
    limits, late = Limits(max_book_age_ms=60_000), T0 + 61 * SECOND
    leaving = exit_facts(holding_account(trading="FLATTENING"), now=late, trading="FLATTENING")
    exit_ = make_exit()
    just = Recent(symbol=exit_.symbol, side=exit_.side, qty=exit_.qty, px=exit_.px, t=late - SECOND // 50)
    for changed, code in (
        ({"recent": (just,)}, "duplicate"), ({"orders_1s": 40, "orders_10s": 40}, "order_rate"),
    ):  # fmt: skip
        counters = msgspec.structs.replace(leaving.counters, **changed)
        facts = msgspec.structs.replace(leaving, counters=counters)
        assert codes(exit_, facts, limits) == [code]
        blind = msgspec.structs.replace(facts, data_age_ms=limits.max_data_age_ms + 1)
        assert codes(exit_, blind, limits) == []


def test_ninth_open_trade_is_refused() -> None:
    held = tuple(make_holding(agent=f"strategy/{n}", qty="0.001") for n in range(8))
    state = make_account(holdings=held, positions=(make_position(qty="0.008"),))

    assert "max_open_trades" in codes(make_intent(), make_facts(state))


def test_cross_order_needs_a_price_of_its_quote() -> None:
    intent = make_intent(symbol="ETH/BTC", qty=D("2"), px=D("0.05"), ref_px=D("0.05"))
    cash = (
        Cash(asset="BTC", total=D("0.2"), reserved=D(0)),
        Cash(asset="USDT", total=D(88_000), reserved=D(0)),
    )
    own = make_reservation(symbol="ETH/BTC", asset="BTC", amount=D("0.1"), qty_left=D(2))
    facts = make_facts(
        make_account(cash=cash), instrument=make_instrument("ETH/BTC"), reservation=own,
        verdict=make_verdict(max_qty=D(2)), book=wide_book("ETH/BTC", 0.0499, 0.05, 1000.0),
    )  # fmt: skip
    priced = msgspec.structs.replace(facts, marks={"BTC/USDT": 60_000.0})
    intent = msgspec.structs.replace(intent, ref_px=D("0.05"))
    small = msgspec.structs.replace(
        priced, instrument=make_instrument("ETH/BTC", min_notional="0.0001", tick="0.00001")
    )

    assert "max_gross" in codes(intent, facts)
    assert codes(intent, small) == []


def test_every_rule_refuses_when_nothing_is_known() -> None:
    unknown = make_facts(
        view=None, instrument=None, book=None, data_age_ms=None, clock_offset_ms=None, gateway_alive=False,
        verdict=None, reservation=None, counters=None, trading="",
    )  # fmt: skip
    # without a node nobody asked the tree anything
    limits = limits_of({"tree": {"platform": {"max_gross": "1"}}})
    case = Case(make_intent(qty=D("NaN")), unknown, limits)
    silent = {rule.__name__ for rule in (*ALWAYS, *OPENING) if rule(case) is None}

    # these two judge the order's own words and say nothing of facts
    assert silent == {"known_words", "reduce_only"}


def test_approval_cannot_be_made_copied_or_stored_elsewhere() -> None:
    with pytest.raises(TypeError, match="minted by the gate"):
        Approved(object(), make_intent(), ())
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(mint(make_intent(), ()))


def test_unpriced_asset_in_the_account_refuses() -> None:
    state = make_account(positions=(make_position("XYZ/USDT", "1", "0"),))

    assert "max_gross" in codes(make_intent(), make_facts(state))
    assert FirmView(state).position("XYZ/USDT") is not None
