"""Trades one by one, as freqtrade's result has them, without keeping them as objects.

Problem: twenty thousand trades as dictionaries take more memory than the candles they came of and more time
than the simulation, and are only read once more, to be written.

Not here: the file (`files`). Invariant: a record has freqtrade's columns in freqtrade's order and the weekday
of closing, a trace of how freqtrade computes its breakdown; written as text it is what freqtrade writes.
"""

import gc
from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

import numpy as np
import orjson
from pandas import DataFrame, Series

Record = dict[str, Any]

_PART: Final = 2048
_DATES: Final = ("open_date", "close_date")
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY


class TradeRecords(Sequence[Record]):
    """A list of trades that makes each when it is asked for."""

    def __init__(self, trades: DataFrame) -> None:
        self._trades = trades

    def __len__(self) -> int:
        return len(self._trades)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return self._records(self._trades.iloc[place], as_text=False)
        one = range(len(self))[place]
        return self._records(self._trades.iloc[one : one + 1], as_text=False)[0]

    def __iter__(self) -> Iterator[Record]:
        for part in self._parts():
            yield from self._records(part, as_text=False)

    def best_and_worst(self) -> tuple[Record, Record]:
        """Return the first trade with the highest profit ratio and the first with the lowest."""
        ratios = self._trades["profit_ratio"].to_numpy(dtype=np.float64)
        return self[int(ratios.argmax())], self[int(ratios.argmin())]

    def as_json(self) -> Iterator[bytes]:
        """Give the JSON array in parts."""
        yield b"["
        for number, part in enumerate(self._parts()):
            yield (b"," if number else b"") + self._json(part)[1:-1]
        yield b"]"

    def _json(self, part: DataFrame) -> bytes:
        # Thousands of dictionaries are made and none is garbage: spare the collector the looking.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return orjson.dumps(self._records(part, as_text=True), default=str, option=_OPTIONS)
        finally:
            if collecting:
                gc.enable()

    def _parts(self) -> Iterator[DataFrame]:
        for begin in range(0, len(self._trades), _PART):
            yield self._trades.iloc[begin : begin + _PART]

    def _records(self, part: DataFrame, *, as_text: bool) -> list[Record]:
        columns = {name: part[name] for name in part.columns}
        columns["weekday"] = part["close_date"].dt.day_of_week
        values = [
            _shown(column) if as_text and name in _DATES else column.tolist()
            for name, column in columns.items()
        ]
        names = list(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _shown(dates: Series) -> list[str]:
    # `str` of every time stamp, which the file has, without making the time stamps.
    moments = dates.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    seconds = moments.astype("datetime64[s]")
    if not np.array_equal(seconds, moments):
        return [str(date) for date in dates]
    return [f"{text[:10]} {text[11:]}+00:00" for text in np.datetime_as_string(seconds).tolist()]
