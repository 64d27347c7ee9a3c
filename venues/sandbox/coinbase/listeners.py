"""Who listens to what on sockets, and the messages they get: each socket counts its own.

Not here: what messages say. Invariant: the numbers of a socket's messages grow by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.coinbase.names import stamp
from venues.sandbox.connections import Connection, StreamHub


class Listener:
    """One socket; ``account`` is whose private channel it listens to."""

    def __init__(self, connection: Connection, hub: StreamHub) -> None:
        self.connection = connection
        self.account: Account | None = None
        self.channels: dict[str, list[str]] = {}  # what it was told that it listens to
        self._hub = hub
        self._numbers = itertools.count()

    def tell(self, channel: str, events: Sequence[object], wall_ms: int) -> None:
        """Queue a message of a channel."""
        message = {
            "channel": channel, "client_id": "", "timestamp": stamp(wall_ms),
            "sequence_num": next(self._numbers), "events": events,
        }  # fmt: skip
        self._hub.send(self.connection, msgspec.json.encode(message).decode())

    def refuse(self, why: str) -> None:
        """Queue an error."""
        self._hub.send(self.connection, msgspec.json.encode({"type": "error", "message": why}).decode())


class Streams:
    """Listeners by ``channel:product``."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, None]] = {}

    def add(self, stream: str, listener: Listener) -> None:
        """Begin to listen."""
        self._listeners.setdefault(stream, {})[listener] = None

    def remove(self, stream: str, listener: Listener) -> None:
        """Stop listening."""
        found = self._listeners.get(stream, {})
        found.pop(listener, None)
        if not found:
            self._listeners.pop(stream, None)

    def drop(self, listener: Listener) -> None:
        """Forget a closed socket."""
        for stream in list(self._listeners):
            self.remove(stream, listener)

    def of(self, stream: str) -> Iterable[Listener]:
        """Who listens."""
        return list(self._listeners.get(stream, ()))

    def has(self, stream: str) -> bool:
        """Whether anybody does."""
        return stream in self._listeners
