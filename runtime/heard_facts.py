"""What a venue says of a gateway's orders, told to the desk once and in an order that makes sense.

Problem: the answer to a send and the private stream say the same twice, the stream may say an older thing
later, and it may speak of an order before its own answer has come.

Not here: reading what a venue says (`venues`), what is told besides facts (`gateway_orders`).

Invariant: a trade is told once; after the state that ended an order no other state of it is told; what the
stream says of an order whose answer is awaited comes after that answer's fills and before its `Ack`.
"""

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal

from parley.messages import Fill, FundingPaid, Gap, Message, OrderEvent
from runtime.lastlook import Counters
from venues.port import FORCED, Acked, Fact, Unasked

log = logging.getLogger(__name__)


class HeardFacts:
    """Facts of one account; ``rounds`` by order, ``say`` tells the desk, ``heard`` an order was spoken of."""

    def __init__(
        self,
        counters: Counters,
        rounds: Mapping[bytes, bytes],
        say: Callable[[Message, bytes], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._counters = counters
        self._rounds = rounds
        self._say = say
        self._heard = heard
        self._held: dict[bytes, list[Fact]] = {}
        self._last_event: dict[bytes, tuple[str, Decimal]] = {}
        self.known: set[bytes] = set()  # orders the venue has spoken of

    def hold(self, iid: bytes) -> None:
        """Keep what the stream says of an order back until its answer has come."""
        self._held[iid] = []

    def release(self, iid: bytes) -> None:
        """Tell what was kept back of an order."""
        for fact in self._held.pop(iid, ()):
            self._tell(fact)

    def tell(self, fact: Fact | Unasked) -> None:
        """Tell what the stream said; facts of an order whose answer is awaited come with it."""
        if isinstance(fact, FundingPaid):
            self._counters.paid(fact)
            self._say(fact, b"")
        elif isinstance(fact, Fill) and fact.iid == FORCED:
            self._force(fact)
        elif not isinstance(fact, Gap) and fact.iid in self._held:
            self._held[fact.iid].append(fact)
        else:
            self._tell(fact)

    def tell_all(self, order: Acked) -> None:
        """Tell what an answer said."""
        for fill in order.fills:
            self._tell(fill)
        if order.event is not None:
            self._tell(order.event)

    def _force(self, fill: Fill) -> None:
        """Tell a trade that the venue made by itself; nothing opens after it before a person looked."""
        if self._counters.filled(fill):
            log.error(
                "venue_closed symbol=%s side=%s qty=%s px=%s", fill.symbol, fill.side, fill.qty, fill.px
            )
            self._say(fill, b"")
            self._say(Gap(stream=f"forced:{fill.symbol}", from_seq=-1, to_seq=-1), b"")

    def _tell(self, fact: Fact) -> None:
        if not isinstance(fact, Gap):
            self.known.add(fact.iid)
            self._heard(fact.iid)
        match fact:
            case Fill():
                if self._counters.filled(fact):
                    self._say(fact, self._rounds.get(fact.iid, b""))
            case OrderEvent():
                state = (fact.status, fact.cum_qty)
                known = self._last_event.get(fact.iid)
                if known is not None and (known[0] != "open" or known[1] > fact.cum_qty or known == state):
                    return
                self._last_event[fact.iid] = state
                self._counters.moved(fact)
                self._say(fact, self._rounds.get(fact.iid, b""))
            case Gap():
                self._say(fact, b"")
