"""What ccxt's caches hold is told once, whatever came again in between; one bad message hides no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from ccxt.async_support.base.ws.cache import ArrayCacheBySymbolById

from parley.messages import Fill, Gap, OrderEvent
from venues.ccxt_stream import Raw, Reading, UserStream
from venues.port import Fact


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
