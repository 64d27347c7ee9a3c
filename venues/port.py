"""What a gateway needs of a venue, and the closed set of answers a venue can give to a send.

Problem: "the call failed" is three different facts. The venue took the order, the venue refused it, or
nobody knows; taking the third for the second is how an order comes to exist twice. So `send` returns
exactly one of `Acked`, `Rejected`, `Ambiguous` and raises nothing.

Not here: journal, limits, who may send (the gateway).

Invariant: an adapter sends a request at most once for each call and never retries it.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, FundingPaid, Gap, Intent, OrderEvent
from venues.capabilities import Capabilities
from venues.meter import Asked


class Acked(msgspec.Struct, frozen=True, kw_only=True):
    """The venue took it at market time ``t_venue`` (ns): its first state, and what traded at once."""

    venue_id: str
    t_venue: int
    event: OrderEvent | None = None
    fills: tuple[Fill, ...] = ()


NOT_FOUND: Final = "venue:order_not_found"  # at every venue: a cancel of what is not open, or never was


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The venue said no, and the order cannot exist (a cancel: changed nothing)."""

    code: str
    detail: str


class Ambiguous(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody knows whether the venue acted."""

    cause: str


class Absent(msgspec.Struct, frozen=True):
    """The venue knows of no such order: every list it could be in was read whole, now."""


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An open order of ours as the venue's list shows it; ``terms`` say side, quantity and price in words."""

    symbol: str
    cid: str
    venue_id: str
    terms: str


SendResult = Acked | Rejected | Ambiguous
Fact = OrderEvent | Fill | Gap
Unasked = FundingPaid | Fill
"""What a venue does to an account by itself: payments for holding contracts, trades of orders of its own."""
FORCED: Final = b""
"""The intent of a trade that the venue made by itself: there is none."""
OnFact = Callable[[Fact], None]


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says the API key may do, and what its account pays fees with.

    ``fees_elsewhere``: in an asset of its own choice, which is none of those that are traded.
    """

    trades: bool
    withdraws: bool
    fees_elsewhere: bool = False


class VenueError(Exception):
    """A request that is safe to repeat (balances, instruments, clock) did not work; the text says which.

    ``venue`` is whose answer it was where several are asked at once (`several`), else empty.
    """

    venue: str = ""


class Denied(VenueError):
    """The venue knows who asks and lets him not: asking again changes nothing."""


class Venue(Protocol):
    """One account at one venue, or at each of several that are traded as one (`several`).

    Guarantees: `send` and `cancel` do at most one request and raise nothing but errors of this program;
    `send` puts its time on the request before it first suspends, so the fence counts from then;
    facts of the user stream are told to `on_fact` in the order in which the venue told them, possibly
    more than once after a reconnect. Orders that were not introduced by `send` or `know` are not told.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the venue can do."""

    @property
    def meter(self) -> Asked:
        """What may still be asked of it. Who asks for time or balances asks here before, who sends,
        cancels or looks up asks `Asked.of` the order's symbol; what the answers say of the venue's limits is
        read by the adapter."""

    @property
    def fence_ns(self) -> int:
        """How long after the send the venue may still accept a request, ns."""

    @property
    def lag_ns(self) -> int:
        """How long after an order exists the venue's lists may not show it, ns."""

    async def connect(self) -> dict[str, Instrument]:
        """Return the traded instruments by symbol; raises `VenueError`."""

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        """Return (asset, total) sorted by asset, without zeros; raises `VenueError`."""

    async def marks(self) -> Mapping[str, Decimal]:
        """Return by asset what the venue values traded contracts at now, held or not; raises `VenueError`.

        Who asks pays for it as for `balances`. A spot market has none.
        """

    async def clock_offset_ms(self) -> float:
        """Return venue clock minus own clock, from the middle of a round trip; raises `VenueError`."""

    async def unasked(self) -> Sequence[Unasked]:
        """Return what the venue did by itself in the last days, oldest first of each kind.

        Raises
        ------
        VenueError
            When it does not say, or not all of it.
        """

    async def key_rights(self) -> KeyRights:
        """Return what the key may do; raises `VenueError`, also when the venue's answer does not say."""

    async def unfit(self) -> Sequence[str]:
        """Return why the account, as it is set, is none that the ledger knows; changes nothing.

        Raises
        ------
        VenueError
            When the venue does not say.
        """

    async def prepare(self) -> None:
        """Set the account up for what is traded, as far as the venue lets one; raises `VenueError`."""

    def know(self, cid: str, iid: bytes) -> None:
        """Introduce an order of an earlier life of the gateway, so that its facts are told."""

    async def send(self, intent: Intent) -> SendResult:
        """Place the order once."""

    async def cancel(self, intent: CancelIntent) -> SendResult:
        """Cancel the order once, by client order id."""

    async def look_up(self, intent: Intent) -> Acked | Absent:
        """Find the order by its client order id, with all that traded.

        Raises
        ------
        VenueError
            When it is not certain: a request failed, or a list was not read whole.
        """

    async def resting(self, tag: str) -> Sequence[Resting]:
        """Return the account's open orders in the traded symbols whose client id bears a tenant's tag.

        Raises
        ------
        VenueError
            When the venue does not say, or not all of it.
        """

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        """Tell facts of the user stream until cancelled; `on_ready` once when the stream stands."""

    async def hears(self) -> bool:
        """Whether the user stream stands now: subscribed, and the venue answered on this connection."""

    async def close(self) -> None:
        """Let go of all connections."""
