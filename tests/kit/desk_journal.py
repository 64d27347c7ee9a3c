"""A desk's journal as a real firm writes it, of a few rounds with orders, cut wherever a test wants.

Not here: processes and a venue (`tests.kit.desk_lives`).

Invariant: the file replays; its groups are those of the fold, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from orchestrator.policy import GroupOut
from parley.agent import Agent, AgentEnv, AgentSpec
from runtime.journal import Group, JournalWriter, Record
from runtime.outbox import group_of
from runtime.run_config import RunConfig, manifest
from tests.kit.firm_kit import SUBSCRIPTIONS, TEAM, Scripted, TestDesk, polite, spot

FACTORY = "tests.kit.desk_journal:make"


def make(spec: AgentSpec, env: AgentEnv) -> Agent:
    """Make a polite agent; the factory that the journal's configuration names."""
    return Scripted(spec, polite)


def traded(bars: int = 6) -> TestDesk:
    """Run a firm of polite agents over some bars of two symbols: it buys, sells and buys again."""
    desk = TestDesk(symbols=("BTC/USDT", "ETH/USDT"))
    for n in range(bars):
        desk.bar(50_000.0 + 10 * n)
    return desk


def run_of(wrote: TestDesk, **over: object) -> RunConfig:
    """Give the configuration that builds the same firm again."""
    config = wrote.firm.config
    specs = tuple(AgentSpec(id=i, role=r, factory=FACTORY, subscriptions=SUBSCRIPTIONS) for i, r in TEAM)
    run = RunConfig(run_id="t", desk=config, agents=specs, instruments={s: spot(s) for s in config.symbols})
    return replace(run, **over)


def write(path: Path, desk: TestDesk, groups: Sequence[GroupOut] | None = None, **over: object) -> Path:
    """Write a desk's groups, or some of them, to a new journal."""
    with JournalWriter.create(path, manifest(run_of(desk, **over)), durable=False, prezero_mb=0) as journal:
        for out in desk.groups if groups is None else groups:
            if out.records:
                journal.append(group_of(out, 1)[0]).result()
    return path


def write_records(path: Path, desk: TestDesk, records: Sequence[Record]) -> Path:
    """Write records one by one, each in a group of its own, as no desk does."""
    with JournalWriter.create(path, manifest(run_of(desk)), durable=False, prezero_mb=0) as journal:
        for record in records:
            journal.append(Group(1, [record], [])).result()
    return path
