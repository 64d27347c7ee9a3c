"""What is special about stops at OKX spot: two numbers, nothing tied up, and no deadline of their own.

Not here: what holds for every spot exchange that holds them (test_spot_stops).
"""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from parley.execution.protective import REACHED
from parley.messages import Intent
from tests.contract.test_spot_stops import QTY, stage
from tests.kit.adapters import fills, heard, statuses
from tests.kit.sandbox import ACCOUNT
from tests.kit.stops import FALLING
from tests.kit.units import make_cancel
from tests.kit.venues import VENUES, Orders
from venues import okx_stops
from venues.okx_orders import verdict
from venues.okx_stops import OkxStops, client_ids
from venues.okx_words import OkxOrders
from venues.port import Absent, Acked, Ambiguous, Rejected, VenueError
from venues.words import Account, Placing

pytestmark = pytest.mark.timeout(120)
D = Decimal
BTC = "BTC/USDT"
POOR = ACCOUNT | {"balances": {"USDT": "1000", "BTC": "0.06"}}
OWN = Account(name="main", venue="okx", symbols=(BTC,))
HOUR_MS = 3_600_000
PLACING = Placing(symbol=BTC, kind="market", side="buy", qty="1", px=None, params={})


def test_a_stop_and_the_order_that_it_becomes_have_numbers_of_their_own() -> None:
    async def run() -> None:
        async with stage("okx", FALLING) as s:
            stop, placed = await s.guard(20)
            client = s.venue._client
            with pytest.raises(ccxt.OrderNotFound):
                await client.privateGetTradeOrder({"instId": "BTC-USDT", "clOrdId": stop.cid})
            pending = await client.privateGetTradeOrdersPending({"instType": "SPOT"})
            assert pending["data"] == []
            await s.end(stop, "FILLED")
            await heard(lambda: statuses(s.facts, stop)[-1:] == ["closed"])
            (row,) = (await client.privateGetTradeOrderAlgo({"algoClOrdId": stop.cid}))["data"]
            assert (row["algoId"], row["state"]) == (placed.venue_id, "effective")
            (order,) = (await client.privateGetTradeOrder({"instId": "BTC-USDT", "ordId": row["ordId"]}))[
                "data"
            ]
            assert (order["clOrdId"], order["algoClOrdId"]) == ("", stop.cid)
            assert {each.venue_id for each in fills(s.facts, stop)} == {row["ordId"]} != {placed.venue_id}

    asyncio.run(run())


def test_a_stop_ties_nothing_up_and_fails_if_nothing_is_left_to_sell() -> None:
    async def run() -> None:
        async with stage("okx", FALLING, accounts=[POOR]) as s:
            stop, _ = await s.guard(20)
            balance = await s.venue._client.privateGetAccountBalance()
            frozen = {each["ccy"]: each["frozenBal"] for each in balance["data"][0]["details"]}
            assert frozen["BTC"] == "0"
            sale = s.adapted.orders.market(side="sell", qty=QTY, ref_px=await s.price())
            assert isinstance(await s.venue.send(sale), Acked)
            await s.end(stop, "EXPIRED")
            assert await s.state(stop) == ("rejected", 0)
            assert fills(s.facts, stop) == []
            gone = await s.venue.cancel(make_cancel(stop))
            assert isinstance(gone, Acked)  # no stream told how it ended
            assert gone.event is not None
            assert gone.event.status == "rejected"

    asyncio.run(run())


def test_a_stop_that_arrives_after_its_orders_deadline_is_taken_and_found() -> None:
    """Only its time stamp counts, so that it was missed says nothing for half a minute."""

    async def run() -> None:
        late = {"first": ["late"], "late_ms": 3000, "past_window": True}
        async with stage("okx", hostility=late, window_ms=300) as s:
            stop = s.stop("sell", await s.price(), 900)
            assert isinstance(await s.venue.send(stop), Ambiguous)
            found: Any = None
            async with asyncio.timeout(20):
                while found is None:
                    with contextlib.suppress(VenueError):
                        found = await s.venue.look_up(stop)
                    await asyncio.sleep(0.1)
            assert isinstance(found, Acked), found
            await s.cancel(stop)

    asyncio.run(run())


def test_a_stop_is_absent_only_when_it_could_not_be_taken_any_more() -> None:
    async def run() -> None:
        async with stage("okx") as s:
            never = s.stop("sell", await s.price(), 900)
            with pytest.raises(VenueError, match="in no list"):
                await s.venue.look_up(never)
            assert await OkxStops(s.venue._client, OWN, missing_s=0.0).look_up(never) == Absent()

    asyncio.run(run())


def test_a_stop_that_lists_show_late_is_not_absent() -> None:
    async def run() -> None:
        async with stage("okx", hostility={"lookup_lag_ms": 600}) as s:
            stop, _ = await s.guard()
            with pytest.raises(VenueError, match="in no list"):
                await s.venue.look_up(stop)
            await asyncio.sleep(0.7)
            assert await s.state(stop) == ("open", 0)

    asyncio.run(run())


