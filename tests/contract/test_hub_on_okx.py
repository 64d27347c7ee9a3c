"""A real hub at an exchange that speaks OKX: candles on a socket of their own, books that the venue numbers.

Not here: what holds for every venue (`test_hub`).
"""

from __future__ import annotations

import asyncio

from parley.messages import MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.okx import okx_client
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder, unit

ASSETS = ["BTC", "ETH", "LTC", "SOL", "ADA", "XRP", "DOT", "BNB", "TRX", "EOS", "ZEC", "XMR"]
SYMBOLS = [f"{asset}/USDT" for asset in ASSETS]
CANDLES = 40
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 30, "assets": ASSETS, "crosses": []}


def levels(side: list[list[float]]) -> list[list[float]]:
    """Return prices and sizes; ccxt keeps OKX's third column as well."""
    return [level[:2] for level in side]


def test_every_step_arrives_whole_with_its_candles_trades_and_books() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, protocol="okx") as venue:
                config = hub_config(folder, venue, exchange="okx", symbols=SYMBOLS, max_prints=1000)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with okx_client(venue) as exchange:
                        truth = {
                            each: await exchange.fetch_ohlcv(each, "1m", limit=CANDLES) for each in SYMBOLS
                        }
                        trades = {each: await exchange.fetch_trades(each, limit=4) for each in SYMBOLS}
                        books = {each: await exchange.fetch_order_book(each, 10) for each in SYMBOLS}
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
                assert [list(level) for level in book.bids] == levels(books[book.symbol]["bids"])
                assert [list(level) for level in book.asks] == levels(books[book.symbol]["asks"])
                last = [each for each in batches[-1].prints if each.symbol == book.symbol]
                assert [each.px for each in last][-4:] == [each["price"] for each in trades[book.symbol]]

    asyncio.run(run())


def test_a_book_that_lost_a_difference_is_read_anew() -> None:
    async def run() -> None:
        with short_folder() as folder:
            feed = FEED | {"assets": ["BTC", "ETH"]}
            lost = {"public": {"lost": 0.1}}
            async with sandbox(feed=feed, protocol="okx", hostility=lost, seed=3) as venue:
                symbols = SYMBOLS[:2]
                config = hub_config(folder, venue, exchange="okx", symbols=symbols)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with okx_client(venue) as exchange:
                        books = {each: await exchange.fetch_order_book(each, 10) for each in symbols}
                    desk.link.close("the test is over")
                holes = [line for line in venue.truth("hostile") if line["what"] == "difference_lost"]
            assert len(holes) >= 3
            assert 0 < counts["resyncs"] <= len(holes)
            assert counts["reconnects"] == 0
            told = {book.symbol: book for each in batches for book in each.books}
            for symbol in symbols:
                assert [list(level) for level in told[symbol].bids] == levels(books[symbol]["bids"])
                assert [list(level) for level in told[symbol].asks] == levels(books[symbol]["asks"])

    asyncio.run(run())
