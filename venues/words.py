"""What one venue says and is told in its own way, when it is spoken to through ccxt.pro.

Problem: venues agree on what an order is and on little else: which request places it, what the answer says,
which codes are refusals, how its private stream names things. Here is the closed list of that; whatever is
not in it is the same for all venues and stands once (`ccxt_venue`, `ccxt_feed`).

Not here: any venue (`binance_*`, `bybit_*`), and which ones there are (`adapters`).

Invariant: each call of `place` and `cancel` does at most one request that changes anything.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

import msgspec

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked

Raw = Mapping[str, Any]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose orders they are: ``name`` of the account, ``venue`` as instruments and fills call it.

    ``leverage`` is what its contracts are set to.
    """

    name: str
    venue: str
    symbols: tuple[str, ...]
    leverage: int = 1


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """An order as ccxt takes it: exact texts, and the parameters that all venues share."""

    symbol: str
    kind: str
    side: str
    qty: str
    px: str | None
    params: dict[str, str | bool]


class UnsentError(Exception):
    """The request could not even be made: nothing was sent."""


class OrderWords(Protocol):
    """One account at one venue, made from a client and an `Account`."""

    kind: str
    """ccxt's name of the markets it trades: spot or swap."""

    async def connect(self) -> dict[str, Instrument]:
        """Return the traded instruments by symbol; raises `VenueError`."""

    async def balances(self) -> dict[str, Decimal]:
        """Return what the account owns by asset; raises `VenueError`."""

    async def key_rights(self) -> KeyRights:
        """Return what the key may do; raises `VenueError`, and `KeyError` when the answer does not say."""

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        """Place an order; raises `UnsentError`, or whatever the request ends with."""

    async def cancel(self, intent: CancelIntent) -> Acked:
        """Cancel an order by its client order id; raises as `place`."""

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        """Say what a request that ended with an exception means for its order."""

    async def look_up(self, intent: Intent) -> Acked | Absent:
        """Find an order by its client order id; raises `VenueError` when it is not certain."""

    async def resting(self, tag: str) -> Sequence[Resting]:
        """Return the open orders of ours in the traded symbols, by the tenant's tag; raises `VenueError`."""

    async def unasked(self) -> Sequence[Unasked]:
        """Return what the venue did by itself in the last days, oldest first; raises `VenueError`.

        Payments for holding contracts, and the trades of its own orders (`Capabilities.forced`) with the
        intent `FORCED`.
        """

    async def stands(self) -> bool:
        """Whether the venue confirmed the private stream."""

    async def spoken(self) -> None:
        """Wait a moment until what the venue said before its last answer has been read from the stream."""

    def client_ids(self, raw: Raw) -> Sequence[str]:
        """Return the client order ids a message of the private stream may be of."""

    def venue_id(self, raw: Raw) -> str:
        """Return the venue's id of the order a message is about."""

    def market(self, raw: Raw) -> str:
        """Return the venue's id of the spot pair a message is about; empty when it is about none."""

    def version(self, raw: Raw) -> tuple[str, ...]:
        """Return what differs between two states of one order."""

    def seq(self, raw: Raw) -> int:
        """Return the venue's number of a message, 0 where it has none."""

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        """Read a state of an order of ours."""

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        """Read a trade of ours."""

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        """Read the state that a trade ended its order with; None when its message does not say one."""


@runtime_checkable
class Completing(Protocol):
    """`OrderWords` of a venue whose private stream leaves out a part of a trade that has to be asked for."""

    def lacks(self) -> bool:
        """Whether there is something to ask for now."""

    async def complete(self) -> None:
        """Ask for some of it, for no more than a look-up costs; raises `VenueError`."""

    def is_whole(self, raw: Raw) -> bool:
        """Whether what a message of the private stream says can be read, or never will be."""


@runtime_checkable
class Timed(Protocol):
    """`OrderWords` of a venue that does not tell its time to the millisecond."""

    async def clock_offset_ms(self) -> float:
        """Return venue clock minus own clock; raises `VenueError`."""


@runtime_checkable
class DeadManWords(Protocol):
    """`OrderWords` of a venue that cancels what rests when it hears nothing for a while."""

    async def set_dead_man(self, symbol: str, seconds: int) -> None:
        """Set the timer anew, 0: off; for this symbol, or for all of ours where it is the account's.

        Raises
        ------
        VenueError
            When the venue does not do it, or says something else than was asked.
        """


@runtime_checkable
class Prepared(Protocol):
    """`OrderWords` of a venue whose accounts have modes, of which the ledger knows one."""

    async def marks(self) -> Mapping[str, Decimal]:
        """Return as `Venue.marks`; raises `VenueError`, and `KeyError` when the answer does not say."""

    async def unfit(self) -> Sequence[str]:
        """Return why the account is in no mode that can be traded in; raises `VenueError`, `KeyError`."""

    async def prepare(self) -> None:
        """Set what is traded as the `Account` says, and read it back; raises `VenueError`."""


class SpotWords:
    """What most spot venues have nothing of their own to say to, for their `OrderWords` to inherit."""

    kind = "spot"

    async def unasked(self) -> Sequence[Unasked]:
        """Spot accounts are left alone."""
        return ()

    def seq(self, raw: Raw) -> int:
        """Messages have no numbers."""
        return 0


class MarketWords(Protocol):
    """The public streams of one venue; ``most_symbols`` may be subscribed to in one request."""

    @property
    def most_symbols(self) -> int:
        """How many symbols one subscription may name."""

    def book_number(self, book: Mapping[str, Any]) -> int:
        """Return a number that grows with each update of a book, -1 before the first."""

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        """Whether the venue confirmed every stream."""
