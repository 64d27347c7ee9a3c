"""Venues' lists of levels, `[["61737.63","0.5"],...]`, read into whole numbers of a grid.

Problem: nearly all of a book's time goes into texts of numbers, and each must become a whole number without
rounding. `read_pairs` reads what venues write, digit by digit; it is a scalar core that can be compiled
(`compiled_books`). Whatever else JSON allows is left to `read_plain`, which reads or refuses it.

Not here: what surrounds the lists (`book_frames`).

Invariant: both readers give the same numbers, and nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from parley.books import ASK, BID, Grid, Whole, scaled

Texts = list[tuple[str, str]]
Columns = tuple[Whole, Whole, Whole]
"""Sides, prices and sizes."""

NOT_SIMPLE: Final = -1
SHORTEST_PAIR: Final = len('["1","2"]')
_OPEN, _CLOSE, _QUOTE, _COMMA, _POINT, _ZERO = b'[]",.0'
# A number that can take one more digit and stay within 63 bits.
_MOST: Final = (1 << 62) // 10

_read_texts = msgspec.json.Decoder(Texts).decode


class ReadLevels(Protocol):
    """Reads the bids and asks of one message."""

    def __call__(self, bids: msgspec.Raw, asks: msgspec.Raw, grid: Grid) -> Columns:
        """Return sides, prices and sizes, bids first.

        Raises
        ------
        msgspec.DecodeError, ProtocolError
            When a list is none of levels, or a number does not lie on the grid.
        """


def read_pairs(
    text: npt.NDArray[np.uint8],
    decimals: tuple[int, int],
    start: int,
    prices: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> int:
    """Read a list of pairs into rows from `start` on and return the row behind it, or NOT_SIMPLE.

    Parameters
    ----------
    text : bytes of the list, without blanks.
    decimals : of prices and of sizes; digits behind them must be 0.
    prices, sizes : with room for a row per `SHORTEST_PAIR` bytes.
    """
    end, at, row = len(text), 1, start
    if end < 2 or text[0] != _OPEN or text[end - 1] != _CLOSE:
        return NOT_SIMPLE
    if end == 2:
        return row
    while True:
        # A pair is its bracket, two quoted numbers with a comma between them, and its bracket.
        for column in range(2):
            if at + 2 > end or text[at] != (_OPEN if column == 0 else _COMMA) or text[at + 1] != _QUOTE:
                return NOT_SIMPLE
            at += 2
            value, digits, behind = 0, 0, -1
            while at < end and text[at] != _QUOTE:
                digit = text[at] - 48
                if text[at] == _POINT:
                    if behind >= 0 or digits == 0:
                        return NOT_SIMPLE
                    behind = 0
                elif text[at] < 48 or text[at] > 57 or value > _MOST:
                    return NOT_SIMPLE
                else:
                    digits += 1
                    behind += behind >= 0
                    if behind <= decimals[column]:
                        value = value * 10 + digit
                    elif digit != 0:
                        return NOT_SIMPLE
                at += 1
            if digits == 0:
                return NOT_SIMPLE
            for _ in range(max(behind, 0), decimals[column]):
                if value > _MOST:
                    return NOT_SIMPLE
                value *= 10
            if column == 0:
                prices[row] = value
            else:
                sizes[row] = value
            at += 1
        row += 1
        if at + 1 >= end or text[at] != _CLOSE:
            return NOT_SIMPLE
        if at + 2 == end:
            return row
        if text[at + 1] != _COMMA:
            return NOT_SIMPLE
        at += 2


def read_plain(bids: msgspec.Raw, asks: msgspec.Raw, grid: Grid) -> Columns:
    """Read the levels of a message with plain Python; see `ReadLevels`."""
    of_bids, of_asks = _read_texts(bids), _read_texts(asks)
    both = of_bids + of_asks
    return (
        [BID] * len(of_bids) + [ASK] * len(of_asks),
        _numbers([price for price, _ in both], grid.price_decimals),
        _numbers([size for _, size in both], grid.size_decimals),
    )


def _numbers(texts: Sequence[str], decimals: int) -> list[int]:
    # Venues print one instrument's numbers with one count of decimals: then the point is just left out.
    joined = "".join(texts)
    point = texts[0].find(".") - len(texts[0]) if texts else -1
    cut = -point - 1 - decimals
    if cut >= 0 and joined.count(".") == len(texts) and joined.replace(".", "").isdecimal():
        found = [int(text.replace(".", "")) for text in texts if text[point : point + 1] == "."]
        if len(found) == len(texts):
            if not cut:
                return found
            unit = 10**cut
            kept = [number // unit for number in found]
            if [number * unit for number in kept] == found:
                return kept
    return [scaled(text, decimals) for text in texts]
