"""Put Kraken spot on an engine.

Not here: any of the parts. Invariant: REST and sockets share the engine, the hub, the keys and the limits.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import VenueRules
from venues.sandbox.kraken import errors
from venues.sandbox.kraken.params import Params
from venues.sandbox.kraken.private_api import PrivateApi
from venues.sandbox.kraken.private_stream import PrivateStreams
from venues.sandbox.kraken.public_api import PublicApi
from venues.sandbox.kraken.rest_server import RestServer, endpoints_of
from venues.sandbox.kraken.shut import REFUSING
from venues.sandbox.kraken.signing import Keys
from venues.sandbox.kraken.sockets import SocketServer
from venues.sandbox.kraken.streams import MarketChannels
from venues.sandbox.protocol import Dialect, Engine, Spoken
from venues.sandbox.quote_fees import QuoteFees


def speak(engine: Engine) -> Spoken:
    """Answer as Kraken spot."""
    exchange, hub, wall, hostility = engine.exchange, engine.hub, engine.wall, engine.hostility
    keys = Keys(exchange.accounts)
    percents = _percent(engine.maker_fee), _percent(engine.taker_fee)
    channels = MarketChannels(engine.session, exchange, hub, hostility.public, wall)
    private_streams = PrivateStreams(hub, exchange, hostility.private)
    public = PublicApi(exchange, engine.session, channels.bars, percents, wall)
    private = PrivateApi(exchange, hostility.lists, percents, keys, wall)

    def named(account: Account, params: Params) -> str:
        order = private.named(account, params)
        return order.request.client_order_id if order else params.get("cl_ord_id") or ""

    rest = RestServer(
        endpoints_of(public, private), keys, named, engine.limits, hub, hostility.requests, wall
    )
    return Spoken(channels, rest, SocketServer(keys, channels, private_streams, hub, wall))


def _percent(rate: str) -> str:
    return f"{Decimal(rate) * 100:.4f}"


_RULES: Final = VenueRules(
    client_id=re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[ -~]{1,18}"),
    unique="open",
    maker_orders_are_cancelled=True,
)
KRAKEN_SPOT: Final = Dialect(_RULES, errors.spelled, REFUSING, speak, settlement=QuoteFees)
