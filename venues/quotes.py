"""What one venue asks for one symbol now: its grid, its fee and its book, asked for over REST.

Problem: before an order is given to anybody, several venues are to be compared, most of them without an
account there. A venue's public listing says the grid as its own adapter reads it, and ccxt a published fee;
what the account pays is known to the venue alone, and asked for where there are keys.

Not here: streams (`ccxt_feed`), orders, which venues are asked and what is made of their answers.

Invariant: nothing is sent that changes anything; every failure is a `VenueError` or a `UserError`; a book is
never younger than it is told.
"""

import time
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from itertools import pairwise
from math import inf
from typing import Any, Final, Literal, TypeVar

import ccxt

from parley.errors import ConfigError, nearest
from parley.instruments import Instrument
from parley.messages import Book
from venues.adapters import ADAPTERS, adapter_of
from venues.ccxt_client import MS, asked, line
from venues.generic_orders import instrument_of
from venues.port import VenueError
from venues.words import Account

FeeOf = Literal["account", "published", "assumed"]
# So many levels a side can be asked of most venues, also of those that take only certain numbers.
USUAL_DEPTH: Final = 100
_MOST_FEE: Final = Decimal("0.05")
_UNREADABLE: Final = (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AttributeError)
Answer = TypeVar("Answer")


class VenueQuotes:
    """One symbol at ``exchange``, ccxt's name of it; empty `rest` and `ws` are the real one's addresses.

    A key makes it ask for the account's own fee, at a venue that has an adapter of its own; of others nobody
    knows how that is asked, and the key is not used. Raises `ConfigError` when ccxt has no such venue.
    """

    def __init__(
        self, exchange: str, symbol: str, *, rest: str = "", ws: str = "", api_key: str = "",
        secret: str = "", passphrase: str = "", timeout_ms: int = 10_000,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._symbol = symbol
        self._adapter = adapter_of(exchange)
        self._has_account = bool(api_key) and exchange in ADAPTERS
        if self._has_account:
            self._client = self._adapter.make_client(
                rest, ws, api_key=api_key, secret=secret, passphrase=passphrase, timeout_ms=timeout_ms
            )
        else:
            self._client = self._adapter.make_client(rest, ws, timeout_ms=timeout_ms)
        self._instrument: Instrument | None = None
        self.fee_of: FeeOf = "assumed"

    @property
    def instrument(self) -> Instrument | None:
        """What the venue trades; None before `connect`."""
        return self._instrument

    async def connect(self) -> None:
        """Ask for the listing and the fee.

        Raises
        ------
        UserError
            When the venue does not list the symbol.
        VenueError
            When it does not answer, refuses, does not trade the symbol, or says what nobody can read.
        """
        await _read("markets", asked("markets", self._client.load_markets()))
        symbol = self._symbol
        if symbol not in self._client.markets:
            raise ConfigError(
                f"the venue does not list {symbol!r}; {nearest(symbol, list(self._client.symbols))}"
            )
        found = await _read("instrument", self._ask_instrument(self._client.markets[symbol]))
        if wrong := wrong_listing(found):
            raise VenueError(wrong)
        self._instrument = found

    async def _ask_instrument(self, market: Mapping[str, Any]) -> Instrument:
        if market.get("active") is False:
            raise VenueError(f"lists {self._symbol}, and does not trade it now")
        if self._has_account:
            account = Account(name="route", venue=self._exchange, symbols=(self._symbol,))
            found = await self._adapter.orders(self._client, account).connect()
            self.fee_of = "account"
            return found[self._symbol]
        if market.get("contract") and self._exchange in ADAPTERS:
            raise VenueError("fees and tiers of a contract are told to an account only: give keys")
        self.fee_of = "assumed" if market.get("taker") is None else "published"
        return instrument_of(market, self._exchange, int(self._client.precisionMode))

    async def book(self, depth: int) -> Book:
        """Ask for the best levels of both sides; `t` is the venue's time of it, or when it was asked, ns.

        Raises
        ------
        VenueError
            As `connect`.
        """
        return await _read("book", self._ask_book(depth))

    async def _ask_book(self, depth: int) -> Book:
        refused: Exception = ccxt.NotSupported("no depth")
        # none: what the venue gives without being told a number
        for levels in dict.fromkeys((max(depth, USUAL_DEPTH), USUAL_DEPTH, None)):
            asked_ns = time.time_ns()
            try:
                raw = await self._client.fetch_order_book(self._symbol, levels)
            except ccxt.ExchangeError as error:
                refused = error
            except ccxt.BaseError as error:
                raise VenueError(f"book: {type(error).__name__}: {line(error)}") from error
            else:
                stamp_ns = int(raw["timestamp"] or 0) * MS
                return Book(
                    symbol=self._symbol, t=min(asked_ns, stamp_ns) if stamp_ns else asked_ns,
                    seq=int(raw.get("nonce") or 0), bids=_levels(raw["bids"], depth),
                    asks=_levels(raw["asks"], depth),
                )  # fmt: skip
        raise VenueError(f"book: {type(refused).__name__}: {line(refused)}") from refused

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.close()


def wrong_listing(instrument: Instrument) -> str:
    """Say which number of a listing cannot be computed with, an empty text: none."""
    for name in ("lot", "min_qty", "max_qty", "min_notional", "taker_fee"):
        number: Decimal = getattr(instrument, name)
        if not number.is_finite() or (number < 0 and name != "taker_fee"):
            return f"{name}: expected a number of at least 0, was {number}"
    if not instrument.lot:
        return "lot: expected a number above 0, was 0"
    # told in percent by mistake, say
    if abs(instrument.taker_fee) > _MOST_FEE:
        return f"taker_fee: expected at most {_MOST_FEE}, was {instrument.taker_fee}"
    return ""


def unusable(book: Book, now_ns: int, max_age_s: float) -> str:
    """Say why nothing is to be computed from a book, and an empty text where there is no reason."""
    for side, levels, is_better in (("bids", book.bids, -1), ("asks", book.asks, 1)):
        if not levels:
            return f"its book has no {side}"
        if not all(0 < number < inf for level in levels for number in level):
            return f"its {side} hold a price or quantity that is not finite and above 0"
        if any((after[0] - before[0]) * is_better <= 0 for before, after in pairwise(levels)):
            return f"its {side} are out of order"
    bid, ask = book.bids[0][0], book.asks[0][0]
    if bid >= ask:
        return f"its book is crossed: bid {bid!r}, ask {ask!r}"
    age_s = (now_ns - book.t) / 1e9
    if age_s > max_age_s:
        return f"its book is {age_s:.1f} s old, more than {max_age_s:g} s"
    return ""


def _levels(raw: Any, most: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(px), float(qty)) for px, qty, *_ in raw[:most])


async def _read(what: str, request: Awaitable[Answer]) -> Answer:
    try:
        return await request
    except _UNREADABLE as error:
        raise VenueError(f"{what}: an answer nobody can read: {error!r}") from error
