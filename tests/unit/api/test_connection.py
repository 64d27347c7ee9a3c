"""One client of the stream against a socket that takes nothing: what waits for it is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from api.metrics import Metrics
from api.stream.broker import Broker
from api.stream.connection import LARGEST_FRAME, MOST_BYTES, MOST_ENVELOPES, SLOW, Connection
from api.stream.events import Event
from runtime.postgres.reading import Reading


class StuckSocket:
    """A WebSocket whose client reads `takes` frames and then nothing more."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.sent: list[str] = []
        self.closed: tuple[int, str] | None = None

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send_text(self, text: str) -> None:
        if len(self.sent) >= self.takes:
            await asyncio.Event().wait()
        self.sent.append(text)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


def event(off: int, size: int = 10, channel: str = "orders") -> Event:
    raw = json.dumps({"t": "ev", "ch": channel, "off": off, "x": "x" * size}).encode()
    return Event(channel, off, datetime.now(UTC), raw)


def connection(socket: StuckSocket) -> Connection:
    def read() -> AbstractAsyncContextManager[Reading]:
        raise AssertionError("nothing is read")

    async def notices() -> AsyncIterator[str]:
        yield ""

    metrics = Metrics("0")
    return Connection(socket, Broker(read, notices, metrics), metrics, "local")  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("count", "size"), [(MOST_ENVELOPES * 2, 10), (100, MOST_BYTES // 50)])
def test_who_lets_the_queue_run_over_is_cut_off(count: int, size: int) -> None:
    async def run() -> tuple[StuckSocket, int]:
        socket = StuckSocket(takes=1)
        one = connection(socket)
        serving = asyncio.ensure_future(one.serve())
        await settle()
        most = 0
        for off in range(count):
            one.offer(event(off, size))
            most = max(most, len(one._queue))
        await asyncio.wait_for(serving, 5)
        return socket, most

    socket, most = asyncio.run(run())

    assert socket.closed == (SLOW, "slow-consumer")
    assert most <= MOST_ENVELOPES + 1


def test_events_that_wait_leave_together_and_those_of_one_offset_are_not_parted() -> None:
    async def run() -> StuckSocket:
        socket = StuckSocket(takes=100)
        one = connection(socket)
        serving = asyncio.ensure_future(one.serve())
        await settle()
        for off in (1, 2, 3, 3, 3):
            one.offer(event(off, LARGEST_FRAME // 3))
        await settle()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return socket

    hello, *frames = map(json.loads, asyncio.run(run()).sent)

    assert hello["t"] == "hello"
    assert [[each["off"] for each in frame["items"]] for frame in frames] == [[1, 2], [3, 3, 3]]
