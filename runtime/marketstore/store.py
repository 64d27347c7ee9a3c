"""The market store: a folder of Parquet files, one per series and period, that changes all at once.

Problem: an import of many files must be there as a whole or not at all, also when it is killed. A change is
prepared beside the store, and one rename makes it final; moving its files into place is repeated by
whoever opens the store next, until it is done.

Not here: where rows come from, what they must look like (`tables`). Invariant: outside a lock, the store is
at rest or a `.commit` folder says that it is not, which `venues.recorded` refuses to read over; a file
holds the rows of its period, each once, in order.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from parley.errors import DataError, UserError
from runtime.journal.sums import sync_directory
from runtime.marketstore.formats import write_parquet
from runtime.marketstore.manifest import (
    MANIFEST,
    Entry,
    Manifest,
    Span,
    digest,
    encode,
    joined,
    read_manifest,
    without,
)
from runtime.marketstore.merge import merge
from runtime.marketstore.series import (
    FUTURES_FOLDER,
    TRADE_KINDS,
    TRADES_FOLDER,
    Series,
    is_of_many,
    parse_name,
)
from runtime.marketstore.tables import schema_of, times_ms
from venues.recorded import STORE_CANDLES, STORE_COMMIT

FOLDERS: Final = (STORE_CANDLES, FUTURES_FOLDER, TRADES_FOLDER)
_LOCK: Final = ".lock"
_STAGING: Final = ".import"
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a series."""

    series: Series
    path: Path


