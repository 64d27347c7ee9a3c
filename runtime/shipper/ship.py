"""The loop: follow every journal, write batch after batch, and outlast a database that goes away.

Problem: the database may be down for minutes, be killed in the middle of a commit, or come back as its
backup; journals appear, grow, and may turn out to be another file. Whatever happens, what was read is
thrown away and the cursor is read again: it alone says what is shipped.

Not here: SQL (`write`), the folds (`project`, `orders`).

Invariant: nothing is kept across a lost connection; a refused journal stops no other.
"""

import logging
import threading
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from parley.errors import ParleyError
from runtime.journal import JournalCorrupt, JournalError, JournalVersionError
from runtime.journal.tail import JournalTail
from runtime.postgres import DatabaseDown, connect
from runtime.run_config import run_config
from runtime.shipper.config import ShipperConfig, begun_journals, database_of, journals_of
from runtime.shipper.follow import Refused, Stream, is_older_file, resume, stream_of
from runtime.shipper.project import Batch
from runtime.shipper.status import DOWN, UP, Progress, StatusBoard
from runtime.shipper.write import CursorMoved, knows_run, place_of, prepare, register, turn_over, write

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 5.0
_ASK_AGAIN_S: Final = 5.0  # a refused journal may be put right
_LOOK_FOR_NEW_S: Final = 1.0
_LOOK_AT_OLD_S: Final = 5.0  # a run of the past hardly grows


class Shipper:
    """All journals of one configuration; `run` returns when `stop` is set."""

    def __init__(self, config: ShipperConfig, board: StatusBoard, stop: threading.Event) -> None:
        self._config = config
        self._database = database_of(config)
        self._board = board
        self._stop = stop
        self._wait_s = _FIRST_WAIT_S
        self._done: set[Path] = set()  # older files of a rotated run, and runs that were never begun
        self._old: set[Path] = set()  # of the past, followed only if begun
        self._fresh: set[Path] = set()  # whose cursor was read over this connection
        self._resting: dict[Path, float] = {}  # not to be looked at for so long, s

    def run(self) -> None:
        """Ship until told to stop.

        Raises
        ------
        UserError
            When the database refuses, or is not the one this code knows.
        """
        while not self._stop.is_set():
            try:
                with connect(self._database, "parley shipper") as connection:
                    prepare(connection)
                    self._board.database, self._board.error = UP, ""
                    self._follow(connection)
            except (DatabaseDown, psycopg.OperationalError) as error:
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        text = " ".join(str(error).split())
        if self._board.database != DOWN:
            log.warning("database_lost cause=%s", text)
        self._board.database, self._board.error = DOWN, text
        self._board.restarts += 1
        for progress in self._board.progress.values():
            progress.refusal = ""
        self._stop.wait(self._wait_s)
        self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)

    def _follow(self, connection: psycopg.Connection) -> None:
        self._fresh.clear()
        self._resting.clear()
        known: list[Path] = []
        rest_s = 0.0
        looked_s = _LOOK_FOR_NEW_S
        while not self._stop.is_set():
            if looked_s >= _LOOK_FOR_NEW_S:
                known, looked_s = self._look_for_journals(), 0.0
            moved = 0
            for path in known:
                if path not in self._done and not self._rests(path, rest_s):
                    moved += self._attend(connection, path)
                if self._stop.is_set():
                    return
            self._wait_s = _FIRST_WAIT_S
            rest_s = 0.0 if moved else self._config.poll_ms / 1000
            looked_s = looked_s + rest_s if not moved else _LOOK_FOR_NEW_S
            if rest_s:
                self._stop.wait(rest_s)
                self._alive(connection)

    def _look_for_journals(self) -> list[Path]:
        self._old = set(begun_journals(self._config))
        return [*journals_of(self._config), *sorted(self._old)]

    def _rests(self, path: Path, rested_s: float) -> bool:
        left = self._resting.get(path, 0.0)
        self._resting[path] = left - rested_s
        return left > 0.0

    def _attend(self, connection: psycopg.Connection, path: Path) -> int:
        """Ship the next batch of one journal and return how many groups that were."""
        progress = self._board.progress.setdefault(path, Progress(path))
        moved = 0
        try:
            if path not in self._fresh:
                self._open(connection, progress)
                self._fresh.add(path)
            moved = self._ship(connection, progress)
            progress.refusal = ""
            if path in self._old and not moved:
                self._resting[path] = _LOOK_AT_OLD_S
        except CursorMoved:
            self._fresh.discard(path)
        except (
            Refused,
            JournalCorrupt,
            JournalVersionError,
            psycopg.DataError,
            psycopg.IntegrityError,
        ) as error:
            self._refuse(progress, error)
            self._fresh.discard(path)
            self._resting[path] = _ASK_AGAIN_S
            if path in self._old and progress.stream is None:
                self._leave(path)  # nobody asked for it
        except (JournalError, FileNotFoundError) as error:
            log.info("journal_not_readable path=%s cause=%s", path, error)
            self._fresh.discard(path)
        return moved

    def _leave(self, path: Path) -> None:
        self._done.add(path)
        self._board.progress.pop(path, None)

    def _alive(self, connection: psycopg.Connection) -> None:
        # Nothing to write says nothing about the database.
        connection.execute("")

    def _refuse(self, progress: Progress, error: Exception) -> None:
        text = " ".join(str(error).split())
        if progress.refusal != text:
            log.error("journal_refused path=%s cause=%s", progress.path, text)
        progress.refusal = text

    def _open(self, connection: psycopg.Connection, progress: Progress) -> None:
        tail = JournalTail(progress.path)
        progress.stream = stream = stream_of(tail)
        shipped = place_of(connection, stream)
        if progress.path in self._old and shipped is None and not knows_run(connection, stream):
            self._leave(progress.path)
            progress.tail = progress.place = None
            return
        if is_older_file(tail, shipped):
            self._done.add(progress.path)
            progress.tail = progress.place = None
            return
        place = resume(tail, shipped)
        path = str(progress.path)
        register(connection, stream, path, place, _agents(stream))
        if shipped is not None and shipped.file_first_seq != place.file_first_seq:
            turn_over(connection, stream, shipped, place, path)
        progress.tail, progress.place = tail, place

    def _ship(self, connection: psycopg.Connection, progress: Progress) -> int:
        tail, stream, place = progress.tail, progress.stream, progress.place
        if tail is None or stream is None or place is None:
            return 0
        groups = tail.read(place.gid, place.head, self._config.batch)
        if not groups:
            return 0
        batch = Batch(stream, place, groups)
        progress.place = write(connection, batch, place, str(progress.path))
        self._board.shipped += len(batch.journal)
        return len(groups)


def _agents(stream: Stream) -> list[tuple[str, str]]:
    if not stream.config:
        return []
    try:
        return [(spec.id, spec.factory) for spec in run_config(stream.config).agents]
    except (msgspec.MsgspecError, ParleyError):
        return []
