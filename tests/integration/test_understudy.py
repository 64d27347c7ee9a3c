"""The understudy follows a journal as it grows, keeps firms to begin with, and says what is wrong.

Real journals in real files. Not here: a run that loses its desk (tests/kill/test_kept_restart.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from orchestrator.policy import GroupOut
from parley.messages import KIND_OF
from runtime.bootstrap import assemble
from runtime.journal import Group, JournalReader, JournalWriter, Record
from runtime.outbox import group_of
from runtime.recovery import recover
from runtime.run_config import RunConfig, manifest
from runtime.understudy import Understudy, UnderstudyConfig, serve
from runtime.understudy_keeper import UnderstudyKeeper, read_status
from tests.kit.default_desk import groups_of, trading_run

BARS = 30
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def groups() -> list[GroupOut]:
    return [out for out in groups_of(assemble(trading_run()), BARS) if out.records]


def config_of(path: Path, every_s: float = 0.0) -> UnderstudyConfig:
    return UnderstudyConfig(
        journal=str(path), status=str(path.with_name("status")), every_records=1, every_s=every_s, rarely=0.0
    )


def written(path: Path, run: RunConfig) -> JournalWriter:
    return JournalWriter.create(path, manifest(run), durable=False, prezero_mb=0)


def follow(understudy: Understudy) -> None:
    while understudy.follow():
        understudy.keep_if_due()


def test_it_follows_a_growing_journal_and_each_picture_is_one_to_begin_with(
    tmp_path: Path, groups: list[GroupOut]
) -> None:
    path, run = tmp_path / "desk.journal", trading_run()
    begun_with = []
    with written(path, run) as journal:
        understudy: Understudy | None = None
        for n, out in enumerate(groups):
            journal.append(group_of(out, 1)[0]).result()
            if n % 7:
                continue
            understudy = understudy or Understudy(config_of(path))
            follow(understudy)
            past = recover(path, run)
            begun_with.append(past.last - understudy.status.kept_seq)
            assert past.gid or n < 40
            assert past.last == out.records[-1][0]
    assert max(begun_with[8:]) < 160, "of a journal of hundreds of records only the last message's are folded"


def test_the_next_one_goes_on_where_the_last_one_kept(tmp_path: Path, groups: list[GroupOut]) -> None:
    path, run = tmp_path / "desk.journal", trading_run()
    half = len(groups) // 2
    with written(path, run) as journal:
        for out in groups[:half]:
            journal.append(group_of(out, 1)[0]).result()
        first = Understudy(config_of(path))
        follow(first)
        assert first.status.kept_seq > 0
        for out in groups[half:]:
            journal.append(group_of(out, 1)[0]).result()
    second = Understudy(config_of(path))
    assert second.status.seq == first.status.kept_seq
    follow(second)
    with JournalReader(path) as reader:
        assert 0 < reader.count - second.status.seq < 40, "the last message may not be whole"


def test_a_decision_that_does_not_follow_is_said_and_nothing_is_kept_of_it(
    tmp_path: Path, groups: list[GroupOut]
) -> None:
    """One bit of one record, under a chain that holds: as a desk that decides otherwise would write it."""
    path, run = tmp_path / "desk.journal", trading_run()
    decisions = [n for n, out in enumerate(groups) if any(r[1] == KIND_OF["Decision"] for r in out.records)]
    wrong = decisions[len(decisions) // 2]
    with written(path, run) as journal:
        for n, out in enumerate(groups):
            group = group_of(out, 1)[0]
            if n == wrong:
                group = Group(1, [_otherwise(each) for each in group.records], group.intents)
            journal.append(group).result()

    async def watch() -> None:
        stop = asyncio.Event()
        serving = asyncio.ensure_future(serve(config_of(path), stop))
        async with asyncio.timeout(PATIENCE_S):
            while not read_status(path.with_name("status")).get("problem"):
                await asyncio.sleep(0.05)
        stop.set()
        await serving

    asyncio.run(watch())
    status = read_status(path.with_name("status"))
    changed = [record[0] for record in groups[wrong].records if record[1] == KIND_OF["Decision"]]
    assert f"does not replay, so nothing is traded on it: seq {changed[0]} Decision" in status["problem"]
    assert status["kept_seq"] < groups[wrong].records[0][0]


def test_of_an_agent_whose_snapshot_is_not_whole_nothing_is_kept(tmp_path: Path) -> None:
    """Each record follows from all that was before, and not from the picture: no desk may begin with it."""
    path, run = tmp_path / "desk.journal", trading_run("tests.kit.forgetful:make")
    with written(path, run) as journal:
        for out in groups_of(assemble(run), BARS):
            if out.records:
                journal.append(group_of(out, 1)[0]).result()

    async def watch() -> None:
        stop = asyncio.Event()
        serving = asyncio.ensure_future(serve(config_of(path), stop))
        async with asyncio.timeout(PATIENCE_S):
            while not (status := read_status(path.with_name("status"))).get("not_kept") or not status["seq"]:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
        stop.set()
        await serving

    asyncio.run(watch())
    status = read_status(path.with_name("status"))
    assert "from what was kept the journal does not follow" in status["not_kept"]
    assert status["problem"] == ""
    with JournalReader(path) as reader:
        assert reader.count - status["seq"] < 40
    assert sorted(each.name for each in tmp_path.glob("desk.journal.*")) == ["desk.journal.sum"]
    assert recover(path, run).gid == 0


def _otherwise(record: Record) -> Record:
    if record.kind != KIND_OF["Decision"]:
        return record
    at = record.body.rindex(b"accept") if b"accept" in record.body else len(record.body) - 1
    return Record(record.seq, record.kind, record.round, record.body[:at] + b"A" + record.body[at + 1 :])


def test_its_process_is_kept_alive_and_waits_for_a_journal(tmp_path: Path, groups: list[GroupOut]) -> None:
    path, run = tmp_path / "desk.journal", trading_run()
    said: list[str] = []
    keeper = UnderstudyKeeper(path, tmp_path / "understudy.json", tmp_path, said.append)
    try:
        keeper.open()
        (before,) = keeper.units().values()
        with written(path, run) as journal:
            for out in groups:
                journal.append(group_of(out, 1)[0]).result()
            _until(lambda: keeper.told().get("seq", 0) > 100)
            _kill(before)
            _until(lambda: keeper.restarts == 1 and keeper.told().get("seq", 0) > 100)
            assert keeper.changed()
    finally:
        left = keeper.close()
    assert left == []
    assert said == ["the understudy was ended by SIGKILL and was started again"]


def _kill(pid: int) -> None:

    os.kill(pid, signal.SIGKILL)


def _until(holds: object) -> None:
    end = time.monotonic() + PATIENCE_S
    while not (callable(holds) and holds()):
        assert time.monotonic() < end
        time.sleep(0.05)
