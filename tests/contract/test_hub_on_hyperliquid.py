"""A real hub at an exchange that speaks Hyperliquid: one socket, whole books, trades without growing ids.

Not here: what holds for every venue (`test_hub`).
"""

from __future__ import annotations

import asyncio

from parley.messages import MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.hyperliquid import USDC_FEED, hyperliquid_client
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder, unit

ASSETS = ["BTC", "ETH", "LTC", "SOL", "ADA", "XRP"]
SYMBOLS = [f"{asset}/USDC" for asset in ASSETS]
CANDLES = 40
FEED = USDC_FEED | {"candles": CANDLES, "history": 30, "assets": ASSETS}


def levels(side: list[list[float]]) -> list[list[float]]:
    """Return prices and sizes."""
    return [level[:2] for level in side]


def test_every_step_arrives_whole_with_its_candles_trades_and_books() -> None:
    async def run() -> None:
        with short_folder() as folder:
            twice = {"public": {"duplicated": 0.2}}
            async with sandbox(feed=FEED, protocol="hyperliquid", hostility=twice) as venue:
                config = hub_config(folder, venue, exchange="hyperliquid", symbols=SYMBOLS, max_prints=1000)
                async with unit("hub", config, folder) as hub:
                    desk = await FakeDesk.connect(hub.socket)
                    counts = await to_end(desk)
                    batches = desk.of(MarketBatch)
                    async with hyperliquid_client(venue, "", "") as exchange:
                        await exchange.load_markets()
                        truth = {each: await exchange.fetch_ohlcv(each, "1m", since=1) for each in SYMBOLS}
                        books = {each: await exchange.fetch_order_book(each, 10) for each in SYMBOLS}
                    desk.link.close("the test is over")
                doubled = [line for line in venue.truth("hostile") if line["what"] == "trade_duplicated"]
            assert len(doubled) > 20
            assert counts["candles_sent"] == counts["candles_seen"] == len(SYMBOLS) * CANDLES
            assert (counts["missed"], counts["reconnects"], counts["resyncs"]) == (0, 0, 0)
            assert len(batches) == CANDLES
            for each in batches:
                # nothing of a step comes with a later one
                assert [book.symbol for book in each.books] == sorted(SYMBOLS)
                assert (
                    {bar.symbol for bar in each.bars} == {fill.symbol for fill in each.prints} == set(SYMBOLS)
                )
            bars = bars_of(desk)
            told = {
                symbol: [
                    [bar.t_open // 1_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume]
                    for bar in bars
                    if bar.symbol == symbol
                ]
                for symbol in SYMBOLS
            }
            assert told == {symbol: rows[-CANDLES:] for symbol, rows in truth.items()}
            for book in batches[-1].books:
                assert [list(level) for level in book.bids] == levels(books[book.symbol]["bids"])
                assert [list(level) for level in book.asks] == levels(books[book.symbol]["asks"])
            # no trade is missing, and none is there twice: they sum to the candles
            for bar in bars:
                close = bar.t_open + 60_000_000_000
                within = [
                    each.qty
                    for batch in batches
                    for each in batch.prints
                    if each.symbol == bar.symbol and bar.t_open <= each.t < close
                ]
                assert abs(sum(within) - bar.volume) < 1e-6 * bar.volume

    asyncio.run(run())
