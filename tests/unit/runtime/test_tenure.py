"""The name beside a journal: whose it is, who took over, and what a desk that fell is told of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parley.errors import Fatal
from runtime.journal import JournalFailed
from runtime.process_tree import look
from runtime.restarts import Restarts
from runtime.tenure import Holder, Tenure, in_office
from runtime.unit import REPLACED, Replaced, run_unit


@pytest.fixture
def other() -> Iterator[int]:
    """Another process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def takes_over(tenure: Tenure, pid: int) -> None:
    found = look(pid)
    assert found is not None
    tenure.path.write_bytes(msgspec.json.encode(Holder(pid, found.started)))


def test_only_a_living_other_process_is_a_successor(tmp_path: Path, other: int) -> None:
    tenure = Tenure(tmp_path / "desk.journal")
    takes_over(tenure, other)
    assert tenure.successor() == 0, "it has not begun itself"

    tenure.begin()
    assert tenure.successor() == 0
    takes_over(tenure, other)
    assert tenure.successor() == other

    tenure.path.write_bytes(msgspec.json.encode(Holder(other, 1)))  # an older process of this number
    assert tenure.successor() == 0
    tenure.path.write_bytes(b"{")
    assert tenure.successor() == 0


def test_name_goes_with_its_desk_and_with_no_other(tmp_path: Path, other: int) -> None:
    tenure = Tenure(tmp_path / "desk.journal")
    tenure.end()
    tenure.begin()
    takes_over(tenure, other)
    tenure.end()
    assert tenure.path.exists()

    tenure.path.unlink()
    tenure.begin()
    tenure.end()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "fell", [JournalFailed("UNIQUE"), Fatal("the gateway is gone"), KeyError("anything")], ids=repr
)
def test_whatever_a_replaced_desk_falls_over_it_is_told_as_that(
    tmp_path: Path, other: int, fell: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "desk.journal"

    async def main(stop: asyncio.Event) -> None:
        async def work() -> None:
            takes_over(Tenure(journal), other)
            raise fell

        await in_office(str(journal), work())

    assert run_unit("desk", main) == REPLACED
    assert capsys.readouterr().err == (
        f"desk: process {other} took over the journal {str(journal)!r} and leads now; this desk ends\n"
    )


def test_journal_that_fails_by_itself_is_one_line_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main(stop: asyncio.Event) -> None:
        async def work() -> None:
            raise JournalFailed("no space left")

        await in_office(str(tmp_path / "desk.journal"), work())

    assert run_unit("desk", main) == 1
    assert capsys.readouterr().err == "desk: Fatal: the journal failed: no space left\n"


def test_desk_that_cannot_begin_beside_a_living_one_names_it_and_gives_the_name_back(
    tmp_path: Path, other: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tenure = Tenure(tmp_path / "desk.journal")
    takes_over(tenure, other)
    before = tenure.path.read_bytes()

    async def main(stop: asyncio.Event) -> None:
        async def work() -> None:
            assert tenure.path.read_bytes() != before
            raise Fatal("the database is locked")

        await in_office(str(tmp_path / "desk.journal"), work())

    assert run_unit("desk", main) == 1
    assert capsys.readouterr().err == (
        f"desk: Fatal: the database is locked; process {other} has this journal and lives still:"
        " end it first\n"
    )
    assert tenure.path.read_bytes() == before


def test_desk_that_ends_well_leaves_nothing_and_is_not_replaced(tmp_path: Path, other: int) -> None:
    async def work() -> None:
        takes_over(Tenure(tmp_path / "desk.journal"), other)

    asyncio.run(in_office(str(tmp_path / "desk.journal"), work()))


def test_replaced_unit_is_never_started_again() -> None:
    assert Restarts().why_not(REPLACED, 100.0) == "another process took its place"
    assert issubclass(Replaced, Exception)
