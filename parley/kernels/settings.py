"""What a simulation needs to know besides candles: the settings of a run and the rules of each pair.

The names are freqtrade's, so that whoever knows its configuration knows these. Everything is resolved:
the strategy's attribute or the configuration's key that overrides it, defaults filled in, intervals in
the unit the name states.

Not here: reading configurations (`freqtrade_bridge`), and the arrays the compiled loop takes (`backtest`).

Invariant: values only, no dict and no default that the loader could forget and that changes a result.
Fields are only appended, with a default.
"""

from typing import Literal

import msgspec

TICK_SIZE = 4
"""Counting modes of precisions, numbered as ccxt numbers them."""
DECIMAL_PLACES = 2
SIGNIFICANT_DIGITS = 3

TradingMode = Literal["spot", "futures"]
MarginMode = Literal["", "isolated", "cross"]
LiquidationFormula = Literal["default", "binance", "bybit", "bitget", "hyperliquid"]


class LeverageTier(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a venue's margin table, as freqtrade's `parse_leverage_tier` reads it."""

    min_notional: float
    max_notional: float | None
    maintenance_margin_rate: float
    max_leverage: float
    maintenance_amount: float | None
    """The amount to deduct ("cum", `maintAmt`), in stake currency."""


class PairSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says about one pair. Limits are raw, as in the market's `limits`: in contracts."""

    pair: str
    base_currency: str
    amount_precision: float | None
    """In the unit of `SimulationSettings.precision_mode`: a tick, a number of places or of digits."""
    price_precision: float | None
    """The market's own; used where `price_ticks` says nothing. Unit: `precision_mode_price`."""
    price_ticks: tuple[tuple[int, float], ...] = ()
    """(valid from, ms UTC, tick) rising, from freqtrade's `get_tick_size_over_time` without its NaN rows."""
    contract_size: float | None = None
    cost_min: float | None = None
    cost_max: float | None = None
    amount_min: float | None = None
    amount_max: float | None = None
    taker_fee: float | None = None
    """The market's `taker` (or the venue's default fee): only liquidation prices use it."""
    inverse: bool = False
    leverage_tiers: tuple[LeverageTier, ...] = ()
    """Empty for spot and for a pair without tiers; rising `min_notional`."""


class ProtectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One protection; periods in minutes, and in candles where the strategy gave candles (texts name
    them)."""

    method: Literal["CooldownPeriod", "LowProfitPairs", "MaxDrawdown", "StoplossGuard"]
    lookback_period_min: int
    stop_duration_min: int
    lookback_period_candles: int | None = None
    stop_duration_candles: int | None = None
    unlock_at: str | None = None
    """"HH:MM" UTC; then `stop_duration_*` do not count."""
    trade_limit: int = 1
    """freqtrade's default is 10 for StoplossGuard, 1 for LowProfitPairs and MaxDrawdown: resolved here."""
    required_profit: float = 0.0
    only_per_pair: bool = False
    only_per_side: bool = False
    max_allowed_drawdown: float = 0.0
    calculation_mode: Literal["ratios", "equity"] = "ratios"


class SimulationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the loop reads of freqtrade's configuration and of the strategy's attributes."""

    # Time
    timeframe: str
    """As freqtrade writes it ("5m"): trades and locks show it."""
    timeframe_ms: int
    startup_candles: int = 0
    """Candles cut from the start of every frame (freqtrade's `required_startup`); 0: cut by `start_ms`."""
    start_ms: int | None = None
    """Time range after `adjust_start_if_necessary`, inclusive; None: open. Used when startup_candles is 0."""
    stop_ms: int | None = None
    """Inclusive; None: open."""
    timeframe_detail_ms: int | None = None
    ignore_buying_expired_candle_after_s: float = 0.0
    """0: off. Counts with a detail timeframe only."""

    # Money
    stake_currency: str
    stake_amount: float | Literal["unlimited"]
    dry_run_wallet: float
    """Starting balance in stake currency."""
    other_balances: tuple[tuple[str, float], ...] = ()
    """Further currencies of `dry_run_wallet` where it is a table."""
    available_capital: float | None = None
    tradable_balance_ratio: float = 0.99
    amend_last_stake_amount: bool = False
    last_stake_amount_min_ratio: float = 0.5
    amount_reserve_percent: float = 0.05
    fee: float
    """A ratio, for entry and exit alike; from the configuration or the venue's worst, as `set_fee` does."""
    max_open_trades: float
    """`inf` where freqtrade has inf (-1 in the configuration)."""
    position_stacking: bool = False

    # Venue
    exchange: str
    precision_mode: int
    precision_mode_price: int
    trading_mode: TradingMode = "spot"
    margin_mode: MarginMode = ""
    liquidation_formula: LiquidationFormula = "default"
    liquidation_buffer: float = 0.05
    funding_fee_timeframe_ms: int = 3_600_000

    # Exits
    minimal_roi: tuple[tuple[int, float], ...]
    """(minutes since entry, ratio), rising minutes."""
    stoploss: float
    trailing_stop: bool = False
    trailing_stop_positive: float | None = None
    trailing_stop_positive_offset: float = 0.0
    trailing_only_offset_is_reached: bool = False
    use_exit_signal: bool = True
    exit_profit_only: bool = False
    exit_profit_offset: float = 0.0
    ignore_roi_if_entry_signal: bool = False

    # Orders
    can_short: bool = False
    """The strategy's own `can_short`; spot never shorts."""
    entry_order_type: str = "limit"
    exit_order_type: str = "limit"
    entry_time_in_force: str = "GTC"
    exit_time_in_force: str = "GTC"
    unfilledtimeout_entry_s: float | None = None
    """None: the configuration has no such key (then orders wait for ever)."""
    unfilledtimeout_exit_s: float | None = None

    # Protections
    enable_protections: bool = False
    protections: tuple[ProtectionSettings, ...] = ()

    # Strategy callbacks
    hooks: frozenset[str] = frozenset()
    """Names of the callbacks the strategy overrides, `IStrategy`'s names ("custom_stoploss", ...)."""
    use_custom_stoploss: bool = False
    use_custom_roi: bool = False
    stop_uses_after_fill: bool = False
    """`custom_stoploss` takes `after_fill` (freqtrade's `_ft_stop_uses_after_fill`)."""
    position_adjustment_enable: bool = False
    max_entry_position_adjustment: int = -1
    dynamic_pairlist: bool = False
