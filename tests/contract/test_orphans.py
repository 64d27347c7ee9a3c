"""A gateway that lost some of its journal or all: it does not begin beside old orders; they can be cancelled.

Real processes, the unmodified ccxt.pro clients and the command `parley orphans` at a sandbox exchange that
speaks as each venue; the truth log is the judge. Not here: reasons that need no exchange
(tests/unit/runtime/test_orphans.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from parley.ids import tenant_tag
from parley.messages import Ack, Intent
from tests.kit.adapters import Adapted, adapter
from tests.kit.generic import connected
from tests.kit.person import PARLEY, Person
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox
from tests.kit.shared_stage import Shared, shared
from tests.kit.units import (
    FakeDesk,
    UnitEndedError,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    start,
    unit,
)
from tests.kit.usdm import usdm_client
from tests.kit.venues import VENUES, last_price
from venues.port import Acked, VenueError

pytestmark = pytest.mark.timeout(180)
TAG = tenant_tag("local")
CAPITAL = 5000
MONEY: dict[str, object] = {"quote": "USDT", "capital": f"{CAPITAL}", "max_clock_offset_ms": 5000}
LIVE = ("binance", "binanceusdm", "bybit", "okx", "kucoin")
PERPETUALS = {"kind": "synthetic", "candles": 40, "history": 60, "assets": ["BTC", "ETH"], "timeframe": "1h"}


@dataclass
class Place:
    """An exchange, a gateway's configuration, somebody else with the key, and a home."""

    exchange: str
    process: SandboxProcess
    folder: Path
    config: dict[str, object]
    person: Any
    symbol: str
    px: D

    def order(self, n: int) -> Intent:
        """Make the n-th order that rests."""
        return make_intent(
            n, venue=self.exchange, symbol=self.symbol, style="limit", tif="GTC", px=self.px, qty=D("0.01"),
            ref_px=self.px,
        )  # fmt: skip

    def config_of(self, run: str) -> dict[str, object]:
        """Return the configuration with the journal of a run of the home."""
        journal = self.folder / "runs" / run / "gateway.journal"
        journal.parent.mkdir(parents=True, exist_ok=True)
        return self.config | {"journal": str(journal)}

    async def place_and_die(self, run: str, count: int) -> list[str]:
        """Let the gateway of a run place orders that rest, kill it, and return their client ids."""
        running = await start("gateway", self.config_of(run), self.folder)
        desk = await FakeDesk.connect(running.socket)
        orders = [self.order(n) for n in range(count)]
        for each in orders:
            desk.send(each)
        await desk.until(lambda: len(desk.of(Ack)) == count)
        running.process.kill()
        await running.process.wait()
        return sorted(each.cid for each in orders)

    def lose(self, run: str) -> None:
        """Lose a run's folder."""
        for each in (self.folder / "runs" / run).iterdir():
            each.unlink()

    async def refusal(self, run: str, name: str = "gateway") -> str:
        """Return the one line with which the gateway of a run did not begin, or another unit ended."""
        config = self.config_of(run)
        with pytest.raises(UnitEndedError) as no:
            await start(name, config, self.folder)
        assert no.value.code == 2
        (line,) = no.value.errors.strip().splitlines()
        return line

    def settings(self) -> Path:
        """Write the desk's settings."""
        settings = self.folder / "desk.toml"
        keys = json.dumps(str(self.folder / "keys.json"))
        settings.write_text(
            f'home = "{self.folder}"\nvenue = "{self.exchange}"\npairs = ["{self.symbol}"]\n'
            f"capital = {CAPITAL}\n[live]\nkeys = {keys}\n"
            f'rest = "{self.process.rest}"\nws = "{self.process.ws}"\n'
            "[limits]\nmax_order_notional = 0.1\nmax_position = 0.2\nmax_daily_loss = 0.02\n"
            "max_drawdown = 0.05\n"
        )
        return settings

    async def orphans(self, *options: str) -> tuple[int, dict[str, Any], str]:
        """Run the command; returns its exit code, what it told, and what it said for people."""
        types, settings = Person(self.folder).types, self.settings()
        done = await asyncio.to_thread(types, "orphans", "--config", settings, "--json", *options)
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    async def answers(self, word: str) -> tuple[int, str]:
        """Run the command at a terminal and type a word; returns its exit code and what it wrote."""
        mine, its = pty.openpty()
        command = [PARLEY, "orphans", "--config", str(self.settings())]
        try:
            os.write(mine, f"{word}\n".encode())
            done = await asyncio.to_thread(
                subprocess.run, command, stdin=its, capture_output=True, text=True, check=False,
                env=Person(self.folder).environment, timeout=60,
            )  # fmt: skip
        finally:
            os.close(mine)
            os.close(its)
        return done.returncode, done.stdout + done.stderr

    async def foreign(self, over: dict[str, str] | None = None) -> str:
        """Let somebody else place an order, and return the exchange's id of it."""
        made = await self.person.create_order(self.symbol, "limit", "buy", 0.01, float(self.px), over or {})
        return str(made["id"])

    async def resting(self) -> set[str]:
        """Return the exchange's ids of all that rests."""
        return {str(each["id"]) for each in await self.person.fetch_open_orders(self.symbol)}


