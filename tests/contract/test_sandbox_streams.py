"""Lock-step: what the sandbox says it sent is what an unmodified ccxt.pro client has seen.

Not here: orders (`test_sandbox_client`).
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro

from tests.kit.sandbox import Control, SandboxProcess, sandbox

MINUTE_MS = 60_000


class Recorder:
    """Reads raw stream messages, as they were sent."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.messages: list[dict[str, Any]] = []

    async def subscribe(self, *streams: str) -> None:
        await self._socket.send_json({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
        assert await self._socket.receive_json() == {"result": None, "id": 1}

    async def read_to(self, mark: dict[str, Any]) -> None:
        """Read until the message that the announcement's marks name last."""
        while True:
            message = await self._socket.receive_json()
            self.messages.append(message)
            if message["e"] == "kline" and message["k"]["t"] == mark["t"] and not message["k"]["x"]:
                return


async def play(control: Control, recorder: Recorder, count: int) -> list[dict[str, Any]]:
    announcements = []
    for _ in range(count):
        announcement = await control.steps(1)
        await recorder.read_to(announcement)
        announcements.append(announcement)
    return announcements


def test_every_message_of_a_step_comes_before_the_next_step() -> None:
    async def run() -> None:
        async with sandbox() as venue, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(venue.ws + "/stream/ws/0")
            recorder = Recorder(socket)
            await recorder.subscribe("btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@kline_1m")
            control = await venue.control()
            assert control.hello["timeframe_ms"] == MINUTE_MS
            await control.go()
            announcements = await play(control, recorder, 30)

            closed = [m["k"] for m in recorder.messages if m["e"] == "kline" and m["k"]["x"]]
            open_ones = [m["k"] for m in recorder.messages if m["e"] == "kline" and not m["k"]["x"]]
            assert len(closed) == announcements[-1]["candles_sent"] == 30
            assert [a["marks"]["BTCUSDT"]["candle"] for a in announcements] == [k["t"] for k in closed]
            assert set(announcements[-1]["marks"]) == {"BTCUSDT"}
            for candle, hole in zip(closed, open_ones, strict=True):
                assert hole["t"] == candle["T"] + 1
                assert hole["o"] == hole["h"] == hole["l"] == hole["c"] == candle["c"]
                assert hole["v"] == "0.00000000"
            trades = [m for m in recorder.messages if m["e"] == "trade"]
            assert [t["t"] for t in trades] == sorted({t["t"] for t in trades})
            assert announcements[-1]["marks"]["BTCUSDT"]["trade"] == trades[-1]["t"]
            diffs = [m for m in recorder.messages if m["e"] == "depthUpdate"]
            assert all(b["U"] == a["u"] + 1 for a, b in itertools.pairwise(diffs))
            assert announcements[-1]["marks"]["BTCUSDT"]["book"] == diffs[-1]["u"]
            await socket.close()

    asyncio.run(run())


async def follow(exchange: Any, symbols: list[str], seen: dict[str, set[int]]) -> None:
    """Collect the open times of candles that a placeholder shows to be closed."""
    while True:
        await exchange.watch_ohlcv_for_symbols([[symbol, "1m"] for symbol in symbols])
        for symbol in symbols:
            candles = exchange.ohlcvs.get(symbol, {}).get("1m", [])
            seen[symbol].update(candle[0] for candle in candles[:-1])


def test_ccxt_sees_every_candle_that_was_sent(market_data: Path) -> None:
    pairs = ["BTC/USDT", "ETH/USDT", "ETH/BTC"]
    feed = {
        "kind": "candles",
        "folder": str(market_data / "candles"),
        "pairs": pairs,
        "start": "2021-05-09T00:00",
        "end": "2021-05-09T03:20",
    }

    async def run() -> None:
        async with sandbox(feed) as venue, venue.client() as exchange:
            await exchange.load_markets()
            seen: dict[str, set[int]] = {pair: set() for pair in pairs}
            reading = asyncio.create_task(follow(exchange, pairs, seen))
            control = await venue.control()
            await subscribed(venue, exchange, "ohlcv::BTC/USDT::1m")
            await control.go()
            for _ in range(200):
                announcement = await control.steps(1)
                last = {pair: announcement["marks"][pair.replace("/", "")]["candle"] for pair in pairs}
                while not all(_has(exchange, pair, t) for pair, t in last.items()):
                    await asyncio.sleep(0)  # the messages are written, the client only has to read
                for pair in pairs:
                    seen[pair].update(c[0] for c in exchange.ohlcvs[pair]["1m"] if c[0] <= last[pair])
            end = await control.to_end()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert end["steps"] == 200
            assert end["candles_sent"] == sum(len(one) for one in seen.values()) == 600

    asyncio.run(run())


def _has(exchange: Any, pair: str, t: int) -> bool:
    candles = exchange.ohlcvs.get(pair, {}).get("1m", [])
    return bool(candles) and candles[-1][0] >= t


async def subscribed(venue: SandboxProcess, exchange: Any, message_hash: str) -> None:
    """Wait until the venue answered a subscription, then until it must have been processed."""
    while not any(message_hash in client.subscriptions for client in exchange.clients.values()):
        await asyncio.sleep(0)
    for client in list(exchange.clients.values()):
        await client.connected
        await client.connection.ping()
    async with aiohttp.ClientSession() as session:
        await (await session.get(venue.rest + "/api/v3/ping")).read()


def test_client_book_after_many_diffs_equals_the_rest_book() -> None:
    async def run() -> None:
        async with sandbox() as venue, venue.client() as exchange:
            await exchange.load_markets()
            control = await venue.control()

            async def follow_book() -> None:
                while True:
                    await exchange.watch_order_book("BTC/USDT")

            reading = asyncio.create_task(follow_book())
            await subscribed(venue, exchange, "orderbook::BTC/USDT")
            await control.go()
            for number in range(30):
                announcement = await control.steps(1)
                if number % 5 == 4:
                    await exchange.create_order("BTC/USDT", "market", "buy", 0.5)
                    await exchange.create_order("BTC/USDT", "market", "sell", 0.7)
            rest = await exchange.fetch_order_book("BTC/USDT")
            assert rest["nonce"] >= announcement["marks"]["BTCUSDT"]["book"]
            while exchange.orderbooks["BTC/USDT"]["nonce"] != rest["nonce"]:
                await asyncio.sleep(0)
            book = exchange.orderbooks["BTC/USDT"]
            assert [list(level) for level in book["bids"]] == rest["bids"]
            assert [list(level) for level in book["asks"]] == rest["asks"]
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(run())


def test_trades_and_tickers_reach_ccxt() -> None:
    async def run() -> None:
        async with sandbox() as venue, venue.client() as exchange:
            await exchange.load_markets()
            control = await venue.control()
            reading = [
                asyncio.create_task(exchange.watch_trades("BTC/USDT")),
                asyncio.create_task(exchange.watch_ticker("ETH/USDT")),
                asyncio.create_task(exchange.watch_tickers(["LTC/USDT"])),
                asyncio.create_task(exchange.watch_bids_asks(["SOL/USDT"])),
            ]
            for name in ("trade::BTC/USDT", "ticker:miniTicker@ETH/USDT", "ticker:miniTicker@LTC/USDT",
                         "bidask:bookTicker@SOL/USDT"):  # fmt: skip
                await subscribed(venue, exchange, name)
            await control.go()
            await control.steps(1)
            trades, ticker, tickers, quotes = await asyncio.gather(*reading)
            assert trades[0]["symbol"] == "BTC/USDT"
            assert ticker["symbol"] == "ETH/USDT"
            assert set(tickers) == {"LTC/USDT"}
            assert quotes["SOL/USDT"]["bid"] < quotes["SOL/USDT"]["ask"]

    asyncio.run(run())


def test_market_stops_when_the_control_client_hangs_up_and_goes_on_with_another() -> None:
    async def run() -> None:
        async with sandbox() as venue, venue.client() as exchange:
            await exchange.load_markets()
            first = await venue.control()
            await first.go()
            await first.steps(5)
            await first.hang_up()
            before = (await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=1))[0]
            assert (await exchange.create_order("BTC/USDT", "market", "buy", 0.01))["status"] == "closed"
            assert (await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=1))[0] == before
            second = await venue.control()
            await second.go()
            assert (await second.steps(1))["step"] == 6
            assert (await second.to_end())["steps"] == 40
            assert (await exchange.fetch_ticker("BTC/USDT"))["last"] > 0  # still serving

    asyncio.run(run())


def test_only_one_client_is_in_lock_step() -> None:
    async def run() -> None:
        async with sandbox() as venue:
            first = await venue.control()
            await first.go()
            await first.steps(1)
            second = await venue.control()
            assert "one control client" in second.hello["error"]
            liar = first
            await liar.say({"ack": 99})
            assert "expected" in (await liar.hear())["error"]

    asyncio.run(run())


def test_ccxt_is_the_installed_class() -> None:
    assert ccxt.pro.binance.__module__ == "ccxt.pro.binance"
