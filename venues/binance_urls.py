"""Point an unmodified ccxt Binance client at a sandbox exchange.

A client needs nothing but other addresses: the same class, the same requests and signatures, the
same stream names. Nothing is patched and no option is changed here. The invariant is that after
`override_urls` no address of the instance leads to the real exchange any more.
"""

from __future__ import annotations

from typing import Any

_REST_PATHS = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
    "eapiPublic": "/eapi/v1",
    "eapiPrivate": "/eapi/v1",
    "papi": "/papi/v1",
    "papiV2": "/papi/v2",
}

# ccxt tells spot from contract messages by "/stream" in the socket's address.
_SPOT_STREAM = "/stream/ws"
_WS_API = "/ws-api/v3"


def override_contract_urls(exchange: Any, rest: str, ws: str) -> None:
    """Do the same for `exchange` of USD-M contracts (ccxt or ccxt.pro binanceusdm)."""
    override_urls(exchange, rest, ws)
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["linear"] = ws.rstrip("/") + "/ws"


def override_urls(exchange: Any, rest: str, ws: str) -> None:
    """Replace every API address of `exchange` (ccxt or ccxt.pro binance) by the sandbox's."""
    rest, ws = rest.rstrip("/"), ws.rstrip("/")
    api = exchange.urls["api"]
    known_sockets = api.get("ws")
    replaced: dict[str, Any] = {
        name: rest + _REST_PATHS.get(name, "/unsupported/" + name) for name in api if name != "ws"
    }
    if known_sockets is not None:
        replaced["ws"] = {name: ws + "/unsupported/ws" for name in known_sockets if name != "ws-api"}
        replaced["ws"]["spot"] = ws + _SPOT_STREAM
        replaced["ws"]["margin"] = ws + _SPOT_STREAM
        replaced["ws"]["ws-api"] = {
            name: ws + (_WS_API if name == "spot" else "/unsupported/ws-api")
            for name in known_sockets.get("ws-api", {})
        }
    exchange.urls["api"] = replaced
