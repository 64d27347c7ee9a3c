"""What the hub knows without I/O: whether a step has arrived, what a batch holds.

Problem: three streams of a symbol arrive on three sockets in any order, and a busy desk must get the newest
state without losing a fact. `behind` says which stream has not reached the venue's marks; `Conflation`
gathers what belongs into the next batch.

Not here: sockets, ccxt, time; which candles are closed (`candle_close`).

Invariant: bars leave in order and each one once, or a gap is named; of a book and of a contract's mark only
the newest leaves; what is left out is counted; the order inside a batch depends on symbols and ids alone,
never on arrival.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from parley.messages import Bar, Book, Mark, MarketBatch, Print

MS: Final = 1_000_000
MAX_PRINTS: Final = 256
KEPT_BATCHES: Final = 4096


class Marks(msgspec.Struct, frozen=True):
    """The last candle (open time, ms), trade id, book update and mark that a symbol's streams will show."""

    candle: int | None = None
    trade: int | None = None
    book: int | None = None
    mark: int | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's announcement that all messages of a step were written; ``t`` is market time in ms."""

    step: int
    t: int
    marks: dict[str, Marks]
    candles_sent: int = 0
    fills: int = 0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How far the streams of a symbol have come here; -1 nothing yet, None not subscribed."""

    candle: int | None = -1
    trade: int | None = -1
    book: int | None = -1
    mark: int | None = -1


def behind(marks: Mapping[str, Marks], seen: Mapping[str, Seen]) -> list[str]:
    """Name the streams that have not reached their mark; empty means the step is here.

    ``Seen.candle`` is the open time of the newest closed candle. Symbols and streams that are not
    subscribed do not count.
    """
    found = []
    for symbol in sorted(seen):
        wanted, here = marks.get(symbol), seen[symbol]
        if wanted is None:
            continue
        for stream, want, have in (
            ("candle", wanted.candle, here.candle),
            # trades are numbered from 1: a mark of 0 says that there is none yet
            ("trade", wanted.trade or None, here.trade),
            ("book", wanted.book, here.book),
            ("mark", wanted.mark, here.mark),
        ):
            if want is not None and have is not None and have < want:
                found.append(f"{symbol} {stream}: wanted {want}, have {have}")
    return found


class Conflation:
    """What the next batch holds: all bars, the newest book and mark, the newest prints up to a cap for each.

    Marks of a symbol are ``mark_gap_ns`` of market time or more apart; the newest waits until it may go.
    """

    def __init__(self, max_prints: int = MAX_PRINTS, mark_gap_ns: int = 0) -> None:
        self._max_prints = max_prints
        self._mark_gap_ns = mark_gap_ns
        self._marks: dict[str, Mark] = {}
        self._marked: dict[str, int] = {}  # market time of the last mark that left, by symbol
        self._bars: list[Bar] = []
        self._books: dict[str, Book] = {}
        self._prints: dict[str, list[Print]] = {}
        self._gaps: dict[str, None] = {}
        self._skipped = 0
        self._barred = 0  # the time of the last batch with candles, ns

    def follow(self, t: int) -> None:
        """Go on behind another hub, whose last batch was of ``t``."""
        self._barred = max(self._barred, t)

    @property
    def has_news(self) -> bool:
        """Whether a batch would hold anything."""
        return bool(self._bars or self._books or self._prints or self._gaps or self._due())

    @property
    def has_bars(self) -> bool:
        """Whether a batch would hold a closed candle."""
        return bool(self._bars)

    def add_bars(self, bars: Iterable[Bar]) -> None:
        """Add closed bars; none is ever dropped."""
        self._bars.extend(bars)

    def add_book(self, book: Book) -> None:
        """Put the newest book in the place of an older one."""
        self._skipped += book.symbol in self._books
        self._books[book.symbol] = book

    def add_mark(self, mark: Mark) -> None:
        """Put the newest mark in the place of an older one."""
        self._skipped += mark.symbol in self._marks
        self._marks[mark.symbol] = mark

    def _due(self) -> list[str]:
        return [
            symbol
            for symbol, mark in sorted(self._marks.items())
            if symbol not in self._marked or mark.t >= self._marked[symbol] + self._mark_gap_ns
        ]

    def add_prints(self, symbol: str, prints: Sequence[Print]) -> None:
        """Add trades of a symbol in the venue's order; the oldest above the cap are counted as skipped."""
        if not prints:
            return
        held = self._prints.setdefault(symbol, [])
        held.extend(prints)
        excess = len(held) - self._max_prints
        if excess > 0:
            self._skipped += excess
            del held[:excess]

    def add_gap(self, note: str) -> None:
        """Note that something was missed; told once in the next batch."""
        self._gaps[note] = None

    def take(self, step: int, t: int, fills_due: int = -1) -> MarketBatch:
        """Return everything gathered as one batch at market time `t` (ns) and start anew.

        A batch is never of a time before its candles closed, whatever was last heard of the time, and two
        with candles are never of one time: rounds are named by it, so the second would be the first again.
        """
        if self._bars:
            t = max([t, self._barred + 1, *(bar.t_open + bar.tf_ns for bar in self._bars)])
            self._barred = t
        batch = MarketBatch(
            step=step,
            t=t,
            bars=tuple(sorted(self._bars, key=lambda bar: (bar.t_open, bar.symbol))),
            books=tuple(self._books[symbol] for symbol in sorted(self._books)),
            prints=tuple(each for symbol in sorted(self._prints) for each in self._prints[symbol]),
            fills_due=fills_due,
            skipped=self._skipped,
            gaps=tuple(sorted(self._gaps)),
            marks=tuple(self._marks.pop(symbol) for symbol in self._due()),
        )
        self._marked.update({mark.symbol: mark.t for mark in batch.marks})
        self._bars, self._books, self._prints, self._gaps, self._skipped = [], {}, {}, {}, 0
        return batch


class Sent:
    """What the last batches held, for a desk that was killed before it was durable there."""

    def __init__(self, most: int = KEPT_BATCHES) -> None:
        self._kept: deque[tuple[int, tuple[Bar, ...], tuple[str, ...]]] = deque(maxlen=most)
        self._forgotten = 0  # the newest step that is not kept any more

    def keep(self, batch: MarketBatch) -> None:
        """Keep the bars and gaps of a batch."""
        if len(self._kept) == self._kept.maxlen:
            self._forgotten = self._kept[0][0]
        self._kept.append((batch.step, batch.bars, batch.gaps))

    def take_after(self, step: int) -> tuple[list[Bar], list[str]]:
        """Give back, once, the bars and gaps behind a step; what is not kept any more is a gap."""
        lost = [each for each in self._kept if each[0] > step]
        self._kept = deque((each for each in self._kept if each[0] <= step), self._kept.maxlen)
        gaps = [gap for _, _, gaps in lost for gap in gaps]
        if self._forgotten > step:
            gaps.append(f"desk: steps {step + 1} to {self._forgotten} were not durable and are not kept")
        return [bar for _, bars, _ in lost for bar in bars], gaps
