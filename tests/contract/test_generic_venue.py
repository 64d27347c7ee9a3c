"""The adapter for any venue, on the unmodified Binance, Bybit and OKX classes, against their certified ones.

What two adapters make of one script of orders can be compared only where there are two; at a venue that
nobody certified nothing is left but what is shown here: nothing is doubled, and what is not known is said.

Not here: what the certified adapters promise (`test_adapter_on_venues`), a gateway on this one
(`test_gateway_on_generic`).
"""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import pytest

from parley.messages import Fill, Intent, OrderEvent
from tests.kit.generic import connected
from tests.kit.sandbox import SandboxProcess, sandbox
from tests.kit.units import make_cancel, make_intent
from tests.kit.venues import last_price
from venues import generic_client
from venues.ccxt_venue import CcxtVenue
from venues.port import NOT_FOUND, Acked, Ambiguous, Rejected, VenueError

pytestmark = pytest.mark.timeout(120)
BTC = "BTC/USDT"
SYMBOLS = (BTC, "ETH/USDT")
numbers = itertools.count(1)


def limit(px: Decimal, **over: Any) -> Intent:
    """Make a limit order; they begin anew with each script, so that both have the same ids."""
    return make_intent(next(numbers), **({"style": "limit", "tif": "GTC", "px": cents(px)} | over))


def cents(px: Decimal) -> Decimal:
    return px.quantize(Decimal("0.01"))


async def told_of(venue: CcxtVenue, facts: list[Any]) -> asyncio.Task[None]:
    ready = asyncio.Event()
    following = asyncio.create_task(venue.follow(facts.append, ready.set))
    async with asyncio.timeout(20):
        await ready.wait()
    return following


async def played(exchange: str, *, generic: bool) -> dict[str, Any]:
    """Play one script of orders at an exchange of its own, and return what came of it."""
    global numbers
    numbers = itertools.count(1)
    async with sandbox(protocol=exchange) as process:
        last = await last_price(process, BTC, exchange)
        async with connected(exchange, process, SYMBOLS, generic=generic) as venue:
            facts: list[Any] = []
            following = await told_of(venue, facts)
            taken = limit(last * Decimal("1.01"), tif="IOC", qty=Decimal("0.25"))
            sold = make_intent(next(numbers), side="sell", qty=Decimal("0.1"))
            resting = limit(last * Decimal("0.9"), qty=Decimal("0.2"))
            nothing = limit(last * Decimal("0.9"), tif="IOC", qty=Decimal("0.2"))
            too_much = limit(last * Decimal("0.99"), qty=Decimal(5000))
            script = (taken, sold, resting, nothing, too_much)
            answers = {each.cid: await venue.send(each) for each in script}
            cancels = [await venue.cancel(make_cancel(resting)) for _ in range(2)]
            async with asyncio.timeout(10):
                while {states(facts, each)[-1:] != [] for each in script[:4]} != {True} or "canceled" not in (
                    states(facts, resting)
                ):
                    await asyncio.sleep(0.02)
            found = {each.cid: await venue.look_up(each) for each in script[:4]}
            balances = await venue.balances()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            assert venue.foreign == 0
            return {
                "answers": {cid: type(each).__name__ for cid, each in answers.items()},
                "cancels": [each.code if isinstance(each, Rejected) else "acked" for each in cancels],
                "told": sorted(fill_words(each) for each in facts if isinstance(each, Fill)),
                "found": {cid: order_words(each) for cid, each in found.items()},
                "balances": balances,
                "orders": placed(process),
                "traded": [(line["trade_id"], line["qty"], line["price"]) for line in process.truth("trade")],
                "ended": {each.cid: ended(states(facts, each)[-1]) for each in script[:4]},
            }


def placed(process: SandboxProcess) -> dict[str, str]:
    """Return the client ids of the orders the exchange took, by its own ids."""
    return {
        str(line["order_id"]): line["client_order_id"] for line in process.truth("order") if line["order_id"]
    }


def states(facts: list[Any], intent: Intent) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent) and each.iid == intent.iid]


def fill_words(fill: Fill) -> tuple[object, ...]:
    return (
        fill.iid, fill.trade_id, fill.venue_id, fill.side, fill.qty, fill.px, fill.fee, fill.fee_asset,
        fill.liquidity, fill.t,
    )  # fmt: skip


def order_words(answer: object) -> tuple[object, ...]:
    assert isinstance(answer, Acked)
    assert answer.event is not None
    event = answer.event
    fills = tuple(fill_words(each) for each in answer.fills)
    return answer.venue_id, ended(event.status), event.cum_qty, event.avg_px, fills


def ended(status: str) -> str:
    """Say how it ended, as far as ccxt's words go: its own terms (expired) are a cancel at some venues."""
    return "canceled" if status == "expired" else status


