"""Put KuCoin spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub, the limits and the tokens.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.exchange import VenueRules
from venues.sandbox.kucoin import errors
from venues.sandbox.kucoin.private_api import PrivateApi
from venues.sandbox.kucoin.private_stream import PrivateStreams
from venues.sandbox.kucoin.public_api import PublicApi
from venues.sandbox.kucoin.rest_server import RestServer, endpoints_of
from venues.sandbox.kucoin.shut import REFUSING
from venues.sandbox.kucoin.sockets import SocketServer
from venues.sandbox.kucoin.streams import MarketTopics
from venues.sandbox.kucoin.tokens import Tokens
from venues.sandbox.protocol import Dialect, Engine, Spoken


def speak(engine: Engine) -> Spoken:
    """Answer as KuCoin spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    tokens = Tokens()
    topics = MarketTopics(engine.session, exchange, hub, hostility.public, wall)
    private_streams = PrivateStreams(hub, exchange, hostility.private)
    public = PublicApi(exchange, engine.session, topics.bars, wall)
    private = PrivateApi(exchange, hostility.lists, (engine.maker_fee, engine.taker_fee))
    endpoints = endpoints_of(public, private)
    rest = RestServer(exchange, endpoints, engine.limits, hub, hostility.requests, wall, tokens)
    return Spoken(topics, rest, SocketServer(topics, private_streams, hub, tokens))


_RULES: Final = VenueRules(
    client_id=re.compile(r"[a-zA-Z0-9_-]{1,40}"), unique="none", maker_orders_are_cancelled=True
)
KUCOIN_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak)
