"""Put Binance's USD-M contracts on an engine.

Not here: any of the parts. Invariant: the dialect trades contracts, so an engine for it has them.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.binance.rest_server import RestServer
from venues.sandbox.binance.shut import REFUSING
from venues.sandbox.binance.sockets import Addresses, SocketServer
from venues.sandbox.binance_usdm import errors
from venues.sandbox.binance_usdm.account_api import AccountApi
from venues.sandbox.binance_usdm.countdown_api import CountdownApi
from venues.sandbox.binance_usdm.endpoints import contract_endpoints
from venues.sandbox.binance_usdm.modes_api import ModesApi
from venues.sandbox.binance_usdm.orders_api import OrdersApi
from venues.sandbox.binance_usdm.public_api import ContractPublicApi
from venues.sandbox.binance_usdm.streams import ContractPublisher
from venues.sandbox.binance_usdm.user_stream import ContractUserStreams
from venues.sandbox.exchange import VenueRules
from venues.sandbox.protocol import Dialect, Engine, Spoken

_GROUPS: Final = ("/public", "/market", "/private", "")
_ADDRESSES: Final = Addresses(
    api="/ws-fapi/v1",
    streams=tuple(group + end for group in _GROUPS for end in ("/stream", "/ws")),
    combined=tuple(f"{group}/stream" for group in _GROUPS),
    key_parameter="listenKey",
)
_LISTEN_KEY_PATHS: Final = ("/fapi/v1/listenKey",)


def speak(engine: Engine) -> Spoken:
    """Answer as Binance's USD-M contracts."""
    assert engine.perpetuals is not None
    exchange, hub, limits, wall = engine.exchange, engine.hub, engine.limits, engine.wall
    hostility, perpetuals = engine.hostility, engine.perpetuals
    streams = ContractPublisher(engine.session, exchange, hub, hostility.public, wall, perpetuals)
    users = ContractUserStreams(hub, exchange, hostility.private, wall, perpetuals)
    public = ContractPublicApi(
        exchange,
        engine.session,
        streams.intervals,
        (limits.weight_limit, limits.order_limit),
        wall,
        perpetuals,
    )
    modes = ModesApi(exchange, perpetuals.margins)
    account = AccountApi(exchange, perpetuals, hostility.lists, (engine.maker_fee, engine.taker_fee), modes)
    orders, countdowns = OrdersApi(exchange, hostility.lists, modes), CountdownApi(exchange, engine.timers)
    endpoints = contract_endpoints(public, orders, countdowns, account, modes)
    rest = RestServer(exchange, endpoints, limits, users, hub, hostility.requests, wall, _LISTEN_KEY_PATHS)
    sockets = SocketServer(exchange, streams, users, hub, {}, limits, wall, _ADDRESSES)
    return Spoken(streams, rest, sockets)


BINANCE_USDM: Final = Dialect(
    VenueRules(client_id=re.compile(r"[.A-Z:/a-z0-9_-]{1,36}"), unfillable_orders_are_refused=True),
    errors.spelled,
    REFUSING,
    speak,
    trades_contracts=True,
)
