"""The course of the wallet during a simulation: what is held at every candle, and what that is worth.

Problem: freqtrade writes down every candle what the wallet holds and derives drawdown, Sharpe, Sortino and
Calmar of daily balances from that. All of it follows from the filled orders of the trades, so it is computed
from them afterwards instead of being kept while simulating, and in parts, because a year of twenty pairs has
two million rows.

Fills do not tell of orders that wait for a price, nor to the last digit of a position that is sold in parts
with funding in between: where these are possible, the simulation writes down its wallet (`Notes`).

Not here: the figures (`wallet_figures`), what single fills leave (`fills`). Invariant: what is held at a
candle is what freqtrade's wallet says of it then, at the candle's open price. Sums are made in freqtrade's
order and with its decimals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas import DataFrame
from pandas.arrays import DatetimeArray

from freqtrade_bridge.report.fills import Fills, fills_of, open_sums

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_PART: Final = 4096
"""Moments that are looked at together: tables of twenty pairs stay in the cache."""


@dataclass(frozen=True, slots=True)
class WalletRun:
    """When a simulation looked at the wallet, and how it began; times in ms UTC."""

    start: datetime
    end: datetime
    timeframe_ms: int
    stake_currency: str
    balance: float
    futures: bool

    def moments(self) -> _Ints:
        """Return the open time of every candle that was simulated, the first one left out."""
        step = self.timeframe_ms
        return np.arange(_ms(self.start) + step, _ms(self.end) + 1, step, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Holding:
    """One currency: what there was of it after each fill, and its prices; the stake currency has none.

    ``times`` int64[fills], ms UTC, ascending; ``balances`` float64[fills]; ``dates`` and ``opens`` those of
    the candles.
    """

    currency: str
    times: _Ints
    balances: _Floats
    dates: _Ints | None = None
    opens: _Floats | None = None

    def at(self, moments: _Ints) -> tuple[_Floats, _Floats]:
        """Return price and balance at these moments; NaN for no candle, 0 before the first fill."""
        seen = np.searchsorted(self.times, moments, side="left") - 1
        balances = self.balances[seen] if len(self.balances) else np.zeros(len(moments))
        balances[seen < 0] = 0.0
        if self.dates is None or self.opens is None:
            return np.ones(len(moments)), balances
        places = np.minimum(np.searchsorted(self.dates, moments), len(self.dates) - 1)
        return np.where(self.dates[places] == moments, self.opens[places], np.nan), balances


class Notes(Protocol):
    """What there was in the wallet, from which moment on: (ms UTC, balance), ascending; coins by pair."""

    @property
    def money(self) -> Sequence[tuple[int, float]]: ...
    @property
    def coins(self) -> Mapping[str, Sequence[tuple[int, float]]]: ...


class CourseRows(NamedTuple):
    """Rows of the course: by time, then in the order of the currencies."""

    moments: _Ints
    codes: npt.NDArray[np.int8] | npt.NDArray[np.int16]
    rates: _Floats
    balances: _Floats


@dataclass(frozen=True, slots=True)
class WalletCourse:
    """What the wallet holds at each moment, by currency; nothing that is zero or has no price is shown."""

    moments: _Ints
    holdings: tuple[Holding, ...]

    def parts(self) -> Iterator[CourseRows]:
        """Give the rows in parts, in order."""
        code = np.min_scalar_type(-len(self.holdings))
        for begin in range(0, len(self.moments), _PART):
            moments = self.moments[begin : begin + _PART]
            rates, balances = self._table(moments)
            rows, columns = np.nonzero((balances != 0) & np.isfinite(rates))
            yield CourseRows(
                moments[rows], columns.astype(code), rates[rows, columns], balances[rows, columns]
            )

    def worth(self) -> tuple[_Ints, _Floats]:
        """Return the moments at which something was held and what all of it was worth."""
        moments, worth = [], []
        for rows in self.parts():
            first = np.flatnonzero(np.diff(rows.moments, prepend=rows.moments[:1] - 1))
            moments.append(rows.moments[first])
            # As pandas adds up sorted groups, to the last digit: the first number comes last.
            worth.append(np.add.reduceat(rows.rates * rows.balances, first))
        return np.concatenate(moments or [_no_rows().moments]), np.concatenate(worth or [np.empty(0)])

    def _table(self, moments: _Ints) -> tuple[_Floats, _Floats]:
        rates = np.empty((len(moments), len(self.holdings)))
        balances = np.empty_like(rates)
        for column, holding in enumerate(self.holdings):
            rates[:, column], balances[:, column] = holding.at(moments)
        return rates, balances

    def frame(self) -> DataFrame:
        """Return date, currency, rate and balance, as freqtrade captures them."""
        parts = [self._batch(rows).to_pandas() for rows in self.parts()]
        return pd.concat(parts, ignore_index=True) if parts else self._batch(_no_rows()).to_pandas()

    def write(self, sink: BinaryIO) -> None:
        """Write the rows as freqtrade's feather file of them."""
        empty = self._batch(_no_rows()).to_pandas().reset_index()
        empty["total_quote"] = empty["rate"]
        schema = pa.Schema.from_pandas(empty, preserve_index=False)
        first = 0
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.ipc.new_file(sink, schema, options=options) as file:
            for rows in self.parts():
                batch = self._batch(rows)
                numbers = pa.array(np.arange(first, first + len(batch), dtype=np.int64))
                worth = pa.array(rows.rates * rows.balances)
                file.write_batch(pa.record_batch([numbers, *batch.columns, worth], schema=schema))
                first += len(batch)

    def _batch(self, rows: CourseRows) -> pa.RecordBatch:
        names = pa.array([holding.currency for holding in self.holdings], pa.large_string())
        dates = pa.array(rows.moments * 1000, pa.timestamp("us", "UTC"))
        currencies = pa.DictionaryArray.from_arrays(pa.array(rows.codes), names).dictionary_decode()
        return pa.record_batch(
            [dates, currencies, pa.array(rows.rates), pa.array(rows.balances)],
            names=["date", "currency", "rate", "balance"],
        )


