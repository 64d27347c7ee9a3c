"""Where candles come from: freqtrade's data folders, Parley's files, frames in memory.

Problem: freqtrade names a file after pair and timeframe inside a folder per exchange, Parley puts the
exchange into the name and may spread a series over several files; both must look alike to whoever trims and
fills them.

Not here: whether rows are sound, trimming, filling (`candles`). Invariant: `read` returns the columns of
freqtrade's candle type in its order, `date` as UTC milliseconds, rows as they are stored; no such series is
an empty frame.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from freqtrade.candle_columns import get_candle_columns, get_candle_dtypes
from freqtrade.configuration import TimeRange
from freqtrade.data.history.datahandlers.idatahandler import IDataHandler, get_datahandlerclass
from freqtrade.enums import CandleType, TradingMode
from pandas import DataFrame
from pyarrow import feather

from parley.errors import DataError

Key = tuple[str, str, CandleType]
"""Pair, timeframe, kind of candle."""

# freqtrade's own default first.
FORMATS: Final = ("feather", "parquet", "json", "jsongz")
# Parley names venues as ccxt does, one per kind of market; freqtrade has one name for all of them.
_FUTURES_NAMES: Final = {"binance": "binanceusdm", "kraken": "krakenfutures"}
_NAME: Final = re.compile(
    r"(?P<exchange>[a-z0-9]+)-(?P<base>[^\W_]+)_(?P<quote>[^\W_]+)(?:_(?P<settle>[^\W_]+))?"
    r"(?:-(?P<timeframe>[1-9][0-9]*[smhdwM]))?(?:-(?P<kind>futures|mark|index|premiumIndex|funding_rate))?"
    r"(?:-(?P<period>[^.]+))?\.parquet"
)
_ALL: Final = "ALL"


class CandleSource(Protocol):
    """A place that has candles."""

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return a series' rows; those outside the range, widened by a candle, may be left out."""

    def place(self, key: Key) -> str:
        """Say where the series is, or would be."""

    def available(self) -> list[Key]:
        """Name every series of the configured kind of market."""


class FreqtradeFolder:
    """A data folder of freqtrade, read by its own handler of the format."""

    def __init__(self, folder: Path, data_format: str, mode: TradingMode) -> None:
        self._handler: IDataHandler = get_datahandlerclass(data_format)(folder)
        self._folder, self._format, self._mode = folder, data_format, mode
        self.note = ""
        """What the user should know of the choice of the format."""

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return the rows of the series' file.

        Raises
        ------
        DataError
            When there is a file with something in it that its format does not explain.
        """
        pair, timeframe, kind = key
        if self._format == "feather" and (timerange is None or not _is_bounded(timerange)):
            whole = _feather(self._file(key), kind)
            if whole is not None:
                return whole
        rows = self._handler._ohlcv_load(pair, timeframe, timerange, kind)
        # freqtrade takes a file it cannot read for one that is not there.
        if (
            rows.empty
            and self._file(key).is_file()
            and self._handler._ohlcv_load(pair, timeframe, None, kind).empty
        ):
            raise DataError(f"{self._file(key)}: no candles can be read from it as {self._format}")
        return rows

    def place(self, key: Key) -> str:
        """Name the file."""
        return str(self._file(key))

    def available(self) -> list[Key]:
        """Name every series of the folder."""
        found: list[Key] = self._handler.ohlcv_get_available_data(self._folder, self._mode)
        return found

    def _file(self, key: Key) -> Path:
        pair, timeframe, kind = key
        return self._handler._pair_data_filename(self._folder, pair, timeframe, kind)


class ParleyFolder:
    """Candle files called as Parley calls them, in a market store or in any folder."""

    def __init__(self, folder: Path, exchange: str, mode: TradingMode) -> None:
        self._folder, self._mode = folder, mode
        futures = mode == TradingMode.FUTURES
        self._exchanges = {exchange} | ({_FUTURES_NAMES.get(exchange, exchange)} if futures else set())
        self._files: dict[Key, list[Path]] = {}
        self._tables: dict[tuple[str, str, CandleType], list[Path]] = {}
        for path in sorted(path for each in _folders(folder) for path in each.glob("*.parquet")):
            self._take(path)

    def _take(self, path: Path) -> None:
        name = _NAME.fullmatch(path.name)
        if name is None or name["exchange"] not in self._exchanges:
            return
        kind = CandleType.from_string(name["kind"] or "")
        if name["base"] == _ALL:
            self._tables.setdefault((name["quote"], name["timeframe"] or "", kind), []).append(path)
            return
        pair = f"{name['base']}/{name['quote']}" + (f":{name['settle']}" if name["settle"] else "")
        self._files.setdefault((pair, name["timeframe"] or "", kind), []).append(path)

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return the rows of all files of the series in order of time.

        Funding rates are found under any timeframe, and so are mark prices, of which only those count that
        stand at a settlement; where files of several timeframes have a row of the same time, the asked one's
        is taken.
        """
        pair, timeframe, kind = key
        found = DataFrame(columns=get_candle_columns(kind))
        for each in self._keys_of(key):
            rows = _joined([_frame(pq.read_table(path), path, kind) for path in self._files[each]])
            found = rows if found.empty else _completed(found, rows)
        if found.empty and (tables := self._tables.get((pair.partition("/")[2], timeframe, kind))):
            of_pair = [(path, _of_many(path).get(pair)) for path in tables]
            parts = [_frame(rows, path, kind) for path, rows in of_pair if rows is not None]
            found = _joined(parts) if parts else found
        return found

    def _keys_of(self, key: Key) -> list[Key]:
        pair, _, kind = key
        own = [key] if key in self._files else []
        if kind not in (CandleType.FUNDING_RATE, CandleType.MARK):
            return own
        return own + sorted(
            each for each in self._files if each != key and each[0] == pair and each[2] == kind
        )

    def _files_of(self, key: Key) -> list[Path]:
        return [path for each in self._keys_of(key) for path in self._files[each]]

    def place(self, key: Key) -> str:
        """Name the files, or the folder where they would be."""
        files = self._files_of(key) or self._tables.get((key[0].partition("/")[2], key[1], key[2]), [])
        return ", ".join(str(path) for path in files) or f"{self._folder} ({key[0]} {key[1]} {key[2]})"

    def available(self) -> list[Key]:
        """Name every series of the folder, those in tables of many pairs included."""
        many = [
            (pair, timeframe, kind)
            for (_, timeframe, kind), paths in self._tables.items()
            for path in paths
            for pair in _of_many(path)
        ]
        futures = self._mode == TradingMode.FUTURES
        return [key for key in [*self._files, *many] if (key[2] != CandleType.SPOT) == futures]


