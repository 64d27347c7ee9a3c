"""What a key may do, asked of real exchanges, and a gateway that serves real money only with a harmless one.

Real ccxt.pro clients, real processes; the exchange is the sandbox, in both of its protocols. Not here: every
reason of a refusal (tests/unit/runtime/test_real_money.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parley.errors import UserError
from parley.messages import Ack, Balance, Fill, VenueReject
from runtime.resuming import refuse_to_forget
from runtime.settings import load_settings
from tests.kit.sandbox import ACCOUNT, KEY, SECRET, SYNTHETIC, SandboxProcess, sandbox
from tests.kit.units import (
    LIMITS,
    FakeDesk,
    UnitEndedError,
    UnitProcess,
    gateway_config,
    make_intent,
    short_folder,
    unit,
)
from tests.kit.units import start as start_unit
from tests.kit.venues import last_price
from venues.adapters import ADAPTERS, venue_of
from venues.ccxt_venue import CcxtVenue
from venues.port import KeyRights, VenueError
from venues.sandbox.config import ConfigError, parse_config
from venues.words import Account

pytestmark = pytest.mark.timeout(120)
EXCHANGES = ("binance", "bybit")
CAPITAL = D(5000)
REAL_MONEY: dict[str, object] = {"quote": "USDT", "capital": f"{CAPITAL}", "max_clock_offset_ms": 5000}


def account(*, can_withdraw: bool = False, **balances: str) -> dict[str, Any]:
    return ACCOUNT | {"can_withdraw": can_withdraw, "balances": balances or ACCOUNT["balances"]}


def venue_at(exchange: str, client: Any) -> CcxtVenue:
    mine = Account(name="main", venue=exchange, symbols=("BTC/USDT",))
    return venue_of(exchange, client, mine, recv_window_ms=5000, lag_ms=0)


# ------------------------------------------------------------------ rights


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_exchange_says_what_a_key_may_do(exchange: str) -> None:
    harmless, other = account(), account(can_withdraw=True) | {"api_key": "k", "secret": "s", "name": "b"}

    async def ask(process: SandboxProcess, key: str, secret: str) -> KeyRights:
        client = ADAPTERS[exchange].make_client(process.rest, process.ws, api_key=key, secret=secret)
        venue = venue_at(exchange, client)
        try:
            return await venue.key_rights()
        finally:
            await venue.close()

    async def run() -> None:
        async with sandbox(protocol=exchange, accounts=[harmless, other]) as process:
            assert await ask(process, KEY, SECRET) == KeyRights(trades=True, withdraws=False)
            assert await ask(process, "k", "s") == KeyRights(trades=True, withdraws=True)
            with pytest.raises(VenueError, match=r"^rights of the key: AuthenticationError"):
                await ask(process, KEY, "wrong")

    asyncio.run(run())


@pytest.mark.parametrize("said", ["yes", 1, None])
def test_a_sandbox_takes_no_half_word_for_what_a_key_may_do(said: object) -> None:
    with pytest.raises(ConfigError, match=r"accounts\[0\].can_withdraw: expected true or false, got"):
        parse_config({"feed": SYNTHETIC, "truth": "t", "accounts": [account() | {"can_withdraw": said}]})


def answering(exchange: str, answer: object) -> CcxtVenue:
    """Return a venue whose client gets an answer that no sandbox gives."""

    async def say() -> object:
        return answer

    async def fees() -> object:
        return {"spotBNBBurn": False}

    name = {"binance": "sapiGetAccountApiRestrictions", "bybit": "privateGetV5UserQueryApi"}[exchange]
    return venue_at(
        exchange, SimpleNamespace(**{name: say, "sapiGetBnbBurn": fees}, last_response_headers=None)
    )


def bybit(read_only: object, spot: object, wallet: object) -> dict[str, object]:
    return {"result": {"readOnly": read_only, "permissions": {"Spot": spot, "Wallet": wallet}}}


@pytest.mark.parametrize(
    ("exchange", "answer", "trades", "withdraws"),
    [
        ("binance", {"enableSpotAndMarginTrading": False, "enableWithdrawals": False}, False, False),
        # what is neither yes nor no counts against the key
        ("binance", {"enableSpotAndMarginTrading": "true", "enableWithdrawals": "false"}, False, True),
        ("binance", {"enableSpotAndMarginTrading": None, "enableWithdrawals": None}, False, True),
        ("bybit", bybit(1, ["SpotTrade"], []), False, False),
        ("bybit", bybit("0", ["SpotTrade"], ["AccountTransfer"]), True, False),
        ("bybit", bybit(0, [], ["AccountTransfer", "Withdraw"]), False, True),
    ],
)
def test_answers_of_other_keys_are_read_against_the_key(
    exchange: str, answer: object, trades: bool, withdraws: bool
) -> None:
    said = asyncio.run(answering(exchange, answer).key_rights())

    assert said == KeyRights(trades=trades, withdraws=withdraws)


@pytest.mark.parametrize(
    ("exchange", "answer"),
    [
        ("binance", {}),
        ("binance", {"enableSpotAndMarginTrading": True}),
        ("binance", None),
        ("bybit", {"result": {}}),
        ("bybit", {"result": {"readOnly": 0, "permissions": None}}),
        ("bybit", bybit(0, None, [])),
        ("bybit", bybit(0, ["SpotTrade"], None)),
        ("bybit", {"result": {"readOnly": 0, "permissions": {"Spot": ["SpotTrade"]}}}),
        ("bybit", {"result": {"permissions": {"Spot": ["SpotTrade"], "Wallet": []}}}),
    ],
)
def test_an_answer_that_does_not_say_is_no_answer(exchange: str, answer: object) -> None:
    with pytest.raises(VenueError, match="rights of the key: the answer does not say"):
        asyncio.run(answering(exchange, answer).key_rights())


@pytest.mark.parametrize(("said", "elsewhere"), [(True, True), (False, False), (None, True), ("false", True)])
def test_fees_in_another_asset_are_asked_for(said: object, elsewhere: bool) -> None:
    async def rights() -> object:
        return {"enableSpotAndMarginTrading": True, "enableWithdrawals": False}

    async def fees() -> object:
        return {"spotBNBBurn": said}

    client = SimpleNamespace(
        sapiGetAccountApiRestrictions=rights, sapiGetBnbBurn=fees, last_response_headers=None
    )
    assert asyncio.run(venue_at("binance", client).key_rights()).fees_elsewhere is elsewhere


# ----------------------------------------------------------------- gateway


def config_of(
    folder: Path, process: SandboxProcess, exchange: str, money: dict[str, object] | None = REAL_MONEY
) -> dict[str, object]:
    over = {"exchange": exchange, "name": exchange}
    return gateway_config(folder, process, venue_over=over, real_money=money)


@contextlib.asynccontextmanager
async def at(exchange: str, mine: dict[str, Any]) -> AsyncIterator[tuple[SandboxProcess, Path]]:
    with short_folder() as folder:
        async with sandbox(protocol=exchange, accounts=[mine]) as process:
            yield process, folder


async def refusal(folder: Path, process: SandboxProcess, exchange: str) -> str:
    """Return the one line with which a gateway did not begin to serve."""
    with pytest.raises(UnitEndedError) as ended:
        await start_unit("gateway", config_of(folder, process, exchange), folder)
    assert ended.value.code == 2
    (line,) = ended.value.errors.strip().splitlines()
    assert not (folder / "gw.journal").exists()
    assert not (folder / "account.json").exists()
    return line


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_real_money_is_not_served_with_a_key_that_can_withdraw_nor_with_too_little(exchange: str) -> None:
    async def run() -> None:
        async with at(exchange, account(can_withdraw=True, USDT="4999.99", BTC="1")) as (process, folder):
            line = await refusal(folder, process, exchange)
            assert f"the account 'main' at '{exchange}' may not be traded with real money: " in line
            assert "the API key may withdraw: make one that may not" in line
            assert "the account holds 4999.99 USDT, the desk needs 5000" in line
            assert (SECRET in line, KEY in line) == (False, False)

            # on paper nobody asks for that, and nothing is audited
            async with unit("gateway", config_of(folder, process, exchange, money=None), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                assert dict((await desk.hear(Balance)).assets) == {"BTC": D(1), "USDT": D("4999.99")}
                gateway.process.terminate()
                output, _ = await gateway.process.communicate()
                assert (output, gateway.process.returncode) == (b"", 0)
            assert not (folder / "account.json").exists()

    asyncio.run(run())


async def ended(gateway: UnitProcess) -> dict[str, Any]:
    """End a gateway by SIGTERM and return what it said of the account."""
    gateway.process.terminate()
    output, errors = await gateway.process.communicate()
    assert gateway.process.returncode == 0, errors.decode()
    (line,) = output.decode().splitlines()
    told: dict[str, Any] = json.loads(line)
    return told


async def buy(desk: FakeDesk, process: SandboxProcess, exchange: str, n: int, **over: Any) -> None:
    """Buy a hundredth of a bitcoin and hear of it."""
    last = await last_price(process, "BTC/USDT", exchange)
    desk.send(make_intent(n, venue=exchange, epoch=n, **{"ref_px": last} | over))
    await desk.hear(Ack)
    await desk.until(lambda: sum(each.qty for each in desk.of(Fill)) == D("0.01"))


def brought(process: SandboxProcess) -> dict[str, D]:
    """Return by asset what the exchange's own truth log says the account's trades brought."""
    sums: dict[str, D] = {}
    for each in process.truth("trade"):
        qty = D(each["qty"]) if each["side"] == "BUY" else -D(each["qty"])
        for asset, amount in (
            ("BTC", qty), ("USDT", -qty * D(each["price"])), (each["fee_asset"], -D(each["fee"]))
        ):  # fmt: skip
            sums[asset] = sums.get(asset, D(0)) + amount
    return sums


def exact(amounts: dict[str, str]) -> dict[str, D]:
    return {asset: D(amount) for asset, amount in amounts.items()}


@contextlib.asynccontextmanager
async def traded_at(exchange: str) -> AsyncIterator[tuple[SandboxProcess, Path, dict[str, object]]]:
    """Run an exchange whose market moved once, with an account that holds more than the desk's capital."""
    async with at(exchange, account(USDT="12345", BTC="2")) as (process, folder):
        market = await process.control()
        await market.go()
        await market.steps(1)
        yield process, folder, config_of(folder, process, exchange)
        await market.hang_up()


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_desk_is_served_its_capital_alone_and_the_account_is_audited_at_the_end(exchange: str) -> None:
    async def run() -> None:
        async with (
            traded_at(exchange) as (process, folder, config), unit("gateway", config, folder) as gateway
        ):  # fmt: skip
            desk = await FakeDesk.connect(gateway.socket)
            assert dict((await desk.hear(Balance)).assets) == {"USDT": CAPITAL}
            foreign = json.loads((folder / "account.json").read_bytes())["foreign"]
            assert foreign == {"BTC": "2", "USDT": "7345"}
            await buy(desk, process, exchange, 1)
            audit = (await ended(gateway))["audit"]
            assert (exact(audit["own"]), audit["other"]) == (brought(process), {})
            assert D(audit["own"]["BTC"]) > 0

    asyncio.run(run())


