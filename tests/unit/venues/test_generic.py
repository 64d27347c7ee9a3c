"""The parts of the adapter for any venue: every class of ccxt.pro gets a row, and no row opens anything.

Not here: real sockets (tests/contract/test_generic_venue.py, test_hub_on_generic.py).
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import ccxt
import ccxt.pro
import pytest

from parley.errors import ConfigError
from venues.adapters import generic_adapter
from venues.capabilities import CAPABILITIES, lacks_for_opening, wrong_cid
from venues.generic_client import UnifiedClient
from venues.generic_market import GenericMarket
from venues.generic_orders import event_of, fill_of, instrument_of
from venues.generic_polls import Polls
from venues.generic_rows import class_of, lacks, means_of, names
from venues.generic_trades import NumberedTrades
from venues.generic_words import GenericOrders
from venues.limits import RANKS
from venues.meter import Meter
from venues.port import VenueError
from venues.words import Account, Placing, UnsentError

OUR_CID = "u3avpv4a7hkzs7bmtyidhdbi7cm5nze"
SYMBOL = "BTC/USDT"


@pytest.mark.parametrize("venue", names())
def test_every_class_of_ccxt_gets_a_row_that_opens_nothing_with_real_money(venue: str) -> None:
    means = means_of(venue)
    assert lacks_for_opening(means.row) == (
        "no certified adapter; no look-up by client order id among open and closed orders; "
        "no deadline of its own for a request (fence)"
    )
    assert lacks(means).startswith(lacks_for_opening(means.row))
    assert wrong_cid(means.row, OUR_CID) == ""
    adapter = generic_adapter(venue)
    for request in RANKS:  # not one is so dear that it could never be made
        assert Meter(adapter.limits(0)).take(request) is None
    client = adapter.make_client("http://127.0.0.1:1", "ws://127.0.0.1:2")
    hosts = {each for tree in ("api", "test") for each in hosts_of(client.exchange.urls.get(tree))}
    assert hosts <= {"http://127.0.0.1:1", "ws://127.0.0.1:2"}
    exchange = client.exchange
    assert (exchange.enableRateLimit, exchange.options["maxRetriesOnFailure"]) == (False, 0)


def hosts_of(tree: object) -> set[str]:
    if isinstance(tree, dict):
        return {host for each in tree.values() for host in hosts_of(each)}
    return {"/".join(tree.split("/")[:3])} if isinstance(tree, str) and tree else set()


def test_there_are_the_venues_that_the_documentation_speaks_of() -> None:
    assert len(names()) >= 70
    assert set(CAPABILITIES) <= set(names())
    assert {"dydx", "paradex", "woofipro"} <= {each for each in names() if means_of(each).is_dex}


def test_a_name_that_ccxt_does_not_have_gets_the_nearest_and_one_without_streams_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"^no certified adapter for 'bitvavvo'; did you mean 'bitvavo'\?$"):
        class_of("bitvavvo")
    without = next(each for each in ccxt.exchanges if each not in ccxt.pro.exchanges)
    with pytest.raises(ConfigError, match="ccxt has no streams of it"):
        class_of(without)


def trade(name: str | None, px: float = 1.0, t: int = 1) -> dict[str, Any]:
    return {"id": name, "timestamp": t, "price": px, "amount": 1.0, "side": "buy"}


def test_trades_get_numbers_that_grow_whatever_the_venue_calls_them() -> None:
    numbered = NumberedTrades()
    cache = [trade("7"), trade("9"), trade("02ac"), trade("8"), trade("30"), trade(None)]
    assert [each["id"] for each in numbered.read(cache)] == [7, 9, 10, 11, 30, 31]
    cache += [trade("9"), trade("31"), trade("12345678901234567890123")]
    assert [each["id"] for each in numbered.read(cache)][6:] == [32, 33]  # 9 was told before
    assert [each["id"] for each in numbered.read(cache)][6:] == [32, 33]
    page = [trade("31"), trade("40")]  # a page anew, none of its objects is known
    assert [each["id"] for each in numbered.read(page)][6:] == [32, 33, 40]
    assert numbered.read(None)[-1]["id"] == 40


def test_a_book_has_another_number_whenever_it_changed() -> None:
    market = GenericMarket()

    def book(nonce: int | None, t: int | None, *bids: list[float]) -> dict[str, Any]:
        return {"symbol": SYMBOL, "nonce": nonce, "timestamp": t, "bids": list(bids), "asks": []}

    level, other = [1.0, 2.0], [1.0, 3.0]
    assert market.book_number(book(None, None)) == -1
    assert market.book_number(book(100, 5000, level)) == 100
    assert market.book_number(book(100, 5000, level)) == 100
    assert market.book_number(book(105, 5000, level)) == 105
    assert market.book_number(book(105, 5000, other)) == 106  # the venue's number stood still
    assert market.book_number(book(3, 6000, other)) == 107  # it began anew
    assert market.book_number(book(None, None, level)) == 108
    assert GenericMarket().book_number(book(None, 5000, level)) == 5000


def listed(**over: Any) -> dict[str, Any]:
    return {
        "symbol": SYMBOL, "id": "BTCUSDT", "base": "BTC", "quote": "USDT", "spot": True, "maker": 0.001,
        "taker": None, "precision": {"price": 0.01, "amount": 1e-05},
        "limits": {"amount": {"min": None, "max": None}, "cost": {"min": 5.0}},
    } | over  # fmt: skip


def test_an_instrument_is_read_from_unified_words_and_what_is_not_known_is_not_made_up() -> None:
    read = instrument_of(listed(), "any", ccxt.TICK_SIZE)
    assert (read.tick, read.lot, read.min_qty) == (Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"))
    assert (read.min_notional, read.maker_fee) == (Decimal(5), Decimal("0.001"))
    assert read.taker_fee == Decimal("0.01")  # not listed: too much rather than too little
    places = instrument_of(listed(precision={"price": 2, "amount": 5}), "any", ccxt.DECIMAL_PLACES)
    assert (places.tick, places.lot) == (read.tick, read.lot)
    for market, mode in (
        (listed(), ccxt.SIGNIFICANT_DIGITS),
        (listed(precision={"price": None, "amount": 1.0}), ccxt.TICK_SIZE),
        (listed(spot=False), ccxt.TICK_SIZE),
    ):
        with pytest.raises(VenueError, match=SYMBOL):
            instrument_of(market, "any", mode)


def own(**over: Any) -> dict[str, Any]:
    return {
        "id": "t1", "order": "o1", "symbol": SYMBOL, "side": "buy", "amount": 0.1, "price": 100.5,
        "timestamp": 5, "takerOrMaker": "taker", "fee": {"cost": 0.01, "currency": "USDT"},
    } | over  # fmt: skip


@pytest.mark.parametrize(
    ("told", "rate", "paid"),
    [(0.01, 0.001, "0.01"), (-0.01, 0.001, "0.01"), (-0.01, None, "0.01"), (-0.01, -0.0001, "-0.01")],
)
def test_a_fee_was_received_only_where_the_market_lists_a_rebate(
    told: float, rate: float | None, paid: str
) -> None:
    raw = own(fee={"cost": told, "currency": "USDT"})
    fill = fill_of(b"i", listed(taker=rate), raw, "any", "main")
    assert (fill.fee, fill.qty, fill.px) == (Decimal(paid), Decimal("0.1"), Decimal("100.5"))


@pytest.mark.parametrize(
    "over",
    [
        {"fee": None},
        {"fee": {"cost": None, "currency": "USDT"}},
        {"fee": {"cost": 1.0, "currency": None}},
        {"fees": [{"cost": 1.0, "currency": "A"}, {"cost": 1.0, "currency": "B"}]},
        {"id": None},
        {"order": None},
    ],
)
def test_a_trade_that_does_not_say_what_was_paid_is_none(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="trade"):
        fill_of(b"i", listed(), own(**over), "any", "main")


@pytest.mark.parametrize("over", [{"status": None}, {"status": "canceling"}, {"filled": None}])
def test_a_state_that_does_not_say_what_was_executed_is_none(over: dict[str, Any]) -> None:
    raw = {"id": "o1", "status": "open", "filled": 0.0} | over
    with pytest.raises(ValueError, match="order o1"):
        event_of(b"i", SYMBOL, raw)


class Fake(UnifiedClient):
    """A client whose exchange never speaks; ``create_order`` is what a test makes of it."""

    def __init__(self, **methods: Any) -> None:
        super().__init__(ccxt.pro.bybit())
        self.exchange = SimpleNamespace(
            orders=None, myTrades=[], last_request_url=None, last_request_headers=None,
            last_request_body=None, id="bybit", markets={SYMBOL: listed()}, **methods,
        )  # fmt: skip


def words(client: UnifiedClient) -> GenericOrders:
    return GenericOrders(client, Account(name="main", venue="any", symbols=(SYMBOL,)))


def placing(**over: Any) -> Placing:
    fields: dict[str, Any] = {
        "symbol": SYMBOL, "kind": "limit", "side": "buy", "qty": "0.1", "px": "100",
        "params": {"clientOrderId": OUR_CID, "timeInForce": "GTC"},
    }  # fmt: skip
    return Placing(**fields | over)


def test_a_trade_that_comes_before_its_orders_answer_waits_for_it() -> None:
    async def run() -> None:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        async def create_order(*_: object) -> dict[str, Any]:
            return await answer

        client = Fake(create_order=create_order)
        told = words(client)
        words_before = own(clientOrderId=f"t-{OUR_CID}")  # as some venues repeat our ids
        client.exchange.myTrades = [words_before, own(id="t2", order="other"), own(id="t3")]
        intent: Any = SimpleNamespace(cid=OUR_CID)
        sending = asyncio.create_task(told.place(intent, placing()))
        await asyncio.sleep(0)
        assert list(client.myTrades) == []  # either may turn out to be ours
        answer.set_result({"id": "o1", "timestamp": None})
        assert (await sending).venue_id == "o1"
        owners = {each["id"]: told.client_ids(each["info"]) for each in client.myTrades}
        assert owners == {"t1": (OUR_CID,), "t2": (), "t3": (OUR_CID,)}
        assert client.is_called({"id": "o9", "clientOrderId": f"t-{OUR_CID}"}, OUR_CID)
        assert not client.is_called({"id": "o9", "clientOrderId": None}, OUR_CID)

    asyncio.run(run())


def test_what_ccxt_refused_before_a_request_was_not_sent_and_what_came_after_one_was() -> None:
    async def run() -> None:
        async def refuse(*_: object) -> None:
            raise ccxt.InvalidOrder("amount too small")

        client = Fake(create_order=refuse)
        with pytest.raises(UnsentError, match="amount too small"):
            await words(client).place(SimpleNamespace(cid=OUR_CID), placing())  # type: ignore[arg-type]

        async def ask_and_refuse(*_: object) -> None:
            client.exchange.last_request_url = "https://any/order"
            raise ccxt.InvalidOrder("amount too small")

        client.exchange.create_order = ask_and_refuse
        with pytest.raises(ccxt.InvalidOrder):
            await words(client).place(SimpleNamespace(cid=OUR_CID), placing())  # type: ignore[arg-type]

    asyncio.run(run())


def test_an_answer_that_names_no_order_is_no_answer() -> None:
    async def run() -> None:
        async def create_order(*_: object) -> dict[str, Any]:
            return {"id": None}

        with pytest.raises(ValueError, match="names no order"):
            await words(Fake(create_order=create_order)).place(
                SimpleNamespace(cid=OUR_CID), placing()  # type: ignore[arg-type]
            )  # fmt: skip

    asyncio.run(run())


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"kind": "market", "px": None}, "market buys at 'bybit' are of the base asset"),
        ({"params": {"timeInForce": "GTD"}}, "takes GTD: it could rest instead"),
    ],
)
def test_what_could_come_out_as_another_order_is_not_sent(over: dict[str, Any], why: str) -> None:
    async def run() -> None:
        with pytest.raises(UnsentError, match=why):
            await words(Fake()).place(SimpleNamespace(cid=OUR_CID), placing(**over))  # type: ignore[arg-type]

    asyncio.run(run())


def test_an_account_that_ccxt_cannot_follow_is_not_begun() -> None:
    client = generic_adapter("dydx").make_client("", "")
    with pytest.raises(VenueError, match="'dydx': ccxt has no watchOrders, watchMyTrades"):
        asyncio.run(words(client).connect())


def test_a_venue_that_watches_one_symbol_at_a_time_is_watched_so() -> None:
    async def run() -> None:
        news: dict[str, asyncio.Future[None]] = {}

        async def watch_orders(symbol: str | None = None) -> None:
            if symbol is None:
                raise ccxt.ArgumentsRequired("a symbol")
            news[symbol] = asyncio.get_running_loop().create_future()
            await news[symbol]

        client = Fake(watch_orders=watch_orders, clients={})
        GenericOrders(client, Account(name="main", venue="any", symbols=("A/B", "C/D")))
        first = asyncio.create_task(client.watch_orders())
        await asyncio.sleep(0.01)
        assert sorted(news) == ["A/B", "C/D"]
        news["A/B"].set_result(None)
        await first
        again = asyncio.create_task(client.watch_orders())
        await asyncio.sleep(0.01)
        news["A/B"].set_exception(ccxt.NetworkError("gone"))
        with pytest.raises(ccxt.NetworkError):
            await again
        assert not client.follows("watch_orders")
        for task in client._watching.values():
            task.cancel()
        await asyncio.gather(*client._watching.values(), return_exceptions=True)

    asyncio.run(run())


def test_trades_that_were_missed_between_two_answers_are_told() -> None:
    async def run() -> None:
        pages = [[trade("1"), trade("2")], [trade("2"), trade("3")], [trade("8"), trade("9")]]

        async def fetch_trades(_: str) -> list[dict[str, Any]]:
            return pages.pop(0)

        polls = Polls(SimpleNamespace(rateLimit=1, fetch_trades=fetch_trades), pause_s=0)
        await polls.ask_trades(SYMBOL)
        await polls.ask_trades(SYMBOL)
        with pytest.raises(ccxt.InvalidNonce, match="trades were missed"):
            await polls.ask_trades(SYMBOL)
        assert [each["id"] for each in polls.trades[SYMBOL]] == ["8", "9"]

    asyncio.run(run())