@pytest.mark.parametrize(("fate", "ends"), [("lost", True), ("failed", True), ("dropped", False)])
def test_a_cancel_whose_answer_is_lost_is_in_doubt_and_its_stop_is_looked_up(fate: str, ends: bool) -> None:
    async def run() -> None:
        async with stage("okx", hostility={"first_cancels": [fate]}) as s:
            stop, _ = await s.guard()
            assert isinstance(await s.venue.cancel(make_cancel(stop)), Ambiguous)
            assert await s.state(stop) == ("canceled" if ends else "open", 0)

    asyncio.run(run())


def test_a_cancel_of_which_the_end_does_not_show_is_in_doubt() -> None:
    async def run() -> None:
        async with stage("okx", hostility={"lookup_lag_ms": 20_000}) as s:
            stop, _ = await s.guard()
            said = await s.venue.cancel(make_cancel(stop))
            assert isinstance(said, Ambiguous)
            assert "does not show" in said.cause

    asyncio.run(run())


NOT_OPEN = 'okx {"code":"1","data":[{"sCode":"51400","sMsg":"Order does not exist"}]}'


class Asked:
    """What OKX says of a stop that was set off long ago, made up: no exchange waits for hours on demand."""

    def __init__(self, hours_ago: float = 0, fills: list[Any] | None = None, **over: Any) -> None:
        self.now_ms = 1_700_000_000_000
        self.fills = fills or []
        self.pending: list[Any] = []
        self.waits_no_more: ccxt.BaseError | None = None
        self.asked: list[str] = []
        self.options, self.headers = {"recvWindow": 100}, dict[str, str]()
        t = str(int(self.now_ms - hours_ago * HOUR_MS))
        self.row = {
            "algoId": "7", "algoClOrdId": "", "state": "effective", "ordIdList": ["8"], "cTime": t,
            "uTime": t,
        } | over  # fmt: skip

    def market_id(self, symbol: str) -> str:
        return "BTC-USDT"

    def nonce(self) -> int:
        return self.now_ms

    async def privateGetTradeOrderAlgo(self, query: Any) -> Any:
        self.asked.append("stop")
        return {"data": [self.row | {"algoClOrdId": query["algoClOrdId"]}]}

    async def privateGetTradeOrder(self, query: Any) -> Any:
        raise ccxt.OrderNotFound('okx {"code":"51603","data":[],"msg":"Order does not exist"}')

    async def privateGetTradeOrdersPending(self, query: Any) -> Any:
        return {"data": [] if "after" in query else self.pending}

    async def privatePostTradeCancelAlgos(self, query: Any) -> Any:
        self.asked.append("cancel stop")
        if self.waits_no_more is not None:
            raise self.waits_no_more
        return {"data": [{"sCode": "0"}]}

    async def privatePostTradeCancelOrder(self, query: Any) -> Any:
        self.asked.append("cancel")
        raise ccxt.OrderNotFound(NOT_OPEN)

    async def privatePostTradeOrder(self, query: Any) -> Any:
        return {"data": [{"sCode": "0", "ordId": "8", "ts": "1"}]}

    def create_order_request(self, *asked: object) -> Any:
        return {}

    async def privateGetTradeFills(self, query: Any) -> Any:
        assert query["ordId"] == "8"
        return {"data": [] if "after" in query else self.fills}


@pytest.mark.parametrize(("hours", "traded"), [(1, False), (3, True), (80, False)])
def test_a_stop_of_which_the_order_is_not_listed_is_in_doubt(hours: int, traded: bool) -> None:
    async def run() -> None:
        stops = OkxStops(Asked(hours, [{"billId": "9"}] if traded else []), OWN, missing_s=0.0)
        with pytest.raises(VenueError, match="no list shows order 8"):
            await stops.look_up(intent())

    asyncio.run(run())


def test_one_that_is_old_enough_to_be_forgotten_unless_it_traded_ended_so() -> None:
    async def run() -> None:
        with pytest.raises(VenueError, match="order 8: in no list"):
            await OkxStops(Asked(3), OWN).look_up(intent())
        found = await OkxStops(Asked(3), OWN, missing_s=0.0).look_up(intent())
        assert isinstance(found, Acked)
        assert found.event is not None
        assert (found.event.status, found.event.cum_qty, found.fills) == ("canceled", 0, ())

    asyncio.run(run())


