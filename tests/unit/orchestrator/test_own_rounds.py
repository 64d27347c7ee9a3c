"""A strategy with rounds of its own is not asked at candles; where all are like that no candle opens one."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.firm import Firm
from parley.messages import Balance, Cfp, Decision, Started, Trigger
from tests.kit.firm_kit import CAPITAL, T0, TestDesk


def without_bars(desk: TestDesk, *agents: str) -> TestDesk:
    """Rebuild the desk's firm with some strategies that ask for their rounds themselves."""
    table = desk.firm.table
    specs = [replace(s, own_rounds=s.id in agents) for s in table._specs.values()]
    old = desk.firm
    desk.firm = Firm(old.config, table.env, specs, old.gatekeeper.limits)
    return desk


def begun(desk: TestDesk) -> TestDesk:
    desk.records.clear()
    desk.admit(Started(run_id="t", epoch=1, quote="USDT", capital=CAPITAL, t=T0), "supervisor")
    desk.admit(Balance(account="main", venue="binance", assets=(("USDT", CAPITAL),), t=T0), "gateway")
    return desk


def test_only_the_others_are_asked_at_a_candle() -> None:
    desk = begun(without_bars(TestDesk(), "strategy/b"))
    desk.bar()
    calls = desk.said(Cfp)
    assert [call.to_agents for call in calls if isinstance(call, Cfp)] == [("strategy/a",)]
    assert len(desk.said(Decision)) == 1


def test_no_candle_opens_a_round_where_nobody_is_asked_at_candles() -> None:
    desk = begun(without_bars(TestDesk(), "strategy/a", "strategy/b"))
    desk.bar()
    assert desk.said(Trigger) == []
    assert desk.said(Decision) == []
