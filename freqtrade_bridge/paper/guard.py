"""Stands around a strategy's callbacks: what one raises refuses its trade, and is told.

Problem: freqtrade swallows what a callback raises and goes on with a default, as if the strategy had agreed.
With money that is not acceptable (settled 13): a callback that fails refuses, and somebody hears of it.

Not here: which defaults freqtrade goes on with, and when callbacks are called (`freqtrade`). Invariant: under
"refuse" nothing freqtrade would do after a failed callback is done, unless a fill is being booked: that is a
fact and stays one.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from freqtrade.strategy.interface import IStrategy

from freqtrade_bridge.faults import in_one_line
from freqtrade_bridge.hooks import CallbackErrors, Faults
from freqtrade_bridge.overrides import HOOKS, overridden_hooks

log = logging.getLogger(__name__)

_PRICES: Final = frozenset({"custom_entry_price", "custom_exit_price"})
_EVERYTHING: Final = "*"


class CallbackRefused(BaseException):
    """A callback raised; not an `Exception`, for freqtrade's wrapper would swallow that."""


class Guard:
    """Wraps the callbacks of one strategy object; ``faults`` are the lines nobody has taken yet."""

    def __init__(self, strategy: IStrategy, errors: CallbackErrors) -> None:
        self.errors = errors
        self.faults: list[str] = []
        self.defaulted = Faults()
        self.is_booking = False
        for hook in sorted(overridden_hooks(strategy)):
            for name in HOOKS[hook]:
                method = getattr(strategy, name, None)
                if method is not None and not _is_freqtrades(method):
                    setattr(strategy, name, self._guarded(name, method))

    @contextmanager
    def booking(self) -> Iterator[None]:
        """Until the end of the block a fill is booked: what is raised is told and refuses nothing."""
        self.is_booking = True
        try:
            yield
        finally:
            self.is_booking = False

    def take(self) -> tuple[str, ...]:
        """Hand over the lines of what was raised since the last time."""
        taken, self.faults = tuple(self.faults), []
        return taken

    def note(self, pair: str, name: str, error: BaseException | str) -> None:
        """Write down one line."""
        what = error if isinstance(error, str) else f"{type(error).__name__}: {in_one_line(error)}"
        self.faults.append(f"{pair} {name}: {what}")

    def default(self, name: str, error: BaseException) -> None:
        """Count what freqtrade goes on from with a default, and say it the first time."""
        told = f"{type(error).__name__}: {in_one_line(error)}"
        if name not in self.defaulted.counts:
            log.warning("callback_defaulted callback=%s error=%s", name, told)
        self.defaulted.note(name, told)

    def _guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def guarded(*given: Any, **named: Any) -> Any:
            pair = _pair_of(given, named)
            try:
                answer = method(*given, **named)
            except Exception as error:
                if self.errors == "default":
                    self.default(name, error)
                    raise
                self.note(pair, name, error)
                if self.is_booking or name == "bot_loop_start":
                    raise
                raise CallbackRefused from error
            if (wrong := _wrong(name, answer)) and not self.is_booking:
                # freqtrade would make a price of it that nobody meant; refused whatever the setting is.
                self.note(pair, name, f"ValueError: {wrong}")
                raise CallbackRefused
            return answer

        return guarded


def _is_freqtrades(method: Callable[..., Any]) -> bool:
    return getattr(method, "__qualname__", "").startswith("IStrategy.")


def _pair_of(given: tuple[Any, ...], named: dict[str, Any]) -> str:
    if "pair" in named:
        return str(named["pair"])
    trade = named.get("trade", given[0] if given else None)
    return str(getattr(trade, "pair", _EVERYTHING))


def _wrong(name: str, answer: Any) -> str:
    if name == "adjust_trade_position" and isinstance(answer, tuple):
        answer = answer[0] if answer else None
    if not isinstance(answer, int | float) or isinstance(answer, bool):
        return ""
    if name in _PRICES and not math.isfinite(answer):
        return f"a price must be a number, was {answer!r}"
    if name == "custom_stake_amount" and not (math.isfinite(answer) and answer >= 0):
        return f"a stake must be at least 0, was {answer!r}"
    if name == "adjust_trade_position" and not math.isfinite(answer):
        return f"a stake must be a number, was {answer!r}"
    return ""
