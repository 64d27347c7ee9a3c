"""Read a strategy's attributes and freqtrade's configuration into the settings of a simulation.

Problem: freqtrade's loop reads some things from the run's configuration, some from the strategy's own and
some from the strategy's attributes, which differ when several strategies run. Each setting is taken here from
where that loop takes it.

Not here: what the settings do (`parley.kernels`). Invariant: everything is resolved; a strategy that was not
started (`ft_bot_start`) has no settings yet, for a start may change its attributes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from freqtrade.configuration import TimeRange
from freqtrade.constants import DEFAULT_AMOUNT_RESERVE_PERCENT, Config
from freqtrade.enums import TradingMode
from freqtrade.exchange import Exchange, timeframe_to_seconds
from freqtrade.plugins.protectionmanager import ProtectionManager
from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.overrides import overridden_hooks
from parley.errors import UserError
from parley.kernels.settings import (
    LeverageTier,
    LiquidationFormula,
    PairSpec,
    ProtectionSettings,
    SimulationSettings,
)

_FORMULAS: Final[Mapping[str, LiquidationFormula]] = {
    "Binance": "binance", "Bybit": "bybit", "Bitget": "bitget", "Hyperliquid": "hyperliquid",
    "Exchange": "default",
}  # fmt: skip


def simulation_settings(
    config: Config, strategy: IStrategy, exchange: Exchange, timerange: TimeRange, startup: int, fee: float
) -> SimulationSettings:
    """Return the settings of one strategy's simulation; `config` is the run's, not the strategy's own."""
    timeframe = str(config["timeframe"])
    own = strategy.config
    detail = str(config.get("timeframe_detail") or "")
    stake, others = _wallet(config, exchange)
    timeouts = own.get("unfilledtimeout", {})
    unit = 60.0 if timeouts.get("unit", "minutes") == "minutes" else 1.0
    protected = bool(config.get("enable_protections", False))
    return SimulationSettings(
        timeframe=timeframe,
        timeframe_ms=_milliseconds(timeframe),
        startup_candles=startup,
        start_ms=timerange.startts * 1000 if timerange.starttype == "date" else None,
        stop_ms=timerange.stopts * 1000 if timerange.stoptype == "date" else None,
        timeframe_detail_ms=_milliseconds(detail) if detail else None,
        ignore_buying_expired_candle_after_s=float(strategy.ignore_buying_expired_candle_after or 0),
        stake_currency=config["stake_currency"],
        stake_amount=config["stake_amount"],
        dry_run_wallet=stake,
        other_balances=others,
        available_capital=config.get("available_capital"),
        tradable_balance_ratio=config["tradable_balance_ratio"],
        amend_last_stake_amount=config["amend_last_stake_amount"],
        last_stake_amount_min_ratio=config["last_stake_amount_min_ratio"],
        amount_reserve_percent=config.get("amount_reserve_percent", DEFAULT_AMOUNT_RESERVE_PERCENT),
        fee=fee,
        max_open_trades=float(strategy.max_open_trades),
        position_stacking=bool(config.get("position_stacking", False)),
        exchange=config["exchange"]["name"],
        precision_mode=exchange.precisionMode,
        precision_mode_price=exchange.precision_mode_price,
        trading_mode="futures" if exchange.trading_mode == TradingMode.FUTURES else "spot",
        margin_mode=str(exchange.margin_mode.value),  # type: ignore[arg-type]
        liquidation_formula=_liquidation_formula(exchange),
        liquidation_buffer=exchange.liquidation_buffer,
        funding_fee_timeframe_ms=_milliseconds(exchange.get_option("funding_fee_timeframe")),
        minimal_roi=tuple(
            sorted((int(minutes), float(part)) for minutes, part in strategy.minimal_roi.items())
        ),
        stoploss=strategy.stoploss,
        trailing_stop=bool(strategy.trailing_stop),
        trailing_stop_positive=strategy.trailing_stop_positive,
        trailing_stop_positive_offset=strategy.trailing_stop_positive_offset,
        trailing_only_offset_is_reached=bool(strategy.trailing_only_offset_is_reached),
        use_exit_signal=bool(strategy.use_exit_signal),
        exit_profit_only=bool(strategy.exit_profit_only),
        exit_profit_offset=strategy.exit_profit_offset,
        ignore_roi_if_entry_signal=bool(strategy.ignore_roi_if_entry_signal),
        can_short=bool(strategy.can_short),
        entry_order_type=strategy.order_types["entry"],
        exit_order_type=strategy.order_types["exit"],
        entry_time_in_force=strategy.order_time_in_force["entry"],
        exit_time_in_force=strategy.order_time_in_force["exit"],
        unfilledtimeout_entry_s=_seconds(timeouts.get("entry"), unit),
        unfilledtimeout_exit_s=_seconds(timeouts.get("exit"), unit),
        enable_protections=protected,
        protections=_protections(config, strategy) if protected else (),
        hooks=overridden_hooks(strategy),
        use_custom_stoploss=bool(strategy.use_custom_stoploss),
        use_custom_roi=bool(strategy.use_custom_roi),
        stop_uses_after_fill=bool(strategy._ft_stop_uses_after_fill),
        position_adjustment_enable=bool(strategy.position_adjustment_enable),
        max_entry_position_adjustment=strategy.max_entry_position_adjustment,
        dynamic_pairlist=bool(config.get("enable_dynamic_pairlist", False)),
    )


