"""What an account would be exposed to if everything still working came true.

Exposure is counted per asset, not per symbol, so that the legs of a cycle cancel
out and a coin bought over two markets, or at two exchanges, counts once. Pending reservations count in
full on the side that makes them worse; an asset without a price makes the whole
sum unknown (`unpriced`), and whoever asks refuses.

Invariant: adding a reservation never lowers `gross`.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import NamedTuple

from parley.instruments import assets_of, plain, symbol_of
from parley.ledger import OPENING
from parley.messages import Reservation
from parley.money import decimal
from parley.view import FirmView

ZERO = Decimal(0)
ONE = Decimal(1)
LEAST, MOST = Decimal("1e-12"), Decimal("1e14")  # of what can stand in an order
DUST = Decimal(5)  # quote money: below any venue's minimum, so nobody could even close it


def usable(value: Decimal | None) -> bool:
    """Whether arithmetic with a number is safe: finite, and of a size that money has (1e-30 .. 1e18)."""
    return value is not None and value.is_finite() and -30 <= value.adjusted() < 18


def all_usable(values: Iterable[Decimal]) -> bool:
    """Whether `usable` holds for every one of many numbers."""
    for value in values:  # noqa: SIM110 - the generator costs twice as much, and the gate asks this of every order
        if not value.is_finite() or not -30 <= value.adjusted() < 18:
            return False
    return True


def gridlike(value: Decimal | None) -> bool:
    """Whether a number can be an order's price, quantity, tick or lot: above zero, 1e-12 .. 1e14."""
    return value is not None and value.is_finite() and LEAST <= value < MOST


def all_gridlike(values: Iterable[Decimal]) -> bool:
    """Whether `gridlike` holds for every one of many numbers."""
    for value in values:  # noqa: SIM110 - as above
        if not value.is_finite() or not LEAST <= value < MOST:
            return False
    return True


def to_decimal(value: float | None) -> Decimal | None:
    """Give a positive finite float as the Decimal it prints as, else None."""
    if value is None or not isfinite(value) or value <= 0:
        return None
    number = decimal(value)
    return number if LEAST <= number < MOST else None


class Prices:
    """Prices of assets in the account's quote: set ones first, then the positions' marks, then others'."""

    __slots__ = ("_known", "_marks", "_quote", "_view")

    def __init__(self, view: FirmView, marks: Mapping[str, float]) -> None:
        self._view = view
        self._marks = marks
        self._quote = view.state.quote
        self._known: dict[str, Decimal | None] = {self._quote: ONE}

    def set(self, asset: str, price: Decimal) -> None:
        """Fix the price of an asset, quote money per unit."""
        self._known[asset] = price

    def of(self, asset: str) -> Decimal | None:
        """Price of one unit of an asset in quote money; None when nobody knows it."""
        known = self._known
        if asset in known:
            return known[asset]
        if plain(asset) == self._quote:  # the same money at another exchange
            known[asset] = ONE
            return ONE
        symbol = symbol_of(asset, self._quote)
        position = self._view.position(symbol)
        if position is not None and position.mark.is_finite() and position.mark > 0:
            price: Decimal | None = position.mark
        else:
            price = to_decimal(self._marks.get(symbol))
        known[asset] = price
        return price


class Exposure(NamedTuple):
    """Worst-case values in quote money, ``net`` signed, the others absolute; ``unpriced`` names an asset.

    ``by_asset`` counts a coin over all exchanges, under its plain name.
    """

    by_asset: dict[str, Decimal]
    gross: Decimal
    net: Decimal
    unpriced: str


def exposure(view: FirmView, prices: Prices, extra: Reservation | None = None) -> Exposure:
    """Value all positions at the worst that the open reservations (and ``extra``) can make of them."""
    held: dict[str, Decimal] = {}
    coming: dict[str, Decimal] = {}
    going: dict[str, Decimal] = {}
    quote = view.state.quote
    for position in view.state.positions:
        if position.qty == 0:
            continue
        base, other = assets_of(position.symbol)
        held[base] = held.get(base, ZERO) + position.qty
        if plain(other) != quote:
            # a position in a cross was paid for with its quote asset
            _add(held, other, -position.qty * position.avg_px)
    for reservation in view.state.reservations if extra is None else (*view.state.reservations, extra):
        base, other = assets_of(reservation.symbol)
        buys = reservation.side == "buy"
        _add(coming if buys else going, base, reservation.qty_left)
        if buys and plain(other) != quote:
            _add(going, other, reservation.amount)
    by_asset: dict[str, Decimal] = {}
    gross = net = ZERO
    for asset in sorted({*held, *coming, *going}):
        price = prices.of(asset)
        if price is None:
            return Exposure(by_asset, gross, net, asset)
        most = least = held.get(asset, ZERO)
        if coming and asset in coming:
            most += coming[asset]
        if going and asset in going:
            least -= going[asset]
        worst = abs(most if most is least else max(most, least, key=abs)) * price
        coin = plain(asset)
        by_asset[coin] = by_asset[coin] + worst if coin in by_asset else worst
        gross += worst
        net += most * price
    return Exposure(by_asset, gross, net, "")


def open_trades(view: FirmView) -> set[tuple[str, str]]:
    """Name the (agent, symbol) pairs with a position worth more than dust, or an opening being worked.

    What an agent has of a symbol at several exchanges is one trade, of the plain symbol.
    """
    open_: set[tuple[str, str]] = set()
    for h in view.state.holdings:
        position = view.position(h.symbol)
        value = abs(h.qty) * position.mark if position is not None else DUST
        # what was there before anybody traded is nobody's trade
        if h.qty != 0 and value >= DUST and h.agent != OPENING:
            open_.add((h.agent, plain(h.symbol)))
    for r in view.state.reservations:
        if r.asset == assets_of(r.symbol)[1]:  # what leaves a position reserves of it, what opens one money
            open_.add((r.agent, plain(r.symbol)))
    return open_


def _add(to: dict[str, Decimal], asset: str, qty: Decimal) -> None:
    to[asset] = to.get(asset, ZERO) + qty
