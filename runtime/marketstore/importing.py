"""Bring files into a market store: find them, read them, judge them, add them, all or none.

Problem: a user has a folder of files by freqtrade, by us or by hand, and wants either all of it in the store
or one line that says what is wrong with which file.

Not here: formats, rules, the store. Invariant: after an error the store is as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from parley.errors import DataError, UserError
from runtime.marketstore.formats import read_raw
from runtime.marketstore.manifest import Span
from runtime.marketstore.series import Given, Series, UnclearName, parse_name, suffix_of
from runtime.marketstore.store import MarketStore
from runtime.marketstore.tables import by_pair, canonical, times_ms
from venues.recorded import CandleError, gaps_of

Say = Callable[[str], None]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What one series of one file came to; ``added`` rows were new, ``missing`` candles lie in its gaps."""

    file: str
    exchange: str
    pair: str
    kind: str
    timeframe: str
    rows: int
    added: int
    duplicates: int
    missing: int


def find_sources(paths: Sequence[Path], given: Given) -> tuple[list[tuple[Path, Series]], list[Path]]:
    """Return the files with their series, and those of folders that are no market data by name.

    Raises
    ------
    UserError
        When a path is not there, a named file does not say what it is, or there is nothing at all.
    """
    found: list[tuple[Path, Series]] = []
    skipped: list[Path] = []
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if suffix_of(file) is None or _is_hidden(file.relative_to(path)):
                    continue
                try:
                    found.append((file, parse_name(file, given)))
                except UnclearName:
                    skipped.append(file)
        elif path.is_file():
            found.append((path, parse_name(path, given)))
        else:
            raise UserError(f"there is no file or folder {str(path)!r}")
    if not found:
        raise UserError(
            f"expected files of market data in {', '.join(map(repr, map(str, paths)))}, found none"
        )
    return found, skipped


def import_files(
    store: MarketStore, sources: Sequence[tuple[Path, Series]], say: Say
) -> tuple[list[Imported], list[Path]]:
    """Put files into the store in one change; returns what came and the store's files it is in.

    Raises
    ------
    DataError
        When a row of a file is wrong or contradicts the store; names file and row. Nothing was changed then.
    """
    done = []
    with store.change() as change:
        for path, series in sources:
            say(str(path))
            try:
                for one, raw in by_pair(series, read_raw(path, series), path):
                    clean = canonical(one, raw, path)
                    added = change.add(one, clean.table, str(path))
                    done.append(_imported(path, one, clean.table, added, clean.duplicates))
            except CandleError as error:
                raise DataError(str(error)) from error
        files = [store.root / name for name in sorted(change.seen)]
    return done, files


def add_downloaded(
    store: MarketStore, series: Series, table: pa.Table, asked: Span, source: str
) -> tuple[int, list[Path]]:
    """Put what a venue answered for a span into the store; returns how many rows were new, and the files."""
    added = 0
    with store.change() as change:
        if len(table):
            try:
                added = change.add(series, canonical(series, table, Path(source)).table, source)
            except CandleError as error:
                raise DataError(str(error)) from error
        change.note_asked(series, asked)
        files = [store.root / name for name in sorted(change.seen)]
    return added, files


def missing_candles(series: Series, table: pa.Table) -> int:
    """Count the candles that lie in the gaps of rows in order; 0 for trades and funding."""
    if not series.is_candles or not len(table):
        return 0
    return sum(count for _, _, count in gaps_of(times_ms(series, table), series.step_ms))


def _imported(path: Path, series: Series, table: pa.Table, added: int, duplicates: int) -> Imported:
    return Imported(
        file=str(path),
        exchange=series.exchange,
        pair=series.pair,
        kind=series.kind,
        timeframe=series.timeframe,
        rows=len(table),
        added=added,
        duplicates=duplicates,
        missing=missing_candles(series, table),
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
