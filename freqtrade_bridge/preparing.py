"""Everything a backtest needs before a strategy sees a candle: exchange, pairs, strategies, candles.

Problem: freqtrade decides in a fixed order which pairs there are, how many candles of warm-up the strategies
together ask for, where the time range begins after that, and which fee is assumed; a different order gives
different trades. This is that order, over files instead of an exchange.

Not here: single steps (`exchange`, `resolving`, `candles`), what strategies compute (`analysis`). Invariant:
`Prepared` holds what freqtrade's own backtest would hold at this point, and every strategy of it is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.constants import Config
from freqtrade.data import history
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import Exchange, timeframe_to_seconds
from freqtrade.persistence import disable_database_use
from freqtrade.plugins.pairlistmanager import PairListManager
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame

from freqtrade_bridge.candles import CheckedCandles
from freqtrade_bridge.configuration import load_configuration
from freqtrade_bridge.exchange import offline_exchange
from freqtrade_bridge.faults import told
from freqtrade_bridge.given import load_given
from freqtrade_bridge.lean_frames import give_back_memory
from freqtrade_bridge.loading import check_warm_up, load_each, load_named
from freqtrade_bridge.markets import PAIR
from freqtrade_bridge.options import Options
from freqtrade_bridge.provider import OfflineDataProvider
from freqtrade_bridge.resolving import Refused, named_strategies
from freqtrade_bridge.sources import CandleSource, FreqtradeFolder, GivenFrames, open_folder
from parley.errors import DataError, UserError, nearest


@dataclass(frozen=True, slots=True)
class Prepared:
    """One run of one or several strategies over the same candles.

    ``candles`` are in the order of the pair list, ``funding`` and ``detail`` by pair. ``skipped`` are pairs
    of the list without candles in the time range, ``notes`` what the user should know of how they were found.
    """

    config: Config
    exchange: Exchange
    provider: OfflineDataProvider
    pairlists: PairListManager
    strategies: tuple[IStrategy, ...]
    refused: tuple[Refused, ...]
    candles: dict[str, DataFrame]
    detail: dict[str, DataFrame]
    funding: dict[str, DataFrame]
    timerange: TimeRange
    startup: int
    fee: float
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def funding_unknown(self) -> tuple[str, ...]:
        """Pairs of a futures run without any settlement whose rate and mark price are known."""
        return tuple(pair for pair, fees in self.funding.items() if fees.empty)


def prepare(options: Options, source: CandleSource | None = None, *, extra: int = 0) -> Prepared:
    """Load configuration, strategies and candles; without a source they come from the data folder.

    extra: how many candles more than their warm-up strategies see before the time range, if there are.

    Raises
    ------
    UserError
        When one thing is wrong; the first that is found.
    """
    config = load_configuration(options)
    source = source or open_source(config, options)
    available = source.available()
    _require_names(config, options, source)
    exchange = offline_exchange(config, options, dict.fromkeys(key[0] for key in available))
    candles = CheckedCandles(source)
    # As freqtrade: the provider is made of the run's configuration before strategies write theirs into it.
    provider = OfflineDataProvider(config, exchange, candles)
    strategies, refused = _strategies(config, options)
    timeframe = str(config["timeframe"])
    strategies, asking_too_much = check_warm_up(strategies, exchange, timeframe)
    refused += asking_too_much
    if not strategies:
        raise UserError("; ".join(each.reason for each in refused))
    disable_database_use(timeframe)
    pairlists, pairs = _pairs(config, exchange, provider, len(strategies))
    fee = _fee(config, exchange, pairs)
    with told("timerange"):
        timerange = TimeRange.parse_timerange(config.get("timerange"))
    startup = max((strategy.startup_candle_count for strategy in strategies), default=0)
    loaded = _load(candles, pairs, timeframe, config["candle_type_def"], timerange, startup + extra)
    if extra:
        loaded, startup = _with_history(loaded, timerange, startup)
    config["startup_candle_count"] = startup
    _require_some(loaded, options, config, source, pairs)
    first, _ = history.get_timerange(loaded)
    timerange.adjust_start_if_necessary(timeframe_to_seconds(timeframe), startup, first)
    return Prepared(
        config=config, exchange=exchange, provider=provider, pairlists=pairlists, strategies=strategies,
        refused=refused, candles=loaded, detail=_detail(config, candles, pairs, timerange),
        funding=_funding(config, exchange, candles, [pair for pair in pairs if pair in loaded], timerange),
        timerange=timerange, startup=startup, fee=fee,
        skipped=tuple(pair for pair in pairs if pair not in loaded),
        notes=(source.note,) if isinstance(source, FreqtradeFolder) and source.note else (),
    )  # fmt: skip


def _require_names(config: Config, options: Options, source: CandleSource) -> None:
    """Refuse patterns in place of pairs where nothing names a pair: freqtrade would ask the exchange."""
    wanted = config["exchange"].get("pair_whitelist", [])
    if options.markets is None and not source.available() and not any(map(PAIR.fullmatch, wanted)):
        raise DataError(
            f"{_where(config, source)}: there are no {config['trading_mode']} candles of any pair, and"
            f" exchange.pair_whitelist {wanted!r} names none either"
        )


def _where(config: Config, source: CandleSource) -> str:
    return "the frames given" if isinstance(source, GivenFrames) else str(config["datadir"])


def open_source(config: Config, options: Options) -> CandleSource:
    """Open the data folder of a configuration."""
    kind = options.dataformat_ohlcv or config["original_config"].get("dataformat_ohlcv")
    return open_folder(config["datadir"], kind, config["exchange"]["name"], config["trading_mode"])


def _strategies(config: Config, options: Options) -> tuple[tuple[IStrategy, ...], tuple[Refused, ...]]:
    if options.given is not None:
        return (load_given(config, options.given),), ()
    asked = options.strategy_list or tuple(config.get("strategy_list") or ())
    if not asked and not config.get("strategy"):
        raise UserError("there is no strategy to run: name one with --strategy or --strategy-list")
    names = named_strategies(config, asked or (str(config["strategy"]),))
    if not asked and len(names) == 1:
        config["strategy"] = names[0]
        return (load_named(config),), ()
    config["strategy_list"] = list(names)
    found = load_each(config, names)
    strategies = tuple(each for each in found if isinstance(each, IStrategy))
    refused = tuple(each for each in found if isinstance(each, Refused))
    if strategies and "timeframe" not in config:
        _agree(config, strategies)
    if not strategies:
        raise UserError("; ".join(each.reason for each in refused))
    return strategies, refused


def _agree(config: Config, strategies: tuple[IStrategy, ...]) -> None:
    timeframes = {strategy.timeframe: strategy.get_strategy_name() for strategy in strategies}
    if len(timeframes) > 1:
        several = ", ".join(f"{name} has {timeframe}" for timeframe, name in timeframes.items())
        raise UserError(f"strategies of one list must have one timeframe ({several}): set --timeframe")
    config["timeframe"] = next(iter(timeframes))


def _pairs(
    config: Config, exchange: Exchange, provider: OfflineDataProvider, strategies: int
) -> tuple[PairListManager, list[str]]:
    with told("pairlists"):
        pairlists = PairListManager(exchange, config, provider)
    if "VolumePairList" in pairlists.name_list:
        raise UserError("pairlists: VolumePairList asks the exchange for today's volumes, use StaticPairList")
    if strategies > 1 and "PrecisionFilter" in pairlists.name_list:
        raise UserError("pairlists: PrecisionFilter cannot be used with several strategies")
    provider.add_pairlisthandler(pairlists)
    with told("pairlists"):
        pairlists.refresh_pairlist(only_first=bool(config.get("enable_dynamic_pairlist", False)))
    if not pairlists.whitelist:
        raise UserError(
            "pairlists: there is no pair left to trade, exchange.pair_whitelist was"
            f" {config['exchange']['pair_whitelist']!r} and exchange.pair_blacklist"
            f" {config['exchange'].get('pair_blacklist', [])!r}"
        )
    return pairlists, pairlists.whitelist


def _fee(config: Config, exchange: Exchange, pairs: list[str]) -> float:
    given = config.get("fee")
    if given is not None:
        return float(given)
    return max(exchange.get_fee(symbol=pairs[0], taker_or_maker=kind) for kind in ("taker", "maker"))


def _load(
    candles: CheckedCandles, pairs: list[str], timeframe: str, kind: CandleType, timerange: TimeRange,
    startup: int = 0, *, fill: bool = True,
) -> dict[str, DataFrame]:  # fmt: skip
    found: dict[str, DataFrame] = {}
    for pair in pairs:
        rows = candles.ohlcv_load(
            pair, timeframe, kind, timerange=timerange, fill_missing=fill, startup_candles=startup
        )
        if not rows.empty or kind not in (CandleType.SPOT, CandleType.FUTURES):
            found[pair] = _with_shared_dates(rows, found)
    # What reading and decoding took is free, and the allocators would keep it.
    give_back_memory()
    return found


def _with_history(
    loaded: Mapping[str, DataFrame], timerange: TimeRange, startup: int
) -> tuple[dict[str, DataFrame], int]:
    """Cut what lies before the time range to what every pair has; returns it and how many rows that are."""
    begin = pd.Timestamp(timerange.startts, unit="s", tz="UTC")
    before = {pair: int(rows["date"].searchsorted(begin)) for pair, rows in loaded.items()}
    common = max(startup, min(before.values(), default=0))
    cut = {
        pair: rows.iloc[max(0, before[pair] - common) :].reset_index(drop=True)
        for pair, rows in loaded.items()
    }
    return cut, common


def _with_shared_dates(rows: DataFrame, others: dict[str, DataFrame]) -> DataFrame:
    # Pairs of one run mostly have candles of the same times: one column for all of them.
    other = next(reversed(others.values()), None)
    if other is None or not (rows["date"].equals(other["date"]) and rows.index.equals(other.index)):
        return rows
    return rows.assign(date=other["date"])


def _require_some(
    loaded: Mapping[str, DataFrame], options: Options, config: Config, source: CandleSource, pairs: list[str]
) -> None:
    timeframe, kind = str(config["timeframe"]), config["candle_type_def"]
    asked = config.get("timerange")

    def span(pair: str) -> str:
        if not asked:
            return ""
        dates = source.read((pair, timeframe, kind), None)["date"]
        if dates.empty:
            return f" in the timerange {asked}"
        first, last = (f"{each:%Y-%m-%d %H:%M}" for each in (dates.min(), dates.max()))
        return f" in the timerange {asked}, those there are go from {first} to {last}"

    for pair in options.pairs:
        if PAIR.fullmatch(pair) and pair in pairs and pair not in loaded:
            raise DataError(
                f"{source.place((pair, timeframe, kind))}: there are no candles of {pair}{span(pair)}"
            )
    if not loaded:
        known = sorted({key[0] for key in source.available() if key[1:] == (timeframe, kind)})
        hint = f", {nearest(pairs[0], known)}" if known else f", there are no {timeframe} candles at all"
        raise DataError(
            f"{_where(config, source)}: there are no {timeframe} candles of {', '.join(pairs[:5])}"
            f"{span(pairs[0])}{'' if pairs[0] in known else hint}"
        )


def _detail(
    config: Config, candles: CheckedCandles, pairs: list[str], timerange: TimeRange
) -> dict[str, DataFrame]:
    detail = str(config.get("timeframe_detail") or "")
    if not detail:
        return {}
    timeframe = str(config["timeframe"])
    if timeframe_to_seconds(detail) >= timeframe_to_seconds(timeframe):
        raise UserError(f"timeframe_detail must be shorter than the timeframe {timeframe!r}, was {detail!r}")
    found = _load(candles, pairs, detail, config["candle_type_def"], timerange)
    if not found:
        raise DataError(f"{config['datadir']}: there are no {detail} candles for timeframe_detail")
    return found


def _funding(
    config: Config, exchange: Exchange, candles: CheckedCandles, pairs: list[str], timerange: TimeRange
) -> dict[str, DataFrame]:
    if config["trading_mode"] != TradingMode.FUTURES:
        return {}
    mark = CandleType.from_string(exchange.get_option("mark_ohlcv_price"))
    rates = _load(
        candles,
        pairs,
        exchange.get_option("funding_fee_timeframe"),
        CandleType.FUNDING_RATE,
        timerange,
        fill=False,
    )
    marks = _load(candles, pairs, exchange.get_option("mark_ohlcv_timeframe"), mark, timerange)
    needs_tiers = exchange.get_option("uses_leverage_tiers", True)
    without = [pair for pair in pairs if needs_tiers and pair not in exchange._leverage_tiers]
    if without:
        raise UserError(f"there are no leverage tiers of {', '.join(without)}: give --leverage-tiers")
    assumed: Any = config.get("futures_funding_rate")
    return {
        pair: exchange.combine_funding_and_mark(rates[pair], marks[pair], futures_funding_rate=assumed)
        for pair in pairs
    }
