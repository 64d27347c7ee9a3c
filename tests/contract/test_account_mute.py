"""A private stream that connects and then says nothing: balances agree, and still nobody hears what happens.

Not here: a line that is cut (test_account_compared). Real gateway, real sockets, the sandbox exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import pytest

from runtime import account_watch
from runtime import gateway as gateway_unit
from runtime.gateway_config import GatewayConfig
from tests.contract.test_account_compared import MONEY, streams
from tests.contract.test_hostile_streams import served
from tests.kit.cut_line import CutLine
from tests.kit.sandbox import ACCOUNT, sandbox
from tests.kit.units import FakeDesk, gateway_config, short_folder

pytestmark = pytest.mark.timeout(120)


class MuteLine(CutLine):
    """A line whose far end, once ``is_mute``, answers the upgrade of a new connection and nothing else."""

    is_mute = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_mute or self._is_cut:
            await super().serve(reader, writer)
            return
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, far_writer}
        head = b""
        while b"\r\n\r\n" not in head:  # the request, then its answer
            head += await reader.read(65536)
        far_writer.write(head)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await far_reader.read(65536)
        writer.write(answer[: answer.index(b"\r\n\r\n") + 4])
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass


@contextlib.asynccontextmanager
async def mute_line(url: str) -> AsyncIterator[tuple[MuteLine, str]]:
    parts = urlsplit(url)
    line = MuteLine(parts.hostname, parts.port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line, parts._replace(netloc=f"127.0.0.1:{line.port}").geturl()
    finally:
        line.cut()
        server.close()


@pytest.mark.parametrize(
    "protocol",
    ["binance", *(pytest.param(each, marks=pytest.mark.long) for each in ("bybit", "okx"))],
)
def test_stream_that_connects_and_says_nothing_keeps_the_account_closed(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_watch, "_STANDS_AFTER_S", 5.0)
    monkeypatch.setattr(account_watch, "_SETTLES_S", 0.6)
    mine = ACCOUNT | {"can_withdraw": False}

    async def run() -> None:
        with short_folder() as folder:
            async with (
                sandbox(accounts=[mine], protocol=protocol) as venue,
                mute_line(venue.ws) as (line, ws),
            ):
                raw = gateway_config(
                    folder, venue, {"ws": ws, "exchange": protocol}, real_money=MONEY, inspect_s=0.5
                )
                config = msgspec.json.decode(msgspec.json.encode(raw), type=GatewayConfig)
                async with served(folder / "gw.sock", lambda stop: gateway_unit.serve(config, stop)):
                    market = await venue.control()
                    await market.go()
                    await market.steps(1)
                    desk = await FakeDesk.connect(folder / "gw.sock")
                    line.is_mute = True
                    line.cut()
                    await desk.until(lambda: streams(desk)[-1:] == ["user"])
                    line.mend()
                    before = line.opened
                    while line.opened == before:
                        await asyncio.sleep(0.1)
                    await asyncio.sleep(9.0)
                    assert streams(desk)[-1] == "user", streams(desk)
                    line.is_mute = False
                    line.cut()
                    line.mend()
                    await desk.until(lambda: streams(desk)[-1:] == ["+"])
                    desk.link.close("the test is over")
                    await market.hang_up()

    asyncio.run(run())
