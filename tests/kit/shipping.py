"""A shipper as its own process, and the comparison of a read model with the journals it was made of.

The comparison folds the journal by itself, with the desk's order book and dictionaries, never with the
shipper's code; what it expects of the tables is written out here.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg

from parley.messages import Crossed, Decision, Fill, StateView, Void, decode, decode_envelope
from runtime.backlog import Status, read_status
from runtime.books import OrderBook
from runtime.journal import JournalReader
from runtime.postgres import Database, EmbeddedServer
from tests.kit.database import database_name, server

PATIENCE_S = 60.0


class ShipperProcess:
    """``python -m runtime.shipper`` with its configuration, status and what it said."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        /,
        *journals: Path,
        of: EmbeddedServer | None = None,
        **over: object,
    ) -> None:
        self.status_file = folder / "shipper.status"
        self.config = folder / "shipper.json"
        self.log = folder / "shipper.log"
        fields: dict[str, object] = {
            "status": str(self.status_file), "journals": [str(each) for each in journals],
            "database": str((of or server()).folder), "name": database_name(database), "poll_ms": 10,
        }  # fmt: skip
        self.config.write_bytes(msgspec.json.encode(fields | over))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> ShipperProcess:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.shipper", "--config", str(self.config)],
                stdout=subprocess.DEVNULL, stderr=log, env=os.environ | environment,
            )  # fmt: skip
        atexit.register(self._end)
        return self

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def status(self) -> Status | None:
        """What this very process said last; None so far."""
        found = read_status(self.status_file)
        return found if found is not None and found.pid == self.running.pid else None

    def wait_until(self, good: Callable[[Status], bool]) -> Status:
        """Wait for a status as long as something is shipped; fail with the last one and the log."""
        deadline, shipped = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < deadline and self.running.poll() is None:
            found = self.status()
            if found is not None and good(found):
                return found
            if found is not None and found.shipped > shipped:
                deadline, shipped = time.monotonic() + PATIENCE_S, found.shipped
            time.sleep(0.02)
        raise AssertionError(f"{self.status()} code {self.running.poll()}\n{self.log.read_text()}")

    def wait_shipped(self, *journals: Path) -> Status:
        """Wait until everything that is in the journals now is shipped."""
        ends = {str(path): last_seq(path) for path in journals}
        return self.wait_until(
            lambda status: (
                ends.items() <= {each.path: each.seq for each in status.journals if each.path in ends}.items()
            )
        )

    def stop(self) -> int:
        self.running.terminate()
        return self.running.wait(30)

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()


def last_seq(path: Path) -> int:
    """Sequence number of a journal's last record."""
    return max(group.last_seq for group in JournalReader(path).groups(-1))


def differences(database: Database, *journals: Path) -> list[str]:
    """Compare the read model with sealed or resting journals, row for row; one line per difference."""
    found: list[str] = []
    with psycopg.connect(database.admin) as connection:
        for path in journals:
            run = JournalReader(path).run()
            key = (run.get("run_id") or path.parent.name, run["unit"])
            found += _compare_record(connection, path, key)
            if key[1] == "desk":
                found += _compare_projection(connection, path, key[0])
    return found


def _compare_record(connection: psycopg.Connection, path: Path, key: tuple[str, str]) -> list[str]:
    reader = JournalReader(path)
    groups = list(reader.groups())
    commit = {group.gid: group.t_commit for group in groups}
    owner = {seq: group.gid for group in groups for seq in range(group.first_seq, group.last_seq + 1)}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [
        (
            r.seq,
            owner[r.seq],
            r.kind,
            r.round,
            r.body,
            epoch + timedelta(microseconds=commit[owner[r.seq]] // 1000),
        )
        for r in reader.records()
    ]
    query = (
        "SELECT seq, gid, kind, round, body, committed_at FROM parley.journal"
        " WHERE run_id = %s AND stream = %s ORDER BY seq"
    )
    found = _differ("journal", expected, connection.execute(query, key).fetchall())
    query = (
        "SELECT gid, epoch, first_seq, last_seq, t_commit, prev_hash, hash FROM parley.journal_groups"
        " WHERE run_id = %s AND stream = %s ORDER BY gid"
    )
    links = [(g.gid, g.epoch, g.first_seq, g.last_seq, g.t_commit, g.prev_hash, g.hash) for g in groups]
    return found + _differ("journal_groups", links, connection.execute(query, key).fetchall())


def _compare_projection(connection: psycopg.Connection, path: Path, run: str) -> list[str]:
    book, outcomes, crossed = OrderBook(), {}, set()
    decisions, equity, said = [], [], Counter()
    fills: dict[tuple, tuple] = {}
    newest: StateView | None = None
    for record in JournalReader(path).records():
        envelope = decode_envelope(record.body)
        message = decode(envelope.body)
        book.take(message)
        if "/" in envelope.sender:
            said[envelope.sender] += 1
        match message:
            case Decision():
                outcomes[message.round] = message.action
                decisions.append((record.seq, message.round, message.action, message.qty, message.agent))
            case Crossed():
                crossed.add(message.round)
            case Void() if message.round not in crossed:
                outcomes[message.round] = "void"
            case Fill():
                name = (message.venue, message.account, message.symbol, message.trade_id)
                fills.setdefault(name, (record.seq, message.iid, message.qty, message.px, message.fee))
            case StateView():
                newest = message
                equity.append((record.seq, message.t, message.equity, message.realised, message.fees))
    orders = sorted(
        (
            o.intent.iid,
            o.intent.cid,
            o.agent,
            o.state.name.lower(),
            o.filled,
            o.quote,
            o.venue_id,
            o.cause,
            o.t,
        )
        for o in book.all()
    )
    positions = sorted((p.symbol, p.qty, p.avg_px, p.realised) for p in newest.positions) if newest else []

    def read(columns: str, table: str, order: str) -> list[tuple]:
        query = f"SELECT {columns} FROM parley.{table} WHERE run_id = %s ORDER BY {order}"
        return connection.execute(query, (run,)).fetchall()  # type: ignore[arg-type]

    words = [(name, count) for name, count in read("agent, words", "agents", "agent") if count]
    return [
        *_differ("rounds", sorted(outcomes.items()), [
            row for row in read("round, outcome", "rounds", "round") if row[1]
        ]),
        *_differ("decisions", decisions, read("seq, round, action, qty, agent", "decisions", "seq")),
        *_differ("orders", orders, read(
            "iid, cid, agent, state, filled, quote, venue_id, cause, t", "orders", "iid"
        )),
        *_differ("fills", sorted(fills.values()), read("seq, iid, qty, px, fee", "fills", "seq")),
        *_differ("equity", equity, read("seq, t, equity, realised, fees", "equity", "seq")),
        *_differ("positions", positions, read("symbol, qty, avg_px, realised", "positions", "symbol")),
        *_differ("agents", sorted(said.items()), words),
    ]  # fmt: skip


def _differ(what: str, expected: list, was: list) -> list[str]:
    if expected == was:
        return []
    found = [f"{what}: expected {len(expected)} rows, were {len(was)}"]
    pairs = (pair for pair in zip(expected, was, strict=False) if pair[0] != pair[1])
    return found + [f"{what}: expected {a!r}, was {b!r}"[:600] for a, b in list(pairs)[:3]]
