"""Turn files of market data into other formats, names and timeframes.

Problem: one folder holds a pair in several files and timeframes, and the wish is one file per series in
another form. All of it is written beside the target first, so a wrong row in the last file leaves no half of
a folder behind.

Not here: how formats look (`formats`), how candles are made (`resample`). Invariant: after an error no file
of the target was touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from parley.errors import DataError, UserError, nearest
from runtime.marketstore.formats import read_raw, write
from runtime.marketstore.merge import merge
from runtime.marketstore.resample import candles_of_trades, fits, resample
from runtime.marketstore.series import FUNDING, FUTURES_FOLDER, TRADE_KINDS, Series, is_of_many, suffix_of
from runtime.marketstore.tables import canonical, times_ms
from venues.recorded import CandleError

NAMES: Final = ("parley", "freqtrade")
_HOUR_MS: Final = 3_600_000
Say = Callable[[str], None]


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A written file; ``cut`` incomplete candles at its ends were left out, ``thin`` ones lack some rows."""

    file: str
    series: str
    rows: int
    cut: int = 0
    thin: int = 0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How files shall be: suffix, whose names, and the timeframe when another than they have."""

    suffix: str
    names: str = "parley"
    timeframe: str = ""

    def __post_init__(self) -> None:
        if self.names not in NAMES:
            raise UserError(f"there are no names {self.names!r}; {nearest(self.names, list(NAMES))}")


def export_files(
    sources: Sequence[tuple[Path, Series]], target: Path, wish: Wish, say: Say
) -> list[Exported]:
    """Write one file per series into the folder `target`, or the one there is to the file of that name.

    Raises
    ------
    DataError
        When a row of a source is wrong.
    UserError
        When nothing can be made of the sources, or the target cannot be written.
    """
    groups = _groups(sources, wish.timeframe)
    as_file = suffix_of(target) == wish.suffix and not target.is_dir()
    if as_file and len(groups) != 1:
        raise UserError(
            f"{str(target)!r} is one file, but there are {len(groups)} series to write: name a folder"
        )
    folder = target.parent if as_file else target
    staging = folder / f".parley-convert-{os.getpid()}"
    done: list[tuple[Path, Exported]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for made, (source, files) in groups.items():
            say(str(made))
            table, cut, thin = _made(made, source, _joined(source, files))
            if not len(table):
                raise UserError(f"no {made.timeframe} candle is complete in {', '.join(map(str, files))}")
            place = Path(target.name) if as_file else Path(_name(made, table, wish))
            if (staging / place).exists():
                raise UserError(
                    f"{str(place)!r} would hold {made} and another series: convert them one by one"
                )
            (staging / place).parent.mkdir(parents=True, exist_ok=True)
            write(table, staging / place, made)
            told = Exported(file=str(folder / place), series=str(made), rows=len(table), cut=cut, thin=thin)
            done.append((place, told))
        for place, _ in done:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (staging / place).replace(folder / place)
    except OSError as error:
        raise UserError(f"{str(target)!r} cannot be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [told for _, told in done]


def _groups(
    sources: Sequence[tuple[Path, Series]], timeframe: str
) -> dict[Series, tuple[Series, list[Path]]]:
    """Map what shall be made to what it is made of, and the files of that."""
    files: dict[Series, list[Path]] = {}
    for path, series in sources:
        if is_of_many(series):
            raise UserError(f"{path}: expected a file of one pair: import it into a store first")
        files.setdefault(series, []).append(path)
    if not timeframe:
        return {series: (series, paths) for series, paths in sorted(files.items())}
    made: dict[Series, tuple[Series, list[Path]]] = {}
    # The longest timeframe that fits comes first: it is the least work; trades come last.
    for series in sorted(files, key=lambda each: (-each.step_ms, each)):
        if series.kind == FUNDING or (series.is_candles and not fits(series, timeframe)):
            continue
        kind = series.kind
        if kind in TRADE_KINDS:
            kind = FUTURES_FOLDER if ":" in series.pair else "spot"
        made.setdefault(replace(series, kind=kind, timeframe=timeframe), (series, files[series]))
    if not made:
        have = ", ".join(sorted({str(series) for series in files})[:8])
        raise UserError(f"{timeframe} candles cannot be made of what there is: {have}")
    return made


def _joined(series: Series, files: Sequence[Path]) -> pa.Table:
    table: pa.Table | None = None
    for path in files:
        try:
            clean = canonical(series, read_raw(path, series), path)
        except CandleError as error:
            raise DataError(str(error)) from error
        table = merge(series, table, clean.table, str(path)).table
    if table is None:
        raise UserError(f"there are no files of {series}")
    return table


def _made(made: Series, source: Series, table: pa.Table) -> tuple[pa.Table, int, int]:
    if made == source:
        return table, 0, 0
    if source.kind in TRADE_KINDS:
        return candles_of_trades(table, made.timeframe), 0, 0
    found = resample(source, table, made.timeframe)
    return found.table, found.cut, found.thin


def _name(series: Series, table: pa.Table, wish: Wish) -> str:
    if wish.names == "freqtrade":
        return series.freqtrade_path(wish.suffix, _settles_every(series, table))
    return series.file_name(suffix=wish.suffix)


def _settles_every(series: Series, table: pa.Table) -> str:
    if series.kind != FUNDING or len(table) < 2:
        return "8h"
    hours = max(1, round(float(np.median(np.diff(times_ms(series, table)))) / _HOUR_MS))
    return f"{hours}h"
