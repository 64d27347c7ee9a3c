"""Pair locks of a simulation, as freqtrade's `PairLocks` keeps them without a database.

A strategy's own `lock_pair` belongs here too: whoever calls `run` with a book of its own binds the strategy's
methods to it.

Invariant: after every change the kernel knows until when each pair is locked for each side.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NoReturn

from backtest.errors import NotSupported
from backtest.result import PairLock

_FOREVER: Final = 1 << 62
"""A moment after every lock."""
ASKS_THE_CLOCK: Final = (
    "not simulated: whether a lock of the strategy's own is in force depends on the computer's clock"
)


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

    def lock(
        self, pair: str, until_ms: int, reason: str | None, now_ms: int, side: str = "*",
        made_ms: int | None = None,
    ) -> PairLock:  # fmt: skip
        """Lock until the candle after this time; an equal lock that is in force stays the only one."""
        end = until_ms - until_ms % self._timeframe_ms + self._timeframe_ms
        for lock in self.in_force(pair, now_ms, side):
            if lock.reason == reason and lock.lock_end_time_ms == end and lock.side == side:
                return lock
        lock = PairLock(pair, side, now_ms if made_ms is None else made_ms, end, reason, True)
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

    freqtrade reads the computer's clock here, which lies after most simulated locks: of those unlocking
    finds nothing to unlock, equal ones pile up, and only a question with a candle's date gets an answer. The
    same here. What a lock that may end later (`until=datetime.now() + ...`) does, this clock decides: a
    simulation, which reads none, does not know.

    past_ms: a moment that is past by any clock.
    """

    def __init__(self, book: LockBook, timeframe_ms: int, past_ms: int = _FOREVER) -> None:
        self._book = book
        self._timeframe_ms = timeframe_ms
        self._past_ms = past_ms
        self.asked_the_clock = False

    def lock_pair(self, pair: str, until: datetime, reason: str | None = None, side: str = "*") -> None:
        ends = int(until.timestamp() * 1000)
        count = len(self._book.all())
        self._book.lock(pair, ends, reason, self._past_ms, side, made_ms=0)
        if len(self._book.all()) == count:
            self._ask_the_clock()

    def unlock_pair(self, pair: str) -> None:
        """Finds no lock that is in force."""
        if self._book.in_force(pair, self._past_ms, "*"):
            self._ask_the_clock()

    def unlock_reason(self, reason: str) -> None:
        """Finds no lock that is in force."""
        if any(lock.reason == reason and lock.lock_end_time_ms > self._past_ms for lock in self._book.all()):
            self._ask_the_clock()

    def is_pair_locked(self, pair: str, *, candle_date: datetime | None = None, side: str = "*") -> bool:
        if candle_date is None:
            if self._book.is_locked(pair, self._past_ms, side):
                self._ask_the_clock()
            return False
        date = int(candle_date.timestamp() * 1000)
        following = date - date % self._timeframe_ms + self._timeframe_ms
        return self._book.is_locked(pair, following, side)

    def _ask_the_clock(self) -> NoReturn:
        self.asked_the_clock = True
        raise NotSupported(ASKS_THE_CLOCK)
