"""Checks recorded candles or trades before anything is started, and finds what closes a triangle.

Problem: a bad row found after an hour of running is a lost hour. All files of a run are read and validated
here, with the reader that the sandbox uses afterwards, so whatever it would refuse is refused first.

Not here: what makes a candle impossible (`venues.recorded`).

Invariant: a returned market has candles for every symbol within the window; nothing was written.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import numpy as np

from parley.errors import DataError, UserError, nearest
from runtime import contracts
from runtime.launch import Market
from runtime.settings import Settings, candle_seconds
from venues.recorded import CandleError, CandleSeries, available_pairs, load_candles, warnings_of
from venues.recorded_trades import load_trades


def recorded_market(settings: Settings) -> Market:
    """Read and validate the candles or trades a run asks for.

    Raises
    ------
    DataError
        When folder, pair, window or a row is wrong; names file and row, or the nearest pair.
    UserError
        When settings do not fit one another or the venue.
    """
    prices_of = contracts.underlying(settings)
    market = _read(prices_of)
    return replace(market, pairs=contracts.named(market.pairs, settings))


def _read(settings: Settings) -> Market:
    if settings.start and settings.end and settings.start >= settings.end:
        raise UserError(
            f"--from must be before --to, was {settings.start:%Y-%m-%d %H:%M}"
            f" and {settings.end:%Y-%m-%d %H:%M}"
        )
    if settings.trades:
        return _traded(settings)
    folder = settings.data
    if folder is None:
        raise UserError("a recorded run needs --data FOLDER")
    if not folder.is_dir():
        raise DataError(f"there is no folder {str(folder)!r}")
    try:
        present = available_pairs(folder, settings.exchange, settings.candle)
        pairs = _pairs(settings, present)
        series = {pair: _load(settings, pair) for pair in pairs}
        crosses: Sequence[str]
        if settings.crosses == "auto":
            found = {pair: _try(settings, pair) for pair in closing(pairs, present)}
            series |= {pair: one for pair, one in found.items() if one is not None}
            crosses = [pair for pair, one in found.items() if one is not None]
        elif settings.crosses == "none":
            crosses = ()
        else:
            crosses = tuple(settings.crosses)
            series |= {pair: _load(settings, pair) for pair in crosses}
    except CandleError as error:
        raise DataError(str(error)) from error
    quoted = {
        pair.partition("/")[0]: one for pair, one in series.items() if pair.endswith(f"/{settings.quote}")
    }
    return Market(
        pairs=pairs, crosses=tuple(crosses), start=settings.start, end=settings.end,
        candles=sum(len(one) for one in series.values()),
        prices={asset: Decimal(repr(float(one.open[0]))) for asset, one in quoted.items()},
        notes=tuple(warnings_of(series.values())),
    )  # fmt: skip


def _traded(settings: Settings) -> Market:
    """Read and validate recorded trades; the exchange makes a candle of every slice that has one."""
    if settings.data is not None:
        raise UserError("a run plays candles (--data) or trades (--trades), not both")
    if settings.pairs or settings.crosses not in ("auto", "none"):
        raise UserError("with --trades the pairs are those of the files")
    slice_ms = candle_seconds(settings.candle) * 1000
    candles, prices, notes = 0, {}, []
    for pair, file in settings.trades.items():
        base, _, quote = pair.partition("/")
        if quote != settings.quote:
            raise UserError(f"pair {pair!r} is not in the account's currency {settings.quote!r}: set --quote")
        try:
            series = load_trades(file, pair, settings.start, settings.end)
        except CandleError as error:
            raise DataError(str(error)) from error
        candles += len(np.unique(series.time_ms // slice_ms))
        prices[base] = Decimal(repr(float(series.price[0])))
        if series.duplicates:
            notes.append(f"{pair}: {series.duplicates} identical duplicates are dropped")
    return Market(
        pairs=tuple(settings.trades), crosses=(), start=settings.start, end=settings.end, candles=candles,
        prices=prices, notes=tuple(notes),
    )  # fmt: skip


def _pairs(settings: Settings, present: Sequence[str]) -> tuple[str, ...]:
    if not settings.pairs:
        pairs = tuple(pair for pair in present if pair.endswith(f"/{settings.quote}"))
        if not pairs:
            raise DataError(
                f"{str(settings.data)!r} has no {settings.candle} candles of {settings.exchange} in "
                f"{settings.quote}: name --pairs, --exchange or --timeframe"
            )
        return pairs
    for pair in settings.pairs:
        if present and pair not in present:
            raise DataError(
                f"{str(settings.data)!r} has no {settings.candle} candles of {settings.exchange} "
                f"{pair!r}: "
                f"{nearest(pair, list(present))}"
            )
        if not pair.endswith(f"/{settings.quote}"):
            raise UserError(f"pair {pair!r} is not in the account's currency {settings.quote!r}: set --quote")
    if len(set(settings.pairs)) != len(settings.pairs):
        raise UserError(f"--pairs must differ, was {','.join(settings.pairs)}")
    return settings.pairs


def closing(pairs: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """Name the present pairs that close a triangle, such as ETH/BTC over ETH/USDT and BTC/USDT."""
    assets = {pair.partition("/")[0]: pair.partition("/")[2] for pair in pairs}
    wanted = {f"{one}/{two}" for one, two in permutations(assets, 2) if assets[one] == assets[two]}
    return tuple(sorted(wanted & set(present)))


def _load(settings: Settings, pair: str) -> CandleSeries:
    if settings.data is None:
        raise UserError("a recorded run needs --data FOLDER")
    return load_candles(settings.data, settings.exchange, pair, settings.candle, settings.start, settings.end)


def _try(settings: Settings, pair: str) -> CandleSeries | None:
    """Load a cross nobody asked for; one without candles in the window is left out, a broken one not."""
    try:
        return _load(settings, pair)
    except CandleError as error:
        if "expected candles between" in str(error):
            return None
        raise
