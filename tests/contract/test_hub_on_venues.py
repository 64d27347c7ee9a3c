"""A real hub at an exchange that speaks as any of our venues: every step whole, books that lost something.

Not here: what no venue matters for, and Binance (`test_hub`); broken connections (`test_hub_broken`); venues
without an adapter of their own (`test_hub_on_generic`, `test_hub_on_dydx`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from parley.messages import Bar, MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.kit.sandbox import SandboxProcess
from tests.kit.units import FakeDesk, hub_config, short_folder, unit
from tests.kit.venues import VENUES

pytestmark = pytest.mark.timeout(120)
CANDLES = 40
MINUTE_NS = 60_000_000_000
# more than one subscription may name
DOZEN = ("BTC", "ETH", "LTC", "SOL", "ADA", "XRP", "DOT", "BNB", "TRX", "EOS", "ZEC", "XMR")


@dataclass(frozen=True)
class Market:
    """What is traded there, and how ccxt is asked for it.

    ``asked`` makes of the time of the first candle, ms, how all of them are asked for. ``trades`` and
    ``levels`` are how many of them are asked for, 0: it tells no trades. ``names`` are ids of the venue's own
    that a pair must have.
    """

    assets: tuple[str, ...] = DOZEN
    crosses: tuple[str, ...] = ()
    quote: str = "USDT"
    feed: Mapping[str, Any] = field(default_factory=dict)
    hostility: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    asked: Callable[[int], dict[str, int]] = lambda _: {"limit": CANDLES}
    trades: int = 4
    levels: int = 10

    @property
    def symbols(self) -> list[str]:
        """Every pair."""
        return [*(f"{asset}/{self.quote}" for asset in self.assets), *self.crosses]

    def feed_of(self, **over: Any) -> dict[str, Any]:
        """Return the sandbox's market."""
        made = {
            "kind": "synthetic", "candles": CANDLES, "history": 30, "assets": list(self.assets),
            "crosses": list(self.crosses), "quote": self.quote,
        }  # fmt: skip
        return made | dict(self.feed) | over


MARKETS = {
    "okx": Market(),
    "bybit": Market(),
    # without a beginning ccxt asks for candles before now
    "kucoin": Market(levels=100, asked=lambda first: {"since": first, "limit": CANDLES}),
    "kraken": Market(
        assets=("BTC", "ETH", "LTC", "SOL", "XRP", "DOGE"), crosses=("ETH/BTC", "DOGE/BTC"),
        names={"BTC/USDT": "XBTUSDT", "DOGE/BTC": "XXDGXXBT", "ETH/BTC": "XETHXXBT"},
    ),
    "coinbase": Market(feed={"trades_per_candle": 6}, trades=6, asked=lambda first: {"since": first}),
    # its trades are not numbered in their order, and it tells some of them twice
    "hyperliquid": Market(
        assets=DOZEN[:6], quote="USDC", hostility={"public": {"duplicated": 0.2}}, trades=0,
        asked=lambda _: {"since": 1},
    ),
}  # fmt: skip


@contextlib.asynccontextmanager
async def played(
    exchange: str, market: Market, symbols: list[str] | None = None, feed: Mapping[str, Any] | None = None,
    streams: list[str] | None = None, **config: Any,
) -> AsyncIterator[tuple[SandboxProcess, FakeDesk, dict[str, Any]]]:  # fmt: skip
    """Play a market to its end; what a desk got of it and what the hub counted comes with the exchange."""
    settings = {"hostility": market.hostility} | config
    with short_folder() as folder:
        async with VENUES[exchange].sandbox(feed or market.feed_of(), **settings) as venue:
            wanted = {"symbols": symbols or market.symbols, "max_prints": 1000}
            wanted |= {"streams": streams} if streams else {}
            hub = hub_config(folder, venue, exchange=exchange, **wanted)
            async with unit("hub", hub, folder) as running:
                desk = await FakeDesk.connect(running.socket)
                yield venue, desk, await to_end(desk)
                desk.link.close("the test is over")


def levels(side: list[list[float]]) -> list[list[float]]:
    """Return prices and sizes; some venues say more of a level."""
    return [level[:2] for level in side]


