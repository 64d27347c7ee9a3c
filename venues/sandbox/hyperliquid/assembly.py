"""Put Hyperliquid spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub and the limits.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.exchange import VenueRules
from venues.sandbox.hyperliquid import errors
from venues.sandbox.hyperliquid.exchange_api import ExchangeApi
from venues.sandbox.hyperliquid.info_api import InfoApi
from venues.sandbox.hyperliquid.names import Names
from venues.sandbox.hyperliquid.private_stream import PrivateStreams
from venues.sandbox.hyperliquid.rest_server import RestServer
from venues.sandbox.hyperliquid.shut import REFUSING
from venues.sandbox.hyperliquid.signing import Signers
from venues.sandbox.hyperliquid.sockets import SocketServer
from venues.sandbox.hyperliquid.streams import MarketChannels
from venues.sandbox.protocol import Dialect, Engine, Spoken


def speak(engine: Engine) -> Spoken:
    """Answer as Hyperliquid spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    names, signers = Names(exchange), Signers(exchange.accounts.values())
    channels = MarketChannels(engine.session, hub, hostility.public, names, wall)
    info = InfoApi(
        exchange, engine.session, channels.intervals, names, signers, hostility.lists,
        (engine.maker_fee, engine.taker_fee), wall,
    )  # fmt: skip
    private = PrivateStreams(hub, exchange, hostility.private, names, signers, info)
    orders = ExchangeApi(exchange, names, hostility.lists)
    rest = RestServer(info, orders, signers, engine.limits, hub, hostility.requests, wall)
    return Spoken(channels, rest, SocketServer(channels, private, hub))


_RULES: Final = VenueRules(
    client_id=re.compile(r"(?:0x[0-9a-f]{32})?"),
    unique="none",
    has_least_value=False,
)
HYPERLIQUID_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak)
