"""Whether a trade was to be left at a price, by the strategy's own return table and stop.

Problem: a simulation judges returns and stops on a candle's high and low, a run on the rates it meets. Where
the two leave a trade in different candles, this says whether the rates explain it, or the rules were others.

Not here: simulating (`parley.kernels`). Invariant: None where the strategy decides by code of its own
(`custom_stoploss`, `custom_roi`), which nobody can judge from outside; trades are long.
"""

from dataclasses import dataclass
from typing import Final

ROI: Final = "roi"
STOP: Final = "stop_loss"
TRAILING: Final = "trailing_stop_loss"
JUDGED_ON_RATES: Final = frozenset({ROI, STOP, TRAILING, "liquidation"})
_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """Of one strategy, as `SimulationSettings` has them; ``fee`` as a part of what is turned over."""

    minimal_roi: tuple[tuple[int, float], ...] = ()
    stoploss: float = -1.0
    trailing_stop: bool = False
    trailing_stop_positive: float | None = None
    trailing_stop_positive_offset: float = 0.0
    trailing_only_offset_is_reached: bool = False
    exit_profit_only: bool = False
    exit_profit_offset: float = 0.0
    fee: float = 0.0
    has_own_stop: bool = False
    has_own_roi: bool = False
    has_own_exits: bool = False  # custom_exit, which is asked at every rate of a run

    def profit(self, open_rate: float, rate: float) -> float:
        """What a trade has earned at a rate, fees taken off, as a part of what it cost."""
        return rate * (1 - self.fee) / (open_rate * (1 + self.fee)) - 1

    def roi_rate(self, open_rate: float, held_ms: int) -> float | None:
        """The least rate at which the table is satisfied; None if it asks for nothing by then."""
        reached = [part for minutes, part in sorted(self.minimal_roi) if minutes * _MINUTE_MS <= held_ms]
        if not reached:
            return None
        return open_rate * (1 + self.fee) * (1 + reached[-1]) / (1 - self.fee)

    def may_leave(self, open_rate: float, rate: float) -> bool:
        """Whether a signal to leave counts at a rate: it may have to wait for a profit."""
        return not self.exit_profit_only or self.profit(open_rate, rate) > self.exit_profit_offset

    def stop_rate(self, open_rate: float, highest: float) -> float:
        """The rate at which the stop lies once `highest` was seen."""
        fixed = open_rate * (1 + self.stoploss)
        if not self.trailing_stop:
            return fixed
        profit = self.profit(open_rate, highest)
        if self.trailing_only_offset_is_reached and profit < self.trailing_stop_positive_offset:
            return fixed
        away = -self.stoploss
        if self.trailing_stop_positive is not None and profit > self.trailing_stop_positive_offset:
            away = self.trailing_stop_positive
        return max(fixed, highest * (1 - away))

    def is_due(self, reason: str, open_rate: float, rate: float, highest: float, held_ms: int) -> bool | None:
        """Say whether a trade was to be left at `rate` for this reason; None: nobody can tell."""
        if reason == ROI:
            least = self.roi_rate(open_rate, held_ms)
            return None if self.has_own_roi else least is not None and rate >= least
        if reason in (STOP, TRAILING):
            return None if self.has_own_stop else rate <= self.stop_rate(open_rate, highest)
        return None