@contextlib.asynccontextmanager
async def at(exchange: str) -> AsyncIterator[Place]:
    """Run an exchange with a harmless key."""
    is_usdm = exchange == "binanceusdm"
    with short_folder() as folder:
        # a key of its own: what trades with one holds a lock of the whole machine
        mine = ACCOUNT | {"can_withdraw": False, "balances": {"USDT": "50000"}, "api_key": folder.name}
        opened = (
            sandbox(PERPETUALS, protocol=exchange, accounts=[mine])
            if is_usdm
            else VENUES[exchange].sandbox(accounts=[mine])
        )
        async with opened as process, contextlib.AsyncExitStack() as stack:
            client = usdm_client if is_usdm else VENUES[exchange].client
            person = await stack.enter_async_context(client(process, folder.name))
            await person.load_markets()
            symbol = "BTC/USDT:USDT" if is_usdm else "BTC/USDT"
            last = D(await VENUES["binance" if is_usdm else exchange].told_last(person, symbol))
            over: dict[str, object] = {"exchange": exchange, "name": exchange, "lag_ms": 200}
            over["symbols"] = [symbol]
            config = gateway_config(folder, process, over, real_money=MONEY)
            keys = folder / "keys.json"
            keys.write_text(json.dumps(json.loads(keys.read_text()) | {"api_key": folder.name}))
            px = (last * D("0.8")).quantize(D("0.1"))
            yield Place(exchange, process, folder, config, person, symbol, px)


@pytest.mark.long
@pytest.mark.parametrize("exchange", LIVE)
def test_a_gateway_without_its_journal_begins_only_when_its_old_orders_are_gone(exchange: str) -> None:
    async def run() -> None:
        async with at(exchange) as place:
            foreign = await place.foreign()
            cids = await place.place_and_die("r1", 4)
            place.lose("r1")
            resting = await place.resting()
            assert len(resting) == 5

            line = await place.refusal("r2")
            assert (
                "real money: orders of ours rest there that this run never sent: 4 in"
                f" {place.symbol} ({', '.join(cids[:3])}, ...): unless another machine trades there, look at"
                " them and cancel them with 'parley orphans --config FILE', FILE being this desk's settings"
            ) in line
            left = {each.name for each in (place.folder / "runs" / "r2").iterdir()}
            assert left <= {"gateway.journal.lock"}
            looked = await place.refusal("r2", "preflight")  # before anybody is asked to confirm
            assert looked == line.replace("gateway: ", "preflight: ", 1)

            code, told, _ = await place.orphans()
            assert (code, told["cancelled"]) == (1, [])
            assert sorted(each["cid"] for each in told["found"]) == sorted(told["left"]) == cids
            assert {each["symbol"] for each in told["found"]} == {place.symbol}
            assert {each["terms"].split()[0] for each in told["found"]} == {"buy"}
            assert {D(each["terms"].split()[3]) for each in told["found"]} == {place.px}
            code, told, said = await place.orphans("--cancel", "kraken")
            assert (code, told) == (2, {})
            assert f"not confirmed: expected '{exchange}', was 'kraken'; nothing was cancelled" in said
            assert await place.resting() == resting

            code, told, _ = await place.orphans("--cancel", exchange)
            assert (code, sorted(told["cancelled"]), told["left"]) == (0, cids, {})
            assert await place.resting() == {foreign}
            code, told, _ = await place.orphans()
            assert (code, told["found"]) == (0, [])
            async with unit("gateway", place.config_of("r2"), place.folder):
                code, told, said = await place.orphans()
                assert (code, told) == (2, {})
                assert "works with this key, and one account has one desk already" in said
            assert await place.resting() == {foreign}

    asyncio.run(run())


