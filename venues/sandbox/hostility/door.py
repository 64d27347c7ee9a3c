"""A venue that is shut for a while: for all during maintenance, for an address after it asked too much.

Problem: a client that goes on asking while it is turned away is kept out longer, and one that takes "I am
shut" for "no such order" loses money.

Every request and every handshake is turned away; connections are closed when maintenance begins and left
alone by a ban. All clients share one address here. Not here: the words of it (each protocol). Invariant:
nothing that is turned away reaches the exchange.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from aiohttp import web

from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.settings import BanConfig, MaintenanceConfig

_MINUTE_MS = 60_000
_LONGEST_BAN_MS = 3 * 86_400_000
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shut(NamedTuple):
    """Why and until when, in ms of the venue's clock."""

    why: Literal["maintenance", "banned"]
    until_ms: int


class Refusing(NamedTuple):
    """How a protocol turns somebody away, and with which HTTP status it says that somebody asks too much."""

    turn_away: Callable[[web.Request, Shut, int], web.Response]
    too_much: int


class Bans:
    """Counts answers that said "too much" and bans who went on; each ban lasts twice as long as the last."""

    def __init__(self, config: BanConfig) -> None:
        self._config = config
        self._told: deque[int] = deque()
        self._bans = 0
        self.until_ms = 0

    def too_much(self, now_ms: int) -> bool:
        """Note that somebody was told; True when a ban begins with that."""
        if not self._config.after:
            return False
        self._told.append(now_ms)
        while self._told[0] <= now_ms - _MINUTE_MS:
            self._told.popleft()
        if len(self._told) < self._config.after:
            return False
        self._told.clear()
        self.until_ms = now_ms + min(self._config.ms << min(self._bans, 32), _LONGEST_BAN_MS)
        self._bans += 1
        return True


class Door:
    """Stands before a protocol; `close_sockets` ends all connections, `now` is the venue's clock in ms."""

    def __init__(
        self,
        handle: Handle,
        close_sockets: Callable[[], Awaitable[None]],
        refusing: Refusing,
        bans: Bans,
        now: Callable[[], int],
        notes: Notes,
    ) -> None:
        self._handle = handle
        self._close_sockets = close_sockets
        self._refusing = refusing
        self._bans = bans
        self._now = now
        self._notes = notes
        self._maintained_until_ms = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Let a request in, or turn it away."""
        shut = self._shut()
        if shut is not None:
            return self._refusing.turn_away(request, shut, self._now())
        response = await self._handle(request)
        if response.status == self._refusing.too_much and self._bans.too_much(self._now()):
            self._notes.write("banned", until_ms=self._bans.until_ms)
        return response

    def plan(self, config: MaintenanceConfig) -> None:
        """Begin maintenance by the clock if it was asked for so; the event loop runs."""
        if config.after_ms is not None:
            self._begin_later(config.after_ms, config)

    def shut_for(self, ms: int) -> None:
        """Begin maintenance: turn everybody away from now on, and close all connections."""
        self._maintained_until_ms = self._now() + ms
        self._notes.write("maintenance", until_ms=self._maintained_until_ms)
        task = asyncio.ensure_future(self._hang_up())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def stop(self) -> None:
        """Begin nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin_later(self, wait_ms: int, config: MaintenanceConfig) -> None:
        def begin() -> None:
            self.shut_for(config.ms)
            if config.every_ms:
                self._begin_later(config.every_ms, config)

        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, begin)

    async def _hang_up(self) -> None:
        await self._close_sockets()

    def _shut(self) -> Shut | None:
        now = self._now()
        if now < self._maintained_until_ms:
            return Shut("maintenance", self._maintained_until_ms)
        return Shut("banned", self._bans.until_ms) if now < self._bans.until_ms else None
