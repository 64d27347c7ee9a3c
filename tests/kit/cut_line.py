"""A line between two processes that can be cut and mended: a TCP relay on loopback.

Not here: delays and half-open lines. Invariant: while it is cut nothing passes and nobody connects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class CutLine:
    """The relay; ``port`` is where it listens."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.opened = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection, both ways."""
        if self._is_cut:
            writer.transport.abort()
            return
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Take connections again."""
        self._is_cut = False


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@contextlib.asynccontextmanager
async def cut_line(url: str) -> AsyncIterator[tuple[CutLine, str]]:
    """Put a line before an address; comes with the address to use instead."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    line = CutLine(parts.hostname, parts.port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line, parts._replace(netloc=f"127.0.0.1:{line.port}").geturl()
    finally:
        line.cut()
        server.close()
