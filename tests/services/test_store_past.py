"""What a shipper does about journals of earlier runs: finishes what is missing, then leaves them alone."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

import msgspec

from parley.messages import Refuse
from runtime.journal import Group, JournalWriter
from runtime.leftovers import CLAIM
from tests.kit.database import database_name, fresh_database, rows, server
from tests.kit.shipping import ShipperProcess, differences
from tests.services.test_store_shipper import RUN, record, ship, write_words


def test_run_of_the_past_is_finished_only_if_it_was_begun_or_was_to_be(tmp_path: Path) -> None:
    database = fresh_database()
    runs = tmp_path / "runs"
    names = ("killed", "private", "odd", "never", "other")
    killed, private, odd, never, other = (runs / name / "desk.journal" for name in names)
    outside = tmp_path / "elsewhere" / "my.journal"
    outside.parent.mkdir()
    for path in (killed, private, odd, never, other):
        path.parent.mkdir(parents=True)
        write_words(path, 3, RUN | {"run_id": path.parent.name})
    never.with_name("desk.journal.sum").unlink()
    never.rename(outside)
    # What a run leaves that was to have a database which never answered, or another one.
    make_for(never.parent, str(server().folder), database_name(database), outside)
    make_for(other.parent, "/another/server", "parley", other)
    ship(tmp_path, database, killed)
    with JournalWriter.resume(killed, durable=False) as writer:
        writer.append(Group(1, [record(4, Refuse(agent="strategy/a", code="none"))])).result()
    gateway = killed.with_name("gateway.journal")  # what a shipper that was killed had not seen yet
    write_words(gateway, 2, {"unit": "gateway", "tenant": "local"})
    odd.write_bytes(b"no journal at all")
    path = runs / "now" / "desk.journal"
    path.parent.mkdir()
    write_words(path, 2)

    shipper = ShipperProcess(tmp_path, database, path, past=str(runs)).start()
    shipper.wait_shipped(path)

    status = shipper.wait_until(lambda said: said.shipped == 2 + 1 + 2 + 3 and len(said.journals) == 1)
    assert status.journals[0].path == str(path)  # the others are done with
    assert shipper.stop() == 0
    assert differences(database, path, killed, gateway, outside) == []
    assert [row[0] for row in rows(database, "runs", "run_id", "run_id")] == ["killed", "never", "r1"]


def test_runs_that_are_shipped_to_their_end_are_not_opened_again(tmp_path: Path) -> None:
    database = fresh_database()
    runs = tmp_path / "runs"
    paths = [runs / f"past-{n}" / "desk.journal" for n in range(5)]
    for path in paths:
        path.parent.mkdir(parents=True)
        write_words(path, 2, RUN | {"run_id": path.parent.name})
        make_for(path.parent, str(server().folder), database_name(database), path)
    alive = paths[0].with_name(CLAIM)
    alive.touch()
    own = tmp_path / "desk.journal"
    write_words(own, 1)
    with alive.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # its own shipper does it
        shipper = ShipperProcess(tmp_path, database, own, past=str(runs)).start()
        shipper.wait_until(lambda said: said.shipped == 1 + 4 * 2 and len(said.journals) == 1)
        for path in paths[1:]:
            path.write_bytes(b"opened, this would be refused")
        time.sleep(6.5)  # longer than it rests between two looks at the past

        told = shipper.wait_until(lambda said: said.shipped >= 1 + 4 * 2)

    assert [each.path for each in told.journals] == [str(own)]
    assert "journal_refused" not in shipper.log.read_text()
    shipper.wait_until(lambda said: said.shipped == 1 + 5 * 2)  # the one that ended since
    assert shipper.stop() == 0


def make_for(run: Path, folder: str, name: str, journal: Path) -> None:
    """Leave in a run's folder what says that it was made for a database, and where its journal is."""
    (run / "config").mkdir()
    config = {"journals": [str(journal)], "database": folder, "name": name, "status": "x"}
    (run / "config" / "shipper.json").write_bytes(msgspec.json.encode(config))
    (run / "config" / "desk.json").write_bytes(msgspec.json.encode({"journal": str(journal)}))
