"""The shipper's backlog: what the status file says, and when trading has to reduce because of it.

Problem: trading goes on while the shipper or its database is down, but not without end: what is not shipped
exists once, on one disk. The limits are 15 minutes of unshipped records, or 80 % of the disk while there is
a backlog (negotiation 6.4). Who trades reads a small file for that and loads no driver of a database.

A status says until when everything is shipped. That stays true when the shipper says nothing more, so a
shipper that is down is only as bad as the time since: the backlog is never older than ``now`` minus the last
such moment. What cannot be read, is of another journal or refused moves that moment no further.

Not here: measuring (`runtime.shipper.status`), reacting (`runtime.backlog_watch`).

Invariant: a status that is missing, unreadable, from the future or silent about a journal never counts as
shipped; once over a limit, only a backlog that was caught up ends it.
"""

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

STATUS = "shipper.status"  # in a run's folder
_NS = 1_000_000_000
_CLOCK_NS = _NS  # two processes of one machine, read one after the other
SILENT_S = 15.0  # a shipper writes its status four times a second, and asks its database as often


class JournalBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What of one journal is not shipped: up to record `seq` with hash `head` it is.

    ``records`` by sequence numbers, ``oldest_ns`` wall time the oldest unshipped group was committed, 0 when
    there is none. ``is_known`` tells whether these were measured; if not, ``oldest_ns`` is a time before
    which nothing is unshipped, 0 when there is not even that. ``error`` says why the journal is refused, and
    such a backlog only grows.
    """

    path: str
    run_id: str
    stream: str
    seq: int
    head: str
    records: int
    bytes: int
    oldest_ns: int
    error: str = ""
    is_known: bool = True


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The status file. ``t`` wall ns of the measurement, ``database`` starting, up or down, ``error`` why.

    ``heard``: wall ns when the database last answered, 0 never.
    """

    t: int
    pid: int
    database: str
    error: str = ""
    shipped: int = 0
    restarts: int = 0
    journals: tuple[JournalBacklog, ...] = ()
    heard: int = 0

    def only(self, journals: Collection[str]) -> "Status":
        """Return what this says of some journals, by path, and nothing of others."""
        return msgspec.structs.replace(
            self, journals=tuple([each for each in self.journals if each.path in journals])
        )

    @property
    def refused(self) -> tuple[JournalBacklog, ...]:
        """Journals that do not continue what was shipped of them."""
        return tuple([each for each in self.journals if each.error])

    @property
    def records(self) -> int:
        """Unshipped records of all journals."""
        return sum(journal.records for journal in self.journals)

    @property
    def bytes(self) -> int:
        """Unshipped bytes of all journals."""
        return sum(journal.bytes for journal in self.journals)

    @property
    def unanswered_s(self) -> float:
        """How long a database that is taken to be up has left the shipper without an answer, s."""
        return max(0.0, (self.t - self.heard) / _NS) if self.database == "up" and self.heard else 0.0

    @property
    def age_s(self) -> float:
        """Age of the oldest unshipped group, s."""
        oldest = min((journal.oldest_ns for journal in self.journals if journal.oldest_ns), default=0)
        return max(0.0, (self.t - oldest) / _NS) if oldest else 0.0


class BacklogLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond these, only reducing orders.

    ``age_s`` of the oldest unshipped record; ``disk``: part of the journal's disk in use (0..1), of account
    while the backlog is older than ``caught_up_s``, below which nothing counts as a backlog.
    """

    age_s: float = 900.0
    disk: float = 0.8
    caught_up_s: float = 10.0


class BacklogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backlog is watched: the shipper's ``status`` file, the ``journals`` that count, since when.

    ``since_ns`` is the wall time of the run's start, which a desk that is started again cannot move.
    """

    status: str
    journals: tuple[str, ...]
    since_ns: int
    limits: BacklogLimits = BacklogLimits()
    every_s: float = 1.0


class Moment(NamedTuple):
    """What is looked at: the status, the wall time in ns, and the part of the disk in use."""

    status: Status | None
    now_ns: int
    disk: float


class Backlog:
    """Until when the journals of one run are shipped, and whether trading has to reduce.

    ``since_ns`` is the wall time of the first record: before anything is known, nothing is shipped.
    """

    def __init__(
        self, journals: Sequence[Path], since_ns: int, limits: BacklogLimits, *, is_reducing: bool = False
    ) -> None:
        self.why = "still behind" if is_reducing else ""
        self._limits = limits
        self._shipped_until = dict.fromkeys(journals, since_ns)

    def look(self, seen: Moment) -> str:
        """Say why trading must only reduce; empty when it may go on."""
        limits = self._limits
        self._take(seen)
        # A clock that was set back must not make what is unshipped look young for as long as it was set back.
        self._shipped_until = {path: min(until, seen.now_ns) for path, until in self._shipped_until.items()}
        age_s = max((seen.now_ns - until) / _NS for until in self._shipped_until.values())
        if age_s <= min(limits.caught_up_s, limits.age_s):
            self.why = ""
        elif age_s > limits.age_s:
            self.why = f"unshipped records are {age_s:.0f} s old, the limit is {limits.age_s:.0f} s"
        elif seen.disk > limits.disk:
            self.why = f"the journal's disk is {seen.disk:.0%} full with records unshipped for {age_s:.0f} s"
        return self.why

    def _take(self, seen: Moment) -> None:
        status = seen.status
        if status is None or status.t > seen.now_ns + _CLOCK_NS:
            return
        for each in status.journals:
            path = Path(each.path)
            if path in self._shipped_until and (each.is_known or each.oldest_ns) and not each.error:
                until = each.oldest_ns or status.t
                self._shipped_until[path] = max(self._shipped_until[path], until)


def write_status(path: Path, status: Status) -> None:
    """Replace the status file as a whole; not synced, for it is worth nothing after a crash."""
    partial = path.with_name(path.name + ".new")
    partial.write_bytes(msgspec.json.encode(status) + b"\n")
    partial.replace(path)


def read_status(path: Path) -> Status | None:
    """Read the status file; None when there is none, or it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def why_silent(status: Status | None, now_ns: int) -> str:
    """Say why a shipper cannot be taken to work; empty when it can. One that stands still says nothing."""
    if status is None:
        return "the shipper's status cannot be read"
    silent_s = (now_ns - status.t) / _NS
    if silent_s > SILENT_S:
        return f"the shipper said nothing for {silent_s:.0f} s, the limit is {SILENT_S:.0f} s"
    return ""


def why_unanswered(status: Status | None) -> str:
    """Say why the database of a shipper stands still; empty when it answers, or is known to be down."""
    if status is None or status.unanswered_s <= SILENT_S:
        return ""
    waited = f"{status.unanswered_s:.0f} s, the limit is {SILENT_S:.0f} s"
    return f"the database did not answer the shipper for {waited}"


def disk_use(folder: Path) -> float:
    """Return which part of a folder's disk is in use, as a user sees it; a disk nobody can ask is full."""
    try:
        found = os.statvfs(folder)
        free = found.f_bavail * found.f_frsize
        return 1.0 - free / (free + shutil.disk_usage(folder).used)
    except (OSError, ZeroDivisionError):
        return 1.0
