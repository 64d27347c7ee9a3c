"""The desk's outbox: a group is committed, and its orders leave once it is durable.

Problem: the desk's commit and the gateway's each cost an fsync. Orders are therefore handed over before the
group is durable and released after (`held_orders`); one whose time is over by then is taken back, and the
firm hears of it as `Void`. What became of a change of limits is said to the gateway in the same way.

Not here: what is decided (`orchestrator.firm`), which answers are waited for in which order (`desk`).

Invariant: no order is released before its group is on disk, and none at all before the desk knows what became
of those of its earlier life; what it decides until then is taken back. A change of limits is confirmed only
when it is on disk: by that word the gateway loosens.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from orchestrator.policy import GroupOut
from parley.errors import Fatal
from parley.messages import (
    KINDS,
    CancelIntent,
    Fill,
    Intent,
    LimitsSet,
    Message,
    OrderEvent,
    Void,
    decode,
    decode_envelope,
)

from .frames import control, frame_of, pack
from .held_orders import DROP, RELEASE, word_of
from .journal import Group, IntentRow, JournalError, JournalWriter, Record
from .limit_word import Confirmed

ORDER_KINDS: Final = (KINDS[Intent], KINDS[CancelIntent])


class Line(Protocol):
    """Where orders leave to."""

    def send_now(self, frame: bytes) -> None:
        """Say it at once, or to nobody."""


class Outbox:
    """Commits what the firm says; belongs to the loop and thread that made it.

    ``outstanding`` are orders (iid, False) and cancels (iid, True) without an answer, ``placed`` numbers the
    orders; ``is_open``: orders may leave (cancels always may). ``on_fatal`` is told what ends the desk,
    ``on_void`` what was taken back; ``on_waited``, if set, how long a commit with orders took, ns.
    """

    def __init__(
        self,
        journal: JournalWriter,
        gateway: Line,
        *,
        on_fatal: Callable[[BaseException], None],
        on_void: Callable[[Void], None],
    ) -> None:
        self.outstanding: set[tuple[bytes, bool]] = set()
        self.placed: dict[bytes, int] = {}
        self.is_open = True
        self.on_waited: Callable[[int], None] | None = None
        self._journal = journal
        self._gateway = gateway
        self._on_fatal = on_fatal
        self._on_void = on_void
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def commit(self, out: GroupOut, epoch: int) -> asyncio.Future[None] | None:
        """Commit a group and let its orders leave; a future if that is done only when it has its result."""
        if not out.records:
            return None
        group, orders = group_of(out, epoch)
        limits = limits_of(group)
        if not out.orders and not limits:
            self._journal.post(group, self._durable_or_fatal, lazy=True)
            return None
        if not out.orders:
            self._journal.post(group, lambda gid, error: self._set_or_fatal(limits, error))
            return None
        leaving: list[tuple[Intent | CancelIntent, int]] = []
        if not self.is_open:
            self._void(
                [o for o in out.orders if isinstance(o, Intent)], "what the venue did is not known yet"
            )
        for order, record in zip(out.orders, orders, strict=True):
            if isinstance(order, Intent) and not self.is_open:
                continue
            self.outstanding.add((order.iid, isinstance(order, CancelIntent)))
            if isinstance(order, Intent):
                self.placed[order.iid] = len(self.placed)
            leaving.append((order, record.seq))
            # Handed over before it is durable here, so that the gateway looks and writes meanwhile; it sends
            # nothing without the word of `_leave`. What it gets is what is journaled, to the byte.
            self._gateway.send_now(frame_of(record.body))
        left: asyncio.Future[None] | None = None
        here = False
        handed_over = time.monotonic_ns()

        def leave(error: JournalError | None) -> None:
            self._leave(leaving, error)
            if error is None and limits:  # behind the words of earlier groups, which wait for the loop
                self._loop.call_soon(self._confirm, limits)
            if self.on_waited is not None:
                self.on_waited(time.monotonic_ns() - handed_over)
            if left is not None:
                left.set_result(None)

        def durable(gid: int, error: JournalError | None) -> None:
            nonlocal here
            if threading.get_ident() == self._thread:
                here = True
                leave(error)
            else:
                self._loop.call_soon_threadsafe(leave, error)

        self._journal.post_now(group, durable)
        if not here:
            left = self._loop.create_future()  # `leave` runs in this thread, thus later
        return left

    def place_of(self, message: Message | None) -> tuple[int, int, str]:
        """Give the venue's facts an order that does not hang on their arrival: that of their orders."""
        rank = 0 if isinstance(message, Fill) else 1 if isinstance(message, OrderEvent) else 2
        trade_id = message.trade_id if isinstance(message, Fill) else ""
        return self.placed.get(getattr(message, "iid", b""), 1 << 62), rank, trade_id

    def keep(self, out: GroupOut, epoch: int) -> None:
        """Commit a group whose orders must not leave."""
        self._journal.post(group_of(out, epoch)[0], self._durable_or_fatal)

    def _durable_or_fatal(self, gid: int, error: JournalError | None) -> None:
        if error is not None:
            failure = Fatal(f"a group could not be committed: {error}")
            self._loop.call_soon_threadsafe(self._on_fatal, failure)

    def _set_or_fatal(self, limits: Sequence[Confirmed], error: JournalError | None) -> None:
        if error is not None:
            self._durable_or_fatal(0, error)
        else:
            self._loop.call_soon_threadsafe(self._confirm, limits)

    def _confirm(self, limits: Iterable[Confirmed]) -> None:
        for word in limits:  # said to nobody it is said again by `resync`
            self._gateway.send_now(pack(control(word.text(), sender="desk", to="gateway")))

    def _leave(
        self, leaving: Sequence[tuple[Intent | CancelIntent, int]], error: JournalError | None
    ) -> None:
        """Let the orders of a durable group go, or void them when their time is over."""
        if error is not None:
            self._on_fatal(Fatal(f"a group with orders could not be committed: {error}"))
            return
        now = time.monotonic_ns()
        late: list[Intent] = []
        words: dict[str, list[int]] = {}
        for order, seq in leaving:
            is_late = isinstance(order, Intent) and now > order.send_by
            words.setdefault(DROP if is_late else RELEASE, []).append(seq)
            if is_late and isinstance(order, Intent):
                late.append(order)
                self.outstanding.discard((order.iid, False))
        for word, seqs in words.items():
            self._gateway.send_now(pack(control(word_of(word, seqs), sender="desk", to="gateway")))
        if late:
            self._void(late, f"commit after send_by, head {self._journal.head.hex()[:16]}")

    def _void(self, orders: Sequence[Intent], why: str) -> None:
        for void in voids(orders, why):
            self._on_void(void)


