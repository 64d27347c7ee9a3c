"""Put Coinbase Advanced Trade spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub, the limits and the keys.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.coinbase import errors
from venues.sandbox.coinbase.private_api import PrivateApi
from venues.sandbox.coinbase.private_stream import PrivateStreams
from venues.sandbox.coinbase.public_api import PublicApi
from venues.sandbox.coinbase.rest_server import RestServer
from venues.sandbox.coinbase.shut import REFUSING
from venues.sandbox.coinbase.signing import Keyring
from venues.sandbox.coinbase.sockets import SocketServer
from venues.sandbox.coinbase.streams import MarketChannels
from venues.sandbox.exchange import VenueRules
from venues.sandbox.protocol import Dialect, Engine, Spoken
from venues.sandbox.quote_fees import QuoteFees


def speak(engine: Engine) -> Spoken:
    """Answer as Coinbase Advanced Trade does for spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    keyring = Keyring(exchange.accounts)
    channels = MarketChannels(engine.session, exchange, hostility.public, wall)
    user = PrivateStreams(exchange, hostility.private, wall)
    public = PublicApi(exchange, engine.session, wall)
    private = PrivateApi(exchange, hostility.lists, (engine.maker_fee, engine.taker_fee))
    rest = RestServer(exchange, public, private, keyring, engine.limits, hub, hostility.requests, wall)
    return Spoken(channels, rest, SocketServer(channels, user, keyring, hub, wall))


# ccxt names orders that nobody named with 41 characters; how many the venue takes is not documented
_RULES: Final = VenueRules(client_id=re.compile(r"[a-zA-Z0-9-]{1,41}"), unique="idempotent")
COINBASE_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak, settlement=QuoteFees)
