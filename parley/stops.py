"""The levels that guard a holding: stop, take, and the ratchet between them.

Invariant (trap T4): a stop only ever moves in the holding's favour, up for a long and
down for a short, whoever asks for another level and however often. Not here: who
holds what, and the order that leaves.
"""

from math import isfinite, nan

import msgspec


def exit_side(direction: int) -> str:
    """Name the side that leaves a holding: a long (+1) is sold, a short (-1) bought back (trap T1)."""
    return "sell" if direction > 0 else "buy"


class Guard(msgspec.Struct):
    """Levels of one holding; ``opened`` (market ns) tells it from the next one. NaN: no such level.

    ``leaving`` keeps the code of a stop that was hit: what is left of the holding goes
    too, even when the price has come back meanwhile.
    """

    direction: int
    opened: int
    stop: float = nan
    take: float = nan
    trailed: bool = False
    leaving: str = ""

    def __post_init__(self) -> None:
        if self.direction not in (1, -1):
            raise ValueError(f"direction must be 1 or -1, was {self.direction!r}")

    def tighten(self, stop: float) -> None:
        """Move the stop to ``stop`` when that is nearer to the price in the holding's favour."""
        if not (isfinite(stop) and stop > 0.0):
            return
        if self.stop != self.stop:
            self.stop = stop
        elif (stop - self.stop) * self.direction > 0.0:
            self.stop = stop
            self.trailed = True

    def hit(self, px: float) -> str:
        """Name the level that an executable price ``px`` has reached: stop first, empty when none."""
        if self.leaving:
            return self.leaving
        if (self.stop - px) * self.direction >= 0.0:
            self.leaving = "trailing_stop" if self.trailed else "stop_loss"
            return self.leaving
        return "take_profit" if (px - self.take) * self.direction >= 0.0 else ""
