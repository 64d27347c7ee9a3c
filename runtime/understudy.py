"""A process that plays the desk's part after it: it folds the journal while the desk writes it.

Problem: that every decision replays is a promise about a file nobody reads until something went wrong, and
reading it then takes as long as there is journal. So it is read all the time, beside the desk and behind
everybody else (nice 19): each record must come out again to the byte, and from time to time the firm that
came out is kept (`kept_firm`), so that a desk that comes back folds only what is newer.

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

from parley.errors import DataError
from parley.messages import Envelope, decode_envelope

from .journal import JournalError, JournalReader, Record
from .journal.tail import JournalTail
from .kept_firm import KeptFirm
from .recovery import DoesNotReplay, Following, fresh
from .refold import EXTERNAL, Lateness, config_of
from .unit import UnitConfig, announce, die_with_parent, read_config, run_unit

log = logging.getLogger(__name__)

_NICE: Final = 19
_POLL_S: Final = 0.2
_READ: Final = 400  # records at a time; between two it may be told to end


class UnderstudyConfig(UnitConfig, frozen=True, kw_only=True):
    """Which journal is followed; a picture is kept after so many records, but not more often than that."""

    journal: str
    status: str
    every_records: int = 200
    every_s: float = 10.0
    parent_pid: int = 0


class Status(msgspec.Struct, kw_only=True):
    """The last record folded, and the last of what is kept; ``problem``: why it follows no more."""

    seq: int = 0
    kept_seq: int = 0
    kept_bytes: int = 0
    problem: str = ""


class Understudy:
    """Follows one journal; see the module.

    Raises
    ------
    DataError, JournalError
        When the file is no desk's journal.
    """

    def __init__(self, config: UnderstudyConfig) -> None:
        path = Path(config.journal)
        self.status = Status()
        self._config = config
        self._tail = JournalTail(path)
        self._late = Lateness()
        with JournalReader(path) as reader:
            run = config_of(reader)
            self._kept = KeptFirm(path, run)
            self.status.problem = self._kept.why_not
            past = self._kept.find(reader) or fresh(reader, run)
            start = next(reader.groups(past.gid - 1))
        self._place = start
        self._folded = start  # the group with which the last folded cascade ends
        self._following = Following(past, path, self._late)
        self._cascade: list[tuple[Record, Envelope]] = []
        self._kept_at = -config.every_s
        self.status.seq = self.status.kept_seq = past.last

    def follow(self) -> bool:
        """Fold some of what is new; False when nothing is.

        Raises
        ------
        DoesNotReplay
            When a record does not come out again.
        JournalError
            When the file is damaged.
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
        """Keep the firm as it is, when enough happened since."""
        status, now = self.status, time.monotonic()
        is_due = status.seq - status.kept_seq >= self._config.every_records
        if not is_due or now - self._kept_at < self._config.every_s or self._folded.last_seq != status.seq:
            return
        try:
            status.kept_bytes = self._kept.keep(self._following.past, self._folded)
        except OSError as error:
            log.warning("firm_not_kept why=%s", error)
        else:
            status.kept_seq = status.seq
        self._kept_at = time.monotonic()


async def serve(config: UnderstudyConfig, stop: asyncio.Event) -> None:
    """Follow the journal until `stop`; the desk may still have to make it."""
    announce({"ready": True})
    understudy: Understudy | None = None
    said = b""
    while not stop.is_set():
        pause_s, problem = _POLL_S, ""
        try:
            if understudy is None:
                understudy = Understudy(config)
            if not understudy.status.problem:
                if understudy.follow():
                    pause_s = 0.0
                understudy.keep_if_due()
        except (DoesNotReplay, DataError) as error:
            problem = str(error)
            log.error("journal_does_not_replay %s", error)
        except (FileNotFoundError, JournalError) as error:
            # it is being made; of one that was followed already it is the truth
            problem = "" if understudy is None else str(error)
        status = understudy.status if understudy is not None else Status()
        status.problem = status.problem or problem
        if (now := msgspec.json.encode(status)) != said:
            said = _tell(Path(config.status), now)
        await _pause(stop, pause_s)


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
        await serve(config, stop)

    return run_unit("understudy", serve_it)


if __name__ == "__main__":
    sys.exit(main())