def pair_specs(
    pairs: Iterable[str], exchange: Exchange, ticks: Mapping[str, tuple[tuple[int, float], ...]]
) -> dict[str, PairSpec]:
    """Return what the venue says about each pair."""
    return {pair: _spec(pair, exchange, ticks.get(pair, ())) for pair in pairs}


def _spec(pair: str, exchange: Exchange, ticks: tuple[tuple[int, float], ...]) -> PairSpec:
    market = exchange.markets[pair]
    limits = market["limits"]
    fees = exchange._api.describe().get("fees", {}).get("trading", {})
    size = exchange.get_contract_size(pair)
    return PairSpec(
        pair=pair,
        base_currency=exchange.get_pair_base_currency(pair),
        amount_precision=exchange.get_precision_amount(pair),
        price_precision=exchange.get_precision_price(pair),
        price_ticks=ticks,
        contract_size=None if size is None else float(size),
        cost_min=limits["cost"]["min"],
        cost_max=limits["cost"]["max"],
        amount_min=limits["amount"]["min"],
        amount_max=limits["amount"]["max"],
        taker_fee=market.get("taker") or fees.get("taker", 0.001),
        inverse=bool(market.get("inverse")),
        leverage_tiers=tuple(
            LeverageTier(
                min_notional=tier["minNotional"],
                max_notional=tier["maxNotional"],
                maintenance_margin_rate=tier["maintenanceMarginRate"],
                max_leverage=tier["maxLeverage"],
                maintenance_amount=tier["maintAmt"],
            )
            for tier in exchange._leverage_tiers.get(pair, ())
        ),
    )


def _liquidation_formula(exchange: Exchange) -> LiquidationFormula:
    # By the class that defines it: several venues inherit one from another.
    owner = next(each for each in type(exchange).__mro__ if "dry_run_liquidation_price" in vars(each))
    if owner.__name__ not in _FORMULAS:
        raise UserError(f"exchange {exchange.name!r}: its liquidation price is not known here")
    return _FORMULAS[owner.__name__]


def _protections(config: Config, strategy: IStrategy) -> tuple[ProtectionSettings, ...]:
    # freqtrade's manager checks the list and makes the objects whose defaults are read here.
    made = ProtectionManager(config, strategy.protections)._protection_handlers
    return tuple(_protection(each) for each in made)


def _protection(made: Any) -> ProtectionSettings:
    given: dict[str, Any] = made._protection_config
    method: Literal["CooldownPeriod", "LowProfitPairs", "MaxDrawdown", "StoplossGuard"] = given["method"]
    if method not in ("CooldownPeriod", "LowProfitPairs", "MaxDrawdown", "StoplossGuard"):
        raise UserError(f"protection {method!r} is not one of freqtrade's four")
    return ProtectionSettings(
        method=method,
        lookback_period_min=made._lookback_period,
        stop_duration_min=made._stop_duration or 0,
        lookback_period_candles=made._lookback_period_candles,
        stop_duration_candles=made._stop_duration_candles,
        unlock_at=made._unlock_at,
        trade_limit=getattr(made, "_trade_limit", 1),
        required_profit=getattr(made, "_required_profit", getattr(made, "_profit_limit", 0.0)),
        only_per_pair=getattr(made, "_disable_global_stop", False),
        only_per_side=getattr(made, "_only_per_side", False),
        max_allowed_drawdown=getattr(made, "_max_allowed_drawdown", 0.0),
        calculation_mode=getattr(made, "_calculation_mode", "ratios"),
    )


def _wallet(config: Config, exchange: Exchange) -> tuple[float, tuple[tuple[str, float], ...]]:
    given = config["dry_run_wallet"]
    currency = exchange.get_proxy_coin()
    if isinstance(given, int | float):
        return float(given), ()
    others = tuple((name, float(amount)) for name, amount in given.items() if name != currency)
    return float(given.get(currency, 0.0)), others


def _milliseconds(timeframe: str) -> int:
    return timeframe_to_seconds(timeframe) * 1000


def _seconds(amount: float | None, unit: float) -> float | None:
    return None if amount is None else amount * unit
