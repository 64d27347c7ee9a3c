"""The gateway's journal: what it was asked to send, that it was about to, and what it said.

Problem: after a restart the gateway must refuse what it sent before and must not claim to know how an order
ended whose answer it never wrote down. An attempt is one group of `Intent` and `Attempt` with the client
order id in the UNIQUE table, durable before the send; what the gateway says is written behind it.

Not here: limits (`lastlook`), sending (`gateway`).

Invariant: `next_seq` moves only here, so journal order is the order in which things were said.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import Fatal, UserError
from parley.messages import (
    KIND_OF,
    KINDS,
    LAST_LOOK,
    UNACCEPTED,
    Ack,
    Attempt,
    CancelIntent,
    Fill,
    FundingPaid,
    Intent,
    LimitChange,
    LimitsSet,
    Message,
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
    encode,
)
from runtime.journal import (
    Group,
    IntentRow,
    InvalidGroup,
    JournalError,
    JournalFailed,
    JournalReader,
    JournalWriter,
    Record,
)
from runtime.lastlook import Counters
from runtime.resync import LOOKED_AT

log = logging.getLogger(__name__)

OnAttempted = Callable[[int, bool], None]
"""Called on the loop with (seq of the attempt, False if the client order id was taken)."""

OWN: Final = LAST_LOOK
NOT_ACCEPTED: Final = (
    UNACCEPTED, "the venue had not accepted it when its window was over, and no list shows it"
)  # fmt: skip
"""Code and text of the end of an order whose answer never came."""
_FOLDED = (
    "Intent", "CancelIntent", "Attempt", "Ack", "VenueReject", "Unknown", "OrderEvent", "Fill", "LimitChange",
    "LimitsSet", "FundingPaid",
)  # fmt: skip


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may still trade, as far as the journal says; ``is_known``: it certainly came to exist.

    ``fence_until`` is its attempt's, wall ns.
    """

    intent: Intent
    fence_until: int
    is_known: bool


class Recovered(msgspec.Struct, kw_only=True):
    """What an earlier life of the gateway left: its counters, its orders, and those without an outcome.

    ``limits`` are the changes of the desk's limits and what the desk said to them, ``funding`` the numbers of
    the payments that were told.
    ``unsent`` are orders it refused by itself for good, ``buried`` those it found not accepted;
    ``cancelling`` those it was about to cancel without having said what came of it.
    """

    counters: Counters
    orders: dict[str, bytes] = {}
    open_ended: tuple[bytes, ...] = ()
    cancelling: tuple[bytes, ...] = ()
    unsent: frozenset[bytes] = frozenset()
    alive: tuple[Alive, ...] = ()
    buried: tuple[Intent, ...] = ()
    limits: tuple[LimitChange | LimitsSet, ...] = ()
    funding: frozenset[str] = frozenset()


def recover(path: Path) -> Recovered:
    """Fold a gateway's journal into what it would know had it never stopped."""
    records = JournalReader(path).records(kinds=[KIND_OF[name] for name in _FOLDED])
    return fold(decode(record.body) for record in records)


def fold(said: Iterable[Message]) -> Recovered:
    """Fold what a gateway's journal says, in its order."""
    counters = Counters()
    intents: dict[bytes, Intent] = {}
    fences: dict[bytes, int] = {}
    undecided: dict[bytes, None] = {}
    cancelling: dict[bytes, None] = {}
    unsent: set[bytes] = set()
    known: set[bytes] = set()
    buried: dict[bytes, None] = {}
    limits: list[LimitChange | LimitsSet] = []
    funding: set[str] = set()
    for message in said:
        match message:
            case Intent() as intent:
                counters.sent(intent, 0)
                intents[intent.iid] = intent
                undecided[intent.iid] = None
                unsent.discard(intent.iid)
            case CancelIntent() as cancel:
                cancelling[cancel.iid] = None
            case Ack(cancel=True) | VenueReject(cancel=True) | Unknown(cancel=True) as answer:
                cancelling.pop(answer.iid, None)
            case Attempt() as attempt:
                fences.setdefault(attempt.iid, attempt.fence_until)  # later ones are of its cancels
            case VenueReject(definitive=True) as no:
                counters.iids.add(no.iid)  # also one that never came: it must not come later
                counters.dead(no.iid)
                undecided.pop(no.iid, None)
                if is_own_end(no):
                    unsent.add(no.iid)
                if no.code == NOT_ACCEPTED[0]:
                    buried[no.iid] = None
            case Ack() | Unknown() as answer:
                undecided.pop(answer.iid, None)
                if isinstance(answer, Ack):
                    known.add(answer.iid)
            case Fill() as fill:
                counters.filled(fill)
                buried.pop(fill.iid, None)
            case OrderEvent() as event:
                counters.moved(event)
                buried.pop(event.iid, None)
            case LimitChange() | LimitsSet():
                limits.append(message)
            case FundingPaid() as paid:
                funding.add(paid.ref)
                counters.paid(paid)
            case _:
                pass
    return Recovered(
        counters=counters,
        orders={intent.cid: iid for iid, intent in intents.items()},
        open_ended=tuple(undecided),
        cancelling=tuple(cancelling),
        unsent=frozenset(unsent),
        alive=tuple(
            Alive(intent=intent, fence_until=fences.get(iid, 0), is_known=iid in known)
            for iid, intent in intents.items()
            if counters.is_working(iid)
        ),
        buried=tuple(intents[iid] for iid in buried if iid in intents),
        limits=tuple(limits),
        funding=frozenset(funding),
    )


