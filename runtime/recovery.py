"""Where a desk left off: its journal folded into the firm it was, up to the last committed record.

Problem: a desk may be killed at any moment, also in the middle of a cascade. What is in its journal is folded
again; what the cut cascade had still to say comes out of the same fold, and is new: nobody heard of it. Its
orders were never released, because their group was not durable, and they are not released now, because they
are answers to a market that has moved: whoever drives the desk commits them and takes them back (`Void`).

Not here: writing, asking the gateway what it did meanwhile (`resync`), the fold itself (`refold`), keeping
what was folded (`kept_firm`).

Invariant: every record of the journal came out again, to the byte, or there is no recovered firm at all.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from parley.bus import Ask, Watch
from parley.errors import Fatal, UserError
from parley.messages import NAMES, Envelope, Intent, decode_envelope

from .bootstrap import hosts_of, make_firm
from .journal import JournalReader, Record
from .kept_firm import KeptFirm
from .recovered import Recovered
from .refold import Refold, config_of, difference, lateness, outsiders, recorded
from .run_config import Origin, RunConfig

log = logging.getLogger(__name__)


class DoesNotReplay(Fatal):
    """The journal's records do not follow from its inputs: nothing may be traded on what it says."""


class Following:
    """Folds a journal's records one after the other; each must come out again, to the byte.

    past : what the records before left; it is folded on
    late : as `InProc`, of the records to come
    """

    def __init__(
        self, past: Recovered, path: Path, late: Callable[[Ask], int], watch: Watch | None = None
    ) -> None:
        self.past = past
        self._path = path
        self._refold = Refold(past.in_process(late=late, watch=watch))

    def take(self, record: Record, envelope: Envelope) -> None:
        """Fold a record.

        Raises
        ------
        DoesNotReplay
            When it does not come out again.
        """
        past, refold = self.past, self._refold
        again = refold.step(record, envelope)
        if again is None or again[1] != record.body:
            kind = NAMES.get(record.kind, str(record.kind))
            raise DoesNotReplay(
                f"the journal {str(self._path)!r} does not replay, so nothing is traded on it: seq"
                f" {record.seq} {kind} of {envelope.sender}: the replay said {difference(record.body, again)}"
            )
        if refold.message is not None:
            past.note(refold.message)
            for group in refold.groups:
                for order in group.orders:
                    if isinstance(order, Intent):
                        past.placed[order.iid] = len(past.placed)
        past.last = record.seq

    def end(self) -> Recovered:
        """Return what is left, with what the last cascade had still to commit.

        Raises
        ------
        DoesNotReplay
            When the journal lacks a record, or ends inside a group.
        """
        past, refold, last = self.past, self._refold, self.past.last
        if missing := min((seq for seq in refold.left if seq <= last), default=0):
            kind = NAMES[refold.left[missing][0]]
            raise DoesNotReplay(
                f"the journal {str(self._path)!r} does not replay, so nothing is traded on it: it lacks seq"
                f" {missing} {kind}"
            )
        past.tail = [group for group in refold.groups if group.records[-1][0] > last]
        for group in past.tail:
            if group.records[0][0] <= last:
                raise DoesNotReplay(f"the journal {str(self._path)!r} ends inside a group, at seq {last}")
        return past


def recover(path: str | Path, run: RunConfig, *, watch: Watch | None = None) -> Recovered:
    """Fold a desk's journal into the firm and the agents it leaves, all in this process; ``watch``: `InProc`.

    What was kept of it (`kept_firm`) is not folded again; if the journal does not follow from that, all is.

    Raises
    ------
    UserError
        When the journal is of another run, or was written with another configuration.
    DoesNotReplay
        When a record does not come out again.
    DataError, JournalError
        When it is no desk's journal.
    """
    path = Path(path)
    with JournalReader(path) as reader:
        written = config_of(reader)
        _check_same(path, written, run)
        kept = KeptFirm(path, written)
        if (past := kept.find(reader)) is not None:
            try:
                return _folded(reader, past, watch)
            except Exception as error:  # noqa: BLE001 - a wrong firm may break in any way; there is the journal
                log.warning("kept_firm_is_wrong gid=%d %r", past.gid, error)
                kept.drop()
        return _folded(reader, fresh(reader, written), watch)


def fresh(reader: JournalReader, run: RunConfig) -> Recovered:
    """Return a firm to which nothing has happened yet."""
    told: dict[str, list[Ask]] = {agent: [] for agent in outsiders(run)}
    return Recovered(run=run, firm=make_firm(run), hosts=hosts_of(run, recorded(reader, told)), told=told)


def _folded(reader: JournalReader, past: Recovered, watch: Watch | None) -> Recovered:
    after, began = past.last, time.monotonic()
    past.kept = after
    following = Following(past, reader.path, lateness(reader, after), watch)
    for record in reader.records(after):
        following.take(record, decode_envelope(record.body))
    past.groups = sum(1 for _ in reader.groups(past.gid))
    past.took_s = time.monotonic() - began
    return following.end()


def _check_same(path: Path, written: RunConfig, run: RunConfig) -> None:
    if written.run_id != run.run_id:
        raise UserError(f"the journal {str(path)!r} is of run {written.run_id!r}, not of {run.run_id!r}")
    if _core(written) != _core(run):
        raise UserError(
            f"the journal {str(path)!r} was written with another configuration of run {run.run_id!r}"
        )


def _core(run: RunConfig) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(run, instruments={}, origin=Origin()))
