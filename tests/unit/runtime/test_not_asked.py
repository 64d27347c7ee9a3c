"""A strategy that a round passed over is told with the desk's own reason, from journals of a real firm."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console

from parley.agent import AgentSpec, Context
from parley.bus import MISSED, InProc
from parley.messages import AgentFaulted, Cfp, Message, Strain, Trigger
from runtime.commands.explain import show
from runtime.explain import explain
from runtime.history import entries, kinds, open_journal
from runtime.not_asked import Attended, not_asked
from runtime.story import Story
from tests.kit import desk_journal
from tests.kit.firm_kit import TestDesk

A, B = "strategy/a", "strategy/b"


def stories(folder: Path, desk: TestDesk) -> list[Story]:
    """Tell every round of a firm by its journal."""
    reader = open_journal(desk_journal.write(folder / "desk.journal", desk))
    return [explain(reader, entry.round) for entry in entries(reader, kinds("Decision"))]


def told(story: Story) -> str:
    out = StringIO()
    show(story, Console(file=out, width=200))
    return out.getvalue()


def passed_over(found: Sequence[Story]) -> list[list[tuple[str, str, str]]]:
    return [[(each.agent, each.code, each.detail) for each in story.not_asked] for story in found]


def test_resting_strategy_is_told_as_long_as_the_strain_lasts(tmp_path: Path) -> None:
    desk = TestDesk()
    desk.bar()
    desk.admit(Strain(source="load", level=1, why="p99 of lag 31.0 ms", resting=(A, "signal/a")), "clock")
    desk.admit(Strain(source="backlog", level=3, why="unshipped records"), "shipper")
    desk.bar()
    desk.admit(Strain(source="load", level=0), "clock")
    desk.bar()

    first, second, third = stories(tmp_path, desk)

    assert passed_over([first, third]) == [[], []]
    detail = "while the desk is overloaded, level 1: p99 of lag 31.0 ms"
    assert passed_over([second]) == [[(A, "resting", detail)]]
    assert "not asked\n  strategy/a: resting while the desk is overloaded, level 1: p99" in told(second)
    assert "not asked" not in told(first)


def test_quarantined_strategy_is_told_in_every_later_round(tmp_path: Path) -> None:
    def raises(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        raise ValueError("a bug")

    desk = TestDesk({B: raises})
    for _ in range(4):
        desk.bar()
    strikes = [each.strikes for each in desk.said(AgentFaulted)]

    found = passed_over(stories(tmp_path, desk))

    assert strikes == [1, 2, 3]
    assert found[0] == []
    [(agent, code, detail)] = found[-1]
    assert (agent, code) == (B, "quarantined")
    assert detail.startswith("since its 3 strikes, the last for: ")
    assert "a bug" in detail


def test_strategy_that_sleeps_is_told_with_how_long(tmp_path: Path) -> None:
    desk = TestDesk()
    hosts = desk.transport._hosts
    desk.transport = InProc(
        hosts, late=lambda ask: MISSED - 5 if ask.agent == A and isinstance(ask.message, Cfp) else 0
    )
    for _ in range(7):
        desk.bar()

    found = passed_over(stories(tmp_path, desk))

    assert found == 5 * [[]] + 2 * [[(A, "asleep", "for 1 s: it was late or silent too often")]]


def test_round_that_an_agent_asked_for_passes_nobody_over() -> None:
    specs = [AgentSpec(id=each, role="strategy", factory="x:y") for each in (A, B)]
    own = AgentSpec(id="strategy/own", role="strategy", factory="x:y", own_rounds=True)

    def passed(kind: str, nth: int = 0) -> list[str]:
        trigger = Trigger(source=A, symbol="A/B", kind=kind, payload_hash=b"", md_seq=1, t=1, nth=nth)
        return [each.agent for each in not_asked([*specs, own], trigger, (A,), Attended())]

    assert passed("analysis") == []
    assert passed("bar", nth=1) == []  # only those whose exit had to wait
    assert passed("bar") == [B]
