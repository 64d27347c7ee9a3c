"""Bybit's topics: what a listener was told gives the book, the candles and the trades that the engine has.

Not here: orders (`test_bybit_client`), broken frames (`test_bybit_requests`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.kit.bybit import bybit_client
from tests.kit.sandbox import Control, SandboxProcess, sandbox

BTC = "BTC/USDT"


class Listener:
    """A raw public connection and the messages it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.messages: list[dict[str, Any]] = []

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a command; return its answer."""
        await self._socket.send_json(message)
        while True:
            answer = await self._socket.receive_json()
            if "topic" not in answer:
                return dict(answer)
            self.messages.append(answer)

    async def read_all(self) -> None:
        """Read what was sent so far: the answer to a ping comes behind it."""
        await self.ask({"op": "ping"})

    def of(self, topic: str) -> list[dict[str, Any]]:
        """Messages of a topic, oldest first."""
        return [each for each in self.messages if each["topic"] == topic]

    def book(self, topic: str) -> tuple[dict[str, str], dict[str, str]]:
        """Bids and asks as the topic's messages give them; each number follows the one before."""
        sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        told = self.of(topic)
        assert [each["data"]["u"] for each in told] == list(
            range(told[0]["data"]["u"], told[0]["data"]["u"] + len(told))
        )
        assert told[0]["type"] == "snapshot"
        for each in told:
            for side, levels in zip(sides, (each["data"]["b"], each["data"]["a"]), strict=True):
                if each["type"] == "snapshot":
                    side.clear()
                for price, qty in levels:
                    if qty == "0":
                        side.pop(price, None)
                    else:
                        side[price] = qty
        return sides


@contextlib.asynccontextmanager
async def listening(**config: Any) -> AsyncIterator[tuple[SandboxProcess, Listener, Control, Any]]:
    async with (
        sandbox(protocol="bybit", **config) as venue,
        bybit_client(venue) as exchange,
        aiohttp.ClientSession() as session,
    ):
        await exchange.load_markets()
        socket = await session.ws_connect(venue.ws + "/v5/public/spot")
        control = await venue.control()
        yield venue, Listener(socket), control, exchange
        await socket.close()


