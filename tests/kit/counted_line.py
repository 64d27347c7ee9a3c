"""A line to an exchange that counts: what is asked over REST, and what is answered.

Problem: who is banned must not ask, and an exchange that turns somebody away writes nothing down. So a test
puts this between a gateway and its exchange: real sockets on both sides, bytes passed on as they are.

Not here: what a test expects. Invariant: nothing is added, held back or changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlsplit

_ASKED = re.compile(rb"(?:^|(?<=\n)|(?<=\}))(GET|POST|DELETE|PUT) (/[^ ?]*)[^\r\n]* HTTP/1\.1\r\n")
_ANSWERED = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Asked(NamedTuple):
    """A request's first line, at monotonic s."""

    at: float
    what: str


class CountedLine:
    """Requests and statuses that went over the line."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answered: list[int] = []
        self.rest = ""

    def since(self, at: float) -> list[str]:
        """What was asked from a moment on."""
        return [each.what for each in self.asked if each.at >= at]

    async def carry(self, rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        there = urlsplit(rest)
        answers, requests = await asyncio.open_connection(there.hostname, there.port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_request: bool) -> None:
            with contextlib.suppress(ConnectionError):
                while chunk := await source.read(65536):
                    if is_request:
                        for verb, path in _ASKED.findall(chunk):
                            self.asked.append(Asked(time.monotonic(), f"{verb.decode()} {path.decode()}"))
                    else:
                        self.answered.extend(int(each) for each in _ANSWERED.findall(chunk))
                    sink.write(chunk)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, requests, is_request=True), pump(answers, writer, is_request=False))


@contextlib.asynccontextmanager
async def counted(rest: str) -> AsyncIterator[CountedLine]:
    """Listen on a port of its own for what is meant for ``rest``."""
    line = CountedLine()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(line.carry(rest, reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    line.rest = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