def test_what_an_ended_run_left_keeps_another_from_beginning_and_is_cancelled_only_by_its_id() -> None:
    async def run() -> None:
        async with at("binance") as place:
            cids = await place.place_and_die("r1", 2)
            line = await place.refusal("r2")
            assert f"2 in BTC/USDT of the ended run r1 ({', '.join(cids)})" in line
            code, told, _ = await place.orphans("--cancel", "binance")
            assert (code, told["cancelled"], sorted(told["left"])) == (1, [], cids)
            assert {each["run"] for each in told["found"]} == {"r1"}
            why = "the ended run r1 is gone on with by --resume r1; it is cancelled only where --id names it"
            assert set(told["left"].values()) == {why}
            code, told, said = await place.orphans("--cancel", "binance", "--id", cids[0], "--id", "x")
            assert (code, told) == (2, {})
            assert "x: no such order rests there; nothing was cancelled" in said
            code, told, _ = await place.orphans("--cancel", "binance", "--id", cids[0])
            assert (code, told["cancelled"]) == (1, [cids[0]])
            assert told["left"] == {cids[1]: "it was not named"}
            async with unit("gateway", place.config_of("r1"), place.folder):  # gone on with
                assert len(await place.resting()) == 1
            (place.folder / "runs" / "r1" / "gateway.journal").write_bytes(b"no journal")
            code, told, _ = await place.orphans("--cancel", "binance")
            assert (code, told["found"]) == (0, [])  # its gateway swept it at its end

    asyncio.run(run())


def test_a_run_from_an_older_backup_is_not_gone_on_with_beside_its_later_orders() -> None:
    async def run() -> None:
        async with at("binance") as place:
            (known,) = await place.place_and_die("r1", 1)
            # what the journal of its last hours knew, and the one that came back does not
            later = place.order(1).cid
            await place.foreign({"newClientOrderId": later})

            for name in ("gateway", "preflight"):
                line = await place.refusal("r1", name)
                assert (
                    f"orders of ours rest there that this run never sent: 1 in BTC/USDT ({later}): " in line
                )
            code, told, _ = await place.orphans("--cancel", "binance")
            assert (code, told["cancelled"], list(told["left"])) == (1, [later], [known])
            async with unit("gateway", place.config_of("r1"), place.folder):
                assert len(await place.resting()) == 1

    asyncio.run(run())


@pytest.mark.long
def test_at_a_terminal_it_shows_them_and_cancels_where_the_exchange_is_named() -> None:
    async def run() -> None:
        async with at("binance") as place:
            (cid,) = await place.place_and_die("r1", 1)
            place.lose("r1")

            code, said = await place.answers("")
            assert code == 1
            assert "type binance to cancel them, nothing to leave them" in said
            assert f"buy 0.01000000 at {place.px:.8f}" in said
            assert cid in said
            assert "nothing was cancelled; to cancel them say --cancel binance" in said
            code, said = await place.answers("yes")
            assert code == 2
            assert "not confirmed: expected 'binance', was 'yes'; nothing was cancelled" in said
            assert len(await place.resting()) == 1
            code, said = await place.answers("binance")
            assert code == 0
            assert "cancelled: 1; binance lists none of them any more" in said
            assert await place.resting() == set()
            code, said = await place.answers("")
            assert code == 0
            assert "no orders of ours rest at binance in the pairs of the settings" in said

    asyncio.run(run())


