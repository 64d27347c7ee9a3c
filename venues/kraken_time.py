"""The clock of a venue that tells its time in whole seconds: how far it is from ours, to a few hundredths.

Problem: "it is 12:00:07" says that the offset of the clocks lies somewhere within a second, and orders are
sent only while it is known to a tenth of one. But each answer says so of another second: between a question
and its answer the venue's clock was at least at what it said and less than a second past it. All answers
together leave little, the more so when they are asked for just when the next second is due in the middle of
what is still possible.

Not here: asking. Invariant: while neither clock was set and both run `_DRIFT` alike, the offset is between
``low`` and ``high``; an answer that contradicts what was known takes its place.
"""

from typing import Final

SECOND_MS: Final = 1000.0
# Of a second that clocks may run apart in one: four times what a bad crystal does.
_DRIFT: Final = 5e-5
_NEAR_MS: Final = 25.0


class SecondsClock:
    """Offset of the venue's clock, venue minus own; all times in ms of our own clock."""

    def __init__(self) -> None:
        self.low = float("-inf")
        self.high = float("inf")
        self._heard = 0.0

    @property
    def doubt_ms(self) -> float:
        """How much of the offset is open."""
        return self.high - self.low

    def heard(self, second: int, asked_ms: float, answered_ms: float) -> None:
        """Note that the venue said ``second`` (since 1970) between two moments of our clock."""
        if self._heard:
            drifted = abs(answered_ms - self._heard) * _DRIFT
            self.low, self.high = self.low - drifted, self.high + drifted
        self._heard = answered_ms
        low, high = second * SECOND_MS - answered_ms, (second + 1) * SECOND_MS - asked_ms
        narrowed = max(self.low, low), min(self.high, high)
        self.low, self.high = narrowed if narrowed[0] < narrowed[1] else (low, high)

    def worst_ms(self) -> float:
        """Return the possible offset that is farthest from none."""
        return max(self.low, self.high, key=abs)

    def best_wait_ms(self, now_ms: float) -> float:
        """Return how long to wait, below a second, for the moment at which an answer tells most."""
        parts = (self.low + self.high) / 2
        # clocks mostly agree: two answers around the same second say so at once
        for near in (_NEAR_MS, -_NEAR_MS):
            if self.low + _NEAR_MS < near < self.high - _NEAR_MS:
                parts = near
                break
        return -(now_ms + parts) % SECOND_MS
