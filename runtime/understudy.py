"""A process that plays the desk's part after it: it folds the journal while the desk writes it.

Problem: that every decision replays is a promise about a file nobody reads until something went wrong, and
reading it then takes as long as there is journal. So it is read all the time, beside the desk and behind
everybody else (nice 19): each record must come out again to the byte, and from time to time the firm that
came out is kept (`kept_firm`), so that a desk that comes back folds only what is newer. From then on it folds
with what can be read of that, so what desks begin with is what was seen to be right.

A message from outside is folded when the next one is in the file: what it caused is whole then.

Not here: starting it (`understudy_keeper`), using what it keeps (`recovery`).

Invariant: it writes its own two files and nothing else; a journal that does not replay is said, and nothing
is kept of it any more.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from parley.bus import Watch
from parley.errors import DataError
from parley.messages import Envelope, decode_envelope

from .journal import (
    GroupRow,
    JournalCorrupt,
    JournalError,
    JournalReader,
    JournalVersionError,
    Record,
)
from .journal.tail import JournalTail
from .kept_firm import KeptFirm
from .recovery import Following, fresh
from .refold import EXTERNAL, Lateness, config_of
from .unit import UnitConfig, announce, die_with_parent, read_config, run_unit
from .watchdog import Watchdog

log = logging.getLogger(__name__)

_NICE: Final = 19
_POLL_S: Final = 0.2
_READ: Final = 400  # records at a time; between two it may be told to end


class UnderstudyConfig(UnitConfig, frozen=True, kw_only=True):
    """Which journal is followed.

    A firm is kept after ``every_records``, but not before ``every_s`` and ``rarely`` times what keeping took.
    """

    journal: str
    status: str
    every_records: int = 200
    every_s: float = 10.0
    rarely: float = 100.0
    parent_pid: int = 0


class Status(msgspec.Struct, kw_only=True):
    """The last record folded, and the last of what is kept.

    ``problem``: why it follows no more; ``not_kept``: why nothing is kept.
    """

    seq: int = 0
    kept_seq: int = 0
    kept_bytes: int = 0
    problem: str = ""
    not_kept: str = ""


class Understudy:
    """Follows one journal; see the module. ``not_kept``: why it keeps no firm and begins with none.

    Raises
    ------
    DataError, JournalError
        When the file is no desk's journal.
    """

    def __init__(self, config: UnderstudyConfig, watch: Watch | None = None, not_kept: str = "") -> None:
        self._path = path = Path(config.journal)
        self._config, self._watch = config, watch
        self._tail = JournalTail(path)
        self._late = Lateness()
        with JournalReader(path) as reader:
            run = config_of(reader)
            self._kept = KeptFirm(path, run)
            self.status = Status(not_kept=not_kept or self._kept.why_not)
            if not self.status.not_kept:
                self._kept.pin()
            found = None if self.status.not_kept else self._kept.find(reader)
            past = found or fresh(reader, run)
            start = next(reader.groups(past.gid - 1))
        self._place = self._folded = start  # read so far; with what the last folded cascade ends
        self._following = Following(past, path, self._late, watch)
        self._cascade: list[tuple[Record, Envelope]] = []
        self._candidate: GroupRow | None = None
        self._next_at = 0.0
        self.is_restored = found is not None
        self.status.seq = self.status.kept_seq = past.last

    def follow(self) -> bool:
        """Fold some of what is new; False when nothing is.

        Raises
        ------
        DoesNotReplay
            When a record does not come out again.
        JournalError
            When the file is damaged, or cannot be read just now.
        """
        groups = self._tail.read(self._place.gid, self._place.hash, _READ)
        for group in groups:
            for record in group.records:
                envelope = decode_envelope(record.body)
                if envelope.sender in EXTERNAL:
                    self._fold()
                self._late.note(record)
                self._cascade.append((record, envelope))
            self._place = group.row
        return bool(groups)

    def _fold(self) -> None:
        """Fold the message that is whole now; the group before this one ends with what it caused."""
        for record, envelope in self._cascade:
            self._following.take(record, envelope)
        self._cascade.clear()
        self._folded, self.status.seq = self._place, self._following.past.last

    def keep_if_due(self) -> None:
        """Publish the firm that was kept last if enough came out of it since, and keep the next one."""
        status, now = self.status, time.monotonic()
        last = self._candidate.last_seq if self._candidate is not None else status.kept_seq
        is_due = status.seq - last >= self._config.every_records and now >= self._next_at
        if status.not_kept or not is_due or self._folded.last_seq != status.seq:
            return
        try:
            if self._candidate is not None:
                self._kept.publish()
                status.kept_seq, self._candidate = self._candidate.last_seq, None
            status.kept_bytes = self._kept.keep(self._following.past, self._folded)
            self._go_on_from_what_was_kept()
        except OSError as error:
            log.warning("firm_not_kept why=%s", error)
        except Exception as error:  # noqa: BLE001 - an agent's snapshot is the user's code
            status.not_kept = f"{type(error).__name__}: {error}"
            log.warning("firm_never_kept why=%s", status.not_kept)
        self._next_at = time.monotonic() + max(
            self._config.every_s, self._config.rarely * (time.monotonic() - now)
        )

    def _go_on_from_what_was_kept(self) -> None:
        """Fold on with the firm that a desk would begin with."""
        with JournalReader(self._path) as reader:
            past = self._kept.find(reader, candidate=True)
        if past is None:
            raise DataError("what was kept cannot be read again")
        self._following = Following(past, self._path, self._late, self._watch)
        self._candidate, self.is_restored = self._folded, True

    def drop(self) -> None:
        """Let no desk begin with anything that was kept."""
        self._kept.drop()


async def serve(config: UnderstudyConfig, stop: asyncio.Event, watch: Watch | None = None) -> None:
    """Follow the journal until `stop`; the desk may still have to make it."""
    announce({"ready": True})
    understudy: Understudy | None = None
    said, problem, not_kept = b"", "", ""
    while not stop.is_set():
        pause_s = _POLL_S
        try:
            if understudy is None and not problem:
                understudy = Understudy(config, watch, not_kept)
            if understudy is not None and not problem:
                pause_s = 0.0 if understudy.follow() else _POLL_S
                understudy.keep_if_due()
        except (FileNotFoundError, JournalError) as error:
            if isinstance(error, (JournalCorrupt, JournalVersionError)):
                problem = str(error)
            # else it is being made, or somebody else is at it: the next try finds it settled
        except Exception as error:  # noqa: BLE001 - a firm that is not the desk's may break in any way
            if understudy is not None and understudy.is_restored:
                not_kept = f"from what was kept the journal does not follow: {error}"
                log.warning("firm_never_kept why=%s", not_kept)
                understudy.drop()
                understudy = None
            else:
                problem = str(error)
        if problem:
            log.error("journal_not_followed why=%s", problem)
        status = understudy.status if understudy is not None else Status(not_kept=not_kept)
        status.problem = problem
        if (now := msgspec.json.encode(status)) != said:
            said = _tell(Path(config.status), now)
        await _pause(stop, 3600.0 if problem else pause_s)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds) if seconds else await asyncio.sleep(0)
    except TimeoutError:
        return


def _tell(path: Path, raw: bytes) -> bytes:
    fresh = path.with_suffix(".fresh")
    try:
        fresh.write_bytes(raw)
        fresh.replace(path)
    except OSError as error:
        log.warning("status_not_written why=%s", error)
    return raw


def main() -> int:
    """Run an understudy: ``python -m runtime.understudy --config FILE.json``."""
    parser = argparse.ArgumentParser(prog="runtime.understudy", description="Folds a journal as it grows.")
    parser.add_argument("--config", required=True, type=Path, help="JSON file of an UnderstudyConfig")
    arguments = parser.parse_args()

    async def serve_it(stop: asyncio.Event) -> None:
        config = read_config(arguments.config, UnderstudyConfig)
        if config.parent_pid:
            die_with_parent()
        os.nice(_NICE)
        watchdog = Watchdog()
        watchdog.start()
        await serve(config, stop, watchdog)

    return run_unit("understudy", serve_it)


if __name__ == "__main__":
    sys.exit(main())
