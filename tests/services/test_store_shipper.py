"""The shipper against a real database: what comes out, what it refuses, what it says while it cannot."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import msgspec
import psycopg
import pytest

from parley.messages import KINDS, Cfp, Envelope, Message, Refuse, Trigger, encode
from runtime.backlog import Backlog, BacklogLimits, Moment, Status
from runtime.journal import Group, JournalReader, JournalWriter, Record
from runtime.journal.chain import encode_group, hash_bytes
from runtime.postgres.migrate import make_database, migrate
from tests.kit import small_journal as small
from tests.kit.database import (
    discard,
    everything,
    fresh_database,
    make_folder,
    new_server,
    rows,
)
from tests.kit.journal_load import begin, write_cycle
from tests.kit.shipping import ShipperProcess, differences

RUN = {"run_id": "r1", "unit": "desk", "tenant": "local", "desk": "1", "account": "main"}


def ship(folder: Path, database: object, *journals: Path, **over: object) -> Status:
    """Ship journals to their end and stop."""
    shipper = ShipperProcess(folder, database, *journals, **over).start()  # type: ignore[arg-type]
    status = shipper.wait_shipped(*journals)
    assert shipper.stop() == 0
    return status


def refusal(folder: Path, database: object, journal: Path) -> str:
    """Return why a shipper refuses a journal."""
    shipper = ShipperProcess(folder, database, journal).start()  # type: ignore[arg-type]
    status = shipper.wait_until(lambda said: any(each.error and each.run_id != "?" for each in said.journals))
    assert shipper.stop() == 0
    return status.journals[0].error


def record(seq: int, message: Message, run: str = "local", round_: bytes = b"") -> Record:
    kind = KINDS[type(message)]
    envelope = Envelope(
        kind=kind, tenant=run, desk=1, epoch=1, seq=seq, round=round_, sender="strategy/a", to="*", cause=0,
        body=encode(message),
    )  # fmt: skip
    return Record(seq, kind, round_, encode(envelope))


def write_words(path: Path, count: int, run: dict[str, str] = RUN, first: int = 1) -> bytes:
    """Write a sealed journal of refusals, one a group, and return its head."""
    with JournalWriter.create(path, run, durable=False, prezero_mb=0, first_seq=first) as writer:
        for seq in range(first, first + count):
            writer.append(Group(1, [record(seq, Refuse(agent="strategy/a", code="none"))])).result()
        writer.flush()
        return writer.head


def test_small_journal_comes_out_as_it_was_written(tmp_path: Path) -> None:
    # Expected values are those `small_journal` was made for, not what the shipper's folds say.
    path = small.write_journal(tmp_path / "desk.journal")
    database = fresh_database()

    ship(tmp_path, database, path)

    assert differences(database, path) == []
    found = rows(database, "rounds", "round, outcome, agent, reason_code", "opened_seq")
    assert found == [
        (small.ROUNDS[0], "hold", "", "no_bids"),
        (small.ROUNDS[1], "accept", small.TREND, ""),
        (small.ROUNDS[2], "reject", small.TREND, "max_position"),
        (small.ROUNDS[3], "accept", small.TREND, ""),
    ]
    found = rows(database, "orders", "side, qty, filled, quote, state, fees", "seq")
    assert found == [
        ("buy", D(2), D(2), D(2002), "filled", {"ETH": "0.002"}),
        ("sell", D("1.998"), D("1.998"), D("2197.8"), "filled", {"USDT": "2.1978"}),
    ]
    assert rows(database, "equity", "equity", "seq")[-1] == (D("10193.6022"),)
    assert rows(database, "accounts", "equity, cash") == [
        (D("10193.6022"), [{"asset": "USDT", "total": "10193.6022", "reserved": "0"}])
    ]
    agents = dict(rows(database, "agents", "agent, weight"))
    assert (agents[small.TECHNICAL], agents[small.TREND]) == (0.75, 0.25)
    assert rows(database, "agents", "role, factory", "agent")[0] == ("capital", "agents.silent:make")


@pytest.mark.parametrize("batch", [1, 7])
def test_tables_do_not_depend_on_where_a_journal_is_cut(tmp_path: Path, batch: int) -> None:
    notes = begin(tmp_path / "desk.journal")
    for cycle in range(3):
        write_cycle(notes, cycle)
    notes.writer.close()
    whole, cut = fresh_database(), fresh_database()

    ship(tmp_path, whole, tmp_path / "desk.journal")
    ship(tmp_path, cut, tmp_path / "desk.journal", batch=batch)

    assert everything(cut) == everything(whole)
    assert differences(cut, tmp_path / "desk.journal") == []


def test_second_shipper_finds_nothing_to_do(tmp_path: Path) -> None:
    path = small.write_journal(tmp_path / "desk.journal")
    database = fresh_database()
    ship(tmp_path, database, path)
    before = everything(database)

    status = ship(tmp_path, database, path)

    assert status.shipped == 0
    assert everything(database) == before


def test_two_shippers_at_once_ship_everything_once(tmp_path: Path) -> None:
    notes = begin(tmp_path / "desk.journal")
    for cycle in range(15):
        write_cycle(notes, cycle)
    notes.writer.close()
    database = fresh_database()
    folders = [tmp_path / "a", tmp_path / "b"]
    both = []
    for folder in folders:
        folder.mkdir()
        both.append(ShipperProcess(folder, database, tmp_path / "desk.journal", batch=20).start())

    for shipper in both:
        shipper.wait_shipped(tmp_path / "desk.journal")
        assert shipper.stop() == 0

    assert differences(database, tmp_path / "desk.journal") == []


def test_growing_journal_is_followed_and_can_be_sealed(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    notes = begin(path)
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, path).start()
    for cycle in range(5):
        write_cycle(notes, cycle)
        shipper.wait_shipped(path)

    notes.writer.close()  # needs the file to itself

    shipper.wait_shipped(path)
    assert shipper.stop() == 0
    assert differences(database, path) == []


def test_runs_of_a_folder_are_found_as_they_come(tmp_path: Path) -> None:
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, runs=str(tmp_path / "runs")).start()
    paths = [tmp_path / "runs" / name / "desk.journal" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir(parents=True)
        write_words(path, 5, RUN | {"run_id": path.parent.name})
        shipper.wait_shipped(path)
    gateway = paths[0].with_name("gateway.journal")
    with JournalWriter.create(gateway, {"unit": "gateway", "tenant": "local"}, durable=False) as writer:
        writer.append(Group(1, [Record(1, 99, b"", b"not a message of a desk")])).result()
    shipper.wait_shipped(gateway)

    assert shipper.stop() == 0
    assert differences(database, *paths, gateway) == []
    assert [row[0] for row in rows(database, "runs", "run_id", "run_id")] == ["one", "two"]


def test_gateway_alone_makes_no_run(tmp_path: Path) -> None:
    desk, gateway = (tmp_path / "one" / f"{unit}.journal" for unit in ("desk", "gateway"))
    gateway.parent.mkdir()
    write_words(gateway, 2, {"unit": "gateway", "tenant": "local"})
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, desk, gateway).start()

    told = shipper.wait_until(lambda said: said.database == "up" and len(said.journals) == 1)
    assert not told.journals[0].is_known  # so it counts as unshipped
    time.sleep(1.0)
    assert rows(database, "runs") == []

    write_words(desk, 3, RUN | {"run_id": "one"})
    shipper.wait_shipped(desk, gateway)
    assert shipper.stop() == 0
    assert differences(database, desk, gateway) == []


def test_tenants_with_the_same_run_do_not_meet(tmp_path: Path) -> None:
    database = fresh_database()
    paths = [tmp_path / f"{name}.journal" for name in ("one", "two")]
    for n, path in enumerate(paths):
        write_words(path, 3 + n, RUN | {"tenant": path.stem})

    ship(tmp_path, database, *paths)

    with psycopg.connect(database.admin) as connection:
        query = "SELECT name, count(*) FROM parley.journal JOIN parley.tenants USING (tenant_id) GROUP BY 1"
        assert sorted(connection.execute(query).fetchall()) == [("one", 3), ("two", 4)]


def test_text_no_database_takes_does_not_stop_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    round_ = b"r" * 16
    trigger = Trigger(source="feed", symbol="A\x00/B", kind="b\x00r", payload_hash=b"", md_seq=0, t=1)
    cfp = Cfp(
        symbols=("A\x00/B",), budget_hint=D(1), horizon_ms=1, min_edge_bps=float("nan"), state_version=1, t=1,
        to_agents=("a\x00", "\\u0000"), round=round_,
    )  # fmt: skip
    with JournalWriter.create(path, RUN, durable=False) as writer:
        messages = [record(1, trigger, round_=round_), record(2, cfp, round_=round_)]
        writer.append(Group(1, messages)).result()
    database = fresh_database()

    ship(tmp_path, database, path)

    found = rows(database, "rounds", "symbol, trigger, asked")
    assert found == [("A\ufffd/B", "b\ufffdr", ["a\ufffd", "\\u0000"])]
    assert differences(database, path) == []


# ---------------------------------------------------------------- what it refuses


def test_file_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    write_words(path, 5)
    database = fresh_database()
    ship(tmp_path, database, path)
    before = everything(database)
    remove(path)
    write_words(path, 9, RUN | {"seed": "2"})

    assert "another file took its place" in refusal(tmp_path, database, path)
    assert everything(database) == before


def test_file_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    with JournalWriter.create(path, RUN, durable=False) as writer:
        writer.append(Group(1, [record(1, Refuse(agent="strategy/a", code="none"))])).result()
    remove(tmp_path / "old.journal")
    shutil.copy(path, tmp_path / "old.journal")
    with JournalWriter.resume(path, durable=False) as writer:
        writer.append(Group(1, [record(2, Refuse(agent="strategy/a", code="none"))])).result()
    database = fresh_database()
    ship(tmp_path, database, path)
    remove(path)
    shutil.copy(tmp_path / "old.journal", path)

    assert "lost its end" in refusal(tmp_path, database, path)


def test_changed_record_is_refused_and_nothing_behind_it_is_shipped(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    write_words(path, 9)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET kind = kind + 1 WHERE seq = 5")
        connection.commit()
    database = fresh_database()

    error = refusal(tmp_path, database, path)

    assert "gid=5" in error
    assert rows(database, "cursors", "seq") == [(0,)]  # the batch it stands in is one


def test_unreadable_record_in_a_sound_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.journal"
    with JournalWriter.create(path, RUN, durable=False) as writer:
        writer.append(Group(1, [Record(1, 99, b"", b"no envelope")])).result()

    assert "record 1 of run 'r1' cannot be read" in refusal(tmp_path, fresh_database(), path)


def test_refused_journal_stops_no_other(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.journal", tmp_path / "good.journal"
    write_words(bad, 3, {"unit": "kitchen", "tenant": "local"})
    write_words(good, 3)
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, bad, good).start()

    shipper.wait_shipped(good)

    status = shipper.wait_until(lambda said: bool(said.journals[0].error))
    assert "kitchen" in status.journals[0].error
    assert status.journals[1].error == ""
    assert [each.is_known for each in status.journals] == [False, True]
    assert shipper.stop() == 0
    assert differences(database, good) == []


def test_rotated_file_continues_its_run(tmp_path: Path) -> None:
    first, second = tmp_path / "1.journal", tmp_path / "2.journal"
    head = write_words(first, 5)
    database = fresh_database()
    ship(tmp_path, database, first)
    write_words(second, 4, RUN | {"previous_head": head.hex()}, first=6)

    shipper = ShipperProcess(tmp_path, database, first, second).start()
    shipper.wait_shipped(second)

    assert shipper.stop() == 0
    assert [row[0] for row in rows(database, "journal", "seq", "seq")] == list(range(1, 10))
    assert rows(database, "agents", "words") == [(9,)]


def test_rotated_file_without_its_beginning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "2.journal"
    write_words(path, 4, RUN | {"previous_head": "ab" * 32}, first=6)

    assert "never shipped" in refusal(tmp_path, fresh_database(), path)


def test_rotated_file_of_another_end_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "1.journal", tmp_path / "2.journal"
    write_words(first, 5)
    database = fresh_database()
    ship(tmp_path, database, first)
    write_words(second, 4, RUN | {"previous_head": "ab" * 32}, first=6)

    assert "shipped was up to record 5" in refusal(tmp_path, database, second)


# ---------------------------------------------------------------- without a database


def test_backlog_is_told_while_the_database_is_down_and_gone_after(tmp_path: Path) -> None:
    server = new_server()
    server.start()
    try:
        database = make_database(server)
        migrate(database)
        path = tmp_path / "desk.journal"
        notes = begin(path)
        shipper = ShipperProcess(tmp_path, database, path, of=server).start()
        shipper.wait_shipped(path)
        server.stop()
        shipper.wait_until(lambda status: status.database == "down")
        at = notes.seq
        write_cycle(notes, 0)
        written = sum(len(each.body) for each in JournalReader(path).records(at))

        told = shipper.wait_until(lambda status: status.records == notes.seq - at)

        assert told.bytes == written
        assert told.error != ""
        assert told.age_s > 0
        begun = told.journals[0].oldest_ns
        backlog = Backlog([path], begun - 10**12, BacklogLimits())
        assert backlog.look(Moment(told, begun + 899 * 10**9, 0.1)) == ""
        assert backlog.look(Moment(told, begun + 901 * 10**9, 0.1)) != ""
        server.start()
        after = shipper.wait_until(lambda status: status.database == "up" and status.records == 0)
        assert after.bytes == 0
        assert after.age_s == 0
        notes.writer.close()
        assert shipper.stop() == 0
        assert differences(database, path) == []
    finally:
        discard(server)


@pytest.fixture
def nowhere() -> Iterator[dict[str, str]]:
    """Give what a shipper is told of a database that is not there."""
    folder = make_folder()
    yield {"database": str(folder / "pg"), "name": "parley"}
    folder.rmdir()


def made_at(path: Path) -> int:
    return next(JournalReader(path).groups(-1)).t_commit


def committed_after(path: Path, seq: int) -> int:
    """Return when the first group behind a record was committed."""
    return next(group.t_commit for group in JournalReader(path).groups() if group.first_seq > seq)


def test_backlog_before_the_database_was_ever_there_is_as_old_as_its_journal(
    tmp_path: Path, nowhere: dict[str, str]
) -> None:
    path = tmp_path / "desk.journal"
    write_words(path, 3)
    shipper = ShipperProcess(tmp_path, fresh_database(), path, tmp_path / "gateway.journal", **nowhere)
    shipper.start()

    status = shipper.wait_until(lambda said: said.database == "down")

    assert shipper.stop() == 0
    assert status.error != ""
    [told] = status.journals  # what does not exist is not behind
    assert (told.path, told.is_known, told.oldest_ns) == (str(path), False, made_at(path))


def test_shipper_that_starts_without_its_database_remembers_what_was_shipped(
    tmp_path: Path, nowhere: dict[str, str]
) -> None:
    path = tmp_path / "desk.journal"
    notes = begin(path)
    for n in range(3):
        write_cycle(notes, n)
    before = ship(tmp_path, fresh_database(), path)
    assert before.journals[0].oldest_ns == 0
    at = notes.seq
    write_cycle(notes, 3)

    for _ in range(2):  # of the second life the third knows
        shipper = ShipperProcess(tmp_path, fresh_database(), path, **nowhere).start()
        status = shipper.wait_until(lambda said: said.database == "down")
        assert shipper.stop() == 0
        assert not status.journals[0].is_known
        assert made_at(path) < before.t <= status.journals[0].oldest_ns <= committed_after(path, at)
    notes.writer.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batches": 1}, "did you mean 'batch'?"),
        ({"journals": []}, "needs 'journals' or 'runs'"),
        ({"batch": 0}, "'batch' must lie between"),
        ({"database": ""}, "DATABASE_URL"),
        ({"status": "/nowhere/at/all"}, "there is no folder"),
        ({"name": "nothing_there"}, "does not exist"),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(tmp_path: Path, change: dict[str, object], says: str) -> None:
    shipper = ShipperProcess(tmp_path, fresh_database(), tmp_path / "x.journal")
    shipper.config.write_bytes(msgspec.json.encode(msgspec.json.decode(shipper.config.read_bytes()) | change))

    code = shipper.start(DATABASE_URL="").running.wait(30)

    assert code == 2
    said = shipper.log.read_text()
    assert says in said
    assert said.count("\n") == 1


def remove(path: Path) -> None:
    for each in (path, path.with_name(path.name + ".sum")):
        each.unlink(missing_ok=True)


def test_chain_is_hashed_as_documented(tmp_path: Path) -> None:
    # The shipper's check rests on this; here with the numbers spelled out.
    path = tmp_path / "desk.journal"
    write_words(path, 1)
    group = next(iter(JournalReader(path).groups()))
    body = next(iter(JournalReader(path).records())).body
    columns = (1, 1, 1, 1, group.t_commit)

    assert group.hash == hash_bytes(
        group.prev_hash, encode_group(columns, [(1, 1, KINDS[Refuse], b"", body)])
    )
