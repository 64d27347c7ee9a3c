"""A real gateway between a desk's socket and a real exchange: at most once, and said in order.

Not here: the last look's rules one by one (tests/unit/runtime/test_lastlook.py), the exchange itself
(`test_sandbox_client`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.instruments import Instrument
from parley.messages import (
    Ack,
    Attempt,
    Balance,
    Fill,
    Heartbeat,
    Intent,
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
)
from runtime import kill_file
from runtime.held_orders import DROP, RELEASE, word_of
from runtime.journal import JournalReader, verify
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox
from tests.kit.units import (
    SYMBOLS,
    FakeDesk,
    UnitProcess,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    unit,
)

Scenario = Callable[["Stage"], Awaitable[None]]
Play = Callable[[Scenario], None]


numbers = itertools.count()


class Stage:
    """A running exchange, gateway and desk."""

    def __init__(self, venue: SandboxProcess, gateway: UnitProcess, folder: Path) -> None:
        self.venue = venue
        self.gateway = gateway
        self.folder = folder
        self.desk: FakeDesk

    async def order(self, symbol: str = "BTC/USDT", **over: Any) -> Intent:
        """Make an order nobody made before, at the exchange's last price."""
        over.setdefault("ref_px", await self.price(symbol))
        return make_intent(next(numbers), symbol=symbol, **over)

    async def price(self, symbol: str = "BTC/USDT") -> Decimal:
        """Ask the exchange for the last price, like anybody."""
        async with self.venue.client() as exchange:
            return Decimal((await exchange.fetch_ticker(symbol))["info"]["lastPrice"])

    def truth(self, event: str, intent: Intent) -> list[dict[str, Any]]:
        """What the exchange wrote down about an order."""
        return [line for line in self.venue.truth(event) if line.get("client_order_id") == intent.cid]

    async def events(self, status: str) -> None:
        """Wait until the desk heard of an order in this state."""
        await self.desk.until(lambda: any(each.status == status for each in self.desk.of(OrderEvent)))


@contextlib.asynccontextmanager
async def stage(folder: Path, **venue_over: object) -> AsyncIterator[Stage]:
    """Run exchange and gateway, with one step of market played."""
    async with sandbox() as venue:
        config = gateway_config(folder, venue, venue_over=venue_over)
        async with unit("gateway", config, folder) as gateway:
            market = await venue.control()
            await market.go()
            await market.steps(1)
            running = Stage(venue, gateway, folder)
            running.desk = await FakeDesk.connect(gateway.socket)
            yield running
            running.desk.link.close("the test is over")
            await market.hang_up()


def play_alone(scenario: Scenario, **venue_over: object) -> None:
    """Play a scenario that breaks something, on a stage of its own."""

    async def run() -> None:
        with short_folder() as folder:
            async with stage(folder, **venue_over) as running:
                await scenario(running)

    asyncio.run(run())


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    """Play scenarios that break nothing on one stage; each gets a desk of its own."""
    with asyncio.Runner() as runner, short_folder() as folder:
        context = stage(folder)
        running = runner.run(context.__aenter__())

        async def with_new_desk(scenario: Scenario) -> None:
            running.desk = await FakeDesk.connect(running.gateway.socket)
            await scenario(running)

        yield lambda scenario: runner.run(with_new_desk(scenario))
        runner.run(context.__aexit__(None, None, None))


