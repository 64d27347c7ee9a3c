"""Random configuration of a case: every option that can change what freqtrade's backtest reports.

Problem: options that are each understood still meet in surprising ways: a stake of "unlimited" with a wallet
in two currencies, a profit table that begins after an hour with a trailing stop, a fee taken from the market.

Not here: callbacks (`hooks`), candles and signals.

Invariant: freqtrade accepts the configuration. Half of the options that may stand in the configuration or in
the strategy stand in either place.
"""

from __future__ import annotations

from typing import Any

from tests.differential.dice import Dice

Options = dict[str, Any]
# Level 1 is what every strategy uses, 2 adds futures, 3 protections, timeouts, detail and time ranges, 4
# callbacks.
SPOT, FUTURES, EXTRAS, HOOKS = 1, 2, 3, 4
# Venues differ in freqtrade's liquidation prices and limits of a stake.
SPOT_EXCHANGES = ("binance", "binance", "bybit", "okx", "gate", "kraken", "bitget")
FUTURES_EXCHANGES = ("binance", "binance", "bybit", "okx", "gate", "bitget")
# What the resolver takes from the configuration in place of the strategy.
MOVABLE = (
    "minimal_roi", "stoploss", "trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset",
    "trailing_only_offset_is_reached", "use_exit_signal", "exit_profit_only", "exit_profit_offset",
    "ignore_roi_if_entry_signal", "order_types", "order_time_in_force", "max_open_trades",
    "ignore_buying_expired_candle_after",
)  # fmt: skip


def draw_options(dice: Dice, level: int, pairs: int, volatility: float) -> tuple[Options, Options]:
    """Return (configuration, strategy attributes) of a case with ``pairs`` pairs.

    Stops and targets are multiples of ``volatility``, so that each of them is reached in some cases.
    """
    is_futures = level >= FUTURES and dice.chance(0.5)
    venues = FUTURES_EXCHANGES if is_futures else SPOT_EXCHANGES
    config: Options = {
        "stake_currency": "USDT",
        "trading_mode": "futures" if is_futures else "spot",
        "margin_mode": dice.pick(("isolated", "isolated", "cross")) if is_futures else "",
        "exchange": {"name": dice.pick(venues), "pair_whitelist": [], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "other"},
        "exit_pricing": {"price_side": "other"},
        **dice.maybe(0.3, "liquidation_buffer", dice.between(0.0, 0.3)),
    }
    attributes: Options = {
        "timeframe": dice.pick(("1m", "5m", "5m", "15m", "1h")),
        "can_short": is_futures and dice.chance(0.8),
        **dice.maybe(0.5, "startup_candle_count", dice.whole(0, 12)),
        **_exits(dice.part("exits"), volatility, is_futures=is_futures),
    }
    money = _money(dice.part("money"), pairs)
    attributes["max_open_trades"] = money.pop("max_open_trades")
    config.update(money)
    if config["margin_mode"] == "cross" and config["exchange"]["name"] != "binance":
        config["margin_mode"] = "isolated"  # the others refuse it
    if level >= EXTRAS:
        _add_extras(dice.part("extras"), config, attributes)
    if dice.chance(0.5):
        for name in MOVABLE:
            if name in attributes and dice.chance(0.5):
                config[name] = attributes.pop(name)
    if config.get("max_open_trades") == -1 and config["stake_amount"] == "unlimited":
        config["max_open_trades"] = 2
    return config, attributes


def _money(dice: Dice, pairs: int) -> Options:
    wallet = dice.scale(50, 100_000, 2)
    slots = dice.pick((-1, 1, 2, 3, pairs, pairs))
    stake: Any = dice.between(wallet / 20, wallet / 2, 2)
    if dice.chance(0.35):
        stake = "unlimited"
        slots = max(slots, 1)
    return {
        "stake_amount": stake,
        "max_open_trades": slots,
        "dry_run_wallet": {"USDT": wallet, "COIN0": 3.5} if dice.chance(0.15) else wallet,
        "tradable_balance_ratio": dice.pick((0.99, 0.99, 1.0, 0.5)),
        "amend_last_stake_amount": dice.chance(0.4),
        "last_stake_amount_min_ratio": dice.pick((0.5, 0.1)),
        **dice.maybe(0.15, "available_capital", round(wallet * 0.7, 2)),
        **dice.maybe(0.2, "amount_reserve_percent", dice.pick((0.0, 0.05, 0.3))),
        **dice.maybe(0.7, "fee", dice.pick((0.0, 0.0005, 0.001, 0.0025))),
    }


