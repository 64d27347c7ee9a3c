"""A desk that begins with a part of its stakes: what binds at first, what stops the climb, what ends it."""

from decimal import Decimal as D

import pytest

from agents.capital import CapitalAgent, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.errors import ConfigError
from parley.messages import Allocation, MarketBatch, Proposal, Review, StateView
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_instrument, make_leg, make_proposal
from tests.kit.risk_cases import holding_account, make_account, wide_book

SYMBOLS = ("BTC/USDT", "ETH/USDT")
ENV = AgentEnv(
    tenant="local", account="main", quote="USDT", symbols=SYMBOLS, tf_ns=MINUTE,
    instruments={s: make_instrument(s) for s in SYMBOLS}
    | {"ETH/BTC": make_instrument("ETH/BTC", tick="0.00001", min_notional="0.0001")},
)  # fmt: skip
QUARTER_HOUR = 15 / 1440  # days
PAST = T0 - 100 * MINUTE
BUY = make_proposal(legs=(make_leg(qty="0.2", limit_px="60000"),))
SELL = make_proposal(legs=(make_leg(side="sell", qty="0.05", reduce_only=True),))
CYCLE = make_proposal(
    agent="arbitrage/tri", coupled=True,
    legs=(
        make_leg(qty="0.2", limit_px="60000"), make_leg(symbol="ETH/BTC", qty="3.99", limit_px="0.05"),
        make_leg(symbol="ETH/USDT", side="sell", qty="3.98", limit_px="3000"),
    ),
)  # fmt: skip


class Desk:
    """A capital agent, the market's time and the account's equity."""

    def __init__(self, **params: object) -> None:
        spec = AgentSpec(id="capital", role="capital", factory="agents.capital:make", params=params)
        self.agent: CapitalAgent = make(spec, ENV)
        self.now = PAST
        for n in range(40):  # calm minutes, before anything is known of the account
            px = 60_000.0 * (1.0005 if n % 2 else 1.0)
            bars = tuple(
                make_bar(symbol=s, open=p, high=p, low=p, close=p)
                for s, p in (("BTC/USDT", px), ("ETH/USDT", px / 20))
            )
            self._tell(MarketBatch(step=n, t=self.now, bars=bars), make_account(equity=0))
        books = (
            wide_book(),
            wide_book("ETH/USDT", 2_999.0, 3_001.0, 50.0),
            wide_book("ETH/BTC", 0.04999, 0.05, 50.0),
        )
        self._tell(MarketBatch(step=99, t=self.now, books=books), make_account(equity=0))

    def _tell(self, message: MarketBatch | Review, state: StateView) -> list[object]:
        context = Context(now=self.now, view=FirmView(state), seq=1, seed=1, agent="c")
        return list(self.agent.handle(message, context))

    def minutes(self, count: int, equity: int = 100_000) -> None:
        """Let market time go by, minute after minute."""
        for _ in range(count):
            self.now += MINUTE
            self._tell(MarketBatch(step=100, t=self.now), make_account(equity))

    def ask(self, proposal: Proposal = BUY, state: StateView | None = None) -> Allocation:
        review = Review(
            round=b"r", pid=proposal.pid, stage="capital", proposal=proposal, size=1.0, state_version=1,
            t=self.now,
        )  # fmt: skip
        (answer,) = self._tell(review, state if state is not None else make_account())
        assert isinstance(answer, Allocation)
        return answer


def bound(allocation: Allocation, code: str) -> D:
    return next(each.qty_max for each in allocation.bounds if each.code == code)


