"""Small random streams keyed by (seed, symbol, time), so each candle's randomness stands alone.

A sequential generator would make a candle's trades depend on how many candles were served before
it, and on which symbols are configured. Here the same key gives the same numbers, always. This is
SplitMix64: fast in plain Python and good enough for spreading quantities; never for secrets.
"""

from __future__ import annotations

import zlib

_MASK = (1 << 64) - 1


class KeyedRandom:
    """SplitMix64 started from a key made of integers and texts."""

    __slots__ = ("_state",)

    def __init__(self, *key: int | str) -> None:
        state = 0x243F6A8885A308D3
        for part in key:
            number = zlib.crc32(part.encode()) if isinstance(part, str) else part
            state = _mix((state ^ (number & _MASK)) & _MASK)
        self._state = state

    def next64(self) -> int:
        """The next 64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return _mix(self._state)

    def below(self, bound: int) -> int:
        """A number in [0, bound); the modulo bias of 64 bits does not matter here."""
        return self.next64() % bound


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
