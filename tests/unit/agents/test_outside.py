"""The seat of a strategy that is run elsewhere, and the agents that consent to everything."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agents import consent, outside
from agents.outside import Offer, OutsideStrategy
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.errors import ConfigError
from parley.messages import (
    AnalysisReady,
    Cfp,
    Counter,
    CounterReply,
    MarketBatch,
    Message,
    Proposal,
    Refuse,
)
from parley.view import FirmView
from tests.kit.firm_kit import MINUTE, spot

D = Decimal
SYMBOL = "BTC/USDT"
BUY = Offer(symbol=SYMBOL, side="buy", qty=D("0.5"), px=D(100), why="cross")


def seat() -> OutsideStrategy:
    spec = AgentSpec(id="strategy/x", role="strategy", factory="agents.outside:make", own_rounds=True)
    env = AgentEnv(
        tenant="local", account="main", quote="USDT", symbols=(SYMBOL,), instruments={SYMBOL: spot(SYMBOL)},
        tf_ns=MINUTE,
    )  # fmt: skip
    return outside.make(spec, env)


def hear(made: OutsideStrategy, message: Message) -> list[Message]:
    return list(made.handle(message, Context(1, FirmView(EMPTY_STATE), 1, 1, made.spec.id)))


def call(round_: bytes = b"r" * 16, symbol: str = SYMBOL, *, reduce_only: bool = False) -> Cfp:
    return Cfp(
        symbols=(symbol,), budget_hint=D(1), horizon_ms=1, min_edge_bps=0.0, state_version=0, t=1,
        reduce_only=reduce_only, md_seq=1, to_agents=("strategy/x",), round=round_,
    )  # fmt: skip


def counter(pid: bytes, *, reject: bool = False) -> Counter:
    return Counter(pid=pid, agent="desk", code="cut", binding=True, qty_max=D("0.1"), reject=reject)


BATCH = MarketBatch(step=1, t=5)


def test_seat_without_an_offer_is_quiet_and_refuses() -> None:
    made = seat()
    assert hear(made, BATCH) == []
    (answer,) = hear(made, call())
    assert isinstance(answer, Refuse)


def test_offer_asks_for_a_round_and_is_made_once() -> None:
    made = seat()
    made.offer(BUY)
    (ready,) = hear(made, BATCH)
    assert isinstance(ready, AnalysisReady)
    assert ready.symbol == SYMBOL
    (bid,) = hear(made, call())
    assert isinstance(bid, Proposal)
    assert bid.pid == made.pid
    leg = bid.legs[0]
    assert (leg.side, leg.qty, leg.limit_px, leg.tif, leg.reduce_only) == (
        "buy",
        D("0.5"),
        D(100),
        "IOC",
        False,
    )
    assert isinstance(hear(made, call(b"s" * 16))[0], Refuse)
    assert hear(made, BATCH) == []


def test_offer_that_was_not_called_for_is_gone_when_withdrawn() -> None:
    made = seat()
    made.offer(BUY)
    made.withdraw()
    assert hear(made, BATCH) == []
    assert isinstance(hear(made, call())[0], Refuse)


def test_opening_offer_is_not_made_where_only_reductions_are_asked() -> None:
    made = seat()
    made.offer(BUY)
    (answer,) = hear(made, call(reduce_only=True))
    assert isinstance(answer, Refuse)
    assert answer.code == "reduce_only"


@pytest.mark.parametrize(("reject", "action"), [(False, "accept"), (True, "withdraw")])
def test_seat_takes_less_but_not_nothing(reject: bool, action: str) -> None:
    made = seat()
    made.offer(BUY)
    hear(made, BATCH)
    hear(made, call())
    (reply,) = hear(made, counter(made.pid, reject=reject))
    assert isinstance(reply, CounterReply)
    assert reply.action == action
    (other,) = hear(made, counter(b"?" * 16))
    assert isinstance(other, CounterReply)
    assert other.action == "withdraw"


def test_only_those_with_nothing_but_yes_to_say_can_consent() -> None:
    env = seat()._env
    spec = AgentSpec(id="signal/x", role="signal", factory="agents.consent:make")
    with pytest.raises(ConfigError, match="only capital, risk, execution, meta can consent"):
        consent.make(spec, env)
