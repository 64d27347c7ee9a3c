"""What is in a market store: spans, rows and gaps per series, and files that are not as they were stored.

Not here: the rows themselves (`check`). Invariant: nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from runtime.marketstore.check import (
    PLACES,
    Finding,
    gap_findings,
    settlement_findings,
    settlement_gaps,
)
from runtime.marketstore.manifest import digest
from runtime.marketstore.series import FUNDING, TRADE_KINDS, Series
from runtime.marketstore.store import MarketStore
from runtime.marketstore.tables import schema_of, times_ms
from venues.market_rules import distinct
from venues.recorded import gaps_of


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """One series; times in ms, ``missing`` candles lie in ``gaps``."""

    exchange: str
    pair: str
    kind: str
    timeframe: str
    first_ms: int
    last_ms: int
    rows: int
    gaps: int
    missing: int
    files: int
    bytes: int


def overview(store: MarketStore, series: Series) -> Overview:
    """Describe one series of a store."""
    times = _times(store, series)
    spans = _gaps(series, times)
    files = store.files(series)
    return Overview(
        exchange=series.exchange,
        pair=series.pair,
        kind=series.kind,
        timeframe=series.timeframe,
        first_ms=int(times[0]),
        last_ms=int(times[-1]),
        rows=len(times),
        gaps=len(spans),
        missing=sum(count for _, _, count in spans) if series.is_candles else 0,
        files=len(files),
        bytes=sum(path.stat().st_size for path in files),
    )


def store_findings(store: MarketStore) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """Yield what is wrong with series as a whole, and with the files against the manifest."""
    for series in store.series():
        spans = _gaps(series, _times(store, series))
        found = tuple(gap_findings(series, spans) if series.is_candles else settlement_findings(spans))
        if found:
            yield str(series), found
    changed = tuple(_changed(store))
    if changed:
        yield "manifest", changed


def _changed(store: MarketStore) -> Iterator[Finding]:
    files = store.manifest().files
    there = {str(part.path.relative_to(store.root)): part.path for part in store.parts()}
    groups = {
        "files that were stored and are gone": sorted(set(files) - set(there)),
        "files that were not stored by Parley": sorted(set(there) - set(files)),
        "files that were changed after they were stored": [
            name
            for name in sorted(set(files) & set(there))
            if digest(there[name]) != (files[name].blake2b, files[name].size)
        ],
    }
    for text, names in groups.items():
        if names:
            yield Finding(code="manifest", count=len(names), places=tuple(names[:PLACES]), text=text)


def _times(store: MarketStore, series: Series) -> npt.NDArray[np.int64]:
    times = times_ms(series, store.read(series, schema_of(series).names[:1]))
    return times if series.kind in TRADE_KINDS else distinct(times)


def _gaps(series: Series, times: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    if series.is_candles:
        return list(gaps_of(times, series.step_ms))
    if series.kind == FUNDING:
        return settlement_gaps(times)
    return []