def test_a_second_life_is_served_what_the_first_one_made_of_the_capital() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            async with unit("gateway", config, folder) as gateway:
                await buy(await FakeDesk.connect(gateway.socket), process, "binance", 1)
                first = await ended(gateway)
            async with unit("gateway", config, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                own = brought(process)
                assert dict((await desk.hear(Balance)).assets) == own | {"USDT": CAPITAL + own["USDT"]}
                assert await ended(gateway) == first

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_somebody_else_trades_is_no_fill_of_the_desks(exchange: str) -> None:
    async def run() -> None:
        async with traded_at(exchange) as (process, folder, config):
            async with unit("gateway", config, folder) as gateway:
                await buy(await FakeDesk.connect(gateway.socket), process, exchange, 1)
                own = brought(process)
                await by_hand(exchange, process)
                audit = (await ended(gateway))["audit"]
            every = brought(process)
            assert exact(audit["own"]) == own
            assert exact(audit["other"]) == {asset: every[asset] - own[asset] for asset in ("BTC", "USDT")}
            assert D(audit["other"]["BTC"]) < 0
            more = {"real_money": REAL_MONEY | {"capital": "6000"}}
            with pytest.raises(UnitEndedError, match=r"begun with other money .capital was 5000, is 6000"):
                await start_unit("gateway", config | more, folder)

    asyncio.run(run())


async def by_hand(exchange: str, process: SandboxProcess) -> None:
    """Let somebody else trade with the account."""
    client = ADAPTERS[exchange].make_client(process.rest, process.ws, api_key=KEY, secret=SECRET)
    try:
        last = await last_price(process, "BTC/USDT", exchange)
        await client.load_markets()
        await client.create_order(
            "BTC/USDT", "limit", "sell", 0.01, float(last) * 0.99, {"timeInForce": "IOC"}
        )
    finally:
        await client.close()


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_rests_is_cancelled_when_the_gateway_ends(exchange: str) -> None:
    async def run() -> None:
        async with (
            traded_at(exchange) as (process, folder, config),
            unit("gateway", config, folder) as gateway,
        ):
            desk = await FakeDesk.connect(gateway.socket)
            last = await last_price(process, "BTC/USDT", exchange)
            px = (last * D("0.8")).quantize(D(1))
            desk.send(make_intent(1, venue=exchange, style="limit", tif="GTC", px=px, ref_px=px))
            await desk.hear(Ack)
            audit = (await ended(gateway))["audit"]
            assert (audit["unconfirmed"], audit["other"]) == ([], {})
            (last_state,) = [line["status"] for line in process.truth("order")][-1:]
            assert last_state == "CANCELED"

    asyncio.run(run())


def test_one_key_has_one_desk_on_a_machine() -> None:
    async def run() -> None:
        async with traded_at("binance") as (_, folder, config), unit("gateway", config, folder):
            (folder / "b").mkdir()
            other = {"journal": str(folder / "b" / "gw.journal"), "socket": str(folder / "b.sock")}
            with pytest.raises(UnitEndedError, match=r"process \d+ works with this key"):
                await start_unit("gateway", config | other, folder / "b")

    asyncio.run(run())


def test_a_desk_spends_no_more_than_its_part_and_sells_nothing_of_others() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            limits = {"limits": LIMITS | {"capital": {"USDT": "600"}}}
            async with unit("gateway", config | limits, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                last = await last_price(process, "BTC/USDT", "binance")
                priced = {"style": "limit", "px": (last * D("1.01")).quantize(D(1)), "ref_px": last}
                await buy(desk, process, "binance", 1, **priced)  # for about 500
                desk.send(make_intent(2, venue="binance", **priced))
                desk.send(make_intent(3, venue="binance", ref_px=last, side="sell", qty=D("0.02")))
                no = [await desk.hear(VenueReject, n) for n in (1, 2)]
                assert [each.code for each in no] == ["last_look:capital", "last_look:not_its_own"]

    asyncio.run(run())


def test_a_new_run_does_not_forget_what_the_last_one_holds() -> None:
    async def run() -> None:
        async with traded_at("binance") as (process, folder, config):
            last = folder / "home" / "runs" / "r1"
            last.mkdir(parents=True)
            settings = load_settings(None, {"home": folder / "home"})
            there = {"journal": str(last / "gateway.journal"), "instruments": str(last / "instruments.json")}
            async with unit("gateway", config | there, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                await desk.hear(Balance)
                refuse_to_forget(settings)  # it holds nothing yet
                await buy(desk, process, "binance", 1)
                await ended(gateway)
            with pytest.raises(
                UserError, match=r"^the run 'r1' still has 0\.00999 BTC: go on with it by --resume r1"
            ):
                refuse_to_forget(settings)

    asyncio.run(run())


@pytest.mark.long
def test_an_exchange_that_is_gone_at_the_end_is_said() -> None:
    async def run() -> None:
        async with (
            at("binance", account()) as (process, folder),
            unit("gateway", config_of(folder, process, "binance"), folder) as gateway,
        ):
            await process.stop()
            told = await ended(gateway)
            assert list(told) == ["audit"]
            assert told["audit"]["error"].startswith("balance: ExchangeNotAvailable")

    asyncio.run(run())
