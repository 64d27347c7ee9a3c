"""What the market did: candles, prints, book tops, marks, and the batch the desk admits.

Prices and quantities are float64 here because they are features, not orders;
whoever makes an order from them quantises with the instrument. ``t`` and
``t_open`` are market time in ns since the epoch.
"""

from .wire import Wire


class Bar(Wire, frozen=True, kw_only=True, tag=1):
    """A closed candle. ``t_open`` is its open time, ``tf_ns`` its length; volume in base currency."""

    symbol: str
    tf_ns: int
    t_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Print(Wire, frozen=True, kw_only=True, tag=2):
    """A public trade. ``side`` is the taker's: +1 bought, -1 sold."""

    symbol: str
    t: int
    px: float
    qty: float
    side: int


class Book(Wire, frozen=True, kw_only=True, tag=3):
    """The top of a book, best first: ``bids``, ``asks`` as (price, quantity); ``seq`` is the venue's."""

    symbol: str
    t: int
    seq: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]

    @property
    def mid(self) -> float:
        return (self.bids[0][0] + self.asks[0][0]) / 2


class Mark(Wire, frozen=True, kw_only=True, tag=6):
    """What a contract is marked at, and the funding it pays next.

    ``rate`` is the share of a position's worth that longs pay shorts (below 0: shorts pay longs) at
    ``next_funding``, market time in ns; None, or 0: the venue does not say.
    """

    symbol: str
    t: int
    px: float
    rate: float | None = None
    next_funding: int = 0


class MarketBatch(Wire, frozen=True, kw_only=True, tag=4):
    """All the desk saw of the market between two cascades, conflated per symbol by the hub.

    ``t`` is market time, ``step`` the hub's batch number, ``skipped`` how many
    updates were conflated away. In lock-step ``fills_due`` is the number of own
    fills the venue had made by then (-1 otherwise): the desk sees them first.
    """

    step: int
    t: int
    bars: tuple[Bar, ...] = ()
    books: tuple[Book, ...] = ()
    prints: tuple[Print, ...] = ()
    fills_due: int = -1
    skipped: int = 0
    gaps: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


class Trigger(Wire, frozen=True, kw_only=True, tag=5):
    """Why a round opens. ``kind``: bar, analysis, fill, timer, cmd; ``md_seq``: seq of the batch under it."""

    source: str
    symbol: str
    kind: str
    payload_hash: bytes
    md_seq: int
    t: int
    nth: int = 0
