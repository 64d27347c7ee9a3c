"""Random choices of a case: everything follows from its seed and number.

Not here: what is chosen (`candles`, `options`, `hooks`).

Invariant: equal names give equal dice, so a change of one part leaves the draws of the others
alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")


class Dice:
    """Draws that follow from ``seed``, ``number`` and the name of the part that draws."""

    def __init__(self, seed: int, number: int, part: str) -> None:
        key = (seed & 0xFFFFFFFF) << 32 | zlib.crc32(part.encode())
        self._name = (seed, number, part)
        self.numbers = np.random.Generator(np.random.Philox(key=[key, number]))

    def part(self, name: str) -> Dice:
        """Return the dice of a part of this part."""
        seed, number, part = self._name
        return Dice(seed, number, f"{part}/{name}")

    def chance(self, probability: float) -> bool:
        return bool(self.numbers.random() < probability)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.numbers.integers(len(items)))]

    def some(self, items: Sequence[Item], probability: float) -> list[Item]:
        """Return each of ``items`` with ``probability``, in order."""
        return [item for item in items if self.chance(probability)]

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` up to and including ``high``."""
        return int(self.numbers.integers(low, high + 1))

    def between(self, low: float, high: float, digits: int = 4) -> float:
        return round(float(self.numbers.uniform(low, high)), digits)

    def scale(self, low: float, high: float, digits: int = 6) -> float:
        """Return a number between ``low`` and ``high`` whose logarithm is uniform."""
        return round(float(np.exp(self.numbers.uniform(np.log(low), np.log(high)))), digits)

    def maybe(self, probability: float, name: str, value: Any) -> dict[str, Any]:
        """Return an option with ``probability``, else no option."""
        return {name: value} if self.chance(probability) else {}
