"""The risk agent refuses an opening that the next funding payment makes dear; exits and pairs never."""

from decimal import Decimal as D

import pytest

from agents.risk import RiskAgent, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.messages import Mark, MarketBatch, Review, StateView, Verdict
from parley.view import FirmView
from tests.kit.builders import MINUTE, T0, make_bar, make_instrument, make_leg, make_proposal
from tests.kit.contracts import BTC, contract
from tests.kit.risk_cases import make_account, make_position

PAIR = "BTC/USDT"
HOUR = 60 * MINUTE
# of the edge, 12 bps, buying and selling takes 10
ENV = AgentEnv(
    tenant="local", account="main", quote="USDT", symbols=(BTC, PAIR),
    instruments={BTC: contract(BTC, leverage=1), PAIR: make_instrument(PAIR)}, tf_ns=MINUTE,
)  # fmt: skip


def told(rate: float | None, due: int = T0 + HOUR) -> RiskAgent:
    risk = make(AgentSpec(id="risk", role="risk", factory="agents.risk:make"), ENV)
    mark = Mark(symbol=BTC, t=T0, px=60_000.0, rate=rate, next_funding=due)
    bars = tuple(make_bar(symbol=each, open=6e4, high=6e4, low=6e4, close=6e4) for each in (BTC, PAIR))
    risk.handle(MarketBatch(step=1, t=T0, bars=bars, marks=(mark,)), context())
    return risk


def context(state: StateView | None = None) -> Context:
    view = FirmView(state if state is not None else make_account())
    return Context(now=T0, view=view, seq=1, seed=1, agent="risk")


def verdict(
    risk: RiskAgent, side: str = "buy", symbol: str = BTC, *, state: StateView | None = None,
    reduce_only: bool = False, **over: object,
) -> Verdict:  # fmt: skip
    leg = make_leg(symbol=symbol, side=side, reduce_only=reduce_only)
    fields = {"edge_bps": 12.0, "horizon_ms": 2 * 3_600_000, **over}
    bid = make_proposal(symbol=symbol, legs=(leg,), **fields)
    asked = Review(round=b"r", pid=bid.pid, stage="risk", proposal=bid, size=1.0, state_version=1, t=T0)
    (answer,) = risk.handle(asked, context(state))
    assert isinstance(answer, Verdict)
    return answer


def test_opening_that_pays_more_than_its_edge_leaves_is_refused() -> None:
    answer = verdict(told(0.0003))
    assert (answer.ok, answer.max_qty) == (False, D(0))
    [breach] = answer.breached
    assert (breach.limit, breach.value, breach.cap) == ("funding", "3.0000", "2.0000")


@pytest.mark.parametrize(
    "answer",
    [
        verdict(told(0.0002)),
        verdict(told(0.0003), "sell"),
        verdict(told(0.0003), edge_bps=14.0),
        verdict(told(0.0003), horizon_ms=59 * 60_000),
        verdict(told(0.0003, T0)),
        verdict(told(0.0003, 0)),
        verdict(told(None)),
        verdict(told(0.0003), edge_bps=0.0),
        verdict(told(0.0003), symbol=PAIR),
    ],
    ids=["worth_it", "is_paid", "more_edge", "gone_before", "paid_just_now", "no_time", "no_rate", "no_edge",
         "pair"],
)  # fmt: skip
def test_what_pays_nothing_too_dear_or_unknown_is_not_refused_for_it(answer: Verdict) -> None:
    assert "funding" not in [each.limit for each in answer.breached]
    assert answer.ok


def test_a_short_pays_where_the_rate_is_negative() -> None:
    assert [each.limit for each in verdict(told(-0.0003), "sell").breached] == ["funding"]
    assert verdict(told(-0.0003), "buy").ok


def test_an_exit_is_never_refused_for_it() -> None:
    held = make_account(positions=(make_position(symbol=BTC, qty="-0.1"),))
    assert verdict(told(0.02), state=held, reduce_only=True).ok


def test_a_restored_agent_knows_the_rates() -> None:
    before = told(0.0003)
    after = make(before.spec, ENV)
    after.restore(before.snapshot())
    assert verdict(after) == verdict(before)
