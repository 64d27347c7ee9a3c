"""What can be traded and on which grid.

An `Instrument` is the only place where a float becomes an order's Decimal:
quantities are cut down to the lot, prices moved to the tick in the direction
that never costs more than was meant. Whatever falls below the venue's minimum
becomes zero, and the caller refuses.

A linear perpetual is an asset like any other here, named after pair and settlement
(``BTC:USDT`` of ``BTC/USDT:USDT``): it is bought with the quote, may be owed, and its
opening ties up a share of its value instead of all of it (ADR 38).

A desk that trades at several exchanges names those of the first one plainly and all others
with the exchange behind them: ``BTC/USDT@bybit`` is bought with ``USDT@bybit`` and gives
``BTC@bybit``. What lies at one exchange is another asset than the same coin elsewhere, so no
trade can move money between them (ADR 43).
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final

import msgspec

from .money import decimal

ZERO = Decimal(0)
AT: Final = "@"
_NAMES: Final = 4096  # a run has few, and the gate takes them apart some thirty times for each order


class Tier(msgspec.Struct, frozen=True):
    """A venue's maintenance margin for positions worth ``up_to`` quote: value * ``rate`` - ``amount``.

    ``margin`` is the least share of its value that opens such a one (1 / the most leverage); zero: not known.
    """

    up_to: Decimal
    rate: Decimal
    amount: Decimal
    margin: Decimal = ZERO


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue trades: ``tick`` and ``min_notional`` in quote, ``lot`` in base, fees as fractions.

    ``margin`` is the share of a linear perpetual's value that opening it ties up (1 / leverage, in (0, 1]);
    zero is a spot pair, where all is paid and only what is owned can be sold. ``tiers`` are a contract's
    maintenance margins, by rising value.
    """

    symbol: str
    venue: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    margin: Decimal = ZERO
    tiers: tuple[Tier, ...] = ()

    @property
    def is_contract(self) -> bool:
        """Whether a position of it is margined and may be short."""
        return self.margin > ZERO

    def tied_up(self, side: str, qty: Decimal, px: Decimal, *, reduces: bool) -> tuple[str, Decimal]:
        """Return the asset and the amount that an order needs until it is done, without its fee."""
        if self.is_contract:
            return (self.base, qty) if reduces else (self.quote, qty * px * self.margin)
        return (self.quote, qty * px) if side == "buy" else (self.base, qty)

    def qty(self, amount: Decimal | float) -> Decimal:
        """Cut a base amount down to the lot; not finite or negative gives zero."""
        value = amount if isinstance(amount, Decimal) else decimal(float(amount))
        if not value.is_finite() or value <= ZERO:
            return ZERO
        return _grid(min(value, self.max_qty), self.lot, ROUND_FLOOR)

    def price(self, px: Decimal | float, side: str) -> Decimal:
        """Move a price to the tick: down for a buy, up for a sell; 'near' takes the closest."""
        rounding = ROUND_FLOOR if side == "buy" else ROUND_CEILING if side == "sell" else ROUND_HALF_EVEN
        value = px if isinstance(px, Decimal) else decimal(float(px))
        return _grid(value if value.is_finite() else ZERO, self.tick, rounding)

    def crossing_price(self, px: Decimal | float, side: str) -> Decimal:
        """Move a price to the tick at which an order still reaches ``px``: up for a buy, down for a sell."""
        return self.price(px, "sell" if side == "buy" else "buy")

    def tradable(self, qty: Decimal, px: Decimal) -> str:
        """Name why the venue would refuse this size at this price, or give the empty string."""
        if qty < self.min_qty or qty <= ZERO:
            return "below_min_qty"
        if qty > self.max_qty:
            return "above_max_qty"
        if px <= ZERO:
            return "no_price"
        if qty * px < self.min_notional:
            return "below_min_notional"
        return ""


def has_contracts(instruments: Mapping[str, Instrument]) -> bool:
    """Whether any of them is margined."""
    return any(each.is_contract for each in instruments.values())


@lru_cache(maxsize=_NAMES)
def assets_of(symbol: str) -> tuple[str, str]:
    """Split a symbol into base and quote asset; the quote is empty when there is none.

    A contract's base carries what it settles in, so that it is never taken for the coin: ``BTC/USDT:USDT``
    gives ``BTC:USDT`` and ``USDT``. Both carry the exchange that a symbol carries.
    """
    pair, mark, venue = symbol.partition(AT)
    base, _, quote = pair.partition("/")
    if ":" in quote:
        quote, _, settled = quote.partition(":")
        base = f"{base}:{settled}"
    return (base + mark + venue, quote + mark + venue) if mark else (base, quote)


def is_contract(asset: str) -> bool:
    """Whether an asset is a position of a contract, which may be owed; its name says so."""
    return ":" in asset


@lru_cache(maxsize=_NAMES)
def symbol_of(asset: str, quote: str) -> str:
    """Name what trades an asset against a quote where the asset lies: the inverse of `assets_of`."""
    coin, mark, venue = asset.partition(AT)
    base, colon, settled = coin.partition(":")
    return f"{base}/{plain(quote)}{colon}{settled}{mark}{venue}"


@lru_cache(maxsize=_NAMES)
def plain(name: str) -> str:
    """Return the name of a symbol or an asset without its exchange."""
    return name.partition(AT)[0]


def exchange_of(name: str) -> str:
    """Return the exchange that a symbol or an asset names; empty: the desk's first one."""
    return name.partition(AT)[2]


@lru_cache(maxsize=_NAMES)
def coin_of(symbol: str) -> str:
    """Name what a symbol trades, wherever it lies: limits count a coin over all exchanges."""
    return plain(assets_of(symbol)[0])


def at(name: str, exchange: str) -> str:
    """Name a symbol or an asset of an exchange that is not the desk's first one; empty: of that one."""
    return f"{name}{AT}{exchange}" if exchange else name


def _grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return ((value / step).to_integral_value(rounding) * step).normalize() + ZERO
