"""A real hub at an exchange that speaks Kraken: each pair's candles subscribed alone, books without numbers.

Not here: what holds for every venue (`test_hub`).
"""

from __future__ import annotations

import asyncio

from parley.messages import MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.kraken import kraken_client
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder, unit

ASSETS = ["BTC", "ETH", "LTC", "SOL", "XRP", "DOGE"]
SYMBOLS = [f"{asset}/USDT" for asset in ASSETS] + ["ETH/BTC", "DOGE/BTC"]
CANDLES = 40
CROSSES = ["ETH/BTC", "DOGE/BTC"]
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 30, "assets": ASSETS, "crosses": CROSSES}


def test_every_step_arrives_whole_with_its_candles_trades_and_books() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox(feed=FEED, protocol="kraken") as venue:
                config = hub_config(folder, venue, exchange="kraken", symbols=SYMBOLS, max_prints=1000)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with kraken_client(venue) as exchange:
                        truth = {
                            each: await exchange.fetch_ohlcv(each, "1m", limit=CANDLES) for each in SYMBOLS
                        }
                        trades = {each: await exchange.fetch_trades(each, limit=4) for each in SYMBOLS}
                        books = {each: await exchange.fetch_order_book(each, 10) for each in SYMBOLS}
                        ids = {exchange.market_id(each) for each in ("BTC/USDT", "DOGE/BTC", "ETH/BTC")}
                    desk.link.close("the test is over")

            assert ids == {"XBTUSDT", "XXDGXXBT", "XETHXXBT"}
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
                of_rest = books[book.symbol]
                assert [list(level) for level in book.bids] == [each[:2] for each in of_rest["bids"]]
                assert [list(level) for level in book.asks] == [each[:2] for each in of_rest["asks"]]
                last = [each for each in batches[-1].prints if each.symbol == book.symbol]
                assert [each.px for each in last][-4:] == [each["price"] for each in trades[book.symbol]]

    asyncio.run(run())
