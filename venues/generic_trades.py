"""Public trades with numbers that grow, whatever a venue calls them.

Problem: a feed reads on behind the last number it has, and venues name trades by texts, by nothing, or by
numbers that jump back. So each trade gets a number when it is first seen: the venue's own where that grows,
else one more than the last. What is told twice keeps one number.

Not here: where trades come from. Invariant: numbers grow strictly, in the order in which trades came.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

_KEPT: Final = 10_000
_MOST_DIGITS: Final = 18
Trade = Mapping[str, Any]


class NumberedTrades:
    """The trades of one symbol."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._kept: deque[Trade] = deque(maxlen=most)
        self._keys: dict[object, None] = {}
        self._newest: Trade | None = None
        self._number = 0

    def read(self, cache: Sequence[Trade] | None) -> Sequence[Trade]:
        """Take in what is new at the end of a cache, and return the trades kept, oldest first."""
        new: list[Trade] = []
        for each in reversed(cache) if cache else ():
            if each is self._newest:
                break
            new.append(each)
        for each in reversed(new):
            self._newest = each
            self._take(each)
        return self._kept

    def _take(self, trade: Trade) -> None:
        # without ids two equal trades of one millisecond are one: better than telling each page again
        key = trade["id"] or (trade["timestamp"], trade["price"], trade["amount"], trade["side"])
        if key in self._keys:
            return
        self._keys[key] = None
        if len(self._keys) > 2 * self._most:
            self._keys = dict.fromkeys(list(self._keys)[self._most :])
        name = str(trade["id"] or "")
        own = int(name) if name.isascii() and name.isdigit() and len(name) <= _MOST_DIGITS else 0
        self._number = max(self._number + 1, own)
        self._kept.append({**trade, "id": self._number})
