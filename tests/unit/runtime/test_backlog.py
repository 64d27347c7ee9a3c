"""When the backlog of the shipper stops trading from opening: whatever is not known counts as not shipped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.backlog import (
    Backlog,
    BacklogLimits,
    JournalBacklog,
    Moment,
    Status,
    disk_use,
    read_status,
    why_silent,
    why_unanswered,
    write_status,
)

DESK, GATEWAY = Path("/run/desk.journal"), Path("/run/gateway.journal")
NOW = 1_800_000_000_000_000_000
S = 1_000_000_000


def journal(path: Path = DESK, age_s: float = 0.0, **over: object) -> JournalBacklog:
    """Describe a journal whose oldest unshipped record is so old at NOW; 0: there is none."""
    fields = {
        "path": str(path), "run_id": "r", "stream": path.stem, "seq": 1, "head": "", "records": 5,
        "bytes": 50, "oldest_ns": NOW - int(age_s * S) if age_s else 0,
    }  # fmt: skip
    return JournalBacklog(**(fields | over))  # type: ignore[arg-type]


def status(*journals: JournalBacklog, t: int = NOW) -> Status:
    return Status(t=t, pid=1, database="up", journals=journals)


def backlog(*journals: Path, begun_s: float = 3600.0, **over: object) -> Backlog:
    limits = BacklogLimits(**over)  # type: ignore[arg-type]
    return Backlog(journals or (DESK,), NOW - int(begun_s * S), limits)


def seen(said: Status | None, after_s: float = 0.0, disk: float = 0.1) -> Moment:
    return Moment(said, NOW + int(after_s * S), disk)


def test_nothing_waiting_lets_trading_go_on() -> None:
    assert backlog().look(seen(status(journal()))) == ""


def test_limit_is_fifteen_minutes_of_unshipped_records() -> None:
    assert backlog().look(seen(status(journal(age_s=900)))) == ""
    assert "901 s old, the limit is 900 s" in backlog().look(seen(status(journal(age_s=901))))


def test_limit_of_the_disk_holds_only_while_there_is_a_backlog() -> None:
    # A disk that other things fill is not emptied by catching up.
    assert backlog().look(seen(status(journal()), disk=0.99)) == ""
    assert backlog().look(seen(status(journal(age_s=60)), disk=0.8)) == ""
    assert "disk is 81% full" in backlog().look(seen(status(journal(age_s=60)), disk=0.81))


def test_shipper_that_says_nothing_more_is_as_bad_as_the_time_since() -> None:
    mine, last = backlog(), status(journal())

    assert mine.look(seen(last, after_s=899)) == ""
    assert mine.look(seen(last, after_s=901)) != ""


def test_shipper_that_comes_back_is_not_held_against_anyone() -> None:
    mine = backlog()
    mine.look(seen(status(journal())))

    for after_s in (1.0, 2.0):
        unknown = status(journal(is_known=False, age_s=3000), t=NOW + int(after_s * S))
        assert mine.look(seen(unknown, after_s=after_s)) == ""


@pytest.mark.parametrize(
    "said",
    [
        None,
        status(),
        status(journal(Path("/run/other.journal"))),
        status(journal(error="another file took its place")),
        status(journal(is_known=False)),
        status(journal(), t=NOW + 60 * S),
    ],
    ids=["no status", "no journal", "another journal", "refused", "not known", "from the future"],
)
def test_what_is_not_known_to_be_shipped_counts_from_the_first_record(said: Status | None) -> None:
    assert "unshipped records are 901 s old" in backlog(begun_s=901).look(seen(said))
    assert backlog(begun_s=899).look(seen(said)) == ""


def test_journal_of_unknown_place_is_as_old_as_the_oldest_it_may_hold() -> None:
    mine = backlog(begun_s=5000)  # a run takes its time to start, and a desk may be started again

    assert mine.look(seen(status(journal(is_known=False, age_s=100)))) == ""
    assert "901 s old" in mine.look(seen(status(journal(is_known=False, age_s=100)), after_s=801))
    refused = status(journal(is_known=False, age_s=100, error="another file took its place"))
    assert "5000 s old" in backlog(begun_s=5000).look(seen(refused))


def test_every_journal_counts() -> None:
    mine = backlog(DESK, GATEWAY)

    assert mine.look(seen(status(journal(), journal(GATEWAY, age_s=901)))) != ""


def test_only_a_backlog_that_was_caught_up_lets_trading_open_again() -> None:
    mine = backlog()
    assert mine.look(seen(status(journal(age_s=901)))) != ""

    assert mine.look(seen(status(journal(age_s=300)))) != ""
    assert mine.look(seen(status(journal(age_s=9)))) == ""
    assert mine.look(seen(status(journal(age_s=300)))) == ""  # only the limit ends it again


def test_desk_that_was_reducing_goes_on_reducing_until_caught_up() -> None:
    mine = Backlog((DESK,), NOW - 60 * S, BacklogLimits(), is_reducing=True)

    assert mine.look(seen(None)) != ""
    assert mine.look(seen(status(journal()))) == ""


def test_older_status_moves_nothing_back() -> None:
    mine = backlog()
    mine.look(seen(status(journal())))

    assert mine.look(seen(status(journal(age_s=2000), t=NOW - S))) == ""


def test_clock_that_is_set_back_does_not_hide_a_dead_shipper() -> None:
    watched = backlog(DESK)
    assert watched.look(seen(status(journal()))) == ""

    back = -7200.0
    assert watched.look(seen(None, back)) == ""
    assert "901 s old" in watched.look(seen(None, back + 901))


def test_shipper_and_database_that_stand_still_are_told_from_those_that_work() -> None:
    said = msgspec.structs.replace(status(journal()), heard=NOW - S)

    assert (why_silent(said, NOW + 15 * S), why_unanswered(said)) == ("", "")
    assert why_silent(said, NOW + 16 * S) == "the shipper said nothing for 16 s, the limit is 15 s"
    assert why_silent(None, NOW) == "the shipper's status cannot be read"
    waits = msgspec.structs.replace(said, heard=NOW - 16 * S)
    assert why_unanswered(waits) == "the database did not answer the shipper for 16 s, the limit is 15 s"
    # One that is known to be down is waited for, and one that was not there yet has left nothing open.
    assert why_unanswered(msgspec.structs.replace(waits, database="down")) == ""
    assert why_unanswered(msgspec.structs.replace(waits, heard=0)) == ""


def test_limits_can_be_set() -> None:
    assert backlog(age_s=1.0).look(seen(status(journal(age_s=2)))) != ""
    assert backlog(disk=0.1, caught_up_s=0.5).look(seen(status(journal(age_s=1)), disk=0.2)) != ""


def test_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_status(tmp_path / "s", status(journal(age_s=3)))

    found = read_status(tmp_path / "s")

    assert found == status(journal(age_s=3))
    assert (found.records, found.bytes, found.age_s) == (5, 50, 3.0)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"t": "x"}', msgspec.json.encode({"t": 1})])
def test_file_that_is_no_status_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "s").write_bytes(raw)

    assert read_status(tmp_path / "s") is None
    assert read_status(tmp_path / "missing") is None


def test_disk_use_is_a_part(tmp_path: Path) -> None:
    assert 0.0 < disk_use(tmp_path) < 1.0
    assert disk_use(tmp_path / "gone") == 1.0
