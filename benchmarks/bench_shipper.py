"""How fast a journal gets into the read model, against a plain `executemany` of the same records.

One journal, one embedded server, the ways take turns in one process, each into a new database. Timed from
the file to the last commit:

- ``executemany``: records only, in batches of the shipper's size; nothing verified, nothing projected;
- ``record``: the shipper with the projection left out, what a gateway's journal gets: chain verified, copied;
- ``shipper``: all of it, with rounds, decisions, orders, fills, equity, agents and cursor.

``python -m benchmarks.bench_shipper --journal FILE --save``; without a file a made-up journal is used.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

import psycopg
from rich.console import Console

from benchmarks.yardsticks import machine
from runtime.journal import JournalReader
from runtime.journal.tail import JournalTail
from runtime.postgres import connect
from runtime.postgres.database import as_tenant
from runtime.shipper.follow import start, stream_of
from runtime.shipper.project import Batch
from runtime.shipper.values import moment
from runtime.shipper.write import prepare, register, write
from tests.kit.database import fresh_database, rows
from tests.kit.journal_load import begin, write_cycle

RESULTS: Final = Path(__file__).resolve().parent / "results" / "bench_shipper.json"
BATCH: Final = 4096
CYCLES: Final = 1500
INSERT: Final = "INSERT INTO parley.journal VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


def by_executemany(connection: psycopg.Connection, path: Path) -> None:
    """Insert the records as a first version would."""
    reader = JournalReader(path)
    stream = stream_of(JournalTail(path))
    key = (stream.tenant, stream.run_id, stream.name)
    at = moment(next(reader.groups()).t_commit)
    connection.execute("SELECT parley.ensure_journal_month(%s)", (at,))
    records = reader.records()
    while part := list(islice(records, BATCH)):
        with connection.transaction(), connection.cursor() as cursor:
            as_tenant(connection, stream.tenant)
            cursor.executemany(INSERT, [(*key, r.seq, at, 0, r.kind, r.round, None, r.body) for r in part])


def by_record(connection: psycopg.Connection, path: Path) -> None:
    """Ship without projecting."""
    _ship(connection, path, "gateway")


def by_shipper(connection: psycopg.Connection, path: Path) -> None:
    """Ship."""
    _ship(connection, path, "desk")


def _ship(connection: psycopg.Connection, path: Path, name: str) -> None:
    tail = JournalTail(path)
    stream = replace(stream_of(tail), name=name)
    place = start(tail)
    prepare(connection)
    register(connection, stream, str(path), place, [])
    while groups := tail.read(place.gid, place.head, BATCH):
        place = write(connection, Batch(stream, place, groups), place, str(path))


WAYS: Final[dict[str, Callable[[psycopg.Connection, Path], None]]] = {
    "executemany": by_executemany, "record": by_record, "shipper": by_shipper,
}  # fmt: skip


def run(path: Path, repeat: int) -> dict[str, object]:
    """Let the ways take turns and return their figures."""
    records = JournalReader(path).count
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeat):
        for name, way in WAYS.items():
            database = fresh_database()
            with connect(database, "bench") as connection:
                began = time.perf_counter()
                way(connection, path)
                seconds[name].append(time.perf_counter() - began)
            found = rows(database, "journal", "count(*)")[0][0]
            if found != records:
                raise SystemExit(f"{name}: {found} records in the database, {records} in the journal")
    speed = {name: round(records / median(times)) for name, times in seconds.items()}
    return {
        "benchmark": "bench_shipper", "date": datetime.now(UTC).isoformat(timespec="seconds"), "runs": repeat,
        "records": records, "bytes": path.stat().st_size, "batch": BATCH, "machine": machine(),
        "records_per_s": speed,
        "seconds": {name: [round(each, 3) for each in times] for name, times in seconds.items()},
        "record_to_executemany": round(speed["record"] / speed["executemany"], 2),
        "shipper_to_executemany": round(speed["shipper"] / speed["executemany"], 2),
    }  # fmt: skip


def made_up(folder: Path) -> Path:
    """Write a journal of many short rounds, most of which trade: hard on the projection."""
    path = folder / "desk.journal"
    notes = begin(path)
    for cycle in range(CYCLES):
        write_cycle(notes, cycle)
    notes.writer.close()
    return path


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="bench_shipper", description=__doc__.splitlines()[0])
    parser.add_argument("--journal", type=Path, help="a desk's journal; default: a made-up one")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name} too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.journal or made_up(Path(folder))
        result = run(path, arguments.repeat) | {"journal": "recorded" if arguments.journal else "made up"}
    Console().print_json(json.dumps(result))
    if arguments.save:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