def is_own_end(no: VenueReject) -> bool:
    """Whether the gateway itself refused an order for good: it was never sent, or not yet."""
    return no.definitive and not no.cancel and no.code.startswith(OWN)


class GatewayLog:
    """Writer of the gateway's journal; `on_fatal` is called on the loop when it can write no more."""

    def __init__(
        self,
        path: Path,
        run: dict[str, str],
        loop: asyncio.AbstractEventLoop,
        on_fatal: Callable[[Fatal], None],
        unsent: Iterable[bytes] = (),
    ) -> None:
        """Create the journal, or continue it; ``unsent`` as `Recovered` says.

        Raises
        ------
        UserError
            When the file is no journal of a gateway, or its end does not verify.
        """
        self._loop = loop
        self._thread = threading.get_ident()
        self._on_fatal = on_fatal
        self.unsent = set(unsent)  # orders refused here for good: a second refusal may say no less
        try:
            if path.exists():
                self._writer = JournalWriter.resume(path, on_fatal=self._failed)
            else:
                self._writer = JournalWriter.create(path, run, on_fatal=self._failed)
        except (JournalError, OSError) as error:
            raise UserError(f"the gateway's journal {str(path)!r} cannot be used: {error}") from error

    @property
    def head(self) -> bytes:
        """Hash of the last durable group."""
        return self._writer.head

    @property
    def epoch(self) -> int:
        """The highest epoch written."""
        return self._writer.epoch

    def said(self) -> Iterator[tuple[int, bytes, Message]]:
        """Iterate over what is durable and concerns orders, as (seq, round, message), oldest first."""
        kinds = [KIND_OF[name] for name in LOOKED_AT]
        for record in JournalReader(self._writer.path).records(kinds=kinds):
            yield record.seq, record.round, decode(record.body)

    def flush(self) -> None:
        """Wait until all that was said is durable.

        Raises
        ------
        JournalFailed
            When it cannot be; `on_fatal` is told too.
        """
        self._writer.flush()

    def say(self, message: Message, epoch: int, round_: bytes = b"") -> int:
        """Write a message behind its effect and return its seq."""
        if isinstance(message, VenueReject) and is_own_end(message):
            self.unsent.add(message.iid)
        seq = self._writer.next_seq
        record = Record(seq, KINDS[type(message)], round_, encode(message))
        self._writer.post(Group(epoch, [record]), _ignore, lazy=True)
        return seq

    def say_durably(self, message: Message, epoch: int, round_: bytes, done: Callable[[int], None]) -> None:
        """Write a message before its effect: ``done`` gets its seq, on the loop, once it is on disk."""
        seq = self._writer.next_seq

        def durable(gid: int, error: JournalError | None) -> None:
            if error is None:
                self._loop.call_soon_threadsafe(done, seq)

        self._writer.post(Group(epoch, [Record(seq, KINDS[type(message)], round_, encode(message))]), durable)

    def settle(self) -> None:
        """Prepare what waits for the next commit; for idle moments."""
        self._writer.settle()

    def attempt(
        self, intent: Intent | CancelIntent, asked: bytes, attempt: Attempt, epoch: int, done: OnAttempted
    ) -> None:
        """Make an attempt durable, then call `done` on the loop; `asked` is the intent as it came.

        An order takes its client order id; a cancel repeats the one of its order and takes none.
        """
        seq = self._writer.next_seq
        records = [
            Record(seq, KINDS[type(intent)], intent.round, asked),
            Record(seq + 1, KINDS[Attempt], intent.round, encode(attempt)),
        ]
        rows = []
        if isinstance(intent, Intent):
            rows.append(IntentRow(intent.cid.encode(), intent.iid, seq))
            self.unsent.discard(intent.iid)

        def durable(gid: int, error: JournalError | None) -> None:
            # A failed disk is told by on_fatal and must not look like an answer here.
            if not isinstance(error, JournalFailed):
                if threading.get_ident() == self._thread:
                    done(seq + 1, error is None)
                else:
                    self._loop.call_soon_threadsafe(done, seq + 1, error is None)
            if error is not None:
                log.warning("attempt_not_durable cid=%s cause=%s", intent.cid, error)

        self._writer.post_now(Group(epoch, records, rows), durable)

    def cancels(
        self,
        cancels: Sequence[CancelIntent],
        attempts: Sequence[Attempt],
        epoch: int,
        done: Callable[[], None],
    ) -> None:
        """Make the attempts of some cancels durable in one group, then call `done` on the loop."""
        seq = self._writer.next_seq
        records: list[Record] = []
        for cancel, attempt in zip(cancels, attempts, strict=True):
            for said in (cancel, attempt):
                records.append(Record(seq + len(records), KINDS[type(said)], cancel.round, encode(said)))

        def durable(gid: int, error: JournalError | None) -> None:
            if error is None:
                self._loop.call_soon_threadsafe(done)

        self._writer.post(Group(epoch, records), durable)

    def close(self) -> None:
        """Write what waits and seal the file."""
        try:
            self._writer.close()
        except JournalError as error:
            log.warning("journal_not_sealed cause=%s", error)

    def _failed(self, failure: JournalFailed) -> None:
        error = Fatal(f"the gateway's journal cannot be written: {failure}")
        self._loop.call_soon_threadsafe(self._on_fatal, error)


def _ignore(gid: int, error: JournalError | None) -> None:
    if isinstance(error, InvalidGroup):
        raise error
