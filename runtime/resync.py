"""How a desk that comes back and its gateway agree again on what was said.

Problem: a killed desk lost what the gateway said to nobody, and cannot know which of its orders the gateway
ever got. It says ``resync:`` with its epoch and what is open; the gateway tells again all it ever said about
orders, answers for what never came, and says ``resynced``.

All, and not only what came after the desk's last record: in lock-step a desk journals facts in the order of
their orders, so its last one does not say that it has those before. What it knows is no news to it. Of calls
that failed only those of the last minute are told again: nobody asks for older ones (F242).

Not here: the journals (`recovery`, `gateway_log`), sending.

Invariant: after ``resynced`` the desk heard everything the gateway had said when it was asked.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from parley.errors import ProtocolError
from parley.messages import (
    Ack,
    CancelIntent,
    Compared,
    Fill,
    FundingPaid,
    Gap,
    Intent,
    LimitChange,
    Message,
    OrderEvent,
    Unknown,
    VenueFault,
    VenueReject,
)

from .frames import Link

RESYNC: Final = "resync:"
RESYNCED: Final = "resynced"
NEVER_CAME: Final = ("last_look:never_came", "its desk was gone before the gateway got it")
# the types of the gateway's journal that a resync looks at
LOOKED_AT: Final = (
    "Intent", "CancelIntent", "Ack", "VenueReject", "Unknown", "OrderEvent", "Fill", "FundingPaid", "Gap",
    "Compared", "LimitChange", "VenueFault",
)  # fmt: skip

_MOST_UNSENT: Final = 1 << 20
_UNSENT_S: Final = 0.002
_AT_ONCE: Final = 500
_FAULTS_NS: Final = 60_000_000_000


class Resync(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk says of itself: open ``orders`` by iid, ``cancels`` with their numbers.

    ``limits`` is the number of the last change of limits it has durably, and what was changed.
    ``gaps`` is how many gaps of the user stream it knows of: one more would be news each time it is told.
    """

    epoch: int
    gaps: int = 0
    orders: tuple[bytes, ...] = ()
    cancels: tuple[tuple[bytes, int], ...] = ()
    limits: tuple[int, dict[str, str]] = (0, {})

    def text(self) -> str:
        """Return the control text."""
        return RESYNC + msgspec.json.encode(self).decode()


def read_resync(body: bytes) -> Resync | None:
    """Read a control text; None when it is another one.

    Raises
    ------
    ProtocolError
        When it should be one and is not.
    """
    if not body.startswith(RESYNC.encode()):
        return None
    try:
        return msgspec.json.decode(body[len(RESYNC) :], type=Resync)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{RESYNC} must hold what the desk has open: {error}") from error


class Retelling:
    """What the gateway's journal holds for a desk; `missing` is to be asked after `deliver`."""

    def __init__(self, asked: Resync, clock: Callable[[], int] = time.time_ns) -> None:
        self._asked = asked
        self._now = clock()
        self._gaps = 0
        self._orders: set[bytes] = set()
        self._cancels: set[tuple[bytes, int]] = set()

    async def deliver(
        self,
        said: Iterable[tuple[int, bytes, Message]],
        link: Link,
        send: Callable[[Message, int, bytes], None],
    ) -> None:
        """Tell what was ``said`` as (seq, round, message), no faster than the desk reads."""
        for n, (seq, round_, message) in enumerate(self._facts(said), 1):
            if n % _AT_ONCE == 0:
                await asyncio.sleep(0)  # heart and stream go on, however long the past is
            while link.unsent > _MOST_UNSENT:
                await asyncio.sleep(_UNSENT_S)
            if not link.is_open:
                return
            send(message, seq, round_)

    def _facts(self, said: Iterable[tuple[int, bytes, Message]]) -> Iterator[tuple[int, bytes, Message]]:
        compared: tuple[int, bytes, Message] | None = None
        for seq, round_, message in said:
            match message:
                case Intent():
                    self._orders.add(message.iid)
                case CancelIntent():
                    self._cancels.add((message.iid, message.n))
                case Gap():
                    self._gaps += 1
                    compared = None
                    if self._gaps > self._asked.gaps:
                        yield seq, round_, message
                case FundingPaid() if not message.prior:
                    yield seq, round_, message
                case VenueFault() if message.t > self._now - _FAULTS_NS:
                    yield seq, round_, message
                case LimitChange():  # what the desk has it knows by its number
                    yield seq, round_, message
                case Compared():  # says nothing of a gap that came after it
                    compared = seq, round_, message
                case Ack() | VenueReject() | Unknown() | OrderEvent() | Fill():
                    if isinstance(message, VenueReject) and not message.cancel:
                        self._orders.add(message.iid)  # refused at the last look, without an attempt
                    yield seq, round_, message
                case _:
                    pass
        if compared is not None:
            yield compared

    def missing(self) -> Iterator[VenueReject]:
        """Refuse, for ever, what the desk thinks open and this gateway never got."""
        code, detail = NEVER_CAME
        for iid in self._asked.orders:
            if iid not in self._orders:
                yield VenueReject(iid=iid, code=code, definitive=True, detail=detail)
        for iid, n in self._asked.cancels:
            if (iid, n) not in self._cancels:
                yield VenueReject(iid=iid, code=code, definitive=True, detail=detail, cancel=True)
