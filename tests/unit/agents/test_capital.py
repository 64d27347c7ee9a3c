"""The capital agent: every bound is listed, the least one binds."""

from decimal import Decimal

import pytest

from agents.capital import CapitalAgent, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.errors import ConfigError
from parley.messages import Allocation, Cash, MarketBatch, Proposal, Review, Stale, StateView
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import (
    holding_account,
    make_account,
    make_holding,
    make_position,
    make_reservation,
    wide_book,
)  # fmt: skip

D = Decimal
SYMBOLS = ("BTC/USDT", "ETH/USDT")
ENV = AgentEnv(
    tenant="local", account="main", quote="USDT", symbols=SYMBOLS, tf_ns=MINUTE,
    instruments={s: make_instrument(s) for s in SYMBOLS}
    | {"ETH/BTC": make_instrument("ETH/BTC", tick="0.00001", min_notional="0.0001")},
)  # fmt: skip


def agent(**params: object) -> CapitalAgent:
    return make(AgentSpec(id="capital", role="capital", factory="agents.capital:make", params=params), ENV)


def context(state: StateView | None = None) -> Context:
    return Context(
        now=T0, view=FirmView(state if state is not None else make_account()), seq=1, seed=1, agent="c"
    )


def warmed(moves: float = 1.0005, **params: object) -> CapitalAgent:
    """Forty calm minutes of BTC and ETH around 60,000 and 3,000, then books."""
    capital = agent(**params)
    for n in range(40):
        px = 60_000.0 * (moves if n % 2 else 1.0)
        bars = tuple(
            make_bar(symbol=s, open=p, high=p, low=p, close=p)
            for s, p in (("BTC/USDT", px), ("ETH/USDT", px / 20))
        )
        capital.handle(MarketBatch(step=n, t=T0, bars=bars), context())
    books = (
        wide_book(),
        wide_book("ETH/USDT", 2_999.0, 3_001.0, 50.0),
        wide_book("ETH/BTC", 0.04999, 0.05, 50.0),
    )
    capital.handle(MarketBatch(step=99, t=T0, books=books), context())
    return capital


def buying(qty: str = "0.2", **over: object) -> Proposal:
    fields: dict[str, object] = {"legs": (make_leg(qty=qty, limit_px="60000"),)}
    return make_proposal(**(fields | over))


def ask(
    capital: CapitalAgent, proposal: Proposal, state: StateView | None = None, size: float = 1.0
) -> Allocation:
    review = Review(
        round=b"r", pid=proposal.pid, stage="capital", proposal=proposal, size=size, state_version=1, t=T0
    )
    (answer,) = capital.handle(review, context(state))
    assert isinstance(answer, Allocation)
    assert answer.max_qty == min(b.qty_max for b in answer.bounds)
    return answer


def bound(allocation: Allocation, code: str) -> Decimal:
    return next(b.qty_max for b in allocation.bounds if b.code == code)


def test_calm_market_gives_the_whole_wish_and_lists_every_bound() -> None:
    answer = ask(warmed(), buying(stop="58800", take="63000"))

    assert (answer.max_qty, answer.code) == (D("0.2"), "wanted")
    assert {b.code for b in answer.bounds} == {
        "wanted", "stake", "exchange_max", "free_quote", "uninvested", "budget", "risk_per_trade", "kelly",
        "atr", "volatility", "correlated", "book",
    }  # fmt: skip
    assert answer.margin_reserved == D("0.2") * 60_000 * D("1.001")


def test_stake_is_the_share_of_one_trade() -> None:
    # 100,000 / 8 / 60,030, the last close
    assert bound(ask(warmed(stake_slack=0), buying("1")), "stake") == D("0.20822")
    assert bound(ask(warmed(stake="6003", stake_slack=0), buying("1")), "stake") == D("0.1")
    # a wish 1 % above is not worth a counter
    assert bound(ask(warmed(), buying("1")), "stake") == D("0.21031")


def test_stop_far_away_shrinks_the_quantity() -> None:
    answer = ask(warmed(), buying(stop="50000"))

    assert (answer.max_qty, answer.code) == (D("0.1"), "risk_per_trade")


def test_stop_on_the_wrong_side_allows_nothing() -> None:
    answer = ask(warmed(), buying(stop="61000"))

    assert answer.max_qty == 0
    assert bound(answer, "risk_per_trade") == 0


