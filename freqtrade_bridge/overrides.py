"""Which of freqtrade's callbacks a strategy has made its own.

Not here: calling them (`hooks`). Invariant: a name is in the answer exactly when freqtrade would run the
user's code at that point, older names counted under the name that replaced them.
"""

from typing import Final

from freqtrade.strategy.interface import IStrategy

# The callback freqtrade's backtest calls, and every method whose override makes that call reach user code.
HOOKS: Final[dict[str, tuple[str, ...]]] = {
    "bot_loop_start": ("bot_loop_start",),
    "custom_stake_amount": ("custom_stake_amount",),
    "custom_entry_price": ("custom_entry_price",),
    "custom_exit_price": ("custom_exit_price",),
    "custom_stoploss": ("custom_stoploss",),
    "custom_roi": ("custom_roi",),
    "custom_exit": ("custom_exit", "custom_sell"),
    "confirm_trade_entry": ("confirm_trade_entry",),
    "confirm_trade_exit": ("confirm_trade_exit",),
    "check_entry_timeout": ("check_entry_timeout", "check_buy_timeout"),
    "check_exit_timeout": ("check_exit_timeout", "check_sell_timeout"),
    "adjust_trade_position": ("adjust_trade_position",),
    "adjust_order_price": ("adjust_order_price", "adjust_entry_price", "adjust_exit_price"),
    "order_filled": ("order_filled",),
    "leverage": ("leverage",),
}


def overridden_hooks(strategy: IStrategy) -> frozenset[str]:
    """Name the callbacks that run the strategy's own code, by the name freqtrade's backtest calls."""
    return frozenset(
        hook for hook, methods in HOOKS.items() if any(is_own(strategy, method) for method in methods)
    )


def is_own(strategy: IStrategy, method: str) -> bool:
    """Say whether this method of freqtrade's is the strategy's own."""
    if method in vars(strategy):
        return True
    return getattr(type(strategy), method) is not getattr(IStrategy, method)