def test_connecting_desk_hears_balance_instruments_and_clock(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        balance = await stage.desk.hear(Balance)
        beat = await stage.desk.hear(Heartbeat, 2)

        assert dict(balance.assets).keys() == ACCOUNT["balances"].keys()
        assert 0 <= beat.offset_ms < 1000
        listed = stage.desk.controls[0].removeprefix("instruments:")
        instruments = msgspec.json.decode(listed, type=dict[str, Instrument])
        assert sorted(instruments) == sorted(SYMBOLS)
        assert msgspec.json.decode(
            (stage.folder / "instruments.json").read_bytes(), type=list[Instrument]
        ) == list(instruments.values())
        async with stage.venue.client() as exchange:
            await exchange.load_markets()
            filters = {each["filterType"]: each for each in exchange.markets["BTC/USDT"]["info"]["filters"]}
        btc = instruments["BTC/USDT"]
        assert btc.tick == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert btc.lot == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert btc.min_notional == Decimal(filters["NOTIONAL"]["minNotional"])
        assert (btc.maker_fee, btc.taker_fee) == (Decimal("0.001"), Decimal("0.001"))

    play(scenario)


def test_market_order_is_attempted_filled_and_answered_in_that_order(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        intent = await stage.order()
        seq = stage.desk.send(intent)
        await stage.desk.hear(Ack)

        said = [m for m in stage.desk.messages if not isinstance(m, Balance | Heartbeat)]
        fills = stage.desk.of(Fill)
        order = ["Attempt", *["Fill"] * len(fills), "OrderEvent", "Ack"]
        assert [type(each).__name__ for each in said] == order
        assert sum(each.qty for each in fills) == intent.qty
        assert [(f.trade_id, f.qty, f.px, f.fee, f.fee_asset, f.liquidity) for f in fills] == [
            (
                str(t["trade_id"]), Decimal(t["qty"]), Decimal(t["price"]), Decimal(t["fee"]), t["fee_asset"],
                t["liquidity"],
            )
            for t in stage.truth("trade", intent)
        ]  # fmt: skip
        assert {e.cause for e in stage.desk.envelopes if isinstance(decode(e.body), Attempt | Ack)} == {seq}
        attempt = stage.desk.of(Attempt)[0]
        assert attempt.fence_until > attempt.t_send

    play(scenario)


@pytest.mark.parametrize(
    ("style", "tif", "type_", "in_force"),
    [
        ("limit", "GTC", "LIMIT", "GTC"),
        ("limit", "IOC", "LIMIT", "IOC"),
        ("limit", "FOK", "LIMIT", "FOK"),
        ("post_only", "GTC", "LIMIT_MAKER", "GTC"),
    ],
)
def test_styles_and_exact_numbers_reach_the_exchange(
    play: Play, style: str, tif: str, type_: str, in_force: str
) -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        px = (last * Decimal("0.99")).quantize(Decimal("0.01"))
        intent = await stage.order(style=style, tif=tif, px=px, qty=Decimal("0.01234"))
        stage.desk.send(intent)
        await stage.desk.hear(Ack)

        order = stage.truth("order", intent)[0]
        assert (order["type"], order["time_in_force"]) == (type_, in_force)
        assert (Decimal(order["price"]), Decimal(order["qty"])) == (px, Decimal("0.01234"))

    play(scenario)


def test_answer_and_stream_tell_the_same_fill(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        intent = await stage.order()
        async with stage.venue.client() as exchange:
            watching = asyncio.ensure_future(exchange.watch_my_trades())
            while not any(each.last_message_at for each in exchange.clients.values()):
                await asyncio.sleep(0.01)
            stage.desk.send(intent)
            await watching
            raw = [each["info"] for each in exchange.myTrades]
        assert raw
        # the desk's socket may be slower than the exchange's
        await stage.desk.hear(Fill, len(raw))
        fills = {each.trade_id: each for each in stage.desk.of(Fill)}

        for each in raw:
            fill = fills[str(each["t"])]
            assert (fill.qty, fill.px, fill.fee) == (
                Decimal(each["l"]),
                Decimal(each["L"]),
                Decimal(each["n"]),
            )
            assert (fill.fee_asset, fill.t, fill.liquidity) == (each["N"], each["T"] * 1_000_000, "taker")

    play(scenario)


def test_same_order_twice_is_sent_once(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        intent = await stage.order()
        stage.desk.send(intent)
        stage.desk.send(intent)
        no = await stage.desk.hear(VenueReject)
        await stage.desk.hear(Fill)

        assert (no.code, no.definitive) == ("last_look:duplicate_cid", False)
        assert len({order["order_id"] for order in stage.truth("order", intent)}) == 1

    play(scenario)


def test_refusal_by_the_exchange_is_definitive_and_names_why(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.send(await stage.order("ETH/USDT", side="sell", qty=Decimal(1000)))
        no = await stage.desk.hear(VenueReject)

        assert (no.code, no.definitive) == ("venue:insufficient_funds", True)

    play(scenario)


def test_refused_by_the_last_look_never_reaches_the_exchange(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        large, halted = await stage.order(qty=Decimal(100_000)), await stage.order()
        flag = stage.folder / "HALT"
        stage.desk.send(large)
        await stage.desk.hear(VenueReject)
        kill_file.write(flag, "kill", ["firm"], mode="block", reason="enough")
        stage.desk.send(halted)
        await stage.desk.hear(VenueReject, 2)
        kill_file.write(flag, "release", ["firm"])

        said = [(each.code, each.definitive) for each in stage.desk.of(VenueReject)]
        assert said == [("last_look:max_notional", True), ("last_look:halted", True)]
        assert stage.truth("order", large) + stage.truth("order", halted) == []

    play(scenario)


def test_order_is_written_at_once_and_sent_only_when_its_desk_releases_it(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        held, other = await stage.order("ETH/USDT"), await stage.order()
        seq = stage.desk.send(held, release=False)
        stage.desk.send(other)
        await stage.desk.hear(Ack)
        config = json.loads((stage.folder / "gateway.json").read_text())
        written = [decode(r.body) for r in JournalReader(config["journal"]).records()]
        assert held.cid in [each.cid for each in written if isinstance(each, Attempt)]
        assert [each.iid for each in stage.desk.of(Attempt)] == [other.iid]
        assert stage.truth("order", held) == []

        stage.desk.say(word_of(RELEASE, [seq]))
        await stage.desk.hear(Ack, 2)
        assert len({order["order_id"] for order in stage.truth("order", held)}) == 1

    play(scenario)


def test_order_its_desk_takes_back_is_never_sent(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        back = await stage.order()
        seq = stage.desk.send(back, release=False)
        stage.desk.say(word_of(DROP, [seq]))
        stage.desk.say(word_of(RELEASE, [seq]))
        no = await stage.desk.hear(VenueReject)
        stage.desk.send(await stage.order())
        await stage.desk.hear(Ack)

        assert (no.iid, no.code, no.definitive) == (back.iid, "last_look:unreleased", True)
        assert stage.truth("order", back) == []

    play(scenario)


def test_order_of_a_desk_that_dies_before_its_word_is_never_sent() -> None:
    async def scenario(stage: Stage) -> None:
        orphan = await stage.order()
        stage.desk.send(orphan, release=False)
        stage.desk.send(await stage.order())
        await stage.desk.hear(Ack)
        stage.desk.link.close("this desk is dead", abort=True)
        stage.desk = await FakeDesk.connect(stage.gateway.socket)
        stage.desk.say(word_of(RELEASE, [1]))  # the first number of both desks
        stage.desk.send(await stage.order())
        await stage.desk.hear(Ack)

        config = json.loads((stage.folder / "gateway.json").read_text())
        written = [decode(r.body) for r in JournalReader(config["journal"]).records()]
        ends = [(each.iid, each.code) for each in written if isinstance(each, VenueReject)]
        assert ends == [(orphan.iid, "last_look:unreleased")]
        assert stage.truth("order", orphan) == []

    play_alone(scenario)


def test_resting_order_is_cancelled_by_its_client_id(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        px = (last * Decimal("0.9")).quantize(Decimal("0.01"))
        intent = await stage.order(style="limit", tif="GTC", px=px)
        stage.desk.send(intent)
        stage.desk.send(make_cancel(intent))
        await stage.events("canceled")
        stage.desk.send(make_cancel(intent, n=2))
        gone = await stage.desk.hear(VenueReject)

        assert [each.cancel for each in stage.desk.of(Ack)] == [False, True]
        assert [each.status for each in stage.desk.of(OrderEvent)] == ["open", "canceled"]
        assert (gone.cancel, gone.definitive) == (True, True)

    play(scenario)


def test_exchange_that_vanishes_leaves_the_order_unknown() -> None:
    async def scenario(stage: Stage) -> None:
        intent = await stage.order()
        await stage.venue.stop()
        stage.desk.send(intent)
        unknown = await stage.desk.hear(Unknown)

        assert unknown.iid == intent.iid
        assert len(stage.desk.of(Attempt)) == 1

    play_alone(scenario)


def test_silent_exchange_leaves_the_order_unknown_and_it_is_not_sent_again() -> None:
    async def scenario(stage: Stage) -> None:
        intent = await stage.order()
        stage.venue.process.send_signal(signal.SIGSTOP)
        stage.desk.send(intent)
        unknown = await stage.desk.hear(Unknown)
        stage.venue.process.send_signal(signal.SIGCONT)
        stage.desk.send(intent)
        no = await stage.desk.hear(VenueReject)
        # The request lay in the socket: the exchange woke up and took it, and the stream tells.
        fill = await stage.desk.hear(Fill)

        assert unknown.iid == fill.iid == intent.iid
        assert no.code == "last_look:duplicate_cid"
        assert len({order["order_id"] for order in stage.truth("order", intent)}) == 1

    play_alone(scenario, recv_window_ms=60_000, timeout_ms=1000)


def test_restarted_gateway_refuses_what_it_sent_and_owns_up_to_what_it_does_not_know() -> None:
    async def scenario(stage: Stage) -> None:
        done, lost = await stage.order(), await stage.order()
        stage.desk.send(done)
        await stage.events("closed")
        stage.venue.process.send_signal(signal.SIGSTOP)
        stage.desk.send(lost)
        await stage.desk.hear(Attempt, 2)
        stage.gateway.process.kill()
        await stage.gateway.process.wait()
        stage.venue.process.send_signal(signal.SIGCONT)

        config = json.loads((stage.folder / "gateway.json").read_text())
        async with unit("gateway", config, stage.folder) as second:
            desk = await FakeDesk.connect(second.socket)
            desk.send(done)
            desk.send(lost)
            await desk.hear(VenueReject, 2)
            assert {each.code for each in desk.of(VenueReject)} == {"last_look:duplicate_cid"}
        said = [decode(each.body) for each in JournalReader(config["journal"]).records()]
        assert [each.iid for each in said if isinstance(each, Unknown)] == [lost.iid]
        assert [each.cid for each in said if isinstance(each, Attempt)] == [done.cid, lost.cid]
        assert len({order["order_id"] for order in stage.truth("order", done)}) == 1

    play_alone(scenario)


def test_everything_said_is_in_a_sealed_journal_that_verifies() -> None:
    async def run() -> None:
        with short_folder() as folder:
            config = gateway_config(folder, None)
            async with unit("gateway", config, folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                for n in range(20):
                    desk.send(make_intent(n, symbol=SYMBOLS[n % 2]))
                desk.send(make_intent(20, symbol="NO/SUCH"))
                await desk.hear(Ack, 20)
                await desk.hear(VenueReject)
                heard = {(e.seq, e.kind, e.body) for e in desk.envelopes if e.seq}
            path = Path(str(config["journal"]))
            assert verify(path).ok
            assert len(heard) == 1 + 20 * 3 + 1  # the balance; attempt, fill and ack of each; the refusal
            assert heard <= {(each.seq, each.kind, each.body) for each in JournalReader(path).records()}

    asyncio.run(run())


def test_order_past_its_time_is_not_sent() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                desk.send(make_intent(send_by=time.monotonic_ns() - 1))
                no = await desk.hear(VenueReject)
                assert (no.code, no.definitive) == ("last_look:too_late", True)
                assert desk.of(Attempt) == []

    asyncio.run(run())


def test_order_that_was_refused_for_good_is_none_when_it_comes_again() -> None:
    """A desk that died before it heard the refusal may ask for it again, when nothing stands against it."""

    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                desk.send(make_intent(send_by=time.monotonic_ns() - 1))
                await desk.hear(VenueReject)
                desk.send(make_intent(send_by=time.monotonic_ns() + 60_000_000_000))
                await desk.until(lambda: len(desk.of(VenueReject)) == 2 or bool(desk.of(Attempt)))
                assert desk.of(Attempt) == []
                again = desk.of(VenueReject)[1]
                assert (again.code, again.definitive) == ("last_look:duplicate_cid", True)

    asyncio.run(run())