def test_an_order_that_one_list_still_shows_is_not_forgotten() -> None:
    async def run() -> None:
        client = Asked(3)
        client.pending = [
            {"ordId": "8", "state": "live", "accFillSz": "0", "avgPx": "", "uTime": "1", "cTime": "1"}
        ]
        found = await OkxStops(client, OWN, missing_s=0.0).look_up(intent())
        assert isinstance(found, Acked)
        assert found.event is not None
        assert (found.event.venue_id, found.event.status) == ("8", "open")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("state", "numbers", "why"),
    [("effective", ["8", "9"], "became 2 orders"), ("partially_failed", [], "no order is named")],
)
def test_a_stop_that_became_several_orders_or_nobody_knows_what_is_in_doubt(
    state: str, numbers: list[str], why: str
) -> None:
    async def run() -> None:
        client = Asked(state=state, ordIdList=numbers)
        with pytest.raises(VenueError, match=why):
            await OkxStops(client, OWN, missing_s=0.0).look_up(intent())
        with pytest.raises(ccxt.ExchangeError) as caught:
            await OkxStops(client, OWN).cancel(make_cancel(intent()))
        assert isinstance(verdict(caught.value), Ambiguous)
        assert "cancel" not in client.asked

    asyncio.run(run())


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_cancel_of_a_stop_that_is_set_off_and_not_yet_numbered_is_in_doubt(is_taken: bool) -> None:
    async def run() -> None:
        client = Asked(ordIdList=[])
        client.waits_no_more = None if is_taken else ccxt.OrderNotFound(NOT_OPEN)
        with pytest.raises(ccxt.ExchangeError, match="does not show") as caught:
            await OkxStops(client, OWN).cancel(make_cancel(intent()))
        assert isinstance(verdict(caught.value), Ambiguous)
        assert client.asked == ["cancel stop", "stop", "stop", "stop"]

    asyncio.run(run())


def test_while_an_end_does_not_show_other_orders_of_the_symbol_wait_for_less_than_a_second() -> None:
    assert sum(okx_stops._LOOKS_S) < 0.5


@pytest.mark.parametrize("is_known", [True, False])
def test_only_an_order_that_may_be_a_stop_is_looked_for_among_stops(is_known: bool) -> None:
    async def run() -> None:
        client = Asked(state="canceled")
        client.waits_no_more = ccxt.OrderNotFound(NOT_OPEN)
        words = OkxOrders(client, OWN)
        order = Orders(VENUES["okx"], D(100)).market()
        if is_known:
            await words.place(order, PLACING)
            with pytest.raises(ccxt.OrderNotFound):
                await words.cancel(make_cancel(order))
        else:
            await words.cancel(make_cancel(order))
        assert client.asked == (["cancel"] if is_known else ["cancel", "cancel stop", "stop"])

    asyncio.run(run())


class Moving:
    """A stop that is set off as soon as the first list was read."""

    def __init__(self, cid: str, *, is_shown_twice: bool) -> None:
        self.cid = cid
        self.is_twice = is_shown_twice
        self.is_set_off = False

    def market_id(self, symbol: str) -> str:
        return "BTC-USDT"

    async def privateGetTradeOrdersAlgoPending(self, query: Any) -> Any:
        row = {"algoClOrdId": self.cid, "algoId": "7", "side": "sell", "sz": "1", "slOrdPx": "98"}
        waits = "after" not in query and (self.is_twice or not self.is_set_off)
        self.is_set_off = True
        return {"data": [row | {"slTriggerPx": "99"}] if waits else []}

    async def privateGetTradeOrdersPending(self, query: Any) -> Any:
        row = {"clOrdId": "", "algoClOrdId": self.cid, "ordId": "8", "side": "sell", "sz": "1", "px": "98"}
        rests = "after" not in query and self.is_set_off
        self.is_set_off = True
        return {"data": [row] if rests else []}


@pytest.mark.parametrize("is_shown_twice", [True, False])
def test_a_stop_that_is_set_off_between_two_lists_is_seen_once(is_shown_twice: bool) -> None:
    stop = intent()
    words = OkxOrders(Moving(stop.cid, is_shown_twice=is_shown_twice), OWN)
    assert [(each.cid, each.venue_id) for each in asyncio.run(words.resting(stop.cid[:4]))] == [
        (stop.cid, "8")
    ]


def intent() -> Intent:
    """A stop that sells."""
    return Orders(VENUES["okx"], D(100)).market(
        side="sell", style="stop_limit", tif="GTC", reduce_only=True, trigger=D(99), px=D(98)
    )


def test_who_a_message_is_of() -> None:
    assert client_ids({"clOrdId": "plain", "algoClOrdId": ""}) == ("plain",)
    assert client_ids({"clOrdId": "", "algoClOrdId": "stop"}) == ("stop",)
    assert client_ids({"clOrdId": ""}) == ()


@pytest.mark.parametrize("code", [51278, 51280])
def test_both_words_for_beyond(code: int) -> None:
    said = verdict(ccxt.InvalidOrder(f'okx {{"code":"1","data":[{{"sCode":"{code}","sMsg":""}}]}}'))
    assert isinstance(said, Rejected)
    assert said.code == REACHED


@pytest.mark.parametrize("code", [51065, 51068])
def test_an_id_that_exists_leaves_its_stop_in_doubt(code: int) -> None:
    said = verdict(ccxt.ExchangeError(f'okx {{"code":"1","data":[{{"sCode":"{code}","sMsg":""}}]}}'))
    assert isinstance(said, Ambiguous)
    assert said.cause.startswith("duplicate")
