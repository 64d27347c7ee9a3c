"""KuCoin's topics: what a listener was told gives the book, the candles and the trades that the engine has.

Not here: orders (`test_kucoin_client`), broken frames (`test_kucoin_requests`), a hub (`test_hub_on_venues`).
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest

from tests.kit.kucoin import kucoin_client
from tests.kit.sandbox import sandbox

pytestmark = pytest.mark.timeout(60)
BTC = "BTC/USDT"
NAME = "BTC-USDT"
BOOK, TRADES, CANDLES = "/spotMarket/level2Depth50", "/market/match", "/market/candles"


class Listener:
    """A raw connection and the messages it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.messages: list[dict[str, Any]] = []

    async def ask(self, kind: str, topic: str) -> None:
        """Send a command and read until it was acknowledged."""
        await self._until({"type": kind, "topic": topic, "response": True}, "ack")

    async def read_all(self) -> None:
        """Read what was sent so far: the answer to a ping comes behind it."""
        await self._until({"type": "ping"}, "pong")

    async def _until(self, message: dict[str, Any], answer: str) -> None:
        number = str(next(self._numbers))
        await self._socket.send_json(message | {"id": number})
        while (found := await self._socket.receive_json()) != {"id": number, "type": answer}:
            self.messages.append(found)

    def of(self, topic: str) -> list[Any]:
        """What was told of a topic, oldest first."""
        return [each["data"] for each in self.messages if each.get("topic") == topic]


async def listener_of(exchange: Any, session: aiohttp.ClientSession) -> Listener:
    """Open a public socket as the venue says."""
    told = (await exchange.publicPostBulletPublic())["data"]
    server = told["instanceServers"][0]
    socket = await session.ws_connect(f"{server['endpoint']}?token={told['token']}&connectId=mine")
    assert await socket.receive_json() == {"id": "mine", "type": "welcome"}
    return Listener(socket)


def test_topics_give_the_book_the_candles_and_the_trades() -> None:
    async def run() -> None:
        async with (
            sandbox(protocol="kucoin", book_levels=60) as venue,
            kucoin_client(venue) as exchange,
            aiohttp.ClientSession() as session,
        ):
            await exchange.load_markets()
            listener, late = [await listener_of(exchange, session) for _ in range(2)]
            await listener.ask("subscribe", f"{BOOK}:{NAME},ETH-USDT")
            await listener.ask("subscribe", f"{TRADES}:{NAME}")
            await listener.ask("subscribe", f"{CANDLES}:{NAME}_1min")
            await listener.ask("subscribe", f"{CANDLES}:{NAME}_5min")
            control = await venue.control()
            await control.go()
            marks = []
            for number in range(12):
                marks.append((await control.steps(1))["marks"][NAME])
                if number == 5:
                    await late.ask("subscribe", f"{BOOK}:{NAME}")
                if number % 4 == 3:
                    await exchange.create_order(BTC, "market", "buy", 0.5)
                    await exchange.create_order(BTC, "market", "sell", 0.7)
            burst = (exchange.create_order(BTC, "market", "buy", 0.001) for _ in range(20))
            await asyncio.gather(*burst)  # several within one ms
            rest = (await exchange.publicGetMarketOrderbookLevelLevelLimit(
                {"symbol": NAME, "level": 2, "limit": 100}
            ))["data"]  # fmt: skip
            first = marks[0]["candle"]
            candles = await exchange.fetch_ohlcv(BTC, "1m", since=first, limit=100)
            trades = await exchange.fetch_trades(BTC)
            for each in (listener, late):
                await each.read_all()

            told = listener.of(f"{BOOK}:{NAME}")
            for each in (told[-1], late.of(f"{BOOK}:{NAME}")[-1]):
                assert (each["bids"], each["asks"]) == (rest["bids"][:50], rest["asks"][:50])
            assert len(rest["bids"]) == 60
            stamps = [each["timestamp"] for each in told]
            assert stamps == sorted(set(stamps))
            assert len(stamps) > 13 + 6 + 10
            assert marks[-1]["book"] in stamps[:-20]
            assert len(listener.of(f"{BOOK}:ETH-USDT")) == 13  # one at first, and one a step

            rows = [each["candles"] for each in listener.of(f"{CANDLES}:{NAME}_1min")]
            closed, opening = rows[::2], rows[1::2]
            assert [int(row[0]) * 1000 for row in closed] == [each["candle"] for each in marks]
            for (t, opened, close, high, low, volume, _), candle in zip(closed, candles, strict=False):
                assert [int(t) * 1000, *map(float, (opened, high, low, close, volume))] == candle
            assert [int(row[0]) for row in opening] == [int(row[0]) + 60 for row in closed]
            assert {row[5] for row in opening} == {"0"}
            longer = [each["candles"] for each in listener.of(f"{CANDLES}:{NAME}_5min")]
            assert sorted({int(row[0]) % 300 for row in longer}) == [0]

            ids = [int(each["tradeId"]) for each in listener.of(f"{TRADES}:{NAME}")]
            assert ids == sorted(set(ids))
            assert marks[-1]["trade"] in ids[:-1]  # and behind it what the last orders took
            assert [str(each) for each in ids][-len(trades) :] == [each["id"] for each in trades]

            await listener.ask("unsubscribe", f"{BOOK}:{NAME}")
            before = len(listener.of(f"{BOOK}:{NAME}"))
            await control.steps(3)
            for each in (listener, late):
                await each.read_all()
            assert len(listener.of(f"{BOOK}:{NAME}")) == before
            assert len(late.of(f"{BOOK}:{NAME}")) > 9

    asyncio.run(run())
