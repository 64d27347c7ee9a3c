"""The loop: follow every journal, write batch after batch, and outlast a database that goes away.

Problem: the database may be down for minutes, be killed in the middle of a commit, or come back as its
backup; journals appear, grow, and may turn out to be another file. Whatever happens, what was read is
thrown away and the cursor is read again: it alone says what is shipped.

Not here: SQL (`write`), the folds (`project`, `orders`).

Invariant: nothing is kept across a lost connection; a refused journal stops no other; a journal that is
shipped to its end and that nobody writes any more is not opened again over the same connection.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from parley.errors import ParleyError, UserError
from runtime.journal import JournalCorrupt, JournalError, JournalVersionError
from runtime.journal.tail import JournalTail
from runtime.leftovers import is_claimed
from runtime.postgres import Database, DatabaseDown, connect
from runtime.postgres.database import one_line
from runtime.run_config import run_config
from runtime.shipper.config import ShipperConfig, earlier_journals, journals_of
from runtime.shipper.follow import Refused, Stream, is_older_file, resume, stream_of
from runtime.shipper.past import PastJournal
from runtime.shipper.project import Batch
from runtime.shipper.status import DOWN, UP, Progress, StatusBoard
from runtime.shipper.write import CursorMoved, knows_run, place_of, prepare, register, turn_over, write

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 5.0
_ASK_AGAIN_S: Final = 5.0  # a refused journal may be put right
_LOOK_FOR_NEW_S: Final = 1.0
_LOOK_AT_PAST_S: Final = 5.0  # a run of the past hardly grows
_ASK_PAST_AGAIN_S: Final = 60.0
_WAIT_FOR_DESK_S: Final = 0.25


class Shipper:
    """All journals of one configuration; `run` returns when `stop` is set."""

    def __init__(self, config: ShipperConfig, board: StatusBoard, stop: threading.Event) -> None:
        self._config = config
        self._database = Database.named(config.database, config.name)
        self._board = board
        self._stop = stop
        self._wait_s = _FIRST_WAIT_S
        self._older: set[Path] = set()  # files of a rotated run that have nothing new
        self._past: dict[Path, PastJournal] = {}  # what may be left of earlier runs
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
                    self._heard()
                    self._follow(connection)
            except (DatabaseDown, psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
                self._lost(error)  # a server that is read-only now may be promoted
            except psycopg.Error as error:
                raise UserError(f"the database refused the shipper: {one_line(error)}") from error

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
        self._past = earlier_journals(self._config)
        own: list[Path] = []
        looked_at = -_LOOK_FOR_NEW_S
        while not self._stop.is_set():
            if time.monotonic() - looked_at >= _LOOK_FOR_NEW_S:
                own, looked_at = journals_of(self._config), time.monotonic()
            moved = 0
            # One of the past at a time, so that those of the run never wait for all of them.
            for path in (*own, *self._next_of_past()):
                if path not in self._older and not self._rests(path):
                    moved += self._attend(connection, path)
                if self._stop.is_set():
                    return
            self._wait_s = _FIRST_WAIT_S
            if not moved and not self._next_of_past():
                self._stop.wait(self._config.poll_ms / 1000)
                self._alive(connection)

    def _next_of_past(self) -> list[Path]:
        return next(([path] for path in self._past if not self._rests(path)), [])

    def _rests(self, path: Path) -> bool:
        return self._resting.get(path, 0.0) > time.monotonic()

    def _rest(self, path: Path, seconds: float) -> None:
        self._resting[path] = time.monotonic() + seconds

    def _attend(self, connection: psycopg.Connection, path: Path) -> int:
        """Ship the next batch of one journal and return how many groups that were."""
        past = self._past.get(path)
        is_over = past is not None and is_claimed(past.claim) is False
        if past is not None and not is_over:
            self._rest(path, _LOOK_AT_PAST_S)  # another run that lives ships it itself
            return 0
        progress = self._board.progress.setdefault(path, Progress(path))
        moved = 0
        try:
            if path not in self._fresh:
                self._open(connection, progress)
            moved = self._ship(connection, progress)
            progress.refusal = ""
            if is_over and not moved:
                self._leave(path)
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
            self._rest(path, _ASK_AGAIN_S if past is None else _ASK_PAST_AGAIN_S)
            if past is not None and not past.is_wanted and progress.stream is None:
                self._leave(path)  # nobody asked for it
        except (JournalError, FileNotFoundError) as error:
            log.info("journal_not_readable path=%s cause=%s", path, error)
            self._fresh.discard(path)
            if past is not None and isinstance(error, FileNotFoundError):
                self._leave(path)
            elif past is not None:
                self._rest(path, _LOOK_AT_PAST_S)
        return moved

    def _leave(self, path: Path) -> None:
        self._past.pop(path, None)
        self._board.progress.pop(path, None)

    def _alive(self, connection: psycopg.Connection) -> None:
        # Nothing to write says nothing about the database.
        connection.execute("")
        self._heard()

    def _heard(self) -> None:
        self._board.heard = time.time_ns()

    def _refuse(self, progress: Progress, error: Exception) -> None:
        text = " ".join(str(error).split())
        if progress.refusal != text:
            log.error("journal_refused path=%s cause=%s", progress.path, text)
        progress.refusal = text

    def _open(self, connection: psycopg.Connection, progress: Progress) -> None:
        tail = JournalTail(progress.path)
        progress.stream = stream = stream_of(tail)
        shipped = place_of(connection, stream)
        self._heard()
        if shipped is None and not self._may_begin(connection, progress.path, stream):
            progress.tail = progress.place = None
            return
        if is_older_file(tail, shipped):
            self._older.add(progress.path)
            progress.tail = progress.place = None
            return
        place = resume(tail, shipped)
        path = str(progress.path)
        if shipped is None:
            register(connection, stream, path, place, agents_of(stream))
        if shipped is not None and shipped.file_first_seq != place.file_first_seq:
            turn_over(connection, stream, shipped, place, path)
        progress.tail, progress.place = tail, place
        self._fresh.add(progress.path)

    def _may_begin(self, connection: psycopg.Connection, path: Path, stream: Stream) -> bool:
        # A run is known by its desk: a gateway alone may be a start that is given up.
        past = self._past.get(path)
        is_asked_for = past is None or past.is_wanted
        if (is_asked_for and stream.name == "desk") or knows_run(connection, stream):
            return True
        if past is None:
            self._rest(path, _WAIT_FOR_DESK_S)
        return False

    def _ship(self, connection: psycopg.Connection, progress: Progress) -> int:
        tail, stream, place = progress.tail, progress.stream, progress.place
        if tail is None or stream is None or place is None:
            return 0
        groups = tail.read(place.gid, place.head, self._config.batch)
        if not groups:
            return 0
        batch = Batch(stream, place, groups)
        progress.place = write(connection, batch, place, str(progress.path))
        self._heard()
        self._board.shipped += len(batch.journal)
        return len(groups)


def agents_of(stream: Stream) -> list[tuple[str, str]]:
    """Return the agents of a run, name and factory, as its configuration has them."""
    if not stream.config:
        return []
    try:
        return [(spec.id, spec.factory) for spec in run_config(stream.config).agents]
    except (msgspec.MsgspecError, ParleyError):
        return []
