"""The watch tells a desk when it has to reduce and when it may open again, and nothing in between."""

from __future__ import annotations

import time
from pathlib import Path

from parley.messages import Strain
from runtime.backlog import BacklogConfig, BacklogLimits, JournalBacklog, Status, write_status
from runtime.backlog_watch import BacklogWatch

S = 1_000_000_000
T0 = 1_800_000_000 * S


class Clock:
    """Wall time that stands still unless moved."""

    now = T0

    def __call__(self) -> int:
        return self.now


def watch(folder: Path, told: list[Strain], clock: Clock, *, is_reducing: bool = False) -> BacklogWatch:
    config = BacklogConfig(
        status=str(folder / "status"), journals=(str(folder / "desk.journal"),), every_s=0.01, since_ns=T0,
        limits=BacklogLimits(age_s=100.0, disk=1.0),
    )  # fmt: skip
    return BacklogWatch(config, told.append, is_reducing=is_reducing, clock=clock)


def say(folder: Path, at_s: float, shipped_s: float) -> None:
    """Write the status of a moment at which everything up to another moment was shipped."""
    journal = JournalBacklog(
        path=str(folder / "desk.journal"), run_id="r", stream="desk", seq=1, head="", records=1, bytes=1,
        oldest_ns=T0 + int(shipped_s * S) if shipped_s < at_s else 0,
    )  # fmt: skip
    status = Status(t=T0 + int(at_s * S), pid=1, database="up", journals=(journal,))
    write_status(folder / "status", status)


def test_only_changes_are_told(tmp_path: Path) -> None:
    told: list[Strain] = []
    clock = Clock()
    mine = watch(tmp_path, told, clock)

    for at_s, shipped_s in (
        (0, 0),
        (50, 0),
        (101, 0),
        (150, 0),
        (200, 140),
        (210, 209),
        (300, 209),
        (311, 209),
    ):
        clock.now = T0 + at_s * S
        say(tmp_path, at_s, shipped_s)
        mine.look()

    assert [(each.source, each.level) for each in told] == [("backlog", 3), ("backlog", 0), ("backlog", 3)]
    assert "101 s old" in told[0].why


def test_desk_that_reduces_already_is_told_when_it_may_open(tmp_path: Path) -> None:
    told: list[Strain] = []
    clock = Clock()
    mine = watch(tmp_path, told, clock, is_reducing=True)

    for at_s, shipped_s in ((60, 0), (70, 70)):
        clock.now = T0 + at_s * S
        say(tmp_path, at_s, shipped_s)
        mine.look()

    assert [each.level for each in told] == [0]


def test_without_any_status_the_run_counts_from_its_start(tmp_path: Path) -> None:
    told: list[Strain] = []
    clock = Clock()
    clock.now = T0 + 101 * S
    mine = watch(tmp_path, told, clock)
    mine.start()
    while not told:
        time.sleep(0.001)
    mine.stop()

    assert [each.level for each in told] == [3]
