"""A real hub at an exchange that speaks Coinbase: candles by request, books that only their times number.

Not here: what holds for every venue (`test_hub`).
"""

from __future__ import annotations

import asyncio

import pytest

from parley.messages import MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.coinbase import coinbase, coinbase_client
from tests.kit.units import FakeDesk, hub_config, short_folder, unit

pytestmark = pytest.mark.timeout(120)
ASSETS = ["BTC", "ETH", "LTC", "SOL", "ADA", "XRP", "DOT", "BNB", "TRX", "EOS", "ZEC", "XMR"]
SYMBOLS = [f"{asset}/USDT" for asset in ASSETS]
CANDLES = 40
FEED = {"kind": "synthetic", "candles": CANDLES, "history": 30, "assets": ASSETS, "crosses": []}


@pytest.mark.parametrize("parts", [1, pytest.param(3, marks=pytest.mark.long)])
def test_every_step_arrives_whole_with_its_candles_trades_and_books(parts: int) -> None:
    async def run() -> None:
        with short_folder() as folder:
            feed = FEED | {"parts": parts, "trades_per_candle": 6}
            async with coinbase(feed) as venue:
                config = hub_config(folder, venue, exchange="coinbase", symbols=SYMBOLS, max_prints=1000)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    since = min(bar.t_open for bar in bars_of(desk)) // 1_000_000
                    async with coinbase_client(venue) as exchange:
                        truth = {each: await exchange.fetch_ohlcv(each, "1m", since) for each in SYMBOLS}
                        trades = {each: await exchange.fetch_trades(each, limit=6) for each in SYMBOLS}
                        books = {each: await exchange.fetch_order_book(each, 10) for each in SYMBOLS}
                    desk.link.close("the test is over")

            assert counts["candles_sent"] == counts["candles_seen"] == len(SYMBOLS) * CANDLES
            assert (counts["missed"], counts["reconnects"], counts["resyncs"]) == (0, 0, 0)
            assert sum(len(each.bars) for each in batches) == len(SYMBOLS) * CANDLES
            told = {
                symbol: [
                    [bar.t_open // 1_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume]
                    for bar in bars_of(desk)
                    if bar.symbol == symbol
                ]
                for symbol in SYMBOLS
            }
            assert told == truth
            for each in batches if parts == 1 else ():
                # nothing of a step comes with a later one
                assert [book.symbol for book in each.books] == sorted(SYMBOLS)
                assert (
                    {bar.symbol for bar in each.bars} == {fill.symbol for fill in each.prints} == set(SYMBOLS)
                )
            for book in batches[-1].books:
                assert [list(level) for level in book.bids] == books[book.symbol]["bids"]
                assert [list(level) for level in book.asks] == books[book.symbol]["asks"]
                last = [each for each in batches[-1].prints if each.symbol == book.symbol]
                known = [each["price"] for each in trades[book.symbol]]
                assert [each.px for each in last][-len(known) :] == known[-len(last) :]

    asyncio.run(run())
