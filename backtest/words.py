"""Tags and reasons: numbers of the kernel to texts of the strategy.

The kernel carries the row of a signal, or the number of a text a callback returned. Texts are looked up only
where somebody reads them.

Invariant: an entry tag is what freqtrade would pass on (None for NaN and for no column), an exit reason is
never empty except before the first exit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from backtest.candles import PairCandles
from parley.kernels import codes

NO_TAG = -1


class Words:
    """The texts of one simulation."""

    def __init__(self, candles: Sequence[PairCandles]) -> None:
        self._candles = candles
        self._columns: dict[tuple[int, str], Any] = {}
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def _place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.texts)
            self.texts.append(text)
        return place

    def code_of_tag(self, text: str) -> int:
        """The number of an entry tag a callback named."""
        return -2 - self._place(text)

    def code_of_reason(self, text: str) -> int:
        """The number of an exit reason a callback named."""
        return codes.NAMED + self._place(text)

    def _at(self, at: int, name: str, row: int) -> Any:
        column = self._columns.get((at, name))
        if column is None:
            column = getattr(self._candles[at], name)
            column = [] if column is None else np.asarray(column, dtype=object)
            self._columns[at, name] = column
        if not len(column):
            return None
        value = column[row + self._candles[at].offset]
        return None if value is None or value != value else value

    def entry_tag(self, at: int, code: int) -> str | None:
        """The tag of an entry of this pair."""
        if code == NO_TAG:
            return None
        if code < NO_TAG:
            return self.texts[-2 - code]
        found: str | None = self._at(at, "enter_tags", code)
        return found

    def reason(self, at: int, code: int, row: int) -> str:
        """Why a trade of this pair was left."""
        if code >= codes.NAMED:
            return self.texts[code - codes.NAMED]
        if code == codes.EXIT_SIGNAL and row >= 0:
            tag = self._at(at, "exit_tags", row)
            if tag:
                return str(tag)
        return codes.REASON_TEXTS[code]
