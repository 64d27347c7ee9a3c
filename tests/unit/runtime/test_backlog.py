"""When the backlog of the shipper stops trading from opening: whatever is not known counts as too much."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.backlog import (
    BacklogLimits,
    JournalBacklog,
    Status,
    disk_use,
    read_status,
    why_reduce,
    write_status,
)

JOURNAL = Path("/run/desk.journal")
NOW = 1_800_000_000_000_000_000
S = 1_000_000_000


def status(age_s: float = 0.0, said_s: float = 0.0, **over: object) -> Status:
    fields = {
        "path": str(JOURNAL), "run_id": "r", "stream": "desk", "seq": 1, "head": "", "records": 5, "bytes": 50,
        "oldest_ns": NOW - int(age_s * S) if age_s else 0,
    }  # fmt: skip
    journal = JournalBacklog(**(fields | over))  # type: ignore[arg-type]
    return Status(t=NOW - int(said_s * S), pid=1, database="up", journals=(journal,))


def test_nothing_waiting_lets_trading_go_on() -> None:
    assert why_reduce(status(), JOURNAL, NOW, disk=0.5) == ""


def test_limits_are_fifteen_minutes_and_four_fifths_of_the_disk() -> None:
    assert why_reduce(status(age_s=900), JOURNAL, NOW, disk=0.8) == ""
    assert "901 s old, the limit is 900 s" in why_reduce(status(age_s=901), JOURNAL, NOW, disk=0.8)
    assert "81% full" in why_reduce(status(), JOURNAL, NOW, disk=0.81)


def test_age_grows_between_two_statuses() -> None:
    # Measured ten seconds ago, 895 s old then: it is over the limit now.
    assert "old" in why_reduce(status(age_s=905, said_s=10), JOURNAL, NOW, disk=0.1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "cannot be read"),
        (status(said_s=16), "said nothing for 16 s"),
        (status(said_s=-60), "said nothing"),
        (status(path="/run/other.journal"), "does not follow"),
        (status(error="another file"), "refuses the journal: another file"),
    ],
)
def test_what_is_not_known_counts_as_too_much(said: Status | None, why: str) -> None:
    assert why in why_reduce(said, JOURNAL, NOW, disk=0.1)


def test_limits_can_be_set() -> None:
    limits = BacklogLimits(age_s=1.0, disk=0.1, stale_s=1.0)

    assert why_reduce(status(age_s=2), JOURNAL, NOW, disk=0.05, limits=limits) != ""
    assert why_reduce(status(), JOURNAL, NOW, disk=0.2, limits=limits) != ""


def test_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_status(tmp_path / "s", status(age_s=3))

    found = read_status(tmp_path / "s")

    assert found == status(age_s=3)
    assert (found.records, found.bytes, found.age_s) == (5, 50, 3.0)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"t": "x"}', msgspec.json.encode({"t": 1})])
def test_file_that_is_no_status_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "s").write_bytes(raw)

    assert read_status(tmp_path / "s") is None
    assert read_status(tmp_path / "missing") is None


def test_disk_use_is_a_part(tmp_path: Path) -> None:
    assert 0.0 < disk_use(tmp_path) < 1.0
