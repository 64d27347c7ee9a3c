"""Fill what a market store lacks of a span from a venue's history, page by page.

Problem: a download is stopped, repeated and extended, and must ask only for what is missing; a venue has
holes, of which it cannot be asked for ever, and a newest candle that still changes.

Not here: the venue (`venues.ccxt_history`). Invariant: a candle is stored only when the venue has a later
one, so it is closed; what was stored is never asked for again; every few pages are put into the store for
good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from parley.errors import UserError
from runtime.marketstore.importing import add_downloaded
from runtime.marketstore.manifest import Span, joined, without
from runtime.marketstore.series import FUNDING, TRADE_KINDS, Series
from runtime.marketstore.store import MarketStore
from runtime.marketstore.tables import CANDLES, SETTLEMENTS, TRADES, schema_of, times_ms

PAGES_PER_COMMIT: Final = 20
_HOUR_MS: Final = 3_600_000
# The longest usual distance of settlements, and how late one may come.
_SETTLEMENT_MS: Final = 8 * _HOUR_MS + 60_000
_EMPTY_PAGE_CANDLES: Final = 1000
# A page of so many trades, all of one millisecond, may have been cut.
_SHORT_PAGE: Final = 100


class Venue(Protocol):
    """What is asked; see `venues.ccxt_history.History`."""

    def candles(self, pair: str, kind: str, timeframe: str, since_ms: int) -> list[list[float]]: ...
    def newest_candle(self, pair: str, kind: str, timeframe: str) -> int | None: ...
    def trades(self, pair: str, since_ms: int) -> list[dict[str, Any]]: ...
    def newest_trade(self, pair: str) -> int | None: ...
    def funding(self, pair: str, since_ms: int) -> list[tuple[int, float]]: ...


class Downloaded(msgspec.Struct, kw_only=True):
    """What came of one series; ``asked`` counts pages, ``files`` are those of the store it is in."""

    series: str
    added: int = 0
    asked: int = 0
    files: set[Path] = set()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Rows within the span; up to ``known_ms`` the venue has no others."""

    table: pa.Table
    known_ms: int


def lacking(store: MarketStore, series: Series, wanted: Span) -> list[Span]:
    """Return the spans of `wanted` that are neither stored nor known to be empty."""
    covered = [*store.remaining().asked.get(str(series), [])]
    times = times_ms(series, store.read(series, schema_of(series).names[:1]))
    if len(times):
        covered += _stored(series, times)
    return without(wanted, covered)


def download(
    venue: Venue, store: MarketStore, series: Series, span: Span, told: Downloaded, say: Callable[[int], None]
) -> None:
    """Fetch one span and tell what came; `say` is told how far it is, in ms."""
    waiting: list[Page] = []
    at = span[0]

    def keep() -> None:
        nonlocal at
        if not waiting:
            return
        table = pa.concat_tables([page.table for page in waiting])
        end = waiting[-1].known_ms
        added, files = add_downloaded(store, series, table, (at, end), f"download of {series}")
        told.added += added
        told.files.update(files)
        at = end
        waiting.clear()

    try:
        for page in _pages(venue, series, span):
            told.asked += 1
            waiting.append(page)
            say(page.known_ms)
            if len(waiting) == PAGES_PER_COMMIT:
                keep()
    finally:
        keep()  # also what came before an error


def _pages(venue: Venue, series: Series, span: Span) -> Iterator[Page]:
    if series.is_candles:
        return _candles(venue, series, span)
    return _settlements(venue, series, span) if series.kind == FUNDING else _trades(venue, series, span)


def _candles(venue: Venue, series: Series, span: Span) -> Iterator[Page]:
    newest = venue.newest_candle(series.pair, series.kind, series.timeframe)
    # The newest candle is not closed; the next download begins with it.
    at, end = span[0], min(span[1], newest or 0)
    while at < end:
        rows = [row for row in venue.candles(series.pair, series.kind, series.timeframe, at) if row[0] >= at]
        # A venue may answer with nothing where it has a hole, or before the pair was listed.
        after = int(rows[-1][0]) + series.step_ms if rows else at + _EMPTY_PAGE_CANDLES * series.step_ms
        at = min(after, end)
        yield Page(table=_candle_table([row for row in rows if row[0] < end]), known_ms=at)


def _trades(venue: Venue, series: Series, span: Span) -> Iterator[Page]:
    newest = venue.newest_trade(series.pair)
    at, end = span[0], min(span[1], 0 if newest is None else newest + 1)
    seen: set[str] = set()  # ids of the millisecond that the page begins with
    longest = _SHORT_PAGE
    while at < end:
        rows = [row for row in venue.trades(series.pair, at) if row["timestamp"] >= at]
        fresh = [row for row in rows if str(row["id"]) not in seen]
        if not rows:
            at = min(at + _HOUR_MS, end)  # venues answer for an hour at a time
        elif not fresh:
            if len(rows) >= longest:
                raise UserError(
                    f"{series}: more trades in one millisecond ({at}) than the venue gives in a page"
                )
            at += 1
        else:
            at = int(rows[-1]["timestamp"])
        longest = max(longest, len(rows))
        seen = {str(row["id"]) for row in rows if row["timestamp"] == at}
        yield Page(
            table=_trade_table([row for row in fresh if row["timestamp"] < end]), known_ms=min(at, end)
        )


def _settlements(venue: Venue, series: Series, span: Span) -> Iterator[Page]:
    at = span[0]
    while at < span[1]:
        rows = [row for row in venue.funding(series.pair, at) if row[0] >= at]
        if not rows:
            return
        inside = [row for row in rows if row[0] < span[1]]
        at = min(rows[-1][0] + 1, span[1])
        dates = pa.array([row[0] for row in inside], pa.int64()).cast(SETTLEMENTS.field(0).type)
        table = pa.table([dates, pa.array([row[1] for row in inside], pa.float64())], schema=SETTLEMENTS)
        yield Page(table=table, known_ms=at)


def _candle_table(rows: list[list[float]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [() for _ in CANDLES.names]
    dates = pa.array([int(each) for each in columns[0]], pa.int64()).cast(CANDLES.field(0).type)
    return pa.table([dates, *(pa.array(each, pa.float64()) for each in columns[1:])], schema=CANDLES)


def _trade_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = [[str(row["id"]) if name == "id" else row.get(name) for row in rows] for name in TRADES.names]
    arrays = [pa.array(each, field.type) for each, field in zip(columns, TRADES, strict=True)]
    return pa.table(arrays, schema=TRADES)


def _stored(series: Series, times: npt.NDArray[np.int64]) -> list[Span]:
    if series.kind in TRADE_KINDS:
        # A day's file is taken to have no hole; between days nothing is known.
        days = times // (24 * _HOUR_MS)
        ends = np.flatnonzero(np.diff(days, append=days[-1] + 1))
        starts = np.concatenate(([0], ends[:-1] + 1))
        return [(int(times[a]), int(times[b])) for a, b in zip(starts, ends, strict=True)]
    reach = series.step_ms or _SETTLEMENT_MS
    last = series.step_ms or 1
    breaks = np.flatnonzero(np.diff(times) > reach)
    starts, ends = np.concatenate(([0], breaks + 1)), np.concatenate((breaks, [len(times) - 1]))
    return joined((int(times[a]), int(times[b]) + last) for a, b in zip(starts, ends, strict=True))
