"""How far behind the read model is, said where whoever trades can read it without asking anybody.

Problem: the backlog has to be known while the database hangs, so it is worked out from the journals and the
last committed place alone, in another thread than the one that ships, and written to a small file.

A shipper that was just started and finds no database knows no place. Then what its last life wrote down still
holds, and without that nothing is older than the journal itself.

Not here: what follows from it (`runtime.backlog`).

Invariant: the file is replaced as a whole; its time is that of the measurement.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.backlog import JournalBacklog, Status, read_status, write_status
from runtime.journal import JournalError
from runtime.journal.tail import JournalTail
from runtime.shipper.follow import Place, Stream

STARTING: Final = "starting"
UP: Final = "up"
DOWN: Final = "down"


@dataclass
class Progress:
    """What the shipping thread last knew of one journal; `place` None: not even where it stands."""

    path: Path
    tail: JournalTail | None = None
    stream: Stream | None = None
    place: Place | None = None
    refusal: str = ""


class _Gauge:
    """Unshipped bytes of one journal, counted forward, so that looking again costs only what is new."""

    def __init__(self, place: Place) -> None:
        self.start = place
        self._gid, self._seq, self._bytes = place.gid, place.seq, 0

    def look(self, tail: JournalTail, place: Place) -> tuple[int, int, int]:
        """Return records, bytes and the oldest commit time behind the place."""
        new = tail.measure(self._gid, self._seq)
        self._gid, self._seq = new.gid, new.seq
        self._bytes += new.bytes
        first = tail.group(place.gid + 1)
        if first is None:
            return 0, 0, 0
        return (
            max(0, self._seq - place.seq),
            max(0, self._bytes - (place.bytes - self.start.bytes)),
            first.t_commit,
        )


class StatusBoard:
    """The numbers of one shipper and the thread that writes them down, a few times a second.

    ``journals`` are told of from the start, the others once they are in ``progress``.
    """

    def __init__(self, path: Path, journals: Sequence[Path] = (), every_s: float = 0.25) -> None:
        self.database = STARTING
        self.error = ""
        self.shipped = 0
        self.restarts = 0
        self.heard = 0
        self.progress: dict[Path, Progress] = {}
        self._journals = journals
        self._nothing_before = _shipped_until(read_status(path))
        self._path = path
        self._every_s = every_s
        self._gauges: dict[Path, _Gauge] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def start(self) -> None:
        """Write once, and go on writing."""
        self._write()
        self._thread.start()

    def stop(self) -> None:
        """Write a last time and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._write()
        self._write()

    def _write(self) -> None:
        # A full disk passes, and until then a status that grows old says what there is to say.
        with contextlib.suppress(OSError):
            write_status(self._path, self.measure())

    def measure(self) -> Status:
        """Look at every journal now."""
        now, followed = time.time_ns(), list(self.progress.values())
        known = {each.path for each in followed}
        followed += [Progress(path) for path in self._journals if path not in known and path.exists()]
        return Status(
            t=now, pid=os.getpid(), database=self.database, error=self.error, shipped=self.shipped,
            restarts=self.restarts, journals=tuple(self._one(each) for each in followed), heard=self.heard,
        )  # fmt: skip

    def _one(self, progress: Progress) -> JournalBacklog:
        tail, place, stream, refusal = progress.tail, progress.place, progress.stream, progress.refusal
        records = size = oldest = 0
        if tail is not None and place is not None:
            gauge = self._gauges.get(progress.path)
            start = None if gauge is None else gauge.start
            if start is None or start.file_first_seq != place.file_first_seq or place.seq < start.seq:
                gauge = self._gauges[progress.path] = _Gauge(place)
            try:
                records, size, oldest = gauge.look(tail, place)  # type: ignore[union-attr]
            except (JournalError, OSError) as error:
                refusal = refusal or str(error)
        else:
            oldest = self._not_before(progress.path)
        return JournalBacklog(
            path=str(progress.path),
            run_id=stream.run_id if stream else "",
            stream=stream.name if stream else "",
            seq=place.seq if place else 0,
            head=place.head.hex() if place else "",
            records=records,
            bytes=size,
            oldest_ns=oldest,
            error=refusal,
            is_known=place is not None,
        )

    def _not_before(self, path: Path) -> int:
        """Return a time before which nothing of a journal of unknown place is unshipped, or 0."""
        if str(path) not in self._nothing_before:
            try:
                self._nothing_before[str(path)] = JournalTail(path).genesis.t_commit
            except (JournalError, OSError):
                return 0
        return self._nothing_before[str(path)]


def _shipped_until(last: Status | None) -> dict[str, int]:
    """Return by journal up to when the shipper's last life had shipped everything."""
    if last is None:
        return {}
    sound = [each for each in last.journals if not each.error and (each.is_known or each.oldest_ns)]
    return {each.path: each.oldest_ns or last.t for each in sound}
