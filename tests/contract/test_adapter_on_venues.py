"""Our adapters, each on a sandbox that speaks as its venue: what the port promises, and the capability row.

Not here: gateways on top of them (`test_gateway_on_venues`), ccxt's own view (`test_okx_client` and its
like), what one venue alone has (`test_okx_venue` and its like), contracts (`test_usdm_venue`), the adapter
for any venue (`test_generic_venue`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from parley.messages import Fill, Gap, Intent, OrderEvent
from tests.kit.adapters import WINDOW_MS, Adapted, adapter, fills, following, heard, statuses
from tests.kit.shared_stage import Shared, shared
from tests.kit.units import make_cancel
from tests.kit.venue_ways import WAYS
from venues.capabilities import CAPABILITIES, lacks_for_opening
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected

pytestmark = pytest.mark.timeout(120)
D = Decimal


@pytest.fixture(scope="module")
def friendly(request: pytest.FixtureRequest) -> Iterator[Shared[Adapted]]:
    """An adapter at an exchange that is not hostile; its account is as it was for the first story there."""
    with shared(adapter(request.param)) as adapted:
        yield adapted


@pytest.mark.parametrize("friendly", WAYS, indirect=True)
def test_an_order_lives_from_send_to_look_up(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        at, venue, orders = adapted.at, adapted.venue, adapted.orders
        ways = WAYS[at.name]
        btc = (await venue.connect())[at.btc]
        assert (btc.tick, btc.lot, btc.min_notional) == (at.tick, D("0.00001"), ways.min_notional)
        assert (btc.maker_fee, btc.taker_fee) == (D("0.001"), D("0.001"))
        assert dict(await venue.balances()) == {"BTC": 20, "ETH": 100, at.quote: 10_000_000}
        assert abs(await venue.clock_offset_ms()) < ways.clock_ms
        assert venue.fence_ns == WINDOW_MS * 1_000_000
        assert await venue.key_rights() == KeyRights(trades=True, withdraws=False)

        async with following(venue) as facts:
            taken, waiting = orders.market(qty=D("0.25")), orders.limit()
            answer = await venue.send(taken)
            assert isinstance(answer, Acked)
            if at.name in ("kucoin", "hyperliquid"):  # whose streams do not tell it: it is before the answer
                assert statuses(facts, taken)[-1] == "closed"
            acked = await venue.send(waiting)
            assert isinstance(acked, Acked)
            await heard(lambda: "closed" in statuses(facts, taken))
            await heard(lambda: statuses(facts, waiting)[-1:] == ["open"])
            mine = fills(facts, taken)
            assert sum(each.qty for each in mine) == taken.qty
            assert {(each.fee_asset, each.liquidity) for each in mine} == {(ways.fee_asset, "taker")}
            last_fill = max(facts.index(each) for each in mine)
            ends = [n for n, each in enumerate(facts) if statuses([each], taken) == ["closed"]]
            assert last_fill < ends[0]
            if at.name != "hyperliquid":  # which does not tell it
                closed = facts[ends[0]]
                assert isinstance(closed, OrderEvent)
                assert closed.avg_px == sum(each.px * each.qty for each in mine) / taken.qty

            found = await venue.look_up(taken)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == ("closed", taken.qty)
            assert found.fills == tuple(mine)
            if at.name == "coinbase":  # the answer is what it says when it is asked
                assert (answer.event, answer.fills) == (found.event, found.fills)
                assert acked.event is not None
                assert acked.event.status == "open"
            else:
                assert acked.event is None
            still = await venue.look_up(waiting)
            assert isinstance(still, Acked)
            assert still.event is not None
            assert (still.event.status, still.venue_id) == ("open", acked.venue_id)
            assert await venue.look_up(orders.market()) == Absent()

            assert isinstance(await venue.cancel(make_cancel(waiting)), Acked)
            await heard(lambda: "canceled" in statuses(facts, waiting))
            found = await venue.look_up(waiting)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.venue_id, found.fills) == ("canceled", acked.venue_id, ())
            again = await venue.cancel(make_cancel(waiting))
            assert isinstance(again, Rejected)
            assert again.code == NOT_FOUND
            assert fills(facts, taken) == mine
            assert len([each for each in facts if isinstance(each, Fill)]) == len(mine)
            assert not any(isinstance(each, Gap) for each in facts)
        assert venue.foreign == 0
        truth = adapted.process.truth("trade")
        assert [(str(line["trade_id"]), D(line["fee"])) for line in truth] == [
            (each.trade_id, each.fee) for each in mine
        ]
        sent = {at.wire_id(taken.cid), at.wire_id(waiting.cid)}
        assert {line["client_order_id"] for line in adapted.placed()} == sent
        owned = {"BTC": 20 + taken.qty, at.quote: 10_000_000 - sum(each.px * each.qty for each in mine)}
        owned[ways.fee_asset] -= sum(each.fee for each in mine)
        assert dict(await venue.balances()) == owned | {"ETH": D(100)}

    friendly.play(story)


@pytest.mark.parametrize("friendly", WAYS, indirect=True)
def test_the_capability_row_is_what_the_venue_does(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        venue, orders = adapted.venue, adapted.orders
        row, ways = CAPABILITIES[adapted.at.name], WAYS[adapted.at.name]
        before = len(adapted.placed())
        accepted = []
        if ways.good:
            assert ways.longest in (0, len(ways.good))
            assert ways.longest in (0, row.cid_len)
            accepted.append(orders.limit(cid=ways.good))
            assert isinstance(await venue.send(accepted[0]), Acked)
            assert isinstance(await venue.cancel(make_cancel(accepted[0])), Acked)
        for wrong in ways.wrong:
            refused = await venue.send(orders.limit(cid=wrong))
            assert isinstance(refused, Rejected)
            assert refused.code in ways.wrong_codes

        order = orders.limit()
        assert await uniqueness_of(venue, order) == row.uniqueness == ways.uniqueness
        assert row.cancel_by_cid is ways.cancel_by_cid
        assert row.look_up == ("open", "closed")
        assert lacks_for_opening(row).startswith(ways.lacks)
        assert bool(ways.lacks) is bool(lacks_for_opening(row))
        assert row.post_only
        resting, crossing = orders.limit(style="post_only"), orders.limit("2", style="post_only")
        assert isinstance(await venue.send(resting), Acked)
        assert isinstance(await venue.cancel(make_cancel(resting)), Acked)
        said = await venue.send(crossing)
        accepted += [order, resting]
        if isinstance(said, Rejected):
            assert said.code == ways.maker
            assert await venue.look_up(crossing) == Absent()
        else:
            accepted.append(crossing)
            found = await venue.look_up(crossing)
            assert isinstance(found, Acked)
            assert found.event is not None
            assert (found.event.status, found.event.cum_qty) == (ways.maker, 0)
        placed = adapted.placed()[before:]
        assert {line["client_order_id"] for line in placed} == {
            adapted.at.wire_id(each.cid) for each in accepted
        }
        twice = row.uniqueness in ("none", "open")  # one id, and two orders
        assert len({line["order_id"] for line in placed}) == len(accepted) + twice

    friendly.play(story)


async def uniqueness_of(venue: CcxtVenue, order: Intent) -> str:
    """Send a resting order again, while it is open and after it; say what that makes of its id."""
    first, again = await venue.send(order), await venue.send(order)
    assert isinstance(first, Acked)
    cancelled = await venue.cancel(make_cancel(order))
    assert isinstance(cancelled, Acked)
    if isinstance(again, Ambiguous):
        assert again.cause.startswith("duplicate")
        later = await venue.send(order)
        if isinstance(later, Ambiguous):
            return "forever"
        assert isinstance(later, Acked)
        assert isinstance(await venue.cancel(make_cancel(order)), Acked)
        return "open"
    assert isinstance(again, Acked)
    if again.venue_id == first.venue_id:
        return "idempotent"
    return "none"  # two orders, of which the older one cannot be named any more


@pytest.mark.parametrize("friendly", WAYS, indirect=True)
def test_what_is_refused_is_rejected_with_the_venues_code(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        before = adapted.placed()
        for code, made in WAYS[adapted.at.name].refused.items():
            intent = made(adapted.orders)
            answer = await adapted.venue.send(intent)
            assert isinstance(answer, Rejected), answer
            assert answer.code == code
            assert await adapted.venue.look_up(intent) == Absent()
        assert adapted.placed() == before

    friendly.play(story)


@pytest.mark.parametrize(("exchange", "taken"), [("kucoin", "forever"), ("hyperliquid", "open")])
def test_an_id_that_the_venue_calls_taken_leaves_its_order_in_doubt(exchange: str, taken: str) -> None:
    """Of venues that promise nothing of it."""

    async def run() -> None:
        async with adapter(exchange, hostility={"client_ids": taken}) as adapted:
            order = adapted.orders.limit()
            first = await adapted.venue.send(order)
            assert isinstance(first, Acked)
            again = await adapted.venue.send(order)
            assert isinstance(again, Ambiguous)
            assert again.cause.startswith("duplicate")
            found = await adapted.venue.look_up(order)
            assert isinstance(found, Acked)
            assert found.venue_id == first.venue_id

    asyncio.run(run())


QUICK = {
    "lost": ("okx", "bybit", "kucoin", "coinbase"),
    "failed": ("bybit",),
    "dropped": ("bybit",),
    "throttled": ("okx", "bybit", "kucoin"),
}
"""Where a fate belongs to `make test`; all others are for `make long`."""


@pytest.mark.parametrize(
    ("exchange", "fate"),
    [
        pytest.param(exchange, fate, marks=() if exchange in quick else pytest.mark.long)
        for fate, quick in QUICK.items()
        for exchange in WAYS
    ],
)
def test_what_nobody_heard_of_is_in_doubt_until_it_is_looked_up(exchange: str, fate: str) -> None:
    async def run() -> None:
        # a page holds one row: lists are read to their ends (Hyperliquid's have none, only spans of time)
        pages = {} if exchange == "hyperliquid" else {"page_limit": 1}
        async with adapter(exchange, hostility={fate: 1, **pages}) as adapted:
            sent = [adapted.orders.market(), adapted.orders.market(qty=D(2))]
            for order in sent:
                assert isinstance(await adapted.venue.send(order), Ambiguous)
            for order in sent:
                found = await adapted.venue.look_up(order)
                if fate in ("lost", "failed"):
                    assert isinstance(found, Acked)
                    assert sum(each.qty for each in found.fills) == order.qty
                else:
                    assert found == Absent()
            traded = {line["order_id"] for line in adapted.process.truth("trade")}
            assert len(traded) == (2 if fate in ("lost", "failed") else 0)
            assert [line["what"] for line in adapted.process.truth("hostile")] == [fate, fate]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("exchange", "window_ms", "late_ms", "code"),
    [
        ("okx", 250, 1200, "50102"),
        ("kucoin", 250, 1200, "400100"),
        ("coinbase", 1000, 1700, "401"),  # a token counts in whole seconds
        pytest.param("bybit", 100, 600, "10002", marks=pytest.mark.long),
        pytest.param("kraken", WINDOW_MS, 12_000, "1", marks=pytest.mark.long),
    ],
)
def test_each_order_goes_out_with_its_own_deadline(
    exchange: str, window_ms: int, late_ms: int, code: str
) -> None:
    """What is carried out later than its deadline is not carried out at all."""

    async def run() -> None:
        late = {"late": 1.0, "late_ms": late_ms}
        async with adapter(exchange, hostility=late, window_ms=window_ms) as adapted:
            sent = [adapted.orders.limit() for _ in range(16)]
            answers = await asyncio.gather(*(adapted.venue.send(each) for each in sent))
            assert {type(each) for each in answers} == {Ambiguous}
            wired = {adapted.at.wire_id(each.cid) for each in sent}
            placed: set[str] = set()
            refused: set[str] = set()
            async with asyncio.timeout(late_ms / 1000 + 5):
                while refused | placed != wired:
                    await asyncio.sleep(0.05)
                    hostile = adapted.process.truth("hostile")
                    refused = {
                        line["client_order_id"] for line in hostile if line["what"] == f"late_refused:{code}"
                    }
                    placed = {line["client_order_id"] for line in adapted.placed()}
            assert refused.isdisjoint(placed)
            delays = {line["client_order_id"]: line["delay_ms"] for line in hostile if line["what"] == "late"}
            assert set(delays) == wired
            assert max(delays.values()) > window_ms
            assert all(delays[each] <= window_ms for each in placed)
            assert len(refused) >= 4

    asyncio.run(run())
