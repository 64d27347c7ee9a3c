"""Features of the top of a book and of the tape.

The functions expect a book that passed `usable_book`: both sides there, positive,
finite and not crossed. Not here: what a feature predicts.
"""

from collections.abc import Sequence
from math import nan

import msgspec

from parley.messages.market import Book, Print


def usable_book(book: Book) -> bool:
    """Whether the best bid and ask are there, finite, positive and not crossed."""
    if not book.bids or not book.asks:
        return False
    bid, bid_qty = book.bids[0]
    ask, ask_qty = book.asks[0]
    return 0.0 < bid < ask < 1e15 and 0.0 < bid_qty < 1e18 and 0.0 < ask_qty < 1e18


def spread_bps(book: Book) -> float:
    """Best ask minus best bid in basis points of the mid."""
    bid, ask = book.bids[0][0], book.asks[0][0]
    return 2e4 * (ask - bid) / (ask + bid)


def imbalance(book: Book, depth: int) -> float:
    """Compare the quantities of the first ``depth`` levels: +1 only bids, -1 only asks.

    A level that is not a positive finite quantity counts as empty.
    """
    bids = asks = 0.0
    for _, qty in book.bids[:depth]:
        if 0.0 < qty < 1e18:
            bids += qty
    for _, qty in book.asks[:depth]:
        if 0.0 < qty < 1e18:
            asks += qty
    return (bids - asks) / (bids + asks) if bids + asks > 0.0 else 0.0


def microprice(book: Book) -> float:
    """Mid weighted by the opposite best quantities: nearer to the side that is about to give way."""
    bid, bid_qty = book.bids[0]
    ask, ask_qty = book.asks[0]
    return bid + (ask - bid) * (bid_qty / (bid_qty + ask_qty))


class TradeFlow(msgspec.Struct):
    """Decayed signed over decayed total turnover of the tape, in [-1, 1]; one step per batch."""

    half_life: float
    signed: float = 0.0
    total: float = 0.0
    count: int = 0
    value: float = nan
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.half_life > 0.0:
            raise ValueError(f"half_life must be above 0, was {self.half_life!r}")
        self.decay = 0.5 ** (1.0 / self.half_life)

    @property
    def ready(self) -> bool:
        return self.count >= self.half_life and self.total > 0.0

    def update(self, signed: float, total: float) -> float:
        """Take a batch's signed and total turnover (quote); give the balance, 0 without any trade."""
        self.signed = self.signed * self.decay + signed
        self.total = self.total * self.decay + total
        self.count += 1
        self.value = max(-1.0, min(1.0, self.signed / self.total)) if self.total > 1e-12 else 0.0
        return self.value


def turnover(prints: Sequence[Print]) -> dict[str, tuple[float, float]]:
    """Sum the tape by symbol: signed and total turnover in quote; unusable prints are left out."""
    sums: dict[str, tuple[float, float]] = {}
    for p in prints:
        px, symbol = p.px, p.symbol
        value = px * p.qty
        if 0.0 < value < 1e18 and 0.0 < px < 1e15:
            signed, total = sums.get(symbol, (0.0, 0.0))
            sums[symbol] = (signed + (value if p.side > 0 else -value), total + value)
    return sums
