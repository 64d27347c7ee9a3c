"""Turns rows of candles that still change into closed bars, each once, and says when rows cannot be trusted.

Problem: a venue's stream tells a candle again and again while it forms, and the one that forms when the
connection breaks looks whole once the next one has opened. What was traded in between is not in it, nor in
the candles of the break. So after a break the first candle to close has to have changed since, with none
missing before it; otherwise `is_unsure` asks for the venue's own list (REST) and nothing closes until
`settle` brought it or told that there is none. A hub that follows another one begins in the same doubt
(`go_on_after`).

Not here: where rows come from (`runtime.hub`), when a candle is due (`agents`).

Invariant: bars leave in order and each one once; a candle of which a part may be missing does not leave; what
did not leave is counted in `missed`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from parley.messages import Bar

MS: Final = 1_000_000

Row = tuple[int, float, float, float, float, float]
"""Open time in ms, open, high, low, close, base volume."""


class CandleClose:
    """Closed candles of one symbol: a candle is closed when a newer one opened.

    Rows may come again, and the newest one changes until it is closed. ``closed`` is the open time (ms) of
    the last candle that left or was given up, -1 before the first.
    """

    def __init__(self, symbol: str, tf_ms: int) -> None:
        self._symbol = symbol
        self._tf_ms = tf_ms
        self._forming: Row | None = None
        self._breaks = 0
        self._asked_after = 0  # so many breaks
        self._is_broken = False
        self._at_breaks: set[Row] = set()
        self._settled = -1  # open time (ms) of the candle up to which the list was asked
        self.is_unsure = False
        self.closed = -1
        self.missed = 0

    def take(self, rows: Sequence[Row]) -> tuple[Bar, ...]:
        """Return the bars that closed; `rows` are the newest rows by open time, the last one still forming.

        A hole between two closed candles adds to `missed`.
        """
        if self._at_breaks:  # one that changed since is told whole
            told = {row[0]: row for row in rows}
            self._at_breaks = {row for row in self._at_breaks if told.get(row[0], row) == row}
        if self.is_unsure:
            return ()
        bars = []
        for row in rows[:-1]:
            if row[0] <= self.closed:
                continue
            if self._is_broken:
                if self._may_lack(row):
                    self.is_unsure, self._asked_after = True, self._breaks
                    break
                self._is_broken = False
                self._at_breaks.clear()
            bars.append(self._close(row))
        if rows and (self._forming is None or rows[-1][0] > self._forming[0]):
            self._forming = rows[-1]
        return tuple(bars)

    def take_last(self, row: Row, *, is_certain: bool) -> tuple[Bar, ...]:
        """Close the newest candle with none after it, because the venue said it is closed.

        Taken only if it differs from how it was first seen, or if the caller is certain that nothing
        more of it will come.
        """
        if row[0] <= self.closed or (row == self._forming and not is_certain):
            return ()
        return (self._close(row),)

    def broken(self, rows: Sequence[Row]) -> None:
        """Note that the connection broke when these were the rows that have not closed."""
        self._is_broken = True
        self._breaks += 1
        self._at_breaks.update(rows)

    def go_on_after(self, closed: int) -> None:
        """Begin behind another one's last candle, opened at `closed` (ms): what came since is unsure."""
        self.closed = closed
        self._is_broken = self.is_unsure = True
        self._breaks += 1

    @property
    def unsure_since(self) -> int:
        """Open time (ms) from which on candles may lack something."""
        first = min((row[0] for row in self._at_breaks), default=0)
        return first if self.closed < 0 else self.closed + self._tf_ms

    def settle(self, rows: Iterable[Row], opened: int) -> tuple[Bar, ...]:
        """Take the venue's own list in place of what is unsure up to the candle that opened at `opened` (ms).

        What the list lacks is given up and counted. What was forming at a break and is not older than that
        stays in doubt, and so does all that is newer if a break came since the list was asked for.
        """
        bars = [self._close(row) for row in sorted(rows) if self.closed < row[0] < opened]
        for row in sorted(self._at_breaks):
            if self.closed < row[0] < opened:
                self.missed += 1 if self.closed < 0 else (row[0] - self.closed) // self._tf_ms
                self.closed = row[0]
        self._at_breaks = {row for row in self._at_breaks if row[0] >= opened}
        self.is_unsure, self._settled = False, opened
        self._is_broken = self._breaks > self._asked_after or bool(self._at_breaks)
        return tuple(bars)

    def _may_lack(self, row: Row) -> bool:
        """Whether a part of a row that closes first after a break, or a candle before it, may be missing."""
        # while a candle forms each message tells all of it: one that changed after the break is whole
        if row in self._at_breaks:
            return True
        before = row[0] - self._tf_ms
        return 0 <= self.closed < before and self._settled <= before  # what the list lacked once it lacks

    def _close(self, row: Row) -> Bar:
        t_open, open_, high, low, close, volume = row
        if self.closed >= 0 and t_open > self.closed + self._tf_ms:
            self.missed += (t_open - self.closed) // self._tf_ms - 1
        self.closed = t_open
        return Bar(
            symbol=self._symbol, tf_ns=self._tf_ms * MS, t_open=t_open * MS, open=open_, high=high, low=low,
            close=close, volume=volume,
        )  # fmt: skip
