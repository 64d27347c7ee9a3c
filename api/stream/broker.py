"""Reads what is new in the journal's copy once, and hands it to all connections of this process.

Problem: many clients watch the same few channels, and each must get every event after its offset exactly
once, though some come back and have to be told what they missed. The broker knows up to which record it
has handed out everything; who joins behind that reads the rest itself and joins when it has caught up.

Not here: what an event is (`events`), queues and sockets (`connection`).

Invariant: `position` moves in the same step in which the events up to it are handed out, so that nobody who
joins at `position` misses or repeats one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final, Protocol

from api.metrics import Metrics
from api.queries.runs import find_run
from api.stream.events import RECORDS_AT_ONCE, Event, read_events
from runtime.postgres import DatabaseDown
from runtime.postgres.reading import Reading

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 1.0
# Who was away for longer than this many records reads the lists again, which is less work.
KEPT_RECORDS: Final = 500_000


class Listener(Protocol):
    """Somebody who gets events; neither call waits."""

    def offer(self, event: Event) -> None:
        """Take an event."""

    def begin_epoch(self, channel: str, run: str) -> None:
        """Hear that a channel's events are those of another run from here on."""


class Broker:
    """Hands out the events of the tenant's newest run."""

    def __init__(
        self,
        read: Callable[[], AbstractAsyncContextManager[Reading]],
        notices: Callable[[], AsyncIterator[str]],
        metrics: Metrics,
    ) -> None:
        self.run = ""
        self.position = 0
        self._read = read
        self._notices = notices
        self._metrics = metrics
        self._listeners: dict[str, set[Listener]] = {}
        self._joining = 0
        self._lock = asyncio.Lock()

    async def watch(self) -> None:
        """Hand out what is new whenever something is, for ever."""
        async for _ in self._notices():
            if not self._is_watched:
                continue
            try:
                await self.look()
            except DatabaseDown as error:
                log.warning("stream_waits why=%s", error)

    async def place(self) -> tuple[str, int]:
        """Return run and position, newest where nobody listens yet.

        Raises
        ------
        DatabaseDown
            When it cannot be found out.
        """
        async with self._lock:
            if not self._is_watched:
                async with self._read() as reading:
                    found = await find_run(reading, None)
                self.run, self.position = (found.id, found.seq) if found else ("", 0)
            return self.run, self.position

    async def look(self) -> None:
        """Hand out everything that is new now.

        Raises
        ------
        DatabaseDown
            When it cannot be read; the next look goes on from the same place.
        """
        async with self._lock:
            while await self._step():
                pass

    async def _step(self) -> bool:
        async with self._read() as reading:
            newest = await find_run(reading, None)
            mine = await find_run(reading, self.run) if self.run else None
            through = min(mine.seq, self.position + RECORDS_AT_ONCE) if mine else self.position
            events = await read_events(reading, self.run, self.position, through) if mine else []
        self.position = max(through, self.position)
        self._hand_out(events)
        if mine is not None and through < mine.seq:
            return True
        if newest is None or newest.id == self.run:
            return False
        # Only when all of the old run is told.
        self.run, self.position = newest.id, 0
        for channel, listeners in self._listeners.items():
            for each in list(listeners):
                each.begin_epoch(channel, self.run)
        return True

    def _hand_out(self, events: list[Event]) -> None:
        now = datetime.now(UTC)
        for event in events:
            self._metrics.event_lag.observe(max(0.0, (now - event.at).total_seconds()))
            for listener in list(self._listeners.get(event.channel, ())):
                listener.offer(event)

    async def missed(self, channel: str, run: str, after: int) -> tuple[list[Event], int]:
        """Read a channel's events behind a place, some at a time; return them and how far they go."""
        through = min(self.position, after + RECORDS_AT_ONCE)
        async with self._read() as reading:
            events = await read_events(reading, run, after, through)
        return [event for event in events if event.channel == channel], through

    def join(self, channel: str, listener: Listener) -> None:
        """Give a listener the events behind `position`."""
        self._listeners.setdefault(channel, set()).add(listener)

    def leave(self, channel: str, listener: Listener) -> None:
        """Give a listener no more events; it need not have joined."""
        self._listeners.get(channel, set()).discard(listener)

    @property
    def _is_watched(self) -> bool:
        return any(self._listeners.values()) or self._joining > 0

    def hold(self) -> None:
        """Keep `position` moving while somebody catches up; ends with `release`."""
        self._joining += 1

    def release(self) -> None:
        """End a `hold`."""
        self._joining -= 1
