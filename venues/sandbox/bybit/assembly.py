"""Put Bybit v5 spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub and the limits.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.bybit import errors
from venues.sandbox.bybit.private_api import PrivateApi
from venues.sandbox.bybit.private_stream import PrivateStreams
from venues.sandbox.bybit.public_api import PublicApi
from venues.sandbox.bybit.rest_server import RestServer, endpoints_of
from venues.sandbox.bybit.shut import REFUSING
from venues.sandbox.bybit.sockets import SocketServer
from venues.sandbox.bybit.streams import MarketTopics
from venues.sandbox.exchange import VenueRules
from venues.sandbox.protocol import Dialect, Engine, Spoken


def speak(engine: Engine) -> Spoken:
    """Answer as Bybit v5 spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    rates = (engine.maker_fee, engine.taker_fee)
    streams = MarketTopics(engine.session, exchange, hub, hostility.public, wall)
    private_streams = PrivateStreams(hub, exchange, rates, hostility.private, wall)
    public = PublicApi(exchange, engine.session, streams.intervals, wall)
    private = PrivateApi(exchange, hostility.lists, rates)
    rest = RestServer(exchange, endpoints_of(public, private), engine.limits, hub, hostility.requests, wall)
    return Spoken(streams, rest, SocketServer(exchange, streams, private_streams, hub, wall))


_RULES: Final = VenueRules(
    client_id=re.compile(r"[a-zA-Z0-9-_]{1,36}"), unique="forever", maker_orders_are_cancelled=True
)
BYBIT_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak)