def test_half_kelly_uses_confidence_and_payoff_with_a_floor() -> None:
    # 0.5 * (0.5 - 0.5 / (1470 / 1030)) = 7.5 % at 60,030 is below the floor of 8 %; with a far target
    # 0.5 * (0.5 - 0.5 / (2060 / 1030)) = 12.5 %
    half = ask(warmed(), buying("1", stop="59000", take="62090", conf=0.5))
    none = ask(warmed(), buying(stop="59000", take="61500", conf=0.1))

    assert bound(half, "kelly") == D("0.20822")
    assert (none.max_qty, none.code) == (D("0.13326"), "kelly")
    assert ask(warmed(kelly_floor=0), buying(stop="59000", take="61500", conf=0.1)).max_qty == 0


def test_volatile_market_shrinks_the_stake() -> None:
    # a per-mille of 5.3 a minute is 20 % a day: half the stake
    answer = ask(warmed(1.00529), buying())

    assert answer.code == "volatility"
    assert D("0.09") < answer.max_qty < D("0.115")


def test_correlated_holdings_shrink_what_is_added() -> None:
    cash = (Cash(asset="USDT", total=D(70_000), reserved=D(0)),)
    state = make_account(cash=cash, positions=(make_position("ETH/USDT", "10", "3000"),))
    answer = ask(warmed(), buying(), state)

    # 30 % held, fully correlated, 25 % free of shrinking: 5/6 of the stake
    assert (answer.max_qty, answer.code) == (D("0.17352"), "correlated")


def test_a_share_stays_uninvested() -> None:
    cash = (Cash(asset="USDT", total=D(34_000), reserved=D(0)),)
    answer = ask(warmed(), buying(), make_account(cash=cash))

    assert (answer.max_qty, answer.code) == (D("0.14985"), "uninvested")


def test_last_stake_below_half_is_not_worth_it() -> None:
    cash = (Cash(asset="USDT", total=D(30_000), reserved=D(0)),)
    answer = ask(warmed(), buying(), make_account(cash=cash))

    assert (answer.max_qty, answer.code) == (D(0), "below_last_stake")


def test_budget_of_an_agent_counts_holdings_and_pending() -> None:
    state = holding_account(reservations=(make_reservation(qty_left=D("0.1"), amount=D(6_000)),))
    answer = ask(warmed(budgets={"strategy/ema": "0.25"}), buying(), state)

    # 25,000 less 12,000 held less 6,000 pending
    assert bound(answer, "budget") == D("0.11666")
    assert answer.code == "budget"


def test_all_slots_taken_refuses_but_adding_to_an_own_trade_is_none() -> None:
    held = tuple(make_holding(f"strategy/{n}", qty="0.001") for n in range(8))
    state = make_account(holdings=held, positions=(make_position(qty="0.008"),))

    assert ask(warmed(), buying(), state).code == "no_open_trade_left"
    assert ask(warmed(), buying(agent="strategy/3"), state).max_qty > 0


def test_meta_size_scales_what_the_bounds_allow() -> None:
    answer = ask(warmed(), buying(), size=0.5)

    assert (answer.max_qty, answer.code) == (D("0.10515"), "meta_size")


def test_less_than_the_exchange_takes_is_refused() -> None:
    assert ask(warmed(), buying("0.00008")).code == "below_exchange_min"
    assert ask(warmed(), buying(), size=0.0).code == "below_exchange_min"
    # 5 USDT * 1.05 / (1 - 0.3) = 7.5: the stop must still be sellable
    assert ask(warmed(), buying("0.0001", stop="42000")).code == "below_exchange_min"
    assert ask(warmed(), buying("0.0001", stop="59000")).max_qty == D("0.0001")


def test_reduction_gets_all_that_is_held() -> None:
    sell = make_proposal(legs=(make_leg(side="sell", qty="0.05", reduce_only=True),))
    pending = make_reservation(side="sell", asset="BTC", amount=D("0.02"), qty_left=D("0.02"))

    assert ask(agent(), sell, holding_account()).max_qty == D("0.2")
    assert ask(agent(), sell, holding_account(reservations=(pending,))).max_qty == D("0.18")
    assert ask(agent(), sell).code == "nothing_held"


def test_reduction_of_a_short_buys_back() -> None:
    # trap T1
    short = holding_account(holdings=(make_holding(qty="-0.2"),), positions=(make_position(qty="-0.2"),))
    buy = make_proposal(legs=(make_leg(side="buy", qty="0.2", reduce_only=True),))
    sell = make_proposal(legs=(make_leg(side="sell", qty="0.2", reduce_only=True),))

    assert ask(agent(), buy, short).max_qty == D("0.2")
    assert ask(agent(), sell, short).code == "nothing_held"


