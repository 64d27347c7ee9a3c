"""freqtrade's exchange object that never reaches an exchange.

Problem: freqtrade's rules about stakes, precision, leverage, fees and liquidation live in its exchange
classes, and a strategy may ask the data provider for a market. So the exchange is freqtrade's own, for the
venue the configuration names, with its markets set from here and every way to the network shut.

Not here: the markets themselves (`markets`). Invariant: the object holds no key, and a request to the venue
raises as if the venue were unreachable.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn

import ccxt
from freqtrade.constants import Config
from freqtrade.enums import TradingMode
from freqtrade.exchange import Exchange
from freqtrade.resolvers import ExchangeResolver

from freqtrade_bridge.faults import told
from freqtrade_bridge.markets import (
    PAIR,
    made_up_markets,
    made_up_tiers,
    read_markets,
    read_tiers,
    require_markets,
)
from freqtrade_bridge.options import Options

_KEYS: Final = ("key", "secret", "password", "uid", "api_key", "private_key", "wallet_address", "account_id")


def offline_exchange(config: Config, options: Options, pairs: Iterable[str]) -> Exchange:
    """Return the configured venue's exchange object, which knows these pairs and those of the configuration.

    Raises
    ------
    UserError
        When the venue, a timeframe, an order type or the margin mode is not one freqtrade supports there.
    """
    # With the configuration checked, a key in it has no further use in this process.
    for key in _KEYS:
        config["exchange"].pop(key, None)
    with told("exchange"):
        exchange = ExchangeResolver.load_exchange(config, validate=False, load_leverage_tiers=False)
    _shut(exchange)
    futures = exchange.trading_mode == TradingMode.FUTURES
    listed = [pair for pair in config["exchange"]["pair_whitelist"] if PAIR.fullmatch(pair)]
    names = list(dict.fromkeys([*listed, *pairs]))
    if options.markets is not None:
        markets = read_markets(options.markets)
        require_markets(listed, markets, options.markets)
    else:
        swap = exchange.get_option("ccxt_futures_name")
        markets = made_up_markets(names, exchange._api, futures=futures, swap=swap)
    _set_markets(exchange, markets)
    if futures:
        _set_tiers(exchange, options, names)
    with told("exchange"):
        exchange.validate_config(config)
    return exchange


def _shut(exchange: Exchange) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ccxt.ExchangeNotAvailable("a backtest asks nothing of the exchange")

    async def refuse_later(*_: Any, **__: Any) -> NoReturn:
        refuse()

    # On the instance, not the class: another exchange object of this process stays as it is.
    exchange._api.fetch = refuse
    exchange._api_async.fetch = refuse_later
    exchange.reload_markets = lambda *_, **__: None  # type: ignore[method-assign]


def _set_markets(exchange: Exchange, markets: dict[str, Any]) -> None:
    exchange._api.set_markets(list(markets.values()))
    exchange._api_async.set_markets(list(markets.values()))
    exchange._markets = exchange._api.markets


def _set_tiers(exchange: Exchange, options: Options, pairs: list[str]) -> None:
    if options.leverage_tiers is not None:
        tiers = read_tiers(options.leverage_tiers)
    elif type(exchange).load_leverage_tiers is not Exchange.load_leverage_tiers:
        # freqtrade ships a table with this venue's class and reads it in dry runs.
        tiers = exchange.load_leverage_tiers()
    else:
        tiers = exchange.load_cached_leverage_tiers(exchange._config["stake_currency"]) or {}
    # What the user's own table lacks stays missing, and the pair is refused where freqtrade refuses it.
    missing = () if options.leverage_tiers is not None else (pair for pair in pairs if pair not in tiers)
    exchange._leverage_tiers = {
        pair: [exchange.parse_leverage_tier(tier) for tier in of_pair]
        for pair, of_pair in (tiers | {pair: made_up_tiers() for pair in missing}).items()
    }
