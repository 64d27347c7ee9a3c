"""A gateway that trades contracts with real money: whom it serves, what it lets out, whether its books agree.

Real processes and the unmodified ccxt.pro client at a sandbox that speaks Binance's USD-M contracts. Not
here: what contracts may owe (unit and property tests), a whole desk (tests/integration).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from parley.errors import UserError
from parley.messages import Ack, Balance, Compared, Fill, FundingPaid, Gap, Heartbeat, VenueReject
from runtime.resuming import refuse_to_forget
from runtime.settings import load_settings
from tests.contract.test_key_rights import ended
from tests.kit.sandbox import ACCOUNT, KEY, SECRET, Control, SandboxProcess, sandbox
from tests.kit.units import FakeDesk, UnitEndedError, gateway_config, make_intent, short_folder, unit
from tests.kit.units import start as start_unit
from tests.kit.usdm import usdm_client

pytestmark = pytest.mark.timeout(120)
BTC, ETH, ASSET = "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC:USDT"
CAPITAL = D(5000)
MONEY: dict[str, object] = {"quote": "USDT", "capital": f"{CAPITAL}", "max_clock_offset_ms": 5000}
LIMITS = {
    "max_notional": {"USDT": "25000"}, "max_position": {"USDT": "25000"}, "cash": ["USDT"],
    "capital": {"USDT": f"{CAPITAL}"},
}  # fmt: skip
FEED: dict[str, Any] = {
    "kind": "synthetic", "candles": 40, "history": 60, "assets": ["BTC", "ETH"], "timeframe": "1h",
}  # fmt: skip


@contextlib.asynccontextmanager
async def exchange(
    usdt: str = "12345", **account: object
) -> AsyncIterator[tuple[SandboxProcess, Path, dict[str, Any], Any]]:
    """Run an exchange with an account that holds more than the capital, and somebody who has its key."""
    mine = ACCOUNT | {"can_withdraw": False, "balances": {"USDT": usdt}} | account
    with short_folder() as folder:
        async with (
            sandbox(FEED, protocol="binanceusdm", accounts=[mine]) as process, usdm_client(process) as owner
        ):  # fmt: skip
            await owner.load_markets()
            over = {"exchange": "binanceusdm", "name": "binanceusdm", "symbols": [BTC], "leverage": 5}
            config = gateway_config(folder, process, over, limits=LIMITS, real_money=MONEY)
            yield process, folder, config, owner


@contextlib.asynccontextmanager
async def moved(process: SandboxProcess, steps: int = 1) -> AsyncIterator[Control]:
    market = await process.control()
    await market.go()
    await market.steps(steps)
    yield market
    await market.hang_up()


async def refusal(folder: Path, config: dict[str, Any]) -> str:
    """Return the one line with which a gateway did not begin to serve."""
    with pytest.raises(UnitEndedError) as no:
        await start_unit("gateway", config, folder)
    assert no.value.code == 2
    (line,) = no.value.errors.strip().splitlines()
    assert not (folder / "account.json").exists()
    assert (SECRET in line, KEY in line) == (False, False)
    return line


async def price(owner: Any) -> D:
    return D((await owner.fetch_ticker(BTC))["info"]["lastPrice"])


async def trade(desk: FakeDesk, owner: Any, n: int, side: str, qty: str, **over: Any) -> None:
    """Trade at the market, and hear of all of it; what may open names a price."""
    before, known, last = len(desk.of(Ack)), sum(each.qty for each in desk.of(Fill)), await price(owner)
    if not over.get("reduce_only"):
        over |= {"style": "limit", "px": (last * (D("1.01") if side == "buy" else D("0.99"))).quantize(D(1))}
    intent = make_intent(
        n, venue="binanceusdm", symbol=BTC, side=side, qty=D(qty), ref_px=last, epoch=n, **over
    )
    desk.send(intent)
    await desk.until(lambda: len(desk.of(Ack)) > before)
    await desk.until(lambda: sum(each.qty for each in desk.of(Fill)) == known + D(qty))


def booked(process: SandboxProcess) -> dict[str, D]:
    """Return by asset what the exchange's own log says the account's trades and payments brought."""
    sums = {ASSET: D(0), "USDT": D(0)}
    for each in process.truth("trade"):
        qty = D(each["qty"]) if each["side"] == "BUY" else -D(each["qty"])
        sums[ASSET] += qty
        sums["USDT"] -= qty * D(each["price"]) + D(each["fee"])
    sums["USDT"] += sum((D(each["amount"]) for each in process.truth("funding")), D(0))
    return {asset: amount for asset, amount in sums.items() if amount}


def exact(amounts: dict[str, str]) -> dict[str, D]:
    return {asset: D(amount) for asset, amount in amounts.items()}


# -------------------------------------------------------------- whom it serves


def test_every_reason_against_an_account_is_named_at_once_and_nothing_was_set() -> None:
    async def run() -> None:
        async with exchange("4999.99", can_withdraw=True) as (process, folder, config, owner):
            await owner.fapiPrivatePostPositionSideDual({"dualSidePosition": "true"})
            await owner.fapiPrivatePostMultiAssetsMargin({"multiAssetsMargin": "true"})
            await owner.fapiPrivatePostFeeBurn({"feeBurn": "true"})

            line = await refusal(folder, config)

            assert "the account 'main' at 'binanceusdm' may not be traded with real money: " in line
            assert line.split("real money: ")[1].split("; ") == [
                "the API key may withdraw: make one that may not",
                "fees are paid in BNB, which the desk cannot value: switch that off in the account",
                "account mode: expected one-way positions, was dualSidePosition True",
                "account mode: expected margin of one asset, was multiAssetsMargin True",
                "the account holds 4999.99 USDT, the desk needs 5000",
            ]
            assert (await owner.fetch_leverage(BTC))["longLeverage"] == 20
            assert not process.truth("order")

    asyncio.run(run())


def test_positions_of_others_that_meet_the_desks_are_refused_and_isolated_ones_left_alone() -> None:
    async def run() -> None:
        async with exchange() as (process, folder, config, owner), moved(process):
            await owner.set_margin_mode("isolated", ETH)
            await owner.create_order(ETH, "market", "buy", 0.1)
            await owner.create_order(BTC, "market", "sell", 0.01)
            assert "the account's position in BTC:USDT is -0.01, this desk's own is 0: close" in (
                await refusal(folder, config)
            )
            await owner.create_order(BTC, "market", "buy", 0.01)
            await owner.create_order(ETH, "market", "sell", 0.1)
            await owner.set_margin_mode("cross", ETH)
            await owner.create_order(ETH, "market", "buy", 0.1)
            line = await refusal(folder, config)
            assert "cross positions in ETHUSDT share the wallet: isolate or close them" in line

            await owner.create_order(ETH, "market", "sell", 0.1)
            await owner.set_margin_mode("isolated", ETH)
            await owner.create_order(ETH, "market", "buy", 0.1)
            async with unit("gateway", config, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                assert dict((await desk.hear(Balance)).assets) == {"USDT": CAPITAL}
                assert (await owner.fetch_leverage(BTC))["longLeverage"] == 5
                audit = (await ended(gateway))["audit"]
            assert (audit["own"], audit["other"]) == ({}, {})

    asyncio.run(run())


# ------------------------------------------------------------ what it lets out


def test_shorts_are_sold_within_the_capital_and_the_audit_counts_what_was_paid_for_holding() -> None:
    async def run() -> None:
        async with exchange() as (process, folder, config, owner), moved(process) as market:
            px = await price(owner)
            async with unit("gateway", config | {"funding_s": 0.2}, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                size = (CAPITAL * 2 / px).quantize(D("0.001"))  # margin 2,000 and as much again to lose
                await trade(desk, owner, 1, "sell", f"{size}")
                more = {"venue": "binanceusdm", "symbol": BTC, "side": "sell", "qty": size, "ref_px": px}
                more |= {"style": "limit", "px": px}
                desk.send(make_intent(2, epoch=2, **more))
                no = await desk.hear(VenueReject)
                assert no.code == "last_look:capital"
                assert no.detail.startswith("contracts may need ")
                await market.steps(8)
                await desk.until(lambda: desk.of(FundingPaid))
                await trade(desk, owner, 3, "buy", f"{size / 2}", reduce_only=True)
                audit = (await ended(gateway))["audit"]
            assert exact(audit["own"]) == booked(process)
            assert exact(audit["own"])[ASSET] == -size / 2
            assert (audit["other"], audit["unconfirmed"]) == ({}, [])

    asyncio.run(run())


def test_what_contracts_are_worth_is_asked_again_with_every_inspection() -> None:
    async def run() -> None:
        async with exchange() as (process, folder, config, owner), moved(process) as market:
            config["limits"] = LIMITS | {"collar_bps": 5, "mark_bps": 0}
            async with unit("gateway", config | {"inspect_s": 0.2}, folder) as gateway:
                desk, at_first = await FakeDesk.connect(gateway.socket), await price(owner)
                while abs((px := await price(owner)) / at_first - 1) < D("0.002"):
                    await market.steps(1)
                over = {"style": "limit", "px": px, "ref_px": px, "qty": D("0.001")}
                for n in range(1, 10):
                    desk.send(make_intent(n, venue="binanceusdm", symbol=BTC, **over))
                    await desk.hear(Heartbeat, len(desk.of(Heartbeat)) + 1)  # some looks later
                    if desk.of(Ack):
                        break
                assert desk.of(Ack)
                assert {each.code for each in desk.of(VenueReject)} <= {"last_look:mark"}

    asyncio.run(run())


def test_a_second_life_knows_what_was_paid_while_nobody_lived() -> None:
    async def run() -> None:
        async with exchange() as (process, folder, config, owner), moved(process) as market:
            last = folder / "home" / "runs" / "r1"
            last.mkdir(parents=True)
            config |= {
                "journal": str(last / "gateway.journal"),
                "instruments": str(last / "instruments.json"),
            }
            async with unit("gateway", config, folder) as gateway:
                await trade(await FakeDesk.connect(gateway.socket), owner, 1, "sell", "0.05")
                await ended(gateway)
            with pytest.raises(UserError, match=r"^the run 'r1' still has -0\.05 BTC:USDT: go on with it by"):
                refuse_to_forget(load_settings(None, {"home": folder / "home"}))
            await market.steps(9)
            assert process.truth("funding")
            async with unit("gateway", config, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                await trade(desk, owner, 2, "buy", "0.02")
                audit = (await ended(gateway))["audit"]
            assert (exact(audit["own"]), audit["other"]) == (booked(process), {})
            await owner.create_order(BTC, "market", "sell", 0.01)
            told = r"position in BTC:USDT is -0\.04, this desk's own is -0\.03"
            with pytest.raises(UnitEndedError, match=told):
                await start_unit("gateway", config, folder)

    asyncio.run(run())


def test_what_somebody_else_trades_closes_the_account_and_is_told_at_the_end() -> None:
    async def run() -> None:
        async with exchange() as (process, folder, config, owner), moved(process):
            async with unit("gateway", config | {"inspect_s": 0.3}, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                await trade(desk, owner, 1, "sell", "0.05")
                await desk.hear(Compared)
                own = booked(process)
                await owner.create_order(BTC, "market", "buy", 0.02)
                await desk.until(lambda: any(each.stream == "account" for each in desk.of(Gap)))
                audit = (await ended(gateway))["audit"]
            assert exact(audit["own"]) == own
            other, every = exact(audit["other"]), booked(process)
            assert other[ASSET] == D("0.02")
            assert abs(other["USDT"] - (every["USDT"] - own["USDT"])) < D("0.0001")

    asyncio.run(run())