# ------------------------------------------------------------------ adapters


@pytest.fixture(scope="module")
def friendly(request: pytest.FixtureRequest) -> Iterator[Shared[Adapted]]:
    """An adapter at an exchange that is not hostile."""
    with shared(adapter(request.param)) as adapted:
        yield adapted


# Hyperliquid's list of open orders is not one that the sandbox has (tests/unit/venues/test_resting.py).
LISTED = ("binance", "bybit", "okx", "kucoin", "kraken", "coinbase")


@pytest.mark.parametrize("friendly", LISTED, indirect=True)
def test_an_adapter_lists_what_bears_the_tag_and_nothing_else(friendly: Shared[Adapted]) -> None:
    async def story(adapted: Adapted) -> None:
        venue, orders, at_ = adapted.venue, adapted.orders, adapted.at
        assert list(await venue.resting(TAG)) == []
        mine = [orders.limit() for _ in range(2)]
        answers = {}
        for each in mine:
            answer = await venue.send(each)
            assert isinstance(answer, Acked)
            answers[each.cid] = answer.venue_id
        async with at_.client(adapted.process) as person:
            await person.load_markets()
            market, px = person.market(at_.btc)["id"], f"{mine[0].px}"
            if at_.name == "kraken":  # ccxt cannot read its answer
                terms = {"type": "buy", "ordertype": "limit", "volume": "0.01", "price": px}
                await person.privatePostAddOrder({"pair": market, **terms})
            else:
                await person.create_order(at_.btc, "limit", "buy", 0.01, float(px))
        found = await venue.resting(TAG)
        assert {each.cid: each.venue_id for each in found} == answers
        assert {each.symbol for each in found} == {at_.btc}
        for each in found:
            side, qty, _, px_told = each.terms.split()
            assert (side, D(qty), D(px_told)) == ("buy", mine[0].qty, mine[0].px)
        if at_.name != "kraken":  # which is told no tag
            assert list(await venue.resting("zzzzz")) == []
        assert isinstance(await venue.cancel(make_cancel(mine[0])), Acked)
        assert [each.cid for each in await venue.resting(TAG)] == [mine[1].cid]

    friendly.play(story)


@pytest.mark.parametrize("exchange", ["bybit", pytest.param("okx", marks=pytest.mark.long)])
def test_a_list_of_several_pages_is_read_whole(exchange: str) -> None:
    async def run() -> None:
        async with adapter(exchange) as adapted:
            mine = [adapted.orders.limit("0.5") for _ in range(120)]
            for each in mine:
                assert isinstance(await adapted.venue.send(each), Acked)
            found = await adapted.venue.resting(TAG)
            assert sorted(each.cid for each in found) == sorted(each.cid for each in mine)

    asyncio.run(run())


def test_the_generic_adapter_lists_them_and_is_not_sure_of_a_page_that_is_full() -> None:
    async def run() -> None:
        async with (
            sandbox(protocol="bybit") as process,
            connected("bybitid", process, ["BTC/USDT"], generic=True) as venue,
        ):
            px = (await last_price(process, "BTC/USDT", "bybit") * D("0.5")).quantize(D("0.01"))
            over = {"style": "limit", "tif": "GTC", "px": px, "ref_px": px}
            mine = [make_intent(n, **over) for n in range(50)]
            for each in mine[:49]:
                assert isinstance(await venue.send(each), Acked)
            assert sorted(each.cid for each in await venue.resting(TAG)) == sorted(
                each.cid for each in mine[:49]
            )
            assert list(await venue.resting("zzzzz")) == []
            assert isinstance(await venue.send(mine[49]), Acked)
            with pytest.raises(VenueError, match=r"^open orders of BTC/USDT: 50 came, and one answer holds"):
                await venue.resting(TAG)
            assert isinstance(await venue.cancel(make_cancel(mine[7])), Acked)
            assert mine[7].cid not in {each.cid for each in await venue.resting(TAG)}

    asyncio.run(run())