def _exits(dice: Dice, volatility: float, *, is_futures: bool) -> Options:
    stop = -0.99 if is_futures and dice.chance(0.6) else -min(dice.scale(1.5, 40) * volatility, 0.5)
    exits: Options = {
        "stoploss": round(stop, 5),
        **dice.maybe(0.75, "minimal_roi", _roi(dice.part("roi"), volatility)),
        **dice.maybe(0.5, "use_exit_signal", dice.chance(0.8)),
        **dice.maybe(0.3, "exit_profit_only", True),
        **dice.maybe(0.4, "ignore_roi_if_entry_signal", dice.chance(0.7)),
        **dice.maybe(0.4, "order_types", _order_types(dice.part("types"))),
    }
    if exits.get("exit_profit_only"):
        exits["exit_profit_offset"] = dice.pick((0.0, 0.005, -0.01))
    if dice.chance(0.4):
        exits.update(_trailing(dice.part("trailing"), volatility))
    if dice.chance(0.3):
        exits["order_time_in_force"] = {"entry": dice.pick(("GTC", "FOK", "IOC")), "exit": "GTC"}
    return exits


def _roi(dice: Dice, volatility: float) -> dict[str, float]:
    times = dice.some((0, 3, 5, 10, 30, 60, 61, 300), 0.35)
    table = {str(time): round(dice.scale(1, 20) * volatility, 5) for time in times}
    if table and dice.chance(0.15):
        table[str(times[-1])] = -1.0  # leave at that age whatever the profit
    elif table and dice.chance(0.2):
        table[str(times[-1])] = dice.pick((0.0, -0.005))
    return table


def _trailing(dice: Dice, volatility: float) -> Options:
    trailing: Options = {"trailing_stop": True}
    if dice.chance(0.6):
        positive = round(dice.scale(1, 15) * volatility, 5)
        trailing["trailing_stop_positive"] = positive
        if dice.chance(0.7):
            trailing["trailing_stop_positive_offset"] = round(positive + dice.scale(0.2, 10) * volatility, 5)
            trailing["trailing_only_offset_is_reached"] = dice.chance(0.5)
    return trailing


def _order_types(dice: Dice) -> Options:
    kinds = ("limit", "market")
    return {
        "entry": dice.pick(kinds), "exit": dice.pick(kinds), "stoploss": dice.pick(kinds),
        "stoploss_on_exchange": dice.chance(0.5),
    }  # fmt: skip


def _add_extras(dice: Dice, config: Options, attributes: Options) -> None:
    if dice.chance(0.5):
        attributes["protections"] = [_protection(dice.part(str(index))) for index in range(dice.whole(1, 3))]
        config["enable_protections"] = dice.chance(0.9)
    if dice.chance(0.6):
        unit = dice.pick(("minutes", "seconds"))
        longest = 60 if unit == "minutes" else 3600
        config["unfilledtimeout"] = {
            "entry": dice.whole(1, longest), "exit": dice.whole(1, longest), "unit": unit,
        }  # fmt: skip
    if dice.chance(0.15):
        config["position_stacking"] = True
    if dice.chance(0.5) and attributes["timeframe"] in DETAIL:
        config["timeframe_detail"] = DETAIL[attributes["timeframe"]]
        if dice.chance(0.3):
            attributes["ignore_buying_expired_candle_after"] = dice.whole(60, 600)


DETAIL = {"5m": "1m", "15m": "5m", "1h": "15m"}


def _protection(dice: Dice) -> Options:
    common: Options = {}
    if dice.chance(0.15):
        common["unlock_at"] = dice.pick(("06:00", "13:30"))
    elif dice.chance(0.5):
        common["stop_duration_candles"] = dice.whole(1, 20)
    else:
        common["stop_duration"] = dice.whole(1, 120)
    if dice.chance(0.5):
        common["lookback_period_candles"] = dice.whole(2, 60)
    else:
        common["lookback_period"] = dice.whole(5, 400)
    per_side = dice.maybe(0.4, "only_per_side", True)
    match dice.pick(("CooldownPeriod", "StoplossGuard", "LowProfitPairs", "MaxDrawdown")):
        case "CooldownPeriod":
            return {"method": "CooldownPeriod", **common}
        case "StoplossGuard":
            return {
                "method": "StoplossGuard", "trade_limit": dice.whole(1, 4), **common, **per_side,
                **dice.maybe(0.5, "only_per_pair", dice.chance(0.5)),
                **dice.maybe(0.3, "required_profit", dice.between(-0.02, 0.01)),
            }  # fmt: skip
        case "LowProfitPairs":
            return {
                "method": "LowProfitPairs", "trade_limit": dice.whole(1, 4), **common, **per_side,
                "required_profit": dice.between(-0.01, 0.01),
            }  # fmt: skip
        case _:
            return {
                "method": "MaxDrawdown", "trade_limit": dice.whole(1, 6), **common,
                "max_allowed_drawdown": dice.scale(0.005, 0.1, 4),
                **dice.maybe(0.5, "calculation_mode", dice.pick(("equity", "ratios"))),
            }  # fmt: skip
