"""WebSocket connections, who listens to which stream, and frames on the wire.

Frames are built once for a stream and shared by its listeners, collected in an outbox, and written
with one call for each connection and step; sending message by message costs many times more. Not
here: what messages say. Invariant: messages reach a connection in the order in which they were
queued, and a connection that does not read is dropped instead of filling memory.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable

_MAX_UNSENT = 32 * 1024 * 1024
_TEXT_FRAME = 0x81


def frame(text: str) -> bytes:
    """A complete, unmasked WebSocket text frame (servers do not mask)."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", _TEXT_FRAME, length) + payload
    if length < 65536:
        return struct.pack("!BBH", _TEXT_FRAME, 126, length) + payload
    return struct.pack("!BBQ", _TEXT_FRAME, 127, length) + payload


class Connection:
    """One client's socket; `combined` wraps messages with their stream's name."""

    def __init__(self, transport: asyncio.Transport, combined: bool) -> None:
        self._transport = transport
        self._outbox: list[bytes] = []
        self.combined = combined
        self.streams: dict[str, None] = {}

    def queue(self, framed: bytes) -> None:
        """Add a frame to what the next flush writes."""
        self._outbox.append(framed)

    def flush(self) -> None:
        """Write everything queued with one call."""
        if not self._outbox:
            return
        data = b"".join(self._outbox)
        self._outbox.clear()
        if self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            self._transport.abort()


class StreamHub:
    """Which connections listen to which stream."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Connection, None]] = {}
        self._waiting: dict[Connection, None] = {}

    def subscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        """Start sending these streams to a connection."""
        for stream in streams:
            connection.streams[stream] = None
            self._listeners.setdefault(stream, {})[connection] = None

    def unsubscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        """Stop sending these streams to a connection."""
        for stream in list(streams):
            connection.streams.pop(stream, None)
            listeners = self._listeners.get(stream)
            if listeners is not None:
                listeners.pop(connection, None)
                if not listeners:
                    del self._listeners[stream]

    def drop(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.unsubscribe(connection, list(connection.streams))
        self._waiting.pop(connection, None)

    def has(self, stream: str) -> bool:
        """Whether anybody listens."""
        return stream in self._listeners

    def streams(self) -> Iterable[str]:
        """All streams that somebody listens to."""
        return self._listeners.keys()

    def publish(self, stream: str, text: str) -> None:
        """Queue a message for everybody who listens to the stream."""
        listeners = self._listeners.get(stream)
        if not listeners:
            return
        plain = wrapped = b""
        for connection in listeners:
            if connection.combined:
                wrapped = wrapped or frame(f'{{"stream":"{stream}","data":{text}}}')
                connection.queue(wrapped)
            else:
                plain = plain or frame(text)
                connection.queue(plain)
            self._waiting[connection] = None

    def send(self, connection: Connection, text: str) -> None:
        """Queue a message for one connection."""
        connection.queue(frame(text))
        self._waiting[connection] = None

    def flush(self) -> None:
        """Write what is queued, one call for each connection."""
        for connection in self._waiting:
            connection.flush()
        self._waiting.clear()