def voids(orders: Iterable[Intent], why: str) -> list[Void]:
    """Take orders back, round by round."""
    rounds: dict[bytes, list[bytes]] = {}
    for order in orders:
        rounds.setdefault(order.round, []).append(order.iid)
    return [Void(round=round_, iids=tuple(iids), why=why) for round_, iids in rounds.items()]


def group_of(out: GroupOut, epoch: int) -> tuple[Group, list[Record]]:
    """Return a firm's group as the journal takes it, and its records that hold an order or a cancel."""
    records = [Record(*r) for r in out.records]
    orders = [r for r in records if r.kind in ORDER_KINDS]
    intents = [
        IntentRow(order.cid.encode(), order.iid, record.seq)
        for order, record in zip(out.orders, orders, strict=True)
        if isinstance(order, Intent)
    ]
    return Group(epoch, records, intents), orders


def limits_of(group: Group) -> list[Confirmed]:
    """Return what a group says became of changes of limits, as the gateway is told once it is durable."""
    said = [
        decode(decode_envelope(record.body).body)
        for record in group.records
        if record.kind == KINDS[LimitsSet]
    ]
    return [
        Confirmed(n=each.n, values={each.key: each.value}, refused=bool(each.refused))
        for each in said
        if isinstance(each, LimitsSet)
    ]