def test_topics_give_the_book_the_candles_and_the_trades() -> None:
    async def run() -> None:
        async with listening(book_levels=60) as (_, listener, control, exchange):
            topics = ["orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT", "publicTrade.BTCUSDT",
                      "kline.1.BTCUSDT", "kline.5.BTCUSDT", "tickers.BTCUSDT"]  # fmt: skip
            answer = await listener.ask({"req_id": "7", "op": "subscribe", "args": topics})
            assert (answer["success"], answer["req_id"], answer["op"]) == (True, "7", "subscribe")
            await control.go()
            marks = []
            for number in range(12):
                marks.append((await control.steps(1))["marks"]["BTCUSDT"])
                if number % 4 == 3:
                    await exchange.create_order(BTC, "market", "buy", 0.5)
                    await exchange.create_order(BTC, "market", "sell", 0.7)
            rest = (await exchange.publicGetV5MarketOrderbook(
                {"category": "spot", "symbol": "BTCUSDT", "limit": 50}))["result"]  # fmt: skip
            candles = await exchange.fetch_ohlcv(BTC, "1m", limit=100)
            trades = await exchange.fetch_trades(BTC, limit=60)
            await listener.read_all()

            bids, asks = listener.book("orderbook.50.BTCUSDT")
            assert sorted(bids.items(), key=lambda level: -float(level[0])) == [tuple(x) for x in rest["b"]]
            assert sorted(asks.items(), key=lambda level: float(level[0])) == [tuple(x) for x in rest["a"]]
            assert (len(bids), len(asks)) == (50, 50)
            told = listener.of("orderbook.50.BTCUSDT")
            assert told[-1]["data"]["seq"] == rest["seq"]
            assert all(one["ts"] < two["ts"] for one, two in itertools.pairwise(told[1:]))
            assert all(one["book"] < two["book"] for one, two in itertools.pairwise(marks))
            # the last step's message reaches its mark, as do those of the two orders behind it, and no other
            assert len([one for one in told if one["ts"] >= marks[-1]["book"]]) == 3
            assert {each["type"] for each in told[1:]} == {"delta"}
            best = listener.of("orderbook.1.BTCUSDT")[-1]["data"]
            assert (best["b"], best["a"]) == (rest["b"][:1], rest["a"][:1])

            closed = [
                each["data"][0] for each in listener.of("kline.1.BTCUSDT") if each["data"][0]["confirm"]
            ]
            assert [each["start"] for each in closed] == [each["candle"] for each in marks]
            by_start = {candle[0]: candle for candle in candles}
            for each in closed:
                shown = [float(each[name]) for name in ("open", "high", "low", "close", "volume")]
                assert shown == by_start[each["start"]][1:]
            open_ones = [each["data"][0] for each in listener.of("kline.1.BTCUSDT")][1::2]
            assert [hole["start"] for hole in open_ones] == [each["end"] + 1 for each in closed]
            assert {hole["volume"] for hole in open_ones} == {"0"}
            longer = [
                each["data"][0] for each in listener.of("kline.5.BTCUSDT") if each["data"][0]["confirm"]
            ]
            assert [b["start"] - a["start"] for a, b in itertools.pairwise(longer)] == [300_000]

            ids = [
                int(each["i"]) for message in listener.of("publicTrade.BTCUSDT") for each in message["data"]
            ]
            assert ids == sorted(set(ids))
            assert ids[-60:] == [int(each["id"]) for each in trades][-60:]
            assert listener.of("tickers.BTCUSDT")[-1]["data"]["highPrice24h"]

    asyncio.run(run())


def test_ccxt_keeps_the_same_book() -> None:
    async def run() -> None:
        async with sandbox(protocol="bybit") as venue, bybit_client(venue) as exchange:
            await exchange.load_markets()

            async def follow_book() -> None:
                while True:
                    await exchange.watch_order_book(BTC)

            reading = asyncio.create_task(follow_book())
            while BTC not in exchange.orderbooks:
                await asyncio.sleep(0)
            control = await venue.control()
            await control.go()
            for number in range(15):
                await control.steps(1)
                if number % 5 == 4:
                    await exchange.create_order(BTC, "market", "buy", 0.5)
            public = next(c for url, c in exchange.clients.items() if url.endswith("/v5/public/spot"))
            before = public.lastPong
            await public.send({"op": "ping"})
            while public.lastPong == before:
                await asyncio.sleep(0)
            rest = await exchange.fetch_order_book(BTC)
            kept = exchange.orderbooks[BTC]
            assert [list(level) for level in kept["bids"]] == rest["bids"]
            assert [list(level) for level in kept["asks"]] == rest["asks"]
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(run())


def test_a_late_listener_joins_and_one_who_left_hears_nothing_more() -> None:
    async def run() -> None:
        async with listening() as (venue, first, control, _), aiohttp.ClientSession() as session:
            topic = "orderbook.50.BTCUSDT"
            await first.ask({"op": "subscribe", "args": [topic]})
            await control.go()
            await control.steps(5)
            late = Listener(await session.ws_connect(venue.ws + "/v5/public/spot"))
            await late.ask({"op": "subscribe", "args": [topic]})
            await control.steps(5)
            for each in (first, late):
                await each.read_all()
            assert first.book(topic) == late.book(topic)
            assert late.of(topic)[0]["data"]["u"] > first.of(topic)[0]["data"]["u"]

            assert (await first.ask({"op": "unsubscribe", "args": [topic]}))["success"] is True
            heard = len(first.of(topic))
            await control.steps(3)
            for each in (first, late):
                await each.read_all()
            assert len(first.of(topic)) == heard
            assert len(late.of(topic)) == 9

    asyncio.run(run())
