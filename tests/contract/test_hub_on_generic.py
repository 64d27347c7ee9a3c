"""A hub at any venue: the same candles, trades and books as through a certified adapter, or by asking.

Not here: what holds for every venue (`test_hub`); a venue without a certified adapter (`test_hub_on_dydx`).
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import msgspec
import pytest

from parley.messages import MarketBatch
from runtime import hub
from runtime.hub import HubConfig, serve
from tests.contract.test_hub import to_end
from tests.kit.generic import client_of, generic_feed
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, hub_config, short_folder
from venues.adapters import feed_of
from venues.ccxt_feed import CcxtFeed
from venues.generic_client import UnifiedClient
from venues.generic_market import GenericMarket

pytestmark = pytest.mark.timeout(120)
SYMBOLS = ["BTC/USDT", "ETH/USDT", "LTC/USDT"]
CANDLES = 30
FEED = {
    "kind": "synthetic",
    "candles": CANDLES,
    "history": 30,
    "assets": ["BTC", "ETH", "LTC"],
    "crosses": [],
}


async def batches_of(exchange: str) -> list[MarketBatch]:
    """Play a market in lock-step, and return what a desk got of it."""
    with short_folder() as folder:
        async with sandbox(feed=FEED, protocol=exchange) as venue:
            config = hub_config(folder, venue, exchange=exchange, symbols=SYMBOLS, max_prints=1000)
            stop = asyncio.Event()
            serving = asyncio.create_task(serve(msgspec.convert(config, HubConfig), stop))
            while not (folder / "hub.sock").exists():
                await asyncio.sleep(0.02)
                if serving.done():
                    serving.result()
            desk = await FakeDesk.connect(folder / "hub.sock")
            counts = await to_end(desk)
            assert counts["candles_sent"] == counts["candles_seen"] == len(SYMBOLS) * CANDLES
            assert (counts["missed"], counts["reconnects"], counts["resyncs"]) == (0, 0, 0)
            desk.link.close("the test is over")
            stop.set()
            await serving
            return desk.of(MarketBatch)


@pytest.mark.parametrize(
    "exchange",
    [
        "okx",
        pytest.param("binance", marks=pytest.mark.long),
        pytest.param("bybit", marks=pytest.mark.long),
    ],
)
def test_a_desk_is_told_what_it_is_told_through_the_certified_adapter(
    exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified = asyncio.run(batches_of(exchange))
    monkeypatch.setattr(hub, "feed_of", generic_feed)
    generic = asyncio.run(batches_of(exchange))
    assert len(generic) == CANDLES
    assert {len(each.books) for each in generic} == {len(SYMBOLS)}
    assert sum(len(each.prints) for each in generic) > CANDLES
    if exchange == "bybit":  # whose books are numbered by the wall clock
        certified, generic = without_numbers(certified), without_numbers(generic)
    assert generic == certified
    with warnings.catch_warnings():  # a hub ends with its process, and leaves the control socket to that
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def without_numbers(batches: list[MarketBatch]) -> list[MarketBatch]:
    return [
        msgspec.structs.replace(
            each, books=tuple(msgspec.structs.replace(book, seq=0) for book in each.books)
        )
        for each in batches
    ]


def test_what_has_no_stream_is_asked_for() -> None:
    async def run() -> None:
        async with sandbox(feed=FEED, protocol="okx") as venue:
            made = client_of("okx", venue)
            client = UnifiedClient(made.exchange, pause_s=0.01)
            streams: dict[str, Any] = dict.fromkeys(("candle", "trade", "book"), "asked")
            client.means = msgspec.structs.replace(client.means, streams=streams)
            feed = CcxtFeed(
                client, GenericMarket(), symbols=SYMBOLS, timeframe="1m",
                streams=("candle", "trade", "book"), pause_s=0.01,
            )  # fmt: skip
            gaps: list[str] = []
            try:
                await feed.connect()
                following = asyncio.create_task(feed.follow(gaps.append, gaps.append))
                market = await venue.control()
                await market.go()
                numbers: dict[str, list[int]] = {each: [] for each in SYMBOLS}
                books: dict[str, set[int]] = {each: set() for each in SYMBOLS}
                for _ in range(4):
                    await market.steps(1)
                    await asyncio.sleep(0.5)
                    for each in SYMBOLS:
                        last = numbers[each][-1] if numbers[each] else -1
                        numbers[each] += [number for number, _ in feed.trades(each, last)]
                        books[each].add(feed.book_number(each))
                assert await feed.is_subscribed()
                assert client.exchange.clients == {}  # no socket was opened
                for each in SYMBOLS:
                    truth = await client.exchange.fetch_ohlcv(each, "1m", limit=5)
                    assert [list(row) for row in feed.candles(each, truth[0][0] - 1)][-5:] == truth
                    trades = await client.exchange.fetch_trades(each)
                    assert numbers[each] == sorted(set(numbers[each]))
                    assert numbers[each][-1] == int(trades[-1]["id"])
                    assert len(books[each]) == 4  # every step has another book, and another number
                    told = await client.exchange.fetch_order_book(each, 5)
                    _, _, bids, asks = feed.book(each, 5)
                    assert [list(level) for level in bids] == [level[:2] for level in told["bids"]]
                    assert [list(level) for level in asks] == [level[:2] for level in told["asks"]]
                assert gaps == []
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                await market.hang_up()
            finally:
                await feed.close()

    asyncio.run(run())


def test_a_kind_of_data_that_a_venue_has_in_no_way_is_named() -> None:
    options: dict[str, Any] = {"symbols": ["BTC/USDT"], "timeframe": "1m", "pause_s": 1.0}
    with pytest.raises(
        Exception, match=r"'mudrex' has no market data of kind trade, book: .*watchTrades or "
    ):
        feed_of("mudrex", "", "", streams=("candle", "trade", "book"), **options)