def wallet_course(
    run: WalletRun, trades: DataFrame, candles: Mapping[str, DataFrame], notes: Notes | None = None
) -> WalletCourse:
    """Return what is held candle by candle, as freqtrade captures it.

    notes: what was written down while simulating; without them the course follows from the trades' fills.
    """
    pairs = list(candles)
    if notes is not None:
        coins = [
            Holding(pair.partition("/")[0], *_noted(notes.coins.get(pair, ())), *_opens(candles[pair]))
            for pair in pairs
        ]
        return WalletCourse(run.moments(), (Holding(run.stake_currency, *_noted(notes.money)), *coins))
    fills = fills_of(trades, pairs)
    holdings = [Holding(run.stake_currency, *_money(run, trades, fills))]
    if not run.futures:
        holdings += _coins(fills, pairs, candles)
    return WalletCourse(run.moments(), tuple(holdings))


def _noted(notes: Sequence[tuple[int, float]]) -> tuple[_Ints, _Floats]:
    # A holding tells what there was before a moment, a note what there is at it.
    times = np.array([moment for moment, _ in notes], dtype=np.int64) - 1
    return times, np.array([balance for _, balance in notes], dtype=np.float64)


def _money(run: WalletRun, trades: DataFrame, fills: Fills) -> tuple[_Ints, _Floats]:
    times, staked, realised = open_sums(fills)
    # Trades stand in the order of closing: freqtrade adds up their profits one by one.
    order = np.argsort(fills.closes, kind="stable")
    profits = np.append(0.0, np.cumsum(trades["profit_abs"].to_numpy(dtype=np.float64)[order]))
    closed = profits[np.searchsorted(fills.closes[order], times, side="right")]
    # In freqtrade's order of additions: where two balances are the same but for a last digit, that digit
    # says which of two days had the higher one.
    free = run.balance + (closed + realised) - staked
    money = free + staked if run.futures else free
    # Index 0 stands for the time before the first fill; a candle sees what was filled before it opened.
    return np.append(0, times), np.append(run.balance, money)


def _coins(fills: Fills, pairs: Sequence[str], candles: Mapping[str, DataFrame]) -> list[Holding]:
    order = np.lexsort((fills.times, fills.pairs))
    ends = np.searchsorted(fills.pairs[order], np.arange(len(pairs) + 1))
    found = []
    for number, pair in enumerate(pairs):
        own = order[ends[number] : ends[number + 1]]
        times, amounts = fills.times[own], fills.amounts[own]
        last = np.append(times[1:] != times[:-1], True)[: len(times)]
        name = pair.partition("/")[0]
        found.append(Holding(name, times[last], amounts[last], *_opens(candles[pair])))
    return found


def _opens(frame: DataFrame) -> tuple[_Ints, _Floats]:
    # Where they lie: copies of all pairs' dates are a tenth of the candles.
    stamps = cast(DatetimeArray, frame["date"].array)
    dates = (stamps if stamps.unit == "ms" else stamps.as_unit("ms")).asi8
    return dates, frame["open"].to_numpy(dtype=np.float64)


def _no_rows() -> CourseRows:
    none = np.empty(0)
    return CourseRows(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8), none, none)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