@pytest.mark.parametrize(
    "exchange", ["okx", *(pytest.param(each, marks=pytest.mark.long) for each in ("binance", "bybit"))]
)
def test_one_script_of_orders_ends_as_it_does_with_the_certified_adapter(exchange: str) -> None:
    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        return await played(exchange, generic=False), await played(exchange, generic=True)

    certified, generic = asyncio.run(run())
    assert len(generic["orders"]) == 4
    assert len(generic["traded"]) >= 2
    assert generic["cancels"] == ["acked", NOT_FOUND]
    assert list(generic["answers"].values()) == ["Acked"] * 4 + ["Rejected"]
    for name, each in certified.items():
        assert generic[name] == each, name


@pytest.mark.parametrize(
    ("exchange", "fate", "exists"),
    [
        ("binance", "lost", True),
        pytest.param("bybit", "lost", True, marks=pytest.mark.long),
        ("okx", "dropped", False),
        pytest.param("okx", "lost", True, marks=pytest.mark.long),
        pytest.param("binance", "dropped", False, marks=pytest.mark.long),
        pytest.param("bybit", "dropped", False, marks=pytest.mark.long),
    ],
)
def test_a_lost_answer_leaves_a_doubt_that_only_finding_the_order_ends(
    exchange: str, fate: str, exists: bool
) -> None:
    async def run() -> None:
        async with sandbox(protocol=exchange, hostility={fate: 1}) as process:
            last = await last_price(process, BTC, exchange)
            async with connected(exchange, process, SYMBOLS, generic=True) as venue:
                for order in (
                    limit(last * Decimal("1.01"), tif="IOC", qty=Decimal("0.25")),
                    limit(last * Decimal("0.9"), qty=Decimal("0.25")),
                ):
                    answer = await venue.send(order)
                    assert isinstance(answer, Ambiguous), answer
                    if not exists:  # an empty list of a venue nobody knows proves nothing
                        with pytest.raises(VenueError, match=r"no list of .* is known to prove"):
                            await venue.look_up(order)
                        continue
                    found = await venue.look_up(order)
                    assert isinstance(found, Acked)
                    assert found.event is not None
                    traded = order.qty if order.tif == "IOC" else Decimal(0)
                    assert sum(each.qty for each in found.fills) == found.event.cum_qty == traded
                    # now the venue's id is known, and it can be cancelled
                    if order.tif == "GTC":
                        with_id = await venue.cancel(make_cancel(order))
                        assert isinstance(with_id, Acked | Ambiguous)
            there = placed(process)
            assert len(there) == len(set(there.values())) == (2 if exists else 0)

    asyncio.run(run())


def test_what_the_venue_refused_is_in_doubt_unless_money_or_the_request_was_lacking() -> None:
    async def run() -> None:
        async with sandbox(protocol="bybit") as process:
            last = await last_price(process, BTC, "bybit")
            async with connected("bybit", process, SYMBOLS, generic=True) as venue:
                # Bybit's own word for a price that is too high: certain for who knows its codes, and only so
                assert isinstance(await venue.send(limit(last * 7)), Ambiguous)
                poor = await venue.send(limit(last, qty=Decimal(5000)))
                assert isinstance(poor, Rejected)
                assert poor.code == "venue:insufficient_funds"
                tiny = await venue.send(limit(last, qty=Decimal("0.000000001")))
                assert isinstance(tiny, Rejected)
                assert tiny.code == "venue:request"
                by_cost = await venue.send(make_intent(next(numbers)))  # ccxt would make it 0.5 USDT
                assert isinstance(by_cost, Rejected)
                assert "market buys at 'bybit' are of the base asset" in by_cost.detail
            assert placed(process) == {}

    asyncio.run(run())


def test_an_order_of_an_earlier_life_is_found_among_the_open_ones_and_cancelled_by_the_venues_id() -> None:
    async def run() -> None:
        async with sandbox(protocol="okx") as process:
            last = await last_price(process, BTC, "okx")
            order = limit(last * Decimal("0.9"))
            async with connected("okx", process, SYMBOLS, generic=True) as venue:
                assert isinstance(await venue.send(order), Acked)
            async with connected("okx", process, SYMBOLS, generic=True) as later:
                stranger = make_cancel(limit(last))
                unknown = await later.cancel(stranger)
                assert isinstance(unknown, Rejected)
                assert unknown.code == "venue:request"
                assert isinstance(await later.cancel(make_cancel(order)), Acked)
                found = await later.look_up(order)
                assert isinstance(found, Acked)
                assert found.event is not None
                assert found.event.status == "canceled"

    asyncio.run(run())


def test_a_stream_that_cannot_be_begun_does_not_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generic_client, "_SETTLES_S", 0.3)

    async def run() -> None:
        async with (
            sandbox(protocol="okx") as process,
            connected("okx", process, SYMBOLS, generic=True) as venue,
        ):
            venue._client.exchange.secret = "wrong"
            facts: list[Any] = []
            ready = asyncio.Event()
            following = asyncio.create_task(venue.follow(facts.append, ready.set))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.8):  # the second try, after 1 s, is not refused any more
                    await ready.wait()
            assert facts  # gaps: nothing was heard
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())
