"""OKX's channels: what a listener was told gives the book, the candles and the trades that the engine has.

Not here: orders (`test_okx_client`), broken frames (`test_okx_requests`), a hub's books
(`test_hub_on_venues`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from typing import Any

import aiohttp

from tests.kit.okx import okx_client
from tests.kit.sandbox import sandbox

BTC = "BTC/USDT"
NAME = "BTC-USDT"


class Listener:
    """A raw connection and the messages it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.messages: list[dict[str, Any]] = []

    async def ask(self, op: str, *channels: str) -> None:
        """Send a command for channels of one pair, and read until each was answered."""
        args = [{"channel": each, "instId": NAME} for each in channels]
        await self._socket.send_json({"op": op, "args": args})
        answered = []
        while len(answered) < len(args):
            answer = await self._socket.receive_json()
            if answer.get("event") == op:
                answered.append(answer["arg"])
            else:
                self.messages.append(answer)
        assert answered == args

    async def read_all(self) -> None:
        """Read what was sent so far: the answer to a ping comes behind it."""
        await self._socket.send_str("ping")
        while (text := (await self._socket.receive()).data) != "pong":
            self.messages.append(json.loads(text))

    def of(self, channel: str) -> list[Any]:
        """Rows of a channel, oldest first."""
        return [row for each in self.messages if each["arg"]["channel"] == channel for row in each["data"]]

    def book(self) -> tuple[dict[str, str], dict[str, str]]:
        """Bids and asks as the channel `books` gives them; each message names the one before and its sum."""
        sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        told = [each for each in self.messages if each["arg"]["channel"] == "books"]
        assert told[0]["action"] == "snapshot"
        number = None
        for each in told:
            (row,) = each["data"]
            if each["action"] == "snapshot":
                assert row["prevSeqId"] == -1
                sides[0].clear()
                sides[1].clear()
            else:
                assert row["prevSeqId"] == number
            number = row["seqId"]
            for side, levels in zip(sides, (row["bids"], row["asks"]), strict=True):
                for price, qty, *_ in levels:
                    if qty == "0":
                        del side[price]
                    else:
                        side[price] = qty
            assert row["checksum"] == checksum(*map(list, sorted_sides(sides)))
        return sides


def sorted_sides(sides: tuple[dict[str, str], dict[str, str]]) -> list[list[tuple[str, str]]]:
    """Both sides, best first."""
    bids = sorted(sides[0].items(), key=lambda level: -float(level[0]))
    return [bids, sorted(sides[1].items(), key=lambda level: float(level[0]))]


def checksum(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> int:
    """The documented sum of the best 25 levels."""
    turns = itertools.zip_longest(bids[:25], asks[:25])
    text = ":".join(":".join(level) for pair in turns for level in pair if level is not None)
    found = zlib.crc32(text.encode())
    return found if found < 2**31 else found - 2**32


def test_channels_give_the_book_the_candles_and_the_trades() -> None:
    async def run() -> None:
        async with (
            sandbox(protocol="okx", book_levels=60) as venue,
            okx_client(venue) as exchange,
            aiohttp.ClientSession() as session,
        ):
            await exchange.load_markets()
            listener, candles_of, late = [
                Listener(await session.ws_connect(f"{venue.ws}/ws/v5/{side}"))
                for side in ("public", "business", "public")
            ]
            await listener.ask("subscribe", "books", "books5", "bbo-tbt", "trades", "tickers")
            await candles_of.ask("subscribe", "candle1m", "candle5m")
            control = await venue.control()
            await control.go()
            marks = []
            for number in range(12):
                marks.append((await control.steps(1))["marks"][NAME])
                if number == 5:
                    await late.ask("subscribe", "books")
                if number % 4 == 3:
                    await exchange.create_order(BTC, "market", "buy", 0.5)
                    await exchange.create_order(BTC, "market", "sell", 0.7)
            rest = (await exchange.publicGetMarketBooks({"instId": NAME, "sz": 400}))["data"][0]
            candles = await exchange.fetch_ohlcv(BTC, "1m", limit=100)
            trades = await exchange.fetch_trades(BTC, limit=60)
            for each in (listener, candles_of, late):
                await each.read_all()

            shown = [[(price, qty) for price, qty, *_ in rest[side]] for side in ("bids", "asks")]
            assert sorted_sides(listener.book()) == sorted_sides(late.book()) == shown
            assert [len(side) for side in shown] == [60, 60]
            told = listener.of("books")
            assert told[-1]["seqId"] == rest["seqId"]
            # the last step's message has its mark, and the two orders behind it one each
            assert [each["seqId"] for each in told][-3] == marks[-1]["book"]
            assert all(one["book"] < two["book"] for one, two in itertools.pairwise(marks))
            for channel, depth in (("books5", 5), ("bbo-tbt", 1)):
                last = listener.of(channel)[-1]
                assert [last["bids"], last["asks"]] == [rest["bids"][:depth], rest["asks"][:depth]]

            closed = [row for row in candles_of.of("candle1m") if row[-1] == "1"]
            assert [int(row[0]) for row in closed] == [each["candle"] for each in marks]
            by_start = {candle[0]: candle for candle in candles}
            for row in closed:
                assert [float(each) for each in row[1:6]] == by_start[int(row[0])][1:]
            opening = [row for row in candles_of.of("candle1m") if row[-1] == "0"]
            assert [int(row[0]) for row in opening] == [int(row[0]) + 60_000 for row in closed]
            assert {row[5] for row in opening} == {"0"}
            longer = [int(row[0]) for row in candles_of.of("candle5m") if row[-1] == "1"]
            assert [b - a for a, b in itertools.pairwise(longer)] == [300_000]

            ids = [int(row["tradeId"]) for row in listener.of("trades")]
            assert ids == sorted(set(ids))
            assert ids[-60:] == [int(each["id"]) for each in trades][-60:]
            assert listener.of("tickers")[-1]["high24h"]

            await listener.ask("unsubscribe", "books")
            before = len(listener.of("books"))
            await control.steps(3)
            for each in (listener, late):
                await each.read_all()
            assert len(listener.of("books")) == before
            assert len(late.of("books")) > 9

    asyncio.run(run())


def test_ccxt_keeps_the_same_book_also_after_a_hole() -> None:
    async def run() -> None:
        lost = {"public": {"lost": 0.2}}
        async with sandbox(protocol="okx", hostility=lost) as venue, okx_client(venue) as exchange:
            await exchange.load_markets()
            holes = []

            async def follow_book() -> None:
                while True:
                    try:
                        await exchange.watch_order_book(BTC)
                    except Exception as error:  # noqa: BLE001 - which one is what the test asks
                        holes.append(type(error).__name__)

            reading = asyncio.create_task(follow_book())
            while BTC not in exchange.orderbooks:
                await asyncio.sleep(0)
            control = await venue.control()
            await control.go()
            async with asyncio.timeout(10):
                for number in itertools.count():
                    await control.steps(1)
                    await asyncio.sleep(0.02)
                    rest = (await exchange.publicGetMarketBooks({"instId": NAME, "sz": 400}))["data"][0]
                    kept = exchange.orderbooks.get(BTC)
                    if number > 20 and kept is not None and kept["nonce"] == int(rest["seqId"]):
                        break
            for side in ("bids", "asks"):
                true = [[float(price), float(qty)] for price, qty, *_ in rest[side]]
                assert [list(level) for level in kept[side]] == true
            assert len([line for line in venue.truth("hostile") if line["what"] == "difference_lost"]) > 3
            assert set(holes) == {"InvalidNonce"}
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(run())
