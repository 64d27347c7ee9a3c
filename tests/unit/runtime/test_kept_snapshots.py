"""A kept snapshot is found whole, of its own run and of nothing beyond the journal; or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.agent_line import Asked
from runtime.kept_snapshots import KeptSnapshots

AGENT = "strategy/x"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "desk.journal"


def file_of(journal: Path) -> Path:
    (path,) = journal.with_name("desk.journal.agents").iterdir()
    return path


def test_the_last_one_kept_is_found(journal: Path) -> None:
    kept = KeptSnapshots(journal, "run")
    kept.keep(AGENT, Asked(5, 7, 8), b"first")
    kept.keep(AGENT, Asked(5, 9, 10), b"second")
    kept.keep("strategy/y", Asked(5, 3, 4), b"other")

    assert KeptSnapshots(journal, "run").find(AGENT, 10) == (9, b"second")
    assert KeptSnapshots(journal, "run").find("strategy/z", 99) is None


def test_one_that_knows_more_than_the_journal_is_never_found_again(journal: Path) -> None:
    kept = KeptSnapshots(journal, "run")
    kept.keep(AGENT, Asked(5, 9, 10), b"second")

    assert kept.find(AGENT, 9) is None
    assert kept.find(AGENT, 100) is None


@pytest.mark.parametrize("cut", [0, 5, 16, -1])
def test_a_damaged_one_is_not_found(journal: Path, cut: int) -> None:
    kept = KeptSnapshots(journal, "run")
    kept.keep(AGENT, Asked(5, 9, 10), b"second")
    path = file_of(journal)
    path.write_bytes(path.read_bytes()[:cut])

    assert kept.find(AGENT, 99) is None


def test_a_changed_one_is_not_found(journal: Path) -> None:
    kept = KeptSnapshots(journal, "run")
    kept.keep(AGENT, Asked(5, 9, 10), b"second")
    path = file_of(journal)
    path.write_bytes(path.read_bytes().replace(b"second", b"secund"))

    assert kept.find(AGENT, 99) is None


def test_another_runs_is_not_found(journal: Path) -> None:
    KeptSnapshots(journal, "run").keep(AGENT, Asked(5, 9, 10), b"second")

    assert KeptSnapshots(journal, "other").find(AGENT, 99) is None


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(
    journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.with_name("desk.journal.agents").write_text("in the way")
    kept = KeptSnapshots(journal, "run")

    kept.keep(AGENT, Asked(5, 9, 10), b"second")

    assert kept.find(AGENT, 99) is None
    assert "snapshot_not_kept agent=strategy/x" in caplog.text