@pytest.mark.parametrize(
    ("exchange", "parts"),
    [*((each, 1) for each in MARKETS), pytest.param("coinbase", 3, marks=pytest.mark.long)],
)
def test_every_step_arrives_whole_with_its_candles_trades_and_books(exchange: str, parts: int) -> None:
    async def run() -> None:
        market = MARKETS[exchange]
        symbols = market.symbols
        async with played(exchange, market, feed=market.feed_of(parts=parts)) as (venue, desk, counts):
            batches, bars = desk.of(MarketBatch), bars_of(desk)
            asked = market.asked(min(bar.t_open for bar in bars) // 1_000_000)
            async with VENUES[exchange].client(venue) as client:
                await client.load_markets()
                truth = {each: await client.fetch_ohlcv(each, "1m", **asked) for each in symbols}
                books = {each: await client.fetch_order_book(each, market.levels) for each in symbols}
                trades = {
                    each: await client.fetch_trades(each, limit=market.trades)
                    for each in (symbols if market.trades else ())
                }
                assert {each: client.market_id(each) for each in market.names} == market.names
            doubled = [line for line in venue.truth("hostile") if line["what"] == "trade_duplicated"]

        assert len(doubled) > 20 or not market.hostility
        assert counts["candles_sent"] == counts["candles_seen"] == len(symbols) * CANDLES
        assert (counts["missed"], counts["reconnects"], counts["resyncs"]) == (0, 0, 0)
        assert len(bars) == len(symbols) * CANDLES
        assert len(batches) == CANDLES or parts > 1
        for each in batches if parts == 1 else ():
            # nothing of a step comes with a later one
            assert [book.symbol for book in each.books] == sorted(symbols)
            assert {bar.symbol for bar in each.bars} == {fill.symbol for fill in each.prints} == set(symbols)
        told = {symbol: [candle(bar) for bar in bars if bar.symbol == symbol] for symbol in symbols}
        assert told == {symbol: rows[-CANDLES:] for symbol, rows in truth.items()}
        for book in batches[-1].books:
            assert [list(level) for level in book.bids] == levels(books[book.symbol]["bids"])
            assert [list(level) for level in book.asks] == levels(books[book.symbol]["asks"])
        for symbol, known in trades.items():
            heard = [each.px for each in batches[-1].prints if each.symbol == symbol]
            paid = [each["price"] for each in known]
            assert heard[-len(paid) :] == paid[-len(heard) :]
            assert len(heard) >= len(paid) == market.trades or parts > 1
        # no trade is missing, and none is there twice: they sum to the candles
        traded: dict[tuple[str, int], float] = defaultdict(float)
        for batch in batches:
            for each in batch.prints:
                traded[each.symbol, each.t // MINUTE_NS * MINUTE_NS] += each.qty
        for bar in bars:
            assert traded[bar.symbol, bar.t_open] == pytest.approx(bar.volume, rel=1e-6)

    asyncio.run(run())


def candle(bar: Bar) -> list[float]:
    """Return a candle as ccxt has it."""
    return [bar.t_open // 1_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume]


@pytest.mark.parametrize(
    "exchange",
    ["bybit", *(pytest.param(each, marks=pytest.mark.long) for each in MARKETS if each != "bybit")],
)
def test_a_step_is_there_only_when_its_books_are_also_without_candles_behind_them(exchange: str) -> None:
    async def run() -> None:
        market = MARKETS[exchange]
        async with played(exchange, market, streams=["trade", "book"]) as (_, desk, _):
            batches = desk.of(MarketBatch)
        assert [len(each.books) for each in batches] == [len(market.symbols)] * CANDLES

    asyncio.run(run())


@pytest.mark.parametrize(
    ("exchange", "public", "seed", "is_read_anew"),
    [
        ("okx", {"lost": 0.1}, 3, True),
        # which tells whole books: the next one has it all
        ("kucoin", {"lost": 0.1, "duplicated": 0.1}, 4, False),
    ],
)
def test_a_book_that_was_not_told_once_is_right_again(
    exchange: str, public: dict[str, float], seed: int, is_read_anew: bool
) -> None:
    async def run() -> None:
        market = MARKETS[exchange]
        symbols = market.symbols[:2]
        config = {
            "feed": market.feed_of(assets=["BTC", "ETH"]),
            "hostility": {"public": public},
            "seed": seed,
        }
        async with played(exchange, market, symbols, **config) as (venue, desk, counts):
            async with VENUES[exchange].client(venue) as client:
                books = {each: await client.fetch_order_book(each, market.levels) for each in symbols}
            holes = [line for line in venue.truth("hostile") if line["what"] == "difference_lost"]
        assert len(holes) >= 3
        assert counts["reconnects"] == 0
        if is_read_anew:
            assert 0 < counts["resyncs"] <= len(holes)
        else:
            assert (counts["resyncs"], counts["missed"]) == (0, 0)
        told = {book.symbol: book for each in desk.of(MarketBatch) for book in each.books}
        for symbol in symbols:
            assert [list(level) for level in told[symbol].bids] == levels(books[symbol]["bids"])
            assert [list(level) for level in told[symbol].asks] == levels(books[symbol]["asks"])

    asyncio.run(run())
