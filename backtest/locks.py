"""Pair locks of a simulation, as freqtrade's `PairLocks` keeps them without a database.

A strategy's own `lock_pair` belongs here too: whoever calls `run` with a book of its own binds the strategy's
methods to it.

Invariant: after every change the kernel knows until when each pair is locked for each side.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from backtest.result import PairLock

_FOREVER = 1 << 62
"""A moment after every lock."""


class LockBook:
    """All locks ever made, oldest first. Times in ms UTC."""

    def __init__(self, timeframe_ms: int) -> None:
        self._timeframe_ms = timeframe_ms
        self._locks: list[PairLock] = []
        self._changed: Callable[[], Any] = lambda: None

    def watch(self, changed: Callable[[], Any]) -> None:
        """Call this after every change."""
        self._changed = changed
        changed()

    def all(self) -> tuple[PairLock, ...]:
        return tuple(self._locks)

    def lock(self, pair: str, until_ms: int, reason: str | None, now_ms: int, side: str = "*") -> PairLock:
        """Lock until the candle after this time; an equal lock that is in force stays the only one."""
        end = until_ms - until_ms % self._timeframe_ms + self._timeframe_ms
        for lock in self.in_force(pair, now_ms, side):
            if lock.reason == reason and lock.lock_end_time_ms == end and lock.side == side:
                return lock
        # The wall clock's locks carry no simulated time.
        made = 0 if now_ms == _FOREVER else now_ms
        lock = PairLock(pair, side, made, end, reason, True)
        self._locks.append(lock)
        self._changed()
        return lock

    def in_force(self, pair: str, now_ms: int, side: str) -> list[PairLock]:
        """Active locks of exactly this pair that bind this side."""
        return [
            lock
            for lock in self._locks
            if lock.lock_end_time_ms > now_ms
            and lock.active
            and lock.pair == pair
            and lock.side in ("*", side)
        ]

    def is_locked(self, pair: str, now_ms: int, side: str = "*") -> bool:
        return bool(self.in_force(pair, now_ms, side) or self.in_force("*", now_ms, side))

    def unlock(self, matches: Callable[[PairLock], bool]) -> None:
        """Release the locks this accepts."""
        self._locks = [
            lock._replace(active=False) if lock.active and matches(lock) else lock for lock in self._locks
        ]
        self._changed()

    def locked_until(self, pair: str, side: str) -> int:
        """The end of the longest lock that binds this side of this pair; 0 for none."""
        return max(
            (
                lock.lock_end_time_ms
                for lock in self._locks
                if lock.active and lock.pair in (pair, "*") and lock.side in ("*", side)
            ),
            default=0,
        )


class StrategyLocks:
    """freqtrade's lock methods of a strategy, writing into a book.

    freqtrade reads the wall clock here, which lies after every simulated lock: so unlocking finds nothing to
    unlock, equal locks pile up, and only a question with a candle's date gets an answer. The same here.
    """

    def __init__(self, book: LockBook, timeframe_ms: int) -> None:
        self._book = book
        self._timeframe_ms = timeframe_ms

    def lock_pair(self, pair: str, until: datetime, reason: str | None = None, side: str = "*") -> PairLock:
        ends = round(until.timestamp() * 1000)
        return self._book.lock(pair, ends, reason, _FOREVER, side)

    def unlock_pair(self, pair: str) -> None:
        """Finds no lock that is in force."""

    def unlock_reason(self, reason: str) -> None:
        """Finds no lock that is in force."""

    def is_pair_locked(self, pair: str, *, candle_date: datetime | None = None, side: str = "*") -> bool:
        if candle_date is None:
            return False
        date = round(candle_date.timestamp() * 1000)
        following = date - date % self._timeframe_ms + self._timeframe_ms
        return self._book.is_locked(pair, following, side)
