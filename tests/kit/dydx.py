"""A stand-in for the public part of dYdX's indexer, version 4: markets, candles, and three channels.

The shapes are those that ccxt's class parses (`ccxt/async_support/dydx.py`, `ccxt/pro/dydx.py`, 4.5.90), and
which it names https://docs.dydx.xyz/indexer-client/websockets for; nothing here was compared with the real
indexer. What it says is what a test told it to.

Not here: accounts and orders. Invariant: a channel's first message is whole, what follows are differences.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

MARKET = "BTC-USD"
SYMBOL = "BTC/USDC:USDC"
Levels = list[tuple[str, str]]


def iso(ms: int) -> str:
    """Write a time as the indexer does."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def candle(t_ms: int, open_: str, high: str, low: str, close: str, volume: str) -> dict[str, Any]:
    """Return a candle of one minute."""
    return {
        "startedAt": iso(t_ms), "ticker": MARKET, "resolution": "1MIN", "low": low, "high": high,
        "open": open_, "close": close, "baseTokenVolume": volume, "usdVolume": "0", "trades": 1,
        "startingOpenInterest": "0",
    }  # fmt: skip


def trade(name: str, t_ms: int, side: str, px: str, qty: str) -> dict[str, str]:
    """Return a trade; the indexer's ids are hexadecimal."""
    return {
        "id": name, "side": side, "size": qty, "price": px, "type": "LIMIT", "createdAt": iso(t_ms),
        "createdAtHeight": "1",
    }  # fmt: skip


class Indexer:
    """One market; ``candles`` oldest first, ``trades`` newest first as the indexer has them."""

    def __init__(self) -> None:
        self.rest = self.ws = ""
        self.candles: list[dict[str, Any]] = []
        self.trades: list[dict[str, str]] = []
        self.book: dict[str, Levels] = {"bids": [], "asks": []}
        self.asked: list[str] = []
        self._sockets: list[web.WebSocketResponse] = []
        self._subscribed: list[tuple[web.WebSocketResponse, str, str]] = []
        self._messages = 0

    def app(self) -> web.Application:
        """Return what serves it."""
        app = web.Application()
        app.router.add_get("/v4/perpetualMarkets", self._markets)
        app.router.add_get("/v4/candles/perpetualMarkets/{market}", self._candles)
        app.router.add_get("/v4/ws", self._socket)
        return app

    async def _markets(self, request: web.Request) -> web.Response:
        self.asked.append("markets")
        listed = {
            "clobPairId": "0", "ticker": MARKET, "status": "ACTIVE", "oraclePrice": "100000",
            "initialMarginFraction": "0.02", "maintenanceMarginFraction": "0.012", "openInterest": "52",
            "atomicResolution": -10, "quantumConversionExponent": -9, "tickSize": "1", "stepSize": "0.0001",
            "stepBaseQuantums": 1000000, "subticksPerTick": 100000, "marketType": "CROSS",
        }  # fmt: skip
        return web.json_response({"markets": {MARKET: listed}})

    async def _candles(self, request: web.Request) -> web.Response:
        self.asked.append("candles")
        since = request.query.get("fromISO") or request.query.get("fromIso") or ""
        return web.json_response({"candles": [each for each in self.candles if each["startedAt"] >= since]})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await self._say(socket, {"type": "connected"})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                wanted = msgspec.json.decode(message.data)
                channel, name = str(wanted["channel"]), str(wanted["id"])
                self._subscribed.append((socket, channel, name))
                said = {
                    "type": "subscribed",
                    "channel": channel,
                    "id": name,
                    "contents": self._whole(channel),
                }
                await self._say(socket, said)
        return socket

    def _whole(self, channel: str) -> Mapping[str, object]:
        def rows(side: str) -> list[dict[str, str]]:
            return [{"price": px, "size": qty} for px, qty in self.book[side]]

        wholes: dict[str, Mapping[str, object]] = {
            "v4_candles": {"candles": self.candles[::-1]},
            "v4_trades": {"trades": self.trades},
            "v4_orderbook": {"bids": rows("bids"), "asks": rows("asks")},
        }
        return wholes[channel]

    async def _say(self, socket: web.WebSocketResponse, message: Mapping[str, object]) -> None:
        self._messages += 1
        told = {**message, "connection_id": "one", "message_id": self._messages}
        await socket.send_str(msgspec.json.encode(told).decode())

    async def tell(self, channel: str, contents: Mapping[str, object]) -> None:
        """Tell a difference to whoever subscribed to a channel."""
        for socket, wanted, name in self._subscribed:
            if wanted == channel and not socket.closed:
                told = {"type": "channel_data", "channel": channel, "id": name, "version": "1.0.0"}
                await self._say(socket, {**told, "contents": contents})

    async def cut(self) -> None:
        """End every connection, as an indexer that is started anew."""
        for socket in self._sockets:
            await socket.close(code=1012)
        self._sockets, self._subscribed = [], []

    @property
    def channels(self) -> set[str]:
        """What is subscribed to."""
        return {channel for socket, channel, _ in self._subscribed if not socket.closed}


@contextlib.asynccontextmanager
async def indexer() -> AsyncIterator[Indexer]:
    """Serve one on a free port."""
    made = Indexer()
    runner = web.AppRunner(made.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made.rest, made.ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    try:
        yield made
    finally:
        await runner.cleanup()
