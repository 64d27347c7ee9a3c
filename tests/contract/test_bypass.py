"""Every way around the gateway that is known, tried at a real one: what came of it, and what is on record.

The exchange is the sandbox, spot and contracts, with real money's rules; the test is whoever tries. What is
on record is read from the gateway's own journal. Not here: each rule by itself (tests/unit/runtime), who may
speak at all, one by one (`test_gateway_door`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from decimal import Decimal as D
from pathlib import Path
from typing import Any, TypeVar

import ccxt
import pytest

from parley.messages import KIND_OF, Ack, Alarm, Attempt, Fill, Gap, Intent, VenueReject, decode
from runtime.journal import JournalReader
from runtime.seals import new_key
from tests.contract import test_usdm_real_money as contracts
from tests.contract.test_gateway_door import gateway
from tests.contract.test_key_rights import ended, traded_at
from tests.kit.sandbox import KEY
from tests.kit.units import FakeDesk, UnitEndedError, make_intent, unit
from tests.kit.units import start as start_unit
from tests.kit.venues import last_price

pytestmark = pytest.mark.timeout(120)
SPOT, CONTRACT = "BTC/USDT", "BTC/USDT:USDT"
# what the desk may spend of an account with 12,345 USDT and 2 BTC
CAPITAL = D(500)
WIDE = {"USDT": "100000000"}
LIMITS = {"max_notional": WIDE, "max_position": WIDE, "cash": ["USDT"], "capital": {"USDT": f"{CAPITAL}"}}
M = TypeVar("M", Ack, Alarm, Attempt, Gap, Intent, VenueReject)
Tried = tuple[str, dict[str, Any], str, str]
"""What is tried, what of the order is replaced, the code and a part of the detail it is refused with."""


def journaled(folder: Path, kind: type[M]) -> list[M]:
    """Return what a gateway that has ended wrote down of one kind, in its order."""
    with JournalReader(folder / "gw.journal") as journal:
        said = [decode(each.body) for each in journal.records(kinds=[KIND_OF[kind.__name__]])]
    return [each for each in said if isinstance(each, kind)]


async def tried(
    desk: FakeDesk, attempts: Iterable[Tried], venue: str, symbol: str, px: D
) -> dict[bytes, Tried]:
    """Send one order after the other, each with one thing wrong, and hear that it was refused."""
    made = {}
    for n, each in enumerate(attempts, 100):
        fields = {"px": px, "ref_px": px, "style": "limit", "qty": D("0.001")} | each[1]
        intent = make_intent(n, venue=venue, symbol=symbol, **fields)
        made[intent.iid] = each
        desk.send(intent)
        await desk.hear(VenueReject, len(made))
    assert desk.lost is None
    return made


def all_on_record(folder: Path, made: dict[bytes, Tried], process: Any) -> None:
    """Check that each was refused for its reason, that none was about to leave, and none came to exist."""
    refused = {each.iid: each for each in journaled(folder, VenueReject)}
    for iid, (what, _, code, detail) in made.items():
        no = refused[iid]
        assert (no.code, no.definitive) == (f"last_look:{code}", True), what
        assert detail in no.detail, what
    assert not made.keys() & {each.iid for each in journaled(folder, Intent)}
    assert not made.keys() & {each.iid for each in journaled(folder, Attempt)}
    known = {each["client_order_id"] for each in process.truth("order")}
    assert not known & {each.cid for each in (make_intent(n) for n in range(100, 100 + len(made)))}


# ------------------------------------------------------------------ past the gateway


def test_an_order_past_the_gateway_needs_a_key_that_no_desk_has_and_is_found_if_somebody_has_it() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            async with unit("gateway", config | {"limits": LIMITS, "inspect_s": 0.3}, folder) as running:
                desk = await FakeDesk.connect(running.socket)
                for key, secret in (("", ""), ("desk", "desk"), (KEY, "guessed")):
                    async with process.client(key, secret) as past:
                        with pytest.raises(ccxt.AuthenticationError):
                            await past.create_order(SPOT, "market", "buy", 0.01)
                assert not process.truth("order")
                # of what is not the desk's the owner may do as he likes; what the desk has is missed at once
                async with process.client() as owner:
                    await owner.create_order(SPOT, "market", "buy", 0.01)
                await desk.until(lambda: desk.of(Gap))
                running.process.terminate()
                await running.process.wait()
            assert "account" in {each.stream for each in journaled(folder, Gap)}

    asyncio.run(run())


def test_a_forged_frame_and_a_process_nobody_named_are_hung_up_on() -> None:
    async def run() -> None:
        async with gateway() as home:
            own = os.getpid()
            home.introduce(own)
            for forged in (new_key(), b""):
                thief = await home.connect(forged)
                thief.send(make_intent(1))
                await home.refuses(thief)
            key = home.introduce(own + 1)
            await home.refuses(await home.connect(key))  # the right key, from the wrong process
            await home.end()
            assert [each.detail for each in journaled(home.folder, Alarm)] == [
                "frame 1 is not of whoever holds the key of this link",
                "frame 1 is not of whoever holds the key of this link",
                f"only process {own + 1} may send orders, this is {own}",
            ]
            assert (journaled(home.folder, Intent), journaled(home.folder, Attempt)) == ([], [])

    asyncio.run(run())


def test_of_a_flood_of_orders_leaves_what_a_second_may_have() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            limits = LIMITS | {"max_orders_per_s": 5}
            async with unit("gateway", config | {"limits": limits}, folder) as running:
                desk = await FakeDesk.connect(running.socket)
                low = (await last_price(process, SPOT, "binance") / 2).quantize(D(1))
                flood = [
                    make_intent(
                        n, venue="binance", style="limit", tif="GTC", px=low, ref_px=low, qty=D("0.001")
                    )
                    for n in range(200)
                ]  # fmt: skip
                for each in flood:
                    desk.send(each)
                await desk.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == len(flood))
                await ended(running)
            no, taken = journaled(folder, VenueReject), [e for e in journaled(folder, Ack) if not e.cancel]
            assert {(each.code, each.detail) for each in no} == {
                ("last_look:rate", "5 orders in the last second")
            }
            assert len(no) + len(taken) == len(flood)
            assert 5 <= len(taken) <= 50
            known = {each["client_order_id"] for each in process.truth("order")}
            assert len(known) == len(taken)

    asyncio.run(run())


# ------------------------------------------------------------------ through it, with a lie


def test_spot_orders_that_lie_about_anything_cost_no_more_than_was_counted() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            px = await last_price(process, SPOT, "binance")
            unpriced = {"px": None, "style": "market", "tif": "IOC"}
            attempts: list[Tried] = [
                ("buys a bitcoin for 10", unpriced | {"qty": D(1), "ref_px": D(10)}, "unpriced", "worst"),
                ("a market for 1e-9", unpriced | {"qty": D(1), "ref_px": D("1E-9")}, "unpriced", "worst"),
                ("no market at all", {"ref_px": None}, "no_ref_px", "cannot be judged"),
                ("a limit that the market is not of", {"ref_px": D(10)}, "collar", "against ref_px 10"),
                ("no number", {"qty": D("NaN")}, "not_positive", "qty NaN"),
                ("no number for a price", {"px": D("NaN")}, "not_positive", "px NaN"),
                ("no number that it lies by", {"ref_px": D("-Infinity")}, "not_positive", "ref_px -Infinity"),
                ("less than nothing", {"qty": D("-0.001")}, "not_positive", "qty -0.001"),
                ("a price below nothing", {"px": -px}, "not_positive", "px -"),
                ("too large for a number", {"qty": D("1E+400")}, "out_of_range", "1E+400"),
                ("more than the capital", {"qty": D(1)}, "capital", "of this desk's"),
                ("what is its owner's", {"side": "sell", **unpriced}, "not_its_own", "BTC would be -0.001"),
                ("to leave what it does not hold", {"reduce_only": True, **unpriced}, "unpriced", "worst"),
            ]  # fmt: skip
            async with unit("gateway", config | {"limits": LIMITS}, folder) as running:
                desk = await FakeDesk.connect(running.socket)
                made = await tried(desk, attempts, "binance", SPOT, px)
                # half the market: an order that names its price costs no more than that, for that it counts
                half = {"px": (px / 2).quantize(D(1)), "ref_px": (px / 2).quantize(D(1))}
                desk.send(make_intent(1, venue="binance", style="limit", qty=D("0.01"), **half))
                await desk.hear(Ack)
                assert not process.truth("trade")
                # and what it holds it may leave at any price
                honest = {"venue": "binance", "qty": D("0.001"), "ref_px": px}
                desk.send(make_intent(2, style="limit", px=(px * D("1.01")).quantize(D("0.01")), **honest))
                await desk.until(lambda: sum(each.qty for each in desk.of(Fill)) == D("0.001"))
                desk.send(make_intent(3, side="sell", **honest | {"qty": D("0.0009"), "ref_px": D(10)}))
                await desk.until(lambda: any(each.side == "sell" for each in desk.of(Fill)))
                await ended(running)
            all_on_record(folder, made, process)

    asyncio.run(run())


def test_contracts_are_opened_at_the_venues_mark_whatever_a_desk_says_of_the_market() -> None:
    async def run() -> None:
        async with contracts.exchange() as (process, folder, config, owner), contracts.moved(process):
            px = await contracts.price(owner)
            low, high = ((px * n).quantize(D("0.1")) for n in (D("0.01"), D(100)))
            off, sell = "off the venue's mark", {"side": "sell"}
            attempts: list[Tried] = [
                ("sells it for a hundredth", sell | {"qty": D(1), "px": low, "ref_px": low}, "mark", off),
                ("judged by a hundredth", sell | {"qty": D(1), "ref_px": low}, "mark", off),
                ("sold for a hundredth", sell | {"qty": D(1), "px": low}, "mark", off),
                ("buys for a hundred times as much", {"px": high, "ref_px": high}, "mark", off),
                ("at whatever there is", sell | {"px": None, "style": "market"}, "unpriced", "worst price"),
                ("a hundred times its capital", {"qty": D(10)}, "capital", "contracts may need"),
                ("no number", {"qty": D("NaN")}, "not_positive", "qty NaN"),
                ("less than nothing", {"qty": D(-1)}, "not_positive", "qty -1"),
            ]  # fmt: skip
            wide = {"max_notional": WIDE, "max_position": WIDE}
            async with unit("gateway", config | {"limits": contracts.LIMITS | wide}, folder) as running:
                desk = await FakeDesk.connect(running.socket)
                made = await tried(desk, attempts, "binanceusdm", CONTRACT, px)
                await contracts.trade(desk, owner, 1, "sell", "0.01")
                # to leave it any word does
                leaving = {"qty": D("0.01"), "ref_px": low, "reduce_only": True, "epoch": 2}
                desk.send(make_intent(2, venue="binanceusdm", symbol=CONTRACT, **leaving))
                await desk.until(lambda: sum(each.qty for each in desk.of(Fill)) == D("0.02"))
                await ended(running)
            all_on_record(folder, made, process)

    asyncio.run(run())


def test_a_leverage_beyond_the_exchanges_own_is_none_to_begin_with() -> None:
    async def run() -> None:
        async with contracts.exchange() as (_, folder, config, _owner):
            config["venue"]["leverage"] = 1000
            with pytest.raises(UnitEndedError, match="expected a leverage of at most 125, was 1000"):
                await start_unit("gateway", config, folder)

    asyncio.run(run())
