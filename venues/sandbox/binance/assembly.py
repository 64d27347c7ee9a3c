"""Put Binance spot on an engine.

Not here: any of the parts. Invariant: REST and the WebSocket API share handlers, limits and private streams.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.binance import errors
from venues.sandbox.binance.endpoints import rest_endpoints, socket_endpoints
from venues.sandbox.binance.private_api import PrivateApi
from venues.sandbox.binance.public_api import PublicApi
from venues.sandbox.binance.rest_server import RestServer
from venues.sandbox.binance.shut import REFUSING
from venues.sandbox.binance.sockets import SocketServer
from venues.sandbox.binance.streams import MarketPublisher
from venues.sandbox.binance.user_stream import UserStreams
from venues.sandbox.exchange import VenueRules
from venues.sandbox.protocol import Dialect, Engine, Spoken


def speak(engine: Engine) -> Spoken:
    """Answer as Binance spot."""
    exchange, hub, limits, wall = engine.exchange, engine.hub, engine.limits, engine.wall
    hostility = engine.hostility
    streams = MarketPublisher(engine.session, exchange, hub, hostility.public, wall)
    users = UserStreams(hub, exchange, hostility.private, wall)
    public = PublicApi(
        exchange, engine.session, streams.intervals, limits.weight_limit, limits.order_limit, wall
    )
    private = PrivateApi(exchange, hostility.lists, engine.maker_fee, engine.taker_fee)
    rest = RestServer(exchange, rest_endpoints(public, private), limits, users, hub, hostility.requests, wall)
    sockets = SocketServer(exchange, streams, users, hub, socket_endpoints(public, private), limits, wall)
    return Spoken(streams, rest, sockets)


BINANCE_SPOT: Final = Dialect(VenueRules(), errors.spelled, REFUSING, speak)
