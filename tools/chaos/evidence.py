"""What a bout left behind, as rows: both journals with their hash chain, and what was done to the processes.

Of Parley nothing is imported: of a journal are known its tables, how a group is hashed, and the positions of
a few fields in the message arrays, below. The exchange's truth log is read by `tools.ledger_evidence`.

Not here: what must hold of it (`invariants`).

Invariant: nothing is skipped or guessed; what cannot be read raises `Unreadable`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tools.ledger_evidence import Unreadable

# ---- kinds and positions that are relied on; a message is an array that begins with its kind
TRIGGER, VERDICT, DECISION, INTENT, CANCEL, ATTEMPT, ACK, REJECT, UNKNOWN = 5, 41, 42, 53, 54, 55, 56, 57, 58
EVENT, FILL, GAP, VOID, STARTED, CROSSED = 60, 61, 62, 64, 77, 86
ENVELOPE_EPOCH, ENVELOPE_BODY = 4, 13
IID, CID = 1, 2  # of intents, cancels, attempts; IID of every fact but a fill
INTENT_PID, INTENT_CHILD, INTENT_SYMBOL, INTENT_SIDE, INTENT_QTY, INTENT_PX = 4, 6, 9, 10, 11, 12
INTENT_EPOCH, INTENT_REF_PX, CANCEL_EPOCH = 17, 22, 8
ATTEMPT_T_SEND, ACK_CANCEL, REJECT_CODE, REJECT_DEFINITIVE, REJECT_CANCEL, UNKNOWN_CANCEL = 4, 4, 2, 3, 5, 3
EVENT_STATUS, EVENT_CUM, FILL_IID, FILL_QTY, GAP_STREAM, VOID_IIDS = 4, 5, 4, 8, 1, 2
DECISION_PID, DECISION_ACTION, VERDICT_OK, STARTED_EPOCH = 3, 5, 3, 2
_KINDS: Final = frozenset({
    TRIGGER, VERDICT, DECISION, INTENT, CANCEL, ATTEMPT, ACK, REJECT, UNKNOWN, EVENT, FILL, GAP, VOID,
    STARTED, CROSSED,
})  # fmt: skip
_GENESIS: Final = bytes(32)
_PERSON: Final = b"parley-journal-1"


@dataclass(frozen=True)
class Said:
    """One message of a journal: where, in whose epoch, when it became durable at the earliest (wall ns)."""

    seq: int
    round: bytes
    group_epoch: int
    t_commit: int
    epoch: int  # of its envelope; a gateway's records have none and take the group's
    body: bytes
    message: list[Any]

    @property
    def kind(self) -> int:
        """The message's kind."""
        return int(self.message[0])


@dataclass
class Journal:
    """The messages that matter, in order, and what is wrong with the file's chain."""

    said: list[Said] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    groups: int = 0

    def of(self, *kinds: int) -> Iterator[Said]:
        """Iterate over messages of some kinds."""
        return (each for each in self.said if each.kind in kinds)


def read_journal(path: Path, *, enveloped: bool) -> Journal:
    """Read a journal; a desk's messages lie in envelopes, a gateway's do not."""
    if not path.is_file():
        raise Unreadable(f"no journal {str(path)!r}")
    journal = Journal()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            commits = _walk(db, journal)
            for seq, gid, kind, round_, body in db.execute("SELECT * FROM records ORDER BY seq"):
                if kind not in _KINDS:
                    continue
                epoch, t_commit = commits[gid]
                raw, said_in = body, epoch
                if enveloped:
                    envelope = msgspec.msgpack.decode(body)
                    raw, said_in = bytes(envelope[ENVELOPE_BODY]), int(envelope[ENVELOPE_EPOCH])
                message = msgspec.msgpack.decode(raw)
                journal.said.append(Said(seq, round_, epoch, t_commit, said_in, raw, message))
    except (sqlite3.Error, msgspec.DecodeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise Unreadable(f"{str(path)!r} is no readable journal: {error!r}") from error
    return journal


def _walk(db: sqlite3.Connection, journal: Journal) -> dict[int, tuple[int, int]]:
    """Check the chain and return epoch and commit time by group."""
    run = db.execute("SELECT key, value FROM run ORDER BY key").fetchall()
    records = _by_group(db, "SELECT seq, gid, kind, round, body FROM records ORDER BY seq", 1)
    intents = _by_group(db, "SELECT cid, iid, seq, gid FROM intents NOT INDEXED ORDER BY rowid", 3)
    snapshots = _by_group(db, "SELECT seq, gid, state_hash FROM snapshots ORDER BY seq", 1)
    previous, expected, last_seq, last_epoch = _GENESIS, 0, 0, 0
    commits: dict[int, tuple[int, int]] = {}
    for gid, epoch, first, last, t_commit, before, stored in db.execute("SELECT * FROM groups ORDER BY gid"):
        rows = records.pop(gid, [])
        content = (
            (gid, epoch, first, last, t_commit), rows, intents.pop(gid, []), snapshots.pop(gid, []),
            run if gid == 0 else [],
        )  # fmt: skip
        digest = hashlib.blake2b(before, digest_size=32, person=_PERSON)
        digest.update(msgspec.msgpack.encode(content))
        if gid != expected or before != previous:
            journal.faults.append(f"group {gid} does not follow group {expected - 1}")
        if digest.digest() != stored:
            journal.faults.append(f"group {gid} does not match its hash")
        if gid and [row[0] for row in rows] != list(range(last_seq + 1, last + 1)):
            journal.faults.append(f"group {gid} has not the records {last_seq + 1} to {last}")
        if epoch < last_epoch:
            journal.faults.append(f"group {gid} has epoch {epoch} after epoch {last_epoch}")
        commits[gid] = (epoch, t_commit)
        previous, expected, last_seq, last_epoch = stored, gid + 1, last, max(epoch, last_epoch)
        journal.groups += 1
    if left := {*records, *intents, *snapshots}:
        journal.faults.append(f"rows of groups that do not exist: {sorted(left)[:5]}")
    return commits


def _by_group(db: sqlite3.Connection, sql: str, gid_at: int) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in db.execute(sql):
        found[row[gid_at]].append(row)
    return dict(found)


@dataclass
class Course:
    """What was done from outside: when halted (from, to), from when the desk of an epoch traded, wall ns.

    ``gateway_ready`` is when each life of the gateway served.
    """

    halts: list[tuple[int, int]] = field(default_factory=list)
    trades_from: dict[int, int] = field(default_factory=dict)
    gateway_ready: list[int] = field(default_factory=list)
    position_cap: Decimal = Decimal(0)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def read_course(path: Path) -> Course:
    """Read ``events.jsonl``."""
    course = Course()
    since: int | None = None
    last = 0
    try:
        for line in path.read_text().splitlines():
            event = json.loads(line)
            last = int(event["wall_ns"])
            match event["what"]:
                case "bout":
                    course.position_cap = Decimal(event["position_cap"])
                case "halt":
                    since = last if since is None else since
                case "trades":
                    course.trades_from.setdefault(int(event["epoch"]), last)
                case "ready":
                    if event["unit"] == "gateway":
                        course.gateway_ready.append(last)
                    course.recovery_s[event["unit"]].append(float(event["took_s"]))
    except (OSError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Unreadable(f"{str(path)!r} says not what was done: {error!r}") from error
    if since is not None:
        course.halts.append((since, last))
    return course
