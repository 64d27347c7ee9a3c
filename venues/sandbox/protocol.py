"""What a protocol gets from the engine, and what it has to be.

One exchange with its matching, accounts, truth log and market stands behind every protocol. A protocol is
its addresses, its signatures, its words for orders and refusals, and its streams. Not here: any protocol, and
which ones there are (`protocols`). Invariant: a protocol changes nothing but through the exchange's methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from venues.sandbox.connections import StreamHub
from venues.sandbox.dead_man import DeadManTimers
from venues.sandbox.exchange import Exchange, Spelled, VenueRules
from venues.sandbox.hostility.door import Refusing
from venues.sandbox.hostility.parts import Hostility
from venues.sandbox.perpetual.assembly import Perpetuals
from venues.sandbox.rate_limits import RateLimits
from venues.sandbox.session import MarketSession, MarketStreams
from venues.sandbox.settlement import Settlement
from venues.sandbox.truth import TruthLog
from venues.sandbox.wall import VenueClock


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that a protocol is put on."""

    exchange: Exchange
    session: MarketSession
    hub: StreamHub
    hostility: Hostility
    limits: RateLimits
    wall: VenueClock
    timers: DeadManTimers
    maker_fee: str
    taker_fee: str
    perpetuals: Perpetuals | None = None


class Requests(Protocol):
    """Answers requests of one kind."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""


class Sockets(Requests, Protocol):
    """Answers WebSocket handshakes."""

    async def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A protocol at work."""

    streams: MarketStreams
    rest: Requests
    sockets: Sockets

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, be it plain HTTP or a WebSocket handshake."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.sockets.handle(request)
        return await self.rest.handle(request)

    async def close(self) -> None:
        """Close all connections."""
        await self.sockets.close()


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol before it is put on an engine: its rules, its words, and how to speak it.

    Orders are for spot, or for contracts on the same pairs (``trades_contracts``). ``settlement`` books
    executions of spot.
    """

    rules: VenueRules
    spelled: Spelled
    refusing: Refusing
    speak: Callable[[Engine], Spoken]
    trades_contracts: bool = False
    settlement: Callable[[TruthLog, int, int], Settlement] = Settlement
