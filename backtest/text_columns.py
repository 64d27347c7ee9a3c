"""Columns of texts of which there are few: tags and reasons, as numbers of words until somebody wants texts.

Problem: pandas looks at every object of a column to find out that it is text, and copies it. A column that is
known to be words of a short list becomes one in a tenth of that time.

Invariant: the column is what pandas would have made of the texts: `str` with NaN for None; objects where a
value is no text, or none is there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray


class Texts(NamedTuple):
    """A text for each row, None where there is none."""

    places: NDArray[np.int64]
    """Which word each row has."""
    words: list[Any]

    def at(self, row: int) -> Any:
        """The text of one row."""
        return self.words[self.places[row]]

    def column(self) -> Any:
        """The texts as a column of a frame."""
        used = np.bincount(self.places, minlength=len(self.words)) > 0
        words = [word if there else None for word, there in zip(self.words, used.tolist(), strict=True)]
        known = [word for word in words if word is not None]
        if not known or not all(isinstance(word, str) for word in known):
            table = np.empty(len(words), dtype=object)
            table[:] = words
            return table[self.places]
        taken = pa.array(words, pa.large_string()).take(pa.array(self.places))
        return pd.StringDtype(na_value=np.nan).__from_arrow__(taken)  # type: ignore[attr-defined]


def look_up(
    pairs: NDArray[np.int64], rows: NDArray[np.int64], columns: Sequence[Any], offsets: Sequence[int]
) -> Texts:
    """The value of each pair's column at each row, None for no row, for no column and for NaN."""
    places = np.zeros(len(rows), np.int64)
    words: list[Any] = [None]
    known: dict[str, int] = {}
    # The rows of a pair beside each other, so that each column is looked at once.
    here = np.flatnonzero(rows >= 0)
    # Numbers of two bytes are sorted by counting, ten times as fast.
    few = np.uint16 if len(columns) < 1 << 16 else np.int64
    here = here[np.argsort(pairs[here].astype(few), kind="stable")]
    bounds = np.searchsorted(pairs[here], np.arange(len(columns) + 1))
    for at in np.flatnonzero(np.diff(bounds)).tolist():
        column = columns[at]
        if column is None:
            continue
        mine = here[bounds[at] : bounds[at + 1]]
        if _is_blank(column):
            places[mine] = _place_of("", words, known)
            continue
        values = np.array(column.take(rows[mine] + offsets[at]), dtype=object)
        values[pd.isna(values)] = None
        places[mine] = [_place_of(value, words, known) for value in values.tolist()]
    return Texts(places, words)


def _place_of(value: Any, words: list[Any], known: dict[str, int]) -> int:
    if value is None:
        return 0
    if not isinstance(value, str):
        # Equal values may be of different types.
        words.append(value)
        return len(words) - 1
    place = known.get(value)
    if place is None:
        place = known[value] = len(words)
        words.append(value)
    return place


def _is_blank(column: Any) -> bool:
    """Whether a text column is empty everywhere, which it is for most strategies: then its texts have no
    bytes."""
    if not hasattr(column, "__arrow_array__"):
        return False
    texts = column.__arrow_array__()
    if texts.null_count:
        return False
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return not any(buffer is not None and buffer.size for chunk in chunks for buffer in chunk.buffers()[2:])
