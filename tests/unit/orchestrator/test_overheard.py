"""What an agent from outside says between cascades: rounds for what it is ready for, strikes for faults."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from parley.agent import Context
from parley.messages import (
    AgentFaulted,
    Analysed,
    AnalysisReady,
    Cfp,
    Intent,
    Message,
    NotUnderstood,
    Refuse,
    Shutdown,
    Trigger,
)
from tests.kit.desk_cases import BTC, StepDesk, event, unless
from tests.kit.firm_kit import MINUTE

ME = "strategy/a"
ETH = "ETH/USDT"


def nothing(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
    return (Refuse(agent=me, code="no_offer"),) if isinstance(msg, Cfp) else None


def desk() -> StepDesk:
    made = StepDesk({ME: unless(nothing)}, symbols=(BTC, ETH))
    made.close()
    return made


def ready(symbol: str, agent: str = ME) -> AnalysisReady:
    return AnalysisReady(agent=agent, symbol=symbol, tf_ns=MINUTE, t_candle=0, result_hash=b"h")


def analyses(of: StepDesk) -> list[Trigger]:
    return [t for t in of.said(Trigger) if t.kind == "analysis"]


def test_each_analysis_opens_a_round_whenever_it_comes() -> None:
    at = desk()
    at.admit(Analysed(agent=ME, ready=(ready(ETH), ready(BTC))), "outside")
    assert [(t.source, t.symbol) for t in analyses(at)] == [(ME, BTC), (ME, ETH)]
    assert {c.to_agents for c in at.said(Cfp)[-2:]} == {(ME,)}


def test_two_analyses_of_one_moment_are_two_rounds() -> None:
    at = desk()
    for _ in range(3):
        at.admit(Analysed(agent=ME, ready=(ready(BTC),)), "outside")
    found = analyses(at)
    assert len({t.nth for t in found}) == len({t.t for t in found}) * 3 == 3
    assert len({c.round for c in at.said(Cfp)[-3:]}) == 3


def test_a_fault_is_a_strike_and_what_else_it_said_counts() -> None:
    at = desk()
    at.admit(
        Analysed(agent=ME, ready=(ready(BTC),), faults=("ETH/USDT custom_exit: KeyError: 'x'",)), "outside"
    )
    (fault,) = at.said(AgentFaulted)
    assert (fault.agent, fault.strikes, fault.quarantined) == (ME, 1, False)
    assert "custom_exit" in fault.error
    assert len(analyses(at)) == 1
    for _ in range(2):
        at.admit(Analysed(agent=ME, faults=("again",)), "outside")
    assert at.said(AgentFaulted)[-1].quarantined
    at.admit(Analysed(agent=ME, ready=(ready(BTC),)), "outside")
    assert len(analyses(at)) == 1
    assert at.said(NotUnderstood)[-1].code == "nobody_here"


def test_nobody_speaks_for_another_or_out_of_role_or_of_what_is_not_traded() -> None:
    at = desk()
    at.admit(Analysed(agent="nobody", ready=(ready(BTC),)), "outside")
    at.admit(Analysed(agent="risk/main", ready=()), "outside")
    at.admit(Analysed(agent=ME, ready=(ready(BTC, "strategy/b"),)), "outside")
    at.admit(Analysed(agent=ME, ready=(ready("XRP/USDT"),)), "outside")
    codes = [n.code for n in at.said(NotUnderstood)]
    assert codes[0] == "nobody_here"
    assert codes[-2:] == ["foreign_name", "unknown_symbol"]
    assert analyses(at) == []


def test_after_a_shutdown_no_analysis_opens_a_round() -> None:
    at = desk()
    at.admit(Shutdown(why="stopped", flatten=False, t=0), "user")
    at.admit(replace(Analysed(agent=ME), ready=(ready(BTC),)), "outside")
    assert analyses(at) == []


def test_what_an_agent_in_quarantine_holds_is_left() -> None:
    at = StepDesk()
    (bought,) = at.close()
    assert isinstance(bought, Intent)
    at.admit(at.filled(bought, bought.qty), "gateway")
    at.tell(event(bought, "closed"))
    assert at.view.holding(ME, BTC) is not None
    for _ in range(3):
        at.admit(Analysed(agent=ME, faults=("custom_exit: KeyError",)), "outside")
    assert at.said(AgentFaulted)[-1].quarantined
    (sold,) = at.close()
    assert isinstance(sold, Intent)
    assert (sold.symbol, sold.side, sold.reduce_only) == (BTC, "sell", True)
    assert [t.source for t in at.said(Trigger)][-2:] == ["quarantine", "feed"]
