"""The WebSocket side: one address for public and private channels, and their commands.

Not here: what channels say. Invariant: whatever a client sends is answered; only a client that breaks the
WebSocket protocol itself is disconnected; the private channel needs a token.
"""

from __future__ import annotations

from aiohttp import web

from venues.sandbox.coinbase.listeners import Listener
from venues.sandbox.coinbase.private_stream import PrivateStreams
from venues.sandbox.coinbase.signing import Keyring
from venues.sandbox.coinbase.streams import CHANNELS, MarketChannels
from venues.sandbox.connections import Connection, StreamHub
from venues.sandbox.incoming import MAX_MESSAGE, Json, decode, texts
from venues.sandbox.wall import VenueClock

_USER = "user"


class SocketServer:
    """Serves every WebSocket handshake."""

    def __init__(
        self,
        channels: MarketChannels,
        private: PrivateStreams,
        keyring: Keyring,
        hub: StreamHub,
        wall: VenueClock,
    ) -> None:
        self._channels = channels
        self._private = private
        self._keyring = keyring
        self._hub = hub
        self._wall = wall
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        assert request.transport is not None
        listener = Listener(Connection(request.transport, False), self._hub)
        self._sockets.add(socket)
        try:
            async for text in texts(socket):
                self._command(listener, decode(text) or {})
                self._hub.flush()
        finally:
            self._sockets.discard(socket)
            self._private.drop(listener)
            self._channels.drop(listener)
            self._hub.drop(listener.connection)
        return socket

    async def close(self) -> None:
        """Close all connections."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")

    def _command(self, listener: Listener, message: Json) -> None:
        kind, channel, names = (message.get(name) for name in ("type", "channel", "product_ids"))
        names = [] if names is None else names
        if kind not in ("subscribe", "unsubscribe"):
            listener.refuse("type not supported")
        elif not isinstance(names, list) or not all(
            isinstance(each, str) and self._channels.is_known(each) for each in names
        ):
            listener.refuse("product_ids not valid")
        elif channel == _USER:
            self._listen_to_user(listener, message, kind == "subscribe")
        elif channel in CHANNELS and names:
            told = listener.channels.setdefault(channel, [])
            for name in names:
                if kind == "subscribe":
                    self._channels.subscribe(listener, channel, name)
                    told += [name] if name not in told else []
                else:
                    self._channels.unsubscribe(listener, channel, name)
                    listener.channels[channel] = told = [each for each in told if each != name]
            self._confirm(listener)
        else:
            listener.refuse("channel not valid")

    def _listen_to_user(self, listener: Listener, message: Json, begins: bool) -> None:
        found = self._keyring.account_of(str(message.get("jwt")), None, self._wall.ms())
        if found is None:
            listener.refuse("authentication failure")
            return
        if begins:
            listener.channels[_USER] = [found[0].name]
            self._private.subscribe(listener, found[0])
        else:
            listener.channels.pop(_USER, None)
            self._private.drop(listener)
        self._confirm(listener)

    def _confirm(self, listener: Listener) -> None:
        told = {channel: names for channel, names in listener.channels.items() if names}
        listener.tell("subscriptions", [{"subscriptions": told}], self._wall.ms())
