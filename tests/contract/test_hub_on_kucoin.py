"""A real hub at an exchange that speaks KuCoin: candles asked for pair by pair, books told whole.

Not here: what holds for every venue (`test_hub`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from parley.messages import MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.kucoin import kucoin_client
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder, unit

ASSETS = ["BTC", "ETH", "LTC", "SOL", "ADA", "XRP", "DOT", "BNB", "TRX", "EOS", "ZEC", "XMR"]
SYMBOLS = [f"{asset}/USDT" for asset in ASSETS]
CANDLES = 40
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 30, "assets": ASSETS, "crosses": []}


async def candles_of(exchange: Any, symbol: str, first: int) -> Any:
    """Ask for all candles from one on: without a beginning ccxt asks for those before now."""
    return await exchange.fetch_ohlcv(symbol, "1m", since=first, limit=CANDLES)


def test_every_step_arrives_whole_with_its_candles_trades_and_books() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, protocol="kucoin") as venue:
                config = hub_config(folder, venue, exchange="kucoin", symbols=SYMBOLS, max_prints=1000)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with kucoin_client(venue) as exchange:
                        first = batches[0].bars[0].t_open // 1_000_000
                        truth = {each: await candles_of(exchange, each, first) for each in SYMBOLS}
                        trades = {each: await exchange.fetch_trades(each, limit=4) for each in SYMBOLS}
                        books = {each: await exchange.fetch_order_book(each, 100) for each in SYMBOLS}
                    desk.link.close("the test is over")

            assert counts["candles_sent"] == counts["candles_seen"] == len(SYMBOLS) * CANDLES
            assert (counts["missed"], counts["reconnects"], counts["resyncs"]) == (0, 0, 0)
            assert len(batches) == CANDLES
            for each in batches:
                # nothing of a step comes with a later one
                assert [book.symbol for book in each.books] == sorted(SYMBOLS)
                assert (
                    {bar.symbol for bar in each.bars} == {fill.symbol for fill in each.prints} == set(SYMBOLS)
                )
            told = {
                symbol: [
                    [bar.t_open // 1_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume]
                    for bar in bars_of(desk)
                    if bar.symbol == symbol
                ]
                for symbol in SYMBOLS
            }
            assert told == truth
            for book in batches[-1].books:
                assert [list(level) for level in book.bids] == books[book.symbol]["bids"]
                assert [list(level) for level in book.asks] == books[book.symbol]["asks"]
                last = [each for each in batches[-1].prints if each.symbol == book.symbol]
                assert [each.px for each in last][-4:] == [each["price"] for each in trades[book.symbol]]

    asyncio.run(run())


def test_a_book_that_was_not_told_once_is_whole_with_the_next() -> None:
    async def run() -> None:
        with short_folder() as folder:
            feed = FEED | {"assets": ["BTC", "ETH"]}
            lost = {"public": {"lost": 0.1, "duplicated": 0.1}}
            async with sandbox(feed=feed, protocol="kucoin", hostility=lost, seed=4) as venue:
                symbols = SYMBOLS[:2]
                config = hub_config(folder, venue, exchange="kucoin", symbols=symbols)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with kucoin_client(venue) as exchange:
                        books = {each: await exchange.fetch_order_book(each, 100) for each in symbols}
                    desk.link.close("the test is over")
                holes = [line for line in venue.truth("hostile") if line["what"] == "difference_lost"]
            assert len(holes) >= 3
            assert (counts["resyncs"], counts["reconnects"], counts["missed"]) == (0, 0, 0)
            told = {book.symbol: book for each in batches for book in each.books}
            for symbol in symbols:
                assert [list(level) for level in told[symbol].bids] == books[symbol]["bids"]
                assert [list(level) for level in told[symbol].asks] == books[symbol]["asks"]

    asyncio.run(run())