class GivenFrames:
    """Candles that the caller has in memory already."""

    def __init__(self, frames: Mapping[Key, DataFrame]) -> None:
        self._frames = dict(frames)

    def read(self, key: Key, timerange: TimeRange | None) -> DataFrame:
        """Return a copy of the frame."""
        kind = key[2]
        if key not in self._frames:
            return DataFrame(columns=get_candle_columns(kind))
        return _typed(self._frames[key].copy(), f"the frame of {key[0]} {key[1]}", kind)

    def place(self, key: Key) -> str:
        """Say which frame."""
        return f"the frame of {key[0]} {key[1]} {key[2]}"

    def available(self) -> list[Key]:
        """Name every frame."""
        return list(self._frames)


def open_folder(folder: Path, data_format: str | None, exchange: str, mode: TradingMode) -> CandleSource:
    """Return what reads a folder: freqtrade's names of the format, else Parley's.

    Without a format it is freqtrade's own default. Only a folder without any such file is looked at for
    Parley's names, and then for the format most of its files have.
    """
    chosen = FreqtradeFolder(folder, data_format or FORMATS[0], mode)
    if data_format is not None or chosen.available():
        return chosen
    if any(_NAME.fullmatch(path.name) for each in _folders(folder) for path in each.glob("*.parquet")):
        return ParleyFolder(folder, exchange, mode)
    if (most := _most_used(folder, mode)) != FORMATS[0]:
        chosen = FreqtradeFolder(folder, most, mode)
        chosen.note = (
            f"{folder}: there are no {FORMATS[0]} candles, which freqtrade reads by default; those in {most}"
            f" are read (freqtrade: --data-format-ohlcv {most})"
        )
    return chosen


def _is_bounded(timerange: TimeRange) -> bool:
    return "date" in (timerange.starttype, timerange.stoptype)


def _feather(path: Path, kind: CandleType) -> DataFrame | None:
    """A whole file of freqtrade's as it is, each column for itself: one that is not needed can be let go.

    None where freqtrade's handler must look: no such file, an older layout, or something else.
    """
    columns = get_candle_columns(kind)
    try:
        table = feather.read_table(path, memory_map=True)
    except (OSError, pa.ArrowException):
        return None
    if not set(columns).issubset(table.column_names) or not len(table):
        return None
    rows = table.select(columns).to_pandas(split_blocks=True).astype(get_candle_dtypes(kind))
    rows["date"] = rows["date"].dt.as_unit("ms")
    return rows


def _joined(parts: list[DataFrame]) -> DataFrame:
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    if not all(part["date"].is_monotonic_increasing for part in parts):
        # Sorting would hide what is wrong with a file from whoever checks the rows.
        return pd.concat(parts, ignore_index=True)
    return pd.concat(parts, ignore_index=True).sort_values("date", kind="stable", ignore_index=True)


def _completed(rows: DataFrame, others: DataFrame) -> DataFrame:
    return _joined([rows, others[~others["date"].isin(rows["date"])]])


def _folders(folder: Path) -> list[Path]:
    return [each for each in (folder, folder / "candles", folder / "futures") if each.is_dir()]


def _most_used(folder: Path, mode: TradingMode) -> str:
    counts = {
        name: len(get_datahandlerclass(name).ohlcv_get_available_data(folder, mode)) for name in FORMATS
    }
    return max(FORMATS, key=lambda name: counts[name])


@cache
def _of_many(path: Path) -> dict[str, pa.Table]:
    table = pq.read_table(path)
    if "pair" not in table.column_names:
        raise DataError(f"{path}: a table of many pairs must have a column 'pair', has {table.column_names}")
    return {
        pair: table.filter(pc.equal(table["pair"], pair)) for pair in pc.unique(table["pair"]).to_pylist()
    }


def _frame(table: pa.Table, path: Path, kind: CandleType) -> DataFrame:
    return _typed(table.to_pandas(), str(path), kind)


def _typed(rows: DataFrame, place: str, kind: CandleType) -> DataFrame:
    columns = get_candle_columns(kind)
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise DataError(f"{place}: candles must have columns {columns}, {missing} are missing")
    rows = rows.loc[:, columns].astype(get_candle_dtypes(kind))
    rows["date"] = pd.to_datetime(rows["date"], utc=True).dt.as_unit("ms")
    return rows.reset_index(drop=True)
