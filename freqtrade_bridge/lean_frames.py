"""What is kept of frames: between a strategy's two looks its own columns, then what a simulation reads.

Problem: freqtrade computes the indicators of all pairs before the signals of the first, so all frames of a
run are there at once: a year of twenty pairs is a third of a gigabyte, most of it candles and counts of
decimals that are there already.

Not here: calling the strategy (`analysis`). Invariant: a packed frame comes back with the same columns,
values, types and order; where a frame is not what a strategy usually makes of it, it is kept as it is.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pandas import DataFrame, Series, StringDtype

PRICES: Final = ("open", "high", "low", "close")
# The columns freqtrade's loop reads, in its order.
READ: Final = (
    "date", *PRICES, "enter_long", "exit_long", "enter_short", "exit_short", "enter_tag", "exit_tag",
)  # fmt: skip


SIMULATED: Final = ("date", *PRICES)
"""The columns of candles that a simulation reads."""
REPORTED: Final = ("date", "open", "close")
"""The columns of candles that a report reads."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A frame without the columns it was handed; ``whole`` if nothing could be left out."""

    own: DataFrame
    order: tuple[str, ...]
    whole: bool = False


def pack(frame: DataFrame, seen: DataFrame) -> Packed:
    """Leave out of a frame what a strategy was shown and did not change."""
    if not (frame.columns.is_unique and frame.index.equals(seen.index)):
        return Packed(frame, (), whole=True)
    order = tuple(frame.columns)
    own = [name for name in order if name not in seen or not _is_same(frame[name], seen[name])]
    return Packed(_of({name: frame[name] for name in own}, frame), order)


def unpack(packed: Packed, seen: DataFrame) -> DataFrame:
    """Return the frame that was packed."""
    if packed.whole:
        return packed.own
    own = packed.own
    return _of({name: own[name] if name in own else seen[name] for name in packed.order}, own)


def lean(frame: DataFrame, candles: DataFrame) -> DataFrame:
    """Keep what a simulation reads; dates and prices are the candles' own where the strategy left them."""
    shared = {name for name in ("date", *PRICES) if _is_same(frame[name], candles[name])}
    columns = {
        name: candles[name].array if name in shared else _small(frame[name])
        for name in READ
        if name in frame.columns
    }
    return DataFrame(columns, index=frame.index, copy=False)


def _of(columns: dict[str, Series], like: DataFrame) -> DataFrame:
    return DataFrame(columns, index=like.index, copy=False)


def _is_same(mine: Series, other: Series) -> bool:
    return mine.dtype == other.dtype and mine.equals(other)


def _small(column: Series) -> Any:
    # A signal fits into a byte; a tag is one of few texts.
    if isinstance(column.dtype, StringDtype):
        return pa.array(column.array).dictionary_encode().to_pandas().array
    values = column.to_numpy()
    if values.dtype == np.float64 and bool(((values == 1) | (values == 0) | np.isnan(values)).all()):
        return (values == 1).view(np.uint8)
    return column.array


def thin_out(frames: dict[str, DataFrame], columns: Sequence[str]) -> None:
    """Leave only these columns of every frame, in place."""
    for pair, frame in frames.items():
        frames[pair] = _of({name: frame[name] for name in columns}, frame)


def give_back_memory() -> None:
    """Give the system what is free: allocators keep the space of frames that are gone."""
    pa.default_memory_pool().release_unused()
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    # glibc's; other C libraries do without.
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
