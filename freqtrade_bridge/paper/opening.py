"""From freqtrade's options to a strategy that is ready to hear the market.

Problem: the same configuration, strategy file and data folder as a backtest's make a strategy that trades
from a moment on; what it cannot do here must be refused before the first candle, by name.

Not here: trading (`trader`). Invariant: a trader that was opened has its strategy started, and candles from
before the begin of the run only.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from freqtrade.enums import RunMode, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.strategy.interface import IStrategy
from pandas import DataFrame

from freqtrade_bridge.faults import strategy_code, told
from freqtrade_bridge.hooks import CallbackErrors
from freqtrade_bridge.options import Options
from freqtrade_bridge.paper.bot import Bot
from freqtrade_bridge.paper.clock import market_time
from freqtrade_bridge.paper.guard import Guard
from freqtrade_bridge.paper.provider import PaperProvider
from freqtrade_bridge.paper.register import Register
from freqtrade_bridge.paper.trader import Trader
from freqtrade_bridge.paper.venue import HeldWallets, Venue
from freqtrade_bridge.paper.window import Window
from freqtrade_bridge.preparing import Prepared, prepare
from parley.errors import UserError

HISTORY: Final = 1000
"""Candles of a frame beside the strategy's warm-up; as many as freqtrade downloads of most exchanges."""


def open_trader(
    options: Options,
    begin_ms: int,
    pairs: Collection[str],
    timeframe_ms: int,
    errors: CallbackErrors = "refuse",
) -> Trader:
    """Load, start and warm up the one strategy of the options.

    Parameters
    ----------
    begin_ms : ms since the epoch; stored candles that open before are history, later ones are told.
    pairs : the pairs whose candles will be told.
    timeframe_ms : the length of the candles that will be told.

    Raises
    ------
    UserError
        When the strategy cannot be loaded or started, or does what is not done here.
    """
    begin_s, step_s = begin_ms // 1000, timeframe_ms // 1000
    prepared = prepare(replace(options, timerange=f"{begin_s - HISTORY * step_s:010d}-{begin_s:010d}"))
    if len(prepared.strategies) != 1:
        names = ", ".join(each.get_strategy_name() for each in prepared.strategies)
        raise UserError(f"a trader is one strategy, the configuration names {names}")
    (strategy,) = prepared.strategies
    name, file = strategy.get_strategy_name(), strategy.__file__
    who = f"strategy {name!r} ({file})"
    _refuse_what_is_not_done(prepared, strategy, who, pairs, timeframe_ms)
    config, exchange = strategy.config, prepared.exchange
    for each in (config, prepared.config):
        each["runmode"], each["dry_run"], each["fee"] = RunMode.DRY_RUN, True, prepared.fee
    exchange._config = config
    register, venue = Register(str(config["timeframe"])), Venue(exchange)
    provider = PaperProvider(config, exchange, prepared.provider._candles, begin_ms)
    provider.add_pairlisthandler(prepared.pairlists)
    strategy.dp = provider
    strategy.order_types["stoploss_on_exchange"] = False
    with register.opened(), market_time(datetime.fromtimestamp(begin_ms / 1000, UTC)):
        strategy.wallets = wallets = HeldWallets(config, exchange)
        with strategy_code(name, file, "bot_start"):
            strategy.ft_bot_start()
        with told("protections"):
            bot = Bot(config, exchange, strategy, provider, prepared.pairlists)
        with strategy_code(name, file, "informative_pairs"):
            asked = strategy.gather_informative_pairs()
    longer = _longer(prepared, provider, asked, pairs, who)
    history = {pair: _history(prepared, provider, pair) for pair in _heard(prepared, asked)}
    window = Window(str(config["timeframe"]), history, HISTORY + prepared.startup, longer, begin_ms)
    return Trader(bot, venue, window, register, Guard(strategy, errors), wallets, prepared.startup)


def _refuse_what_is_not_done(
    prepared: Prepared, strategy: IStrategy, who: str, pairs: Collection[str], timeframe_ms: int
) -> None:
    if prepared.config["trading_mode"] != TradingMode.SPOT:
        raise UserError(f"{who}: trading_mode must be 'spot', futures are not traded in paper yet")
    if prepared.config.get("timeframe_detail"):
        raise UserError(f"{who}: timeframe_detail is for backtests, here the market is followed as it moves")
    step_ms = timeframe_to_seconds(str(prepared.config["timeframe"])) * 1000
    if step_ms != timeframe_ms:
        raise UserError(
            f"{who}: the timeframe must be that of the desk ({timeframe_ms // 60_000} minutes), was"
            f" {prepared.config['timeframe']!r}"
        )
    if untold := [pair for pair in prepared.pairlists.whitelist if pair not in pairs]:
        raise UserError(f"{who}: the desk has no candles of {', '.join(untold)}, which the strategy trades")


def _heard(prepared: Prepared, asked: list[tuple[str, str, object]]) -> list[str]:
    return list(dict.fromkeys([*prepared.pairlists.whitelist, *(pair for pair, _, _ in asked)]))


def _longer(
    prepared: Prepared,
    provider: PaperProvider,
    asked: list[tuple[str, str, object]],
    pairs: Collection[str],
    who: str,
) -> dict[tuple[str, str], DataFrame | None]:
    """Return stored candles of the longer timeframes the strategy asks for."""
    own, kind = str(prepared.config["timeframe"]), prepared.config["candle_type_def"]
    found: dict[tuple[str, str], DataFrame | None] = {}
    for pair, timeframe, of_kind in asked:
        if pair not in pairs:
            raise UserError(f"{who}: the desk has no candles of {pair}, which the strategy looks at")
        if of_kind not in ("", kind):
            raise UserError(f"{who}: candles must be of kind {kind.value!r}, {pair} is asked as {of_kind}")
        if timeframe == own:
            continue
        if timeframe_to_seconds(timeframe) % timeframe_to_seconds(own):
            raise UserError(f"{who}: {timeframe} candles of {pair} cannot be made of {own} candles")
        stored = provider.before(pair, timeframe, kind, HISTORY + prepared.startup)
        found[pair, timeframe] = None if stored.empty else stored
    return found


def _history(prepared: Prepared, provider: PaperProvider, pair: str) -> DataFrame:
    known = prepared.candles.get(pair)
    if known is not None:
        return known
    config = prepared.config
    return provider.before(
        pair, str(config["timeframe"]), config["candle_type_def"], HISTORY + prepared.startup
    )
