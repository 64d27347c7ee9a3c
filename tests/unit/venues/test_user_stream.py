"""What ccxt's caches hold is told once, whatever came again in between; one bad message hides no other."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import ccxt
import pytest
from ccxt.async_support.base.ws.cache import ArrayCacheBySymbolById

from parley.messages import Fill, Gap, OrderEvent
from venues import ccxt_stream
from venues.binance_client import make_client
from venues.binance_words import BinanceOrders
from venues.ccxt_stream import Raw, Reading, UserStream
from venues.port import Fact
from venues.words import Account


def stream() -> tuple[Any, UserStream, list[Fact]]:
    client = SimpleNamespace(orders=ArrayCacheBySymbolById(1000), myTrades=ArrayCacheBySymbolById(1000))

    def fill(raw: Raw) -> Fill | None:
        return cast(Fill, float(raw["id"]))

    reading = Reading(
        lambda raw: (raw["state"],), lambda raw: cast(OrderEvent, f"{raw['id']} {raw['state']}"), fill
    )
    return client, UserStream(client, reading, lambda: 7), []


def trade(client: Any, name: str, symbol: str = "BTC/USDT") -> None:
    client.myTrades.append({"symbol": symbol, "id": name, "info": {"id": name}})


def order(client: Any, name: str, state: str, symbol: str = "BTC/USDT") -> None:
    client.orders.append({"symbol": symbol, "id": name, "info": {"id": name, "state": state}})


def test_new_ones_are_told_although_an_older_one_came_again_behind_them() -> None:
    client, following, told = stream()
    for name in ("1", "2"):
        trade(client, name)
        order(client, name, "new")
    following.sweep(told.append)
    for name in ("3", "2"):
        trade(client, name)
    order(client, "1", "filled")
    order(client, "2", "new")
    following.sweep(told.append)
    following.sweep(told.append)

    assert told == [1.0, 2.0, "1 new", "2 new", 3.0, "1 filled"]


def test_one_id_of_two_symbols_is_two_orders_and_two_trades() -> None:
    client, following, told = stream()
    for symbol in ("BTC/USDT", "ETH/USDT"):
        trade(client, "1", symbol)
        order(client, "1", "new", symbol)
    following.sweep(told.append)

    assert told == [1.0, 1.0, "1 new", "1 new"]


def test_many_repeated_ones_are_passed_over_at_the_latest_by_the_whole_look() -> None:
    client, following, told = stream()
    for n in range(200):
        trade(client, str(n))
    following.sweep(told.append)
    told.clear()
    trade(client, "200")
    for n in range(200):
        trade(client, str(n))
    for _ in range(100):
        following.sweep(told.append)

    assert told == [200.0]


def test_a_message_that_nobody_can_read_is_a_gap_and_hides_no_other() -> None:
    client, following, told = stream()
    for name in ("1", "what", "2"):
        trade(client, name)
    following.sweep(told.append)
    following.sweep(told.append)

    assert told == [1.0, Gap(stream="user", from_seq=7, to_seq=-1), 2.0]


@pytest.mark.parametrize(
    ("error", "stands", "is_begun_anew"),
    [
        (KeyError("spot"), False, True),
        (KeyError("s"), True, False),  # a message that ccxt cannot read
        (ccxt.NetworkError("gone"), False, False),  # it puts that in order by itself
    ],
)
def test_sockets_that_ccxt_lost_track_of_are_taken_from_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, stands: bool, is_begun_anew: bool
) -> None:
    monkeypatch.setattr(ccxt_stream, "Backoff", lambda: SimpleNamespace(pause_s=lambda: 0.0, worked=int))
    client, following, told = stream()
    lost: list[Exception] = []
    client.clients = {"wss://": SimpleNamespace(on_error=lost.append)}
    answers: list[Exception] = [error]

    async def watch() -> None:
        if answers:
            raise answers.pop()
        await asyncio.Event().wait()

    async def does_stand() -> bool:
        return stands

    async def run() -> None:
        listening = asyncio.ensure_future(following._listen(watch, does_stand, told.append))
        await asyncio.sleep(0.05)
        listening.cancel()

    asyncio.run(run())
    assert told == [Gap(stream="user", from_seq=7, to_seq=-1)]
    assert [isinstance(each, ccxt.NetworkError) for each in lost] == [True] * is_begun_anew


@pytest.mark.parametrize(
    ("stood", "is_begun_anew"), [([True], False), ([True, False], True), ([True, False, False, True], False)]
)
def test_stream_that_ended_without_a_word_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, stood: list[bool], is_begun_anew: bool
) -> None:
    monkeypatch.setattr(ccxt_stream, "_LOOK_S", 0.005)
    monkeypatch.setattr(ccxt_stream, "_DEAF_S", 0.03)
    client, following, told = stream()
    lost: list[Exception] = []
    client.clients = {"wss://": SimpleNamespace(on_error=lost.append)}
    client.watch_orders = client.watch_my_trades = asyncio.Event().wait
    answers = list(stood)

    async def stands() -> bool:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def run() -> None:
        task = asyncio.ensure_future(following.follow(stands, told.append, lambda: None))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert bool(lost) is is_begun_anew
    assert (Gap(stream="user", from_seq=7, to_seq=-1) in told) is is_begun_anew


def test_what_binance_says_at_the_end_of_a_stream_lets_it_stand_no_longer() -> None:
    async def run() -> tuple[bool, bool]:
        client = make_client("http://127.0.0.1:1", "ws://127.0.0.1:1", api_key="key", secret="secret")
        words = BinanceOrders(client, Account(name="main", venue="binance", symbols=("BTC/USDT",)))
        socket = client.client(client.urls["api"]["ws"]["ws-api"]["spot"])
        socket.subscriptions["spot"] = 1
        socket.last_message_at = 1
        before = await words.stands()
        client.handle_message(
            socket, {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1_757_896_885_229}}
        )
        after = await words.stands()
        socket.rejections.clear()
        await client.close()
        return before, after

    assert asyncio.run(run()) == (True, False)
