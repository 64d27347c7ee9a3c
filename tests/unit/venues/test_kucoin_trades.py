"""What KuCoin's private stream leaves out of a trade is asked for, and nothing is told before it is there.

Not here: real sockets and lists (tests/contract/test_kucoin_venue.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import ccxt
import pytest

from parley.messages import Fill, Gap, OrderEvent
from venues.ccxt_stream import Reading, UserStream
from venues.kucoin_client import BOOKS
from venues.kucoin_limits import KucoinLimits
from venues.kucoin_trades import TradeRows
from venues.kucoin_words import KucoinMarket, KucoinOrders
from venues.limits import Request
from venues.port import VenueError
from venues.words import Account, Completing

BTC = "BTC/USDT"
ORDERS = "/spotMarket/tradeOrders"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lister:
    """Answers for executions as a list that lags: those in ``rows``; `failing` raises."""

    def __init__(self) -> None:
        self.myTrades: list[dict[str, Any]] = []  # ccxt's name
        self.orders: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.asked = 0
        self.failing = False

    def tell(self, order_id: str, trade_id: str) -> dict[str, Any]:
        raw = {
            "orderId": order_id, "tradeId": trade_id, "symbol": "BTC-USDT", "type": "match",
            "status": "match", "filledSize": "1", "remainSize": "1", "ts": 5,
        }  # fmt: skip
        self.myTrades.append({"info": raw, "symbol": BTC, "id": trade_id})
        self.orders[:] = [{"info": raw, "symbol": BTC, "id": order_id}]
        return raw

    async def privateGetHfFills(self, query: dict[str, Any]) -> object:
        self.asked += 1
        if self.failing:
            raise ccxt.ExchangeNotAvailable("down")
        items = [] if "lastId" in query else [one for one in self.rows if one["orderId"] == query["orderId"]]
        return {"data": {"items": items, "lastId": 1}}


def row(order_id: str, trade_id: int) -> dict[str, Any]:
    return {"id": trade_id, "orderId": order_id, "tradeId": trade_id, "size": "1", "price": "2"} | {
        "side": "buy", "fee": "0.002", "feeCurrency": "USDT", "liquidity": "maker", "createdAt": 4,
    }  # fmt: skip


def test_a_trade_is_whole_when_its_row_has_been_read() -> None:
    client, clock = Lister(), Clock()
    rows = TradeRows(client, clock)
    assert not rows.lacks()
    told = client.tell("7", "1")
    assert rows.lacks()
    assert not rows.is_whole(told)
    assert rows.is_whole({"orderId": "8"})
    asyncio.run(rows.complete())  # the list lags
    assert not rows.is_whole(told)
    assert not rows.lacks()  # it is not asked again at once
    clock.now += 0.2
    client.rows.append(row("7", 1))
    asyncio.run(rows.complete())
    assert rows.is_whole(told)
    assert not rows.lacks()
    assert rows.row("7", "1")["size"] == "1"
    another = client.tell("7", "2")
    assert rows.lacks()
    assert not rows.is_whole(another)
    assert not rows.is_whole(told)  # the state of its order has to wait


def test_a_trade_that_came_again_is_not_asked_for_again() -> None:
    client, clock = Lister(), Clock()
    rows = TradeRows(client, clock)
    client.rows.append(row("7", 1))
    client.tell("7", "1")
    asyncio.run(rows.complete())
    client.tell("7", "1")
    assert not rows.lacks()


def test_a_trade_that_nobody_can_complete_is_let_go() -> None:
    client, clock = Lister(), Clock()
    rows = TradeRows(client, clock)
    told = client.tell("7", "1")
    client.failing = True
    asks = 0
    while not rows.is_whole(told):
        if rows.lacks():
            with pytest.raises(VenueError):
                asyncio.run(rows.complete())
            asks += 1
        clock.now += 0.05
        assert clock.now < 120
    assert 8 < asks < 15  # ever more seldom
    with pytest.raises(KeyError):
        rows.row("7", "1")
    clock.now += 60
    assert not rows.lacks()


def test_no_more_orders_are_asked_for_at_once_than_one_look_up_pays_for() -> None:
    client, clock = Lister(), Clock()
    rows = TradeRows(client, clock)
    for n in range(5):
        client.rows.append(row(str(n), n))
        client.tell(str(n), str(n))
    asyncio.run(rows.complete())
    assert client.asked == 2 * 2  # each with the empty page behind
    assert 2 * client.asked <= KucoinLimits().costs(Request.LOOK_UP, ())["spot"]
    assert rows.lacks()


def test_no_trades_yet_is_nothing_to_ask_for() -> None:
    client: Any = SimpleNamespace(myTrades=None)
    assert not TradeRows(client).lacks()


def words_of(client: object) -> KucoinOrders:
    return KucoinOrders(client, Account(name="main", venue="kucoin", symbols=(BTC,)))


def test_neither_the_trade_nor_the_state_it_led_to_is_told_before_its_fee_is_known() -> None:
    client: Any = Lister()
    words = words_of(client)
    assert isinstance(words, Completing)
    reading = Reading(
        words.version, lambda raw: words.event(b"i", BTC, raw), lambda raw: words.fill(b"i", BTC, raw),
        lambda raw: words.end(b"i", BTC, raw), words.is_whole,
    )  # fmt: skip
    stream = UserStream(client, reading, lambda: 0)
    facts: list[Any] = []
    client.tell("7", "1")
    stream.sweep(facts.append)
    assert facts == []
    client.rows.append(row("7", 1))
    asyncio.run(words.complete())
    stream.sweep(facts.append)
    stream.sweep(facts.append)
    fill, event = facts
    assert isinstance(fill, Fill)
    assert (fill.trade_id, fill.fee, fill.fee_asset, fill.liquidity) == (
        "1",
        Decimal("0.002"),
        "USDT",
        "maker",
    )
    assert isinstance(event, OrderEvent)
    assert (event.status, event.cum_qty, event.avg_px) == ("open", 1, 2)


def test_a_trade_whose_row_never_came_is_a_gap() -> None:
    client: Any = Lister()
    words = words_of(client)
    reading = Reading(
        words.version, lambda raw: words.event(b"i", BTC, raw), lambda raw: words.fill(b"i", BTC, raw)
    )
    facts: list[Any] = []
    client.tell("7", "1")
    UserStream(client, reading, lambda: 0).sweep(facts.append)
    assert isinstance(facts[0], Gap)


@pytest.mark.parametrize(("left", "ended"), [("0", True), ("1", False), ("", False), (None, False)])
def test_the_message_of_a_trade_says_that_its_order_ended(left: str | None, ended: bool) -> None:
    client: Any = Lister()
    words = words_of(client)
    found = words.end(b"i", BTC, client.tell("7", "1") | {"remainSize": left})
    assert (found is not None) == ended
    assert found is None or found.status == "closed"


class Socket:
    """Holds what ccxt subscribed to, and answers a ping."""

    def __init__(self, *names: str) -> None:
        self.subscriptions: dict[str, Any] = dict.fromkeys(names, True)
        self.lastPong = 0  # ccxt's name
        self.pings = 0

    async def send(self, message: object) -> None:
        self.pings += 1
        self.lastPong += 1


def test_the_private_stream_stands_when_the_venue_acknowledged_it() -> None:
    socket = Socket(ORDERS)
    words = words_of(SimpleNamespace(clients={"ws": socket}))
    socket.subscriptions["1"] = ORDERS  # ccxt forgets the number of a request when it is acknowledged
    assert asyncio.run(words.stands()) is False
    assert socket.pings == 0
    del socket.subscriptions["1"]
    assert asyncio.run(words.stands()) is True
    assert socket.pings == 1


def test_the_market_stands_when_every_stream_was_acknowledged() -> None:
    names = [f"{BOOKS}:BTC-USDT", "/market/match:BTC-USDT", "/market/candles:BTC-USDT_1min"]
    socket = Socket(*names)
    client = SimpleNamespace(
        clients={"ws": socket}, timeframes={"1m": "1min"}, market_id=lambda each: each.replace("/", "-")
    )
    market = KucoinMarket()
    for name in names:
        socket.subscriptions["7"] = name
        assert asyncio.run(market.stands(client, ["book", "trade", "candle"], [BTC], "1m")) is False
    socket.subscriptions["7"] = f"{BOOKS}:ETH-USDT"  # of somebody else
    assert asyncio.run(market.stands(client, ["book", "trade", "candle"], [BTC], "1m")) is True
    assert asyncio.run(market.stands(client, ["book"], [BTC, "ETH/USDT"], "1m")) is False