def test_cycle_is_bound_by_what_leg_0_pays_with_and_by_what_no_leg_before_delivers() -> None:
    cycle = make_proposal(
        agent="arbitrage/tri", coupled=True,
        legs=(
            make_leg(qty="0.2", limit_px="60000"), make_leg(symbol="ETH/BTC", qty="3.99", limit_px="0.05"),
            make_leg(symbol="ETH/USDT", side="sell", qty="5", limit_px="3000"),
        ),
    )  # fmt: skip
    usdt = Cash(asset="USDT", total=D(50_000), reserved=D(0))
    # leg 1 buys 3.99 ETH and keeps 3.98601 after its fee; the rest of the 5 ETH must be there already
    poor = ask(warmed(), cycle, make_account(cash=(usdt,)))
    helped = ask(warmed(), cycle, make_account(cash=(usdt, Cash(asset="ETH", total=D(2), reserved=D(0)))))

    assert poor.max_qty == 0
    assert [b.qty_max for b in poor.bounds if b.code == "free_ETH"] == [D(0)]
    assert helped.max_qty > 0
    assert {b.code for b in helped.bounds} == {"wanted", "free_ETH", "free_USDT", "stake", "budget"}


def test_cycle_that_pays_itself_needs_only_the_money_of_its_first_leg() -> None:
    cycle = make_proposal(
        agent="arbitrage/tri", coupled=True,
        legs=(
            make_leg(qty="0.2", limit_px="60000"), make_leg(symbol="ETH/BTC", qty="3.99", limit_px="0.05"),
            make_leg(symbol="ETH/USDT", side="sell", qty="3.98", limit_px="3000"),
        ),
    )  # fmt: skip
    answer = ask(warmed(), cycle)

    assert answer.max_qty > 0
    assert {b.code for b in answer.bounds} == {"wanted", "free_USDT", "stake", "budget"}


def test_another_state_is_stale_and_other_stages_are_not_answered() -> None:
    proposal = buying()
    old = Review(round=b"r", pid=b"p", stage="capital", proposal=proposal, size=1.0, state_version=9, t=T0)
    other = Review(round=b"r", pid=b"p", stage="risk", proposal=proposal, size=1.0, state_version=1, t=T0)

    assert agent().handle(old, context()) == (Stale(agent="capital", have=1),)
    assert agent().handle(other, context()) == ()


@pytest.mark.parametrize(
    ("proposal", "state", "size"),
    [
        (buying(conf=float("nan")), None, 1.0),
        (buying(), None, float("nan")),
        (buying(), None, 2.0),
        (make_proposal(legs=()), None, 1.0),
        (buying("NaN"), None, 1.0),
        (buying("sNaN"), None, 1.0),
        (buying(), make_account(equity="NaN"), 1.0),
        (buying(), make_account(equity=-5), 1.0),
        (buying(), holding_account(positions=(make_position(mark="NaN"),)), 1.0),
        (buying(legs=(make_leg(symbol="DOGE/USDT"),)), None, 1.0),
        (buying(stop="NaN", take="sNaN"), holding_account(positions=(make_position("X/USDT", "1", "0"),)), 1),
        (buying(legs=(make_leg(limit_px="Infinity"),)), None, 1.0),
    ],
)  # fmt: skip
def test_nonsense_gets_nothing_and_never_raises(
    proposal: Proposal, state: StateView | None, size: float
) -> None:
    assert ask(warmed(), proposal, state, size).max_qty == 0


def test_unpriced_market_order_gets_nothing() -> None:
    assert ask(agent(), make_proposal()).code == "no_price"


def test_restored_agent_goes_on_identically() -> None:
    first = warmed(1.002)
    second = agent()
    second.restore(first.snapshot())

    assert second.snapshot() == first.snapshot()
    for n in range(30):
        px = 60_000.0 + 400.0 * (n % 5)
        batch = MarketBatch(
            step=n, t=T0, bars=(make_bar(close=px), make_bar(symbol="ETH/USDT", close=px / 19))
        )
        first.handle(batch, context())
        second.handle(batch, context())
        assert ask(second, buying("0.9"), holding_account()) == ask(first, buying("0.9"), holding_account())
    assert second.snapshot() == first.snapshot()


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'keep_free'"):
        agent(keep_fre=0.1)
