"""`parley data download`: what the store lacks of a venue's history.

Not here: how a page is asked for (`venues.ccxt_history`), what is lacking (`marketstore.downloading`).

Invariant: what came before a failure stays; a repeated download asks only for what is still missing.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.progress import Progress, TaskID

from parley.errors import UserError, nearest
from runtime.commands.data import configured_database, copy_to_database, market_store
from runtime.marketstore.downloading import Downloaded, download, lacking
from runtime.marketstore.manifest import Span
from runtime.marketstore.series import CANDLE_KINDS, FUNDING, KINDS, Given, Series, check_timeframe
from runtime.marketstore.store import MarketStore
from runtime.output import console, print_json, progress_bar
from runtime.settings import Settings
from venues.ccxt_history import History
from venues.recorded import CandleError, moment_ms


def download_data(
    settings: Settings, exchange: str, pairs: str, timeframes: str, *, since: str, until: str, kind: str,
    address: str, folder: Path | None, database: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Download; returns the exit code."""
    span = _span(since, until)
    names = [Given(pair=word).pair for word in pairs.split(",") if word]
    wanted_timeframes = [check_timeframe(word) for word in timeframes.split(",") if word]
    if not names or not wanted_timeframes:
        raise UserError(f"expected pairs and timeframes, got {pairs!r} and {timeframes!r}")
    if kind and kind not in KINDS:
        raise UserError(f"there is no kind {kind!r} of data; {nearest(kind, list(KINDS))}")
    store = market_store(settings, folder)
    venue = History(exchange, address)
    wanted = [one for name in names for one in _series(venue, name, kind, wanted_timeframes)]
    done = [Downloaded(series=str(one)) for one in wanted]
    with configured_database(settings, database) as found:
        venue.open(names, [one.timeframe for one in wanted if one.is_candles])
        try:
            for series, told in zip(wanted, done, strict=True):
                _fill(venue, store, series, span, told)
        finally:
            copied = copy_to_database(sorted({path for told in done for path in told.files}), found)
    if as_json:
        counts = [{"series": told.series, "added": told.added, "asked": told.asked} for told in done]
        print_json({"store": str(store.root), "downloaded": counts, "database": copied})
        return 0
    out = console()
    for told in done:
        out.print(f"{told.series}: {told.added:,} new rows in {told.asked} requests")
    return 0


def _fill(venue: History, store: MarketStore, series: Series, span: Span, told: Downloaded) -> None:
    spans = lacking(store, series, span)
    with progress_bar(str(series)) as bar:
        task = bar.add_task("download", total=sum(end - first for first, end in spans) // 1000)
        before = 0
        for first, end in spans:
            shown = partial(_show, bar, task, before - first)
            download(venue, store, series, (first, end), told, shown)
            before += end - first


def _show(bar: Progress, task: TaskID, offset: int, at: int) -> None:
    bar.update(task, completed=(at + offset) // 1000)


def _series(venue: History, pair: str, kind: str, timeframes: list[str]) -> list[Series]:
    if kind == FUNDING:
        return [Series(venue.exchange, pair, FUNDING)]
    if kind and kind not in CANDLE_KINDS:
        return [Series(venue.exchange, pair, venue.trade_kind)]
    kind = kind or ("futures" if ":" in pair else "spot")
    return [Series(venue.exchange, pair, kind, timeframe) for timeframe in timeframes]


def _span(since: str, until: str) -> Span:
    try:
        first, end = moment_ms(since), moment_ms(until or None)
    except CandleError as error:
        raise UserError(str(error)) from None
    now = int(datetime.now(UTC).timestamp() * 1000)
    span = (first or 0, now if end is None else end)
    if span[0] >= span[1]:
        raise UserError(f"expected --since before --until, got {since!r} and {until or 'now'!r}")
    return span