def test_at_first_the_ramp_binds_and_when_the_days_have_passed_something_else_does() -> None:
    desk = Desk(ramp_days=QUARTER_HOUR)
    first = desk.ask()
    # 15 % of 100,000 / 8 / 60,030, the last close
    assert (first.code, first.max_qty) == ("ramp", D("0.03123"))

    desk.minutes(1)  # the first look counts from here
    desk.minutes(6)
    half_way = desk.ask()
    # 15 % and 85 % of 6 / 15: 49 % of 0.208229
    assert (half_way.code, half_way.max_qty) == ("ramp", D("0.10203"))

    desk.minutes(9)
    last = desk.ask()
    assert (last.code, last.max_qty) == ("wanted", D("0.2"))
    assert "ramp" not in {each.code for each in last.bounds}


def test_a_loss_stops_the_climb_and_does_not_take_it_back() -> None:
    desk = Desk(ramp_days=QUARTER_HOUR)
    desk.minutes(4)
    before = desk.ask()
    desk.minutes(50, equity=99_999)
    after = desk.ask()
    desk.minutes(1)
    later = desk.ask()

    assert bound(before, "ramp") == bound(after, "ramp") == D("0.06663")  # 32 %: 3 minutes of 15
    assert bound(later, "ramp") > bound(after, "ramp")


def test_a_restored_desk_goes_on_where_it_was() -> None:
    first = Desk(ramp_days=QUARTER_HOUR)
    first.minutes(7)
    second = Desk(ramp_days=QUARTER_HOUR)
    second.agent.restore(first.agent.snapshot())

    assert second.ask() == first.ask()
    assert second.ask().code == "ramp"
    # it was away for an hour; what is counted of that is two candles
    second.now = first.now + 58 * MINUTE
    second.minutes(2)
    assert bound(second.ask(), "ramp") == D("0.13743")  # 66 %: 9 minutes of 15
    # a desk that holds less than the first one began with rests
    second.minutes(50, equity=99_000)
    assert bound(second.ask(), "ramp") == D("0.13743")


def test_a_snapshot_of_an_agent_that_knew_no_ramp_begins_at_the_start() -> None:
    old = Desk()
    old.minutes(100)
    desk = Desk(ramp_days=QUARTER_HOUR)
    desk.agent.restore(old.agent.snapshot())

    assert bound(desk.ask(), "ramp") == D("0.03123")


def test_without_days_there_is_no_ramp() -> None:
    for desk in (Desk(), Desk(ramp_days=0.0), Desk(ramp_days=5.0, ramp_start="1")):
        for proposal in (BUY, CYCLE):
            assert "ramp" not in {each.code for each in desk.ask(proposal).bounds}
        assert (desk.ask().max_qty, desk.ask().code) == (D("0.2"), "wanted")


def test_a_cycle_is_ramped_as_well_and_a_reduction_never() -> None:
    desk = Desk(ramp_days=QUARTER_HOUR)

    cycle = desk.ask(CYCLE)
    # 15 % of 12,500 at the limit of 60,000
    assert (cycle.code, cycle.max_qty) == ("ramp", D("0.03125"))
    out = desk.ask(SELL, holding_account())
    assert (out.max_qty, [each.code for each in out.bounds]) == (D("0.2"), ["held"])


def test_a_wish_below_the_ramp_is_not_cut() -> None:
    answer = Desk(ramp_days=QUARTER_HOUR).ask(make_proposal(legs=(make_leg(qty="0.01", limit_px="60000"),)))

    assert (answer.max_qty, answer.code) == (D("0.01"), "wanted")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"ramp_start": "0"}, "ramp_start must be above 0 and at most 1, was 0"),
        ({"ramp_start": "1.01"}, "ramp_start must be above 0 and at most 1, was 1.01"),
        ({"ramp_start": "NaN"}, "ramp_start must be above 0 and at most 1, was NaN"),
        ({"ramp_days": -1.0}, "ramp_days must be at least 0, was -1.0"),
        ({"ramp_days": float("inf")}, "ramp_days must be at least 0, was inf"),
        ({"ramp_days": float("nan")}, "ramp_days must be at least 0, was nan"),
    ],
)
def test_a_ramp_that_is_none_is_refused(params: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Desk(**params)
    assert text in str(error.value)
