"""Which kind of market it is: trending up or down, ranging, volatile or quiet.

From the efficiency ratio (how straight the price walks) and the rank of the present
volatility among the past. A class is left only past a wider threshold than the one
it was entered by, so the label does not flicker. Not here: what to do in a regime.
"""

from math import nan

import msgspec

from .momentum import EfficiencyRatio
from .rolling import Rank
from .volatility import EwmaVol

REGIMES = ("trend_up", "trend_down", "range", "volatile", "quiet")


class Regime(msgspec.Struct):
    """Labels the market from closes; ``hold`` moves a threshold away from whoever wants to leave a class."""

    window: int = 24
    memory: int = 192
    straight: float = 0.40
    loud: float = 0.90
    still: float = 0.15
    hold: float = 0.10
    label: str = ""
    efficiency: EfficiencyRatio = msgspec.field(default_factory=lambda: EfficiencyRatio(1))
    vol: EwmaVol = msgspec.field(default_factory=lambda: EwmaVol(8.0))
    rank: Rank = msgspec.field(default_factory=lambda: Rank(2))
    vol_rank: float = nan

    def __post_init__(self) -> None:
        if self.efficiency.period != self.window:
            self.efficiency = EfficiencyRatio(self.window)
        if self.rank.period != self.memory:
            self.rank = Rank(self.memory)

    @property
    def ready(self) -> bool:
        return bool(self.label)

    def update(self, close: float) -> str:
        """Take the next close; give the label, empty before ``window`` changes."""
        ratio = self.efficiency.update(close)
        vol = self.vol.update(close)
        if vol == vol:
            self.vol_rank = self.rank.update(vol)
        if self.efficiency.ready and vol == vol:
            self.label = self._next(ratio)
        return self.label

    def _next(self, ratio: float) -> str:
        was, hold = self.label, self.hold
        trend = "trend_up" if self.efficiency.net > 0.0 else "trend_down"
        # the rank says little before a quarter of its memory is filled
        known = len(self.rank.ordered) * 4 >= self.memory
        if ratio >= self.straight - (hold if was == trend else 0.0):
            return trend
        if known and self.vol_rank >= self.loud - (hold if was == "volatile" else 0.0):
            return "volatile"
        if known and self.vol_rank <= self.still + (hold if was == "quiet" else 0.0):
            return "quiet"
        return "range"
