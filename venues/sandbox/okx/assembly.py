"""Put OKX v5 spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub and the limits.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.exchange import VenueRules
from venues.sandbox.okx import errors
from venues.sandbox.okx.algo_api import AlgoApi
from venues.sandbox.okx.algos import UnlockedStops
from venues.sandbox.okx.dead_man_api import DeadManApi
from venues.sandbox.okx.private_api import PrivateApi
from venues.sandbox.okx.private_stream import PrivateStreams
from venues.sandbox.okx.public_api import PublicApi
from venues.sandbox.okx.rest_server import RestServer, endpoints_of
from venues.sandbox.okx.shut import REFUSING
from venues.sandbox.okx.sockets import SocketServer
from venues.sandbox.okx.streams import MarketChannels
from venues.sandbox.okx.tags import Tags
from venues.sandbox.protocol import Dialect, Engine, Spoken


def speak(engine: Engine) -> Spoken:
    """Answer as OKX v5 spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    tags = Tags()
    channels = MarketChannels(engine.session, exchange, hub, hostility.public, wall)
    private_streams = PrivateStreams(hub, exchange, hostility.private, tags)
    public = PublicApi(exchange, engine.session, channels.bars, wall)
    private = PrivateApi(exchange, hostility.lists, (engine.maker_fee, engine.taker_fee), tags)
    algos = AlgoApi(exchange, hostility.lists, tags)
    dead_man = DeadManApi(engine.timers, tags, wall)
    endpoints = endpoints_of(public, private, algos, dead_man)
    rest = RestServer(exchange, endpoints, engine.limits, hub, hostility.requests, wall)
    return Spoken(channels, rest, SocketServer(exchange, channels, private_streams, hub, wall))


_RULES: Final = VenueRules(
    client_id=re.compile(r"[a-zA-Z0-9]{1,32}"),
    unique="open",
    maker_orders_are_cancelled=True,
    has_least_value=False,
)
OKX_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak, settlement=UnlockedStops)
