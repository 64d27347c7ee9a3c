"""Several feeds as one: what is read where, by which name, and whose candles a lost connection concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from parley.errors import ConfigError, UserError
from parley.messages import Print
from runtime.hub_batches import Hub, HubConfig
from venues.ccxt_feed import CcxtFeed
from venues.several_feed import SeveralFeeds

HERE, THERE, ETH = "BTC/USDT", "BTC/USDT@bybit", "ETH/USDT@bybit"
T = 60_000


class Child:
    """A feed that knows plain names only."""

    def __init__(self, name: str, *symbols: str, streams: tuple[str, ...] = ("candle",)) -> None:
        self.name = name
        self.symbols = tuple(sorted(symbols))
        self.streams = frozenset(streams)
        self.tf_ms = T
        self.reconnects, self.resyncs = 1, 2
        self.heard = asyncio.Event()
        self.rows: list[tuple[Any, ...]] = []
        self.stands = True
        self.error: Exception | None = None
        self.asked: list[tuple[str, str]] = []
        self.told: dict[str, Callable[[str], None]] = {}

    async def connect(self) -> None:
        if self.error is not None:
            raise self.error

    def symbol_of(self, venue_id: str) -> str | None:
        return {"BTCUSDT": "BTC/USDT"}.get(venue_id)

    async def is_subscribed(self) -> bool:
        return self.stands

    async def follow(self, on_gap: Callable[[str], None], on_break: Callable[[str], None]) -> None:
        self.told = {"gap": on_gap, "break": on_break}
        await asyncio.Event().wait()

    def notice_replaced(self, on_break: Callable[[str], None]) -> None:
        pass

    def candles(self, symbol: str, after_ms: int) -> list[tuple[Any, ...]]:
        self.asked.append(("candles", symbol))
        return [row for row in self.rows if row[0] > after_ms]

    def trades(self, symbol: str, after_id: int) -> list[tuple[int, Print]]:
        return [(after_id + 1, Print(symbol=symbol, t=0, px=1.0, qty=1.0, side=1))]

    def book_number(self, symbol: str) -> int:
        self.asked.append(("number", symbol))
        return len(self.name)

    def mark_number(self, symbol: str) -> int:
        return 4


def both(**over: Any) -> tuple[SeveralFeeds, Child, Child]:
    home, away = Child("binance", "BTC/USDT"), Child("bybit", "ETH/USDT", "BTC/USDT", **over)
    feeds = {"binance": cast(CcxtFeed, home), "bybit": cast(CcxtFeed, away)}
    return SeveralFeeds(feeds), home, away


def test_each_symbol_is_read_from_its_exchange_by_its_plain_name() -> None:
    several, home, away = both(streams=("candle", "mark"))
    assert several.symbols == (HERE, THERE, ETH)
    assert [several.book_number(each) for each in several.symbols] == [7, 5, 5]
    assert (home.asked, away.asked) == (
        [("number", "BTC/USDT")],
        [("number", "BTC/USDT"), ("number", "ETH/USDT")],
    )
    assert [each.symbol for _, each in several.trades(THERE, 0)] == [THERE]
    assert [each.symbol for _, each in several.trades(HERE, 0)] == [HERE]
    assert [several.symbol_of(each) for each in ("BTCUSDT", "BTCUSDT@bybit", "BTCUSDT@okx", "X")] == [
        HERE, THERE, None, None,
    ]  # fmt: skip
    # one that tells no marks is not asked for them
    assert [several.mark_number(each) for each in (HERE, THERE)] == [-1, 4]
    assert (several.streams, several.tf_ms) == ({"candle", "mark"}, T)
    assert (several.reconnects, several.resyncs) == (2, 4)
    away.heard.set()
    assert several.heard.is_set()


def test_the_streams_stand_when_all_do() -> None:
    several, _, away = both()
    assert asyncio.run(several.is_subscribed())
    away.stands = False
    assert not asyncio.run(several.is_subscribed())


@pytest.mark.parametrize("error", [UserError("no answer"), ConfigError("does not list it")])
def test_an_exchange_that_cannot_be_read_is_named(error: UserError) -> None:
    several, home, away = both()
    away.error = error
    with pytest.raises(type(error), match=f"^bybit: {error}$"):
        asyncio.run(several.connect())
    # who waits for an answer would wait for ever where what was asked for does not exist
    home.error, away.error = UserError("no answer"), ConfigError("does not list it")
    with pytest.raises(ConfigError, match="bybit"):
        asyncio.run(several.connect())


def test_a_connection_that_was_lost_puts_the_candles_of_its_own_exchange_in_doubt() -> None:
    async def run() -> None:
        several, home, away = both()
        hub = Hub(HubConfig(socket="/nowhere", symbols=(HERE,), streams=("candle",)), several)
        following = asyncio.ensure_future(several.follow(hub.on_gap, hub.on_break))
        while not (home.told and away.told):
            await asyncio.sleep(0)
        first, second = (T, 1.0, 1.0, 1.0, 1.0, 1.0), (2 * T, 1.0, 1.0, 1.0, 1.0, 1.0)
        for each in (home, away):
            each.rows = [first]
        hub._take_bars()
        away.told["break"]("candle: connection lost")
        for each in (home, away):
            each.rows = [first, second]  # as it was when the connection broke: it may lack something
        hub._take_bars()
        home.told["gap"]("book: out of sequence, read anew")
        batch = hub._next.take(1, 0)
        assert [bar.symbol for bar in batch.bars] == [HERE]
        assert batch.gaps == ("binance book: out of sequence, read anew", "bybit candle: connection lost")
        await hub.stop()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())