class MarketStore:
    """A store in `root`; opening it finishes a change that was cut off after it was final."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if (root / STORE_COMMIT).is_dir():
            with self._locked():
                self._finish()

    def parts(self) -> list[Part]:
        """Return all files that are called as a store calls them, by series and period."""
        paths = (path for name in FOLDERS for path in (self.root / name).glob("*.parquet"))
        found = [Part(series, path) for path in paths if (series := _series_of(path)) is not None]
        return sorted(found, key=lambda part: (part.series, part.path))

    def series(self) -> list[Series]:
        """Return what there is."""
        return sorted({part.series for part in self.parts()})

    def manifest(self) -> Manifest:
        """Return what the store says about its files."""
        return read_manifest(self.root)

    def remaining(self) -> Manifest:
        """Return the manifest without removed files, as if their spans had never been asked for."""
        found = self.manifest()
        for name in [name for name in found.files if not (self.root / name).is_file()]:
            entry = found.files.pop(name)
            series = parse_name(self.root / name)
            gone = (entry.first_ms, entry.last_ms + max(1, series.step_ms))
            asked = found.asked.get(str(series), [])
            found.asked[str(series)] = [part for span in asked for part in without(span, [gone])]
        return found

    def files(self, series: Series) -> list[Path]:
        """Return the files of one series, oldest first."""
        found = (self.root / series.folder).glob(series.file_name(suffix="*.parquet"))
        return [path for path in sorted(found) if _series_of(path) == series]

    def read(self, series: Series, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of a series in order, none when there is no such series.

        Raises
        ------
        DataError
            When a file cannot be read.
        """
        tables = [_read(path, columns) for path in self.files(series)]
        if tables:
            return pa.concat_tables(tables)
        return (
            schema_of(series).empty_table()
            if columns is None
            else schema_of(series).empty_table().select(columns)
        )

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Collect rows and put them in at the end of the block, all of them; after an error none.

        Raises
        ------
        UserError
            When somebody else is changing the store, or it cannot be written.
        """
        with self._locked():
            self._finish()
            staging = self.root / _STAGING
            # Nobody else holds the lock, so what lies there was cut off before it was final.
            shutil.rmtree(staging, ignore_errors=True)
            try:
                with Change(self, staging) as change:
                    yield change
                    change.prepare()
                if change.is_empty:
                    return
                os.rename(staging, self.root / STORE_COMMIT)
                sync_directory(self.root)
                self._finish()
            except OSError as error:
                raise UserError(f"the market store {str(self.root)!r} cannot be written: {error}") from error
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _finish(self) -> None:
        commit = self.root / STORE_COMMIT
        if not commit.is_dir():
            return
        for source in sorted(path for path in commit.rglob("*") if path.is_file() and path.name != MANIFEST):
            target = self.root / source.relative_to(commit)
            target.parent.mkdir(exist_ok=True)
            source.replace(target)
        for name in FOLDERS:
            if (self.root / name).is_dir():
                sync_directory(self.root / name)
        if (commit / MANIFEST).is_file():
            (commit / MANIFEST).replace(self.root / MANIFEST)
        sync_directory(self.root)
        shutil.rmtree(commit)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        is_new = not self.root.exists()
        path = self.root / _LOCK
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise UserError(
                f"the market store {str(self.root)!r} cannot be written: {error.strerror}"
            ) from error
        is_held = False
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_held = path.exists() and os.path.samestat(os.fstat(handle), path.stat())
            except BlockingIOError:
                pass
            if not is_held:
                raise UserError(f"another command is writing to the market store {str(self.root)!r}")
            yield
            is_new = False
        finally:
            if is_new and is_held and [each.name for each in self.root.iterdir()] == [_LOCK]:
                # A mistake leaves no folder behind; whoever holds the removed lock finds that out above.
                path.unlink()
                self.root.rmdir()
            os.close(handle)


class Change:
    """What a commit will put into the store; made by `MarketStore.change`."""

    def __init__(self, store: MarketStore, staging: Path) -> None:
        self._store = store
        self._staging = staging
        self._manifest = store.remaining()
        self._asked = False
        self.written: dict[str, tuple[int, int, int]] = {}  # rows, first and last time
        self.seen: set[str] = set()

    def __enter__(self) -> Change:
        self._staging.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def is_empty(self) -> bool:
        """Is there nothing to put in?"""
        return not self.written and not self._asked

    def add(self, series: Series, table: pa.Table, source: str) -> int:
        """Add rows in the series' schema; returns how many were new.

        Raises
        ------
        DataError
            When a row contradicts a stored one.
        """
        added = 0
        for period, rows in split(series, table):
            name = f"{series.folder}/{series.file_name(period)}"
            self.seen.add(name)
            merged = merge(series, self._current(name), rows, source)
            if merged.added:
                target = self._staging / name
                target.parent.mkdir(exist_ok=True)
                write_parquet(merged.table, target)
                times = times_ms(series, merged.table)
                self.written[name] = (len(times), int(times[0]), int(times[-1]))
                added += merged.added
        return added

    def note_asked(self, series: Series, span: Span) -> None:
        """Keep that a venue gave all it has of a span [from, to)."""
        known = self._manifest.asked.get(str(series), [])
        spans = joined([*known, span])
        if spans != known:
            self._manifest.asked[str(series)] = spans
            self._asked = True

    def prepare(self) -> None:
        """Write the manifest of what will be there, and have everything on disk."""
        for name, (rows, first_ms, last_ms) in sorted(self.written.items()):
            path = self._staging / name
            hash_, size = digest(path)
            self._manifest.files[name] = Entry(
                rows=rows, first_ms=first_ms, last_ms=last_ms, size=size, blake2b=hash_
            )
            _sync(path)
        (self._staging / MANIFEST).write_bytes(encode(self._manifest))
        _sync(self._staging / MANIFEST)
        for folder in (self._staging, *(path for path in self._staging.iterdir() if path.is_dir())):
            sync_directory(folder)

    def _current(self, name: str) -> pa.Table | None:
        for root in (self._staging, self._store.root):
            if (root / name).is_file():
                return _read(root / name)
        return None


def split(series: Series, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Cut rows into the periods of a store's files: years, months below an hour, days of trades."""
    unit = "Y"
    if series.kind in TRADE_KINDS:
        unit = "D"
    elif 0 < series.step_ms < _HOUR_MS:
        unit = "M"
    periods = _periods(times_ms(series, table), unit)
    for period in np.unique(periods):
        mask = periods == period
        yield str(period).replace("-", ""), table if mask.all() else table.filter(pa.array(mask))


def _periods(times: npt.NDArray[np.int64], unit: str) -> npt.NDArray[np.datetime64]:
    return times.astype("datetime64[ms]").astype(f"datetime64[{unit}]")


def _series_of(path: Path) -> Series | None:
    try:
        series = parse_name(path)
    except UserError:
        return None
    return None if is_of_many(series) else series


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: expected a file of the market store, it cannot be read: {error}") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
