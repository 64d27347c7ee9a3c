"""A strategy's callbacks as plain functions a simulation calls, with what freqtrade does around such a call.

Problem: freqtrade calls every callback through a wrapper that swallows what it raises and goes on with a
default, and lets the data provider show it no candle that has not closed yet. A backtest has to do the same
to give the same trades, but whoever reads the result should know of errors; and live, the same error must
refuse the trade instead.

Not here: when a callback is called and what its answer means (`parley.kernels`), the trade it is shown
(`backtest`). Invariant: with errors "default" a callback that raises answers what freqtrade would go on with,
and `Faults` has it; with "refuse" it is a `UserError`. A price that is no number, a negative stake and a
question that cannot be answered here are refused either way.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.faults import in_one_line, place_of
from freqtrade_bridge.overrides import overridden_hooks
from freqtrade_bridge.provider import OfflineDataProvider
from parley.errors import UserError

Hook = Callable[..., Any]
CallbackErrors = Literal["default", "refuse"]

# What freqtrade goes on with when a callback raises: a value, or the argument that holds it.
_DEFAULTS: Final[dict[str, Any]] = {
    "bot_loop_start": None, "custom_stoploss": None, "custom_roi": None, "order_filled": None,
    "custom_exit": False, "confirm_trade_entry": True, "confirm_trade_exit": True,
    "check_entry_timeout": False, "check_exit_timeout": False, "leverage": 1.0,
    "adjust_trade_position": (None, ""),
}  # fmt: skip
_DEFAULT_ARGUMENTS: Final = {
    "custom_stake_amount": "proposed_stake", "custom_entry_price": "proposed_rate",
    "custom_exit_price": "proposed_rate", "adjust_order_price": "current_order_rate",
}  # fmt: skip
_PRICES: Final = frozenset({"custom_entry_price", "custom_exit_price", "adjust_order_price"})


@dataclass(slots=True)
class Faults:
    """How often each callback raised, and the first thing it said."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, told: str) -> None:
        """Count one more."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self.first.setdefault(name, told)

    def lines(self) -> list[str]:
        """Say what happened, a line for each callback."""
        return [
            f"{name} raised {count} times, first: {self.first[name]}" for name, count in self.counts.items()
        ]


def strategy_hooks(
    strategy: IStrategy, provider: OfflineDataProvider, faults: Faults, errors: CallbackErrors = "default"
) -> Mapping[str, Hook]:
    """Return the callbacks the strategy overrides, by the name freqtrade's backtest calls."""
    return {
        name: _hook(strategy, name, provider, faults, errors) for name in sorted(overridden_hooks(strategy))
    }


def _hook(
    strategy: IStrategy, name: str, provider: OfflineDataProvider, faults: Faults, errors: CallbackErrors
) -> Hook:
    method: Hook = getattr(strategy, name)
    argument, default = _DEFAULT_ARGUMENTS.get(name), _DEFAULTS.get(name)
    who = f"strategy {strategy.get_strategy_name()!r} ({strategy.__file__}): {name}"
    judge = _judge(name, who)
    look_from, timeframe = provider.look_from, timedelta(seconds=provider.timeframe_s)

    def failed(error: Exception) -> Any:
        if isinstance(error, UserError):
            raise error
        told = f"{type(error).__name__}: {in_one_line(error)} ({place_of(error, strategy.__file__)})"
        if errors == "refuse":
            raise UserError(f"{who} failed: {told}") from error
        faults.note(name, told)
        return default

    def hook(**arguments: Any) -> Any:
        look_from(arguments["pair"], arguments["current_time"])
        try:
            answer = method(**arguments)
        except Exception as error:  # noqa: BLE001 - `failed` notes it or raises
            instead = failed(error)
            return instead if argument is None else arguments[argument]
        return answer if judge is None else judge(answer)

    def at_the_start(current_time: datetime) -> Any:
        # Asked before any candle of this step was looked at: what is known is the step before.
        look_from(None, current_time - timeframe)
        try:
            return method(current_time=current_time)
        except Exception as error:  # noqa: BLE001 - `failed` notes it or raises
            return failed(error)

    if name == "bot_loop_start":
        return at_the_start
    return _written_out(method, provider, failed).get(name, hook)


def _written_out(
    method: Hook, provider: OfflineDataProvider, failed: Callable[[Exception], Any]
) -> dict[str, Hook]:
    """What is asked at every candle of a trade, with its arguments written out.

    As dictionaries, passing them on took more than a third of a simulation's time.
    """
    look_from = provider.look_from

    def custom_stoploss(
        pair: str, trade: Any, current_time: datetime, current_rate: float, current_profit: float,
        after_fill: bool,
    ) -> Any:  # fmt: skip
        look_from(pair, current_time)
        try:
            return method(
                pair=pair, trade=trade, current_time=current_time, current_rate=current_rate,
                current_profit=current_profit, after_fill=after_fill,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - `failed` notes it or raises
            return failed(error)

    def custom_exit(
        pair: str, trade: Any, current_time: datetime, current_rate: float, current_profit: float
    ) -> Any:
        look_from(pair, current_time)
        try:
            return method(
                pair=pair, trade=trade, current_time=current_time, current_rate=current_rate,
                current_profit=current_profit,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - `failed` notes it or raises
            return failed(error)

    def adjust_trade_position(
        trade: Any, current_time: datetime, current_rate: float, current_profit: float,
        min_stake: float | None, max_stake: float, current_entry_rate: float, current_exit_rate: float,
        current_entry_profit: float, current_exit_profit: float,
    ) -> Any:  # fmt: skip
        look_from(trade.pair, current_time)
        try:
            return method(
                trade=trade, current_time=current_time, current_rate=current_rate,
                current_profit=current_profit, min_stake=min_stake, max_stake=max_stake,
                current_entry_rate=current_entry_rate, current_exit_rate=current_exit_rate,
                current_entry_profit=current_entry_profit, current_exit_profit=current_exit_profit,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - `failed` notes it or raises
            return failed(error)

    return {
        "custom_stoploss": custom_stoploss,
        "custom_exit": custom_exit,
        "adjust_trade_position": adjust_trade_position,
    }


def _judge(name: str, about: str) -> Callable[[Any], Any] | None:
    def price(answer: Any) -> Any:
        if isinstance(answer, float) and math.isnan(answer):
            raise UserError(f"{about} must return a price or None, returned nan")
        return answer

    def stake(answer: Any) -> Any:
        if isinstance(answer, int | float) and (math.isnan(answer) or answer < 0):
            raise UserError(f"{about} must return a stake of at least 0, returned {answer!r}")
        return answer

    if name in _PRICES:
        return price
    return stake if name == "custom_stake_amount" else None
