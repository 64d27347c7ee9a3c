"""A real gateway between a desk's socket and a real exchange: at most once, and said in order.

Not here: the last look's rules one by one (tests/unit/runtime/test_lastlook.py), the exchange itself
(`test_sandbox_client`).
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
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
    OrderEvent,
    Unknown,
    VenueReject,
    decode,
)
from runtime.journal import JournalReader, verify
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox
from tests.kit.units import (
    SYMBOLS,
    FakeDesk,
    UnitEndedError,
    UnitProcess,
    gateway_config,
    make_cancel,
    make_intent,
    short_folder,
    start,
    unit,
)

Scenario = Callable[["Stage"], Awaitable[None]]


class Stage:
    """A running exchange, gateway and desk."""

    def __init__(self, venue: SandboxProcess, gateway: UnitProcess, desk: FakeDesk, folder: Path) -> None:
        self.venue = venue
        self.gateway = gateway
        self.desk = desk
        self.folder = folder

    async def price(self, symbol: str = "BTC/USDT") -> Decimal:
        """Ask the exchange for the last price, like anybody."""
        async with self.venue.client() as exchange:
            return Decimal((await exchange.fetch_ticker(symbol))["info"]["lastPrice"])

    def truth(self, event: str) -> list[dict[str, Any]]:
        """What the exchange wrote down about our account."""
        return [line for line in self.venue.truth(event) if line.get("account") == ACCOUNT["name"]]


def play(scenario: Scenario, **over: object) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox() as venue, unit("gateway", gateway_config(folder, venue, **over), folder) as gateway:
                control = await venue.control()
                await control.go()
                await control.steps(1)
                desk = await FakeDesk.connect(gateway.socket)
                await scenario(Stage(venue, gateway, desk, folder))

    asyncio.run(run())


def test_connecting_desk_hears_balance_instruments_and_clock() -> None:
    async def scenario(stage: Stage) -> None:
        balance = await stage.desk.hear(Balance)
        beat = await stage.desk.hear(Heartbeat, 2)

        assert dict(balance.assets) == {each: Decimal(amount) for each, amount in ACCOUNT["balances"].items()}
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


def test_market_order_is_attempted_acked_and_filled_in_that_order() -> None:
    async def scenario(stage: Stage) -> None:
        intent = make_intent(ref_px=await stage.price())
        stage.desk.send(intent, seq=77)
        await stage.desk.until(lambda: any(e.status == "closed" for e in stage.desk.of(OrderEvent)))

        said = [m for m in stage.desk.messages if not isinstance(m, Balance | Heartbeat)]
        kinds = [type(each).__name__ for each in said]
        fills = stage.desk.of(Fill)
        assert kinds[:2] == ["Attempt", "Ack"]
        assert kinds[2:] == ["Fill"] * len(fills) + ["OrderEvent"]
        assert sum(each.qty for each in fills) == intent.qty
        trades = stage.truth("trade")
        assert [(f.trade_id, f.qty, f.px, f.fee, f.fee_asset, f.liquidity) for f in fills] == [
            (str(t["trade_id"]), Decimal(t["qty"]), Decimal(t["price"]), Decimal(t["fee"]), t["fee_asset"], t["liquidity"])
            for t in trades
        ]
        assert {t["client_order_id"] for t in trades} == {intent.cid}
        assert {e.cause for e in stage.desk.envelopes if e.kind in (55, 56)} == {77}
        attempt = stage.desk.of(Attempt)[0]
        assert attempt.fence_until > attempt.t_send

    play(scenario)


@pytest.mark.parametrize(
    ("style", "tif", "type_", "in_force"),
    [
        ("limit", "GTC", "LIMIT", "GTC"),
        ("limit", "IOC", "LIMIT", "IOC"),
        ("limit", "FOK", "LIMIT", "FOK"),
        ("post_only", "GTC", "LIMIT_MAKER", None),
    ],
)
def test_styles_and_exact_numbers_reach_the_exchange(style: str, tif: str, type_: str, in_force: str | None) -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        px = (last * Decimal("0.99")).quantize(Decimal("0.01"))
        intent = make_intent(style=style, tif=tif, px=px, qty=Decimal("0.01234"), ref_px=last)
        stage.desk.send(intent)
        await stage.desk.hear(Ack)

        order = stage.truth("order")[0]
        assert order["type"] == type_
        assert order["time_in_force"] == (in_force or order["time_in_force"])
        assert (Decimal(order["price"]), Decimal(order["qty"])) == (px, Decimal("0.01234"))
        assert order["client_order_id"] == intent.cid

    play(scenario)


def test_same_order_twice_is_sent_once() -> None:
    async def scenario(stage: Stage) -> None:
        intent = make_intent(ref_px=await stage.price())
        stage.desk.send(intent)
        stage.desk.send(intent)
        no = await stage.desk.hear(VenueReject)
        await stage.desk.hear(Fill)

        assert (no.code, no.definitive) == ("last_look:duplicate_cid", False)
        assert len({order["order_id"] for order in stage.truth("order")}) == 1

    play(scenario)


def test_refusal_by_the_exchange_is_definitive_and_names_why() -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price("ETH/USDT")
        stage.desk.send(make_intent(symbol="ETH/USDT", side="sell", qty=Decimal(11), ref_px=last))
        no = await stage.desk.hear(VenueReject)

        assert (no.code, no.definitive) == ("venue:insufficient_funds", True)

    play(scenario, limits={"max_notional": {"USDT": "1e9"}, "max_position": {"USDT": "1e9"}})


def test_refused_by_the_last_look_never_reaches_the_exchange() -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        stage.desk.send(make_intent(qty=Decimal(1000), ref_px=last))
        no = await stage.desk.hear(VenueReject)
        (stage.folder / "HALT").touch()
        stage.desk.send(make_intent(1, ref_px=last))
        halted = await stage.desk.hear(VenueReject, 2)

        assert (no.code, no.definitive) == ("last_look:max_notional", True)
        assert (halted.code, halted.definitive) == ("last_look:halted", True)
        assert stage.truth("order") == []

    play(scenario)


def test_resting_order_is_cancelled_by_its_client_id() -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        px = (last * Decimal("0.9")).quantize(Decimal("0.01"))
        intent = make_intent(style="limit", tif="GTC", px=px, ref_px=last)
        stage.desk.send(intent)
        stage.desk.send(make_cancel(intent))
        await stage.desk.until(lambda: any(e.status == "canceled" for e in stage.desk.of(OrderEvent)))
        stage.desk.send(make_cancel(intent, n=2))
        gone = await stage.desk.hear(VenueReject)

        assert [each.cancel for each in stage.desk.of(Ack)] == [False, True]
        assert [each.status for each in stage.desk.of(OrderEvent)] == ["open", "canceled"]
        assert (gone.cancel, gone.definitive) == (True, True)

    play(scenario)


def test_exchange_that_vanishes_leaves_the_order_unknown() -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        stage.venue.process.kill()
        await stage.venue.process.wait()
        stage.desk.send(make_intent(ref_px=last))
        unknown = await stage.desk.hear(Unknown)

        assert unknown.iid == make_intent().iid
        assert stage.desk.of(Attempt) != []

    play(scenario)


def test_silent_exchange_leaves_the_order_unknown_and_it_is_not_sent_again() -> None:
    async def scenario(stage: Stage) -> None:
        last = await stage.price()
        stage.venue.process.send_signal(signal.SIGSTOP)
        intent = make_intent(ref_px=last)
        stage.desk.send(intent)
        unknown = await stage.desk.hear(Unknown)
        stage.venue.process.send_signal(signal.SIGCONT)
        stage.desk.send(intent)
        no = await stage.desk.hear(VenueReject)
        # The request was in the socket's buffer: the exchange woke up and took it, and that is heard.
        fill = await stage.desk.hear(Fill)

        assert unknown.iid == intent.iid
        assert no.code == "last_look:duplicate_cid"
        assert fill.iid == intent.iid
        assert len({order["order_id"] for order in stage.truth("order")}) == 1

    with_timeout = {"recv_window_ms": 60_000, "timeout_ms": 1000}
    play_with_venue(scenario, with_timeout)


def play_with_venue(scenario: Scenario, over: dict[str, object]) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox() as venue:
                config = gateway_config(folder, venue)
                config["venue"] = {**config["venue"], **over}  # type: ignore[dict-item]
                async with unit("gateway", config, folder) as gateway:
                    control = await venue.control()
                    await control.go()
                    await control.steps(1)
                    desk = await FakeDesk.connect(gateway.socket)
                    await scenario(Stage(venue, gateway, desk, folder))

    asyncio.run(run())


def test_restarted_gateway_refuses_what_it_sent_before_and_owns_up_to_what_it_does_not_know() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox() as venue:
                config = gateway_config(folder, venue)
                control = await venue.control()
                await control.go()
                await control.steps(1)
                first = await start("gateway", config, folder)
                desk = await FakeDesk.connect(first.socket)
                async with venue.client() as exchange:
                    last = Decimal((await exchange.fetch_ticker("BTC/USDT"))["info"]["lastPrice"])
                done, lost = make_intent(0, ref_px=last), make_intent(1, ref_px=last)
                desk.send(done)
                await desk.hear(Fill)
                venue.process.send_signal(signal.SIGSTOP)
                desk.send(lost)
                await desk.hear(Attempt, 2)
                first.process.kill()
                await first.process.communicate()
                venue.process.send_signal(signal.SIGCONT)

                async with unit("gateway", config, folder) as second:
                    desk = await FakeDesk.connect(second.socket)
                    desk.send(done)
                    desk.send(lost)
                    await desk.hear(VenueReject, 2)
                    assert {no.code for no in desk.of(VenueReject)} == {"last_look:duplicate_cid"}
                orders = {o["client_order_id"] for o in venue.truth("order")}
                assert orders <= {done.cid, lost.cid}
            said = [decode(each.body) for each in JournalReader(config["journal"]).records()]  # type: ignore[arg-type]
            assert [m.iid for m in said if isinstance(m, Unknown)] == [lost.iid]
            assert [m.n for m in said if isinstance(m, Attempt)] == [1, 1]

    asyncio.run(run())


def test_everything_said_is_in_a_sealed_journal_that_verifies() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with sandbox() as venue:
                config = gateway_config(folder, venue)
                async with unit("gateway", config, folder) as gateway:
                    control = await venue.control()
                    await control.go()
                    await control.steps(1)
                    desk = await FakeDesk.connect(gateway.socket)
                    stage = Stage(venue, gateway, desk, folder)
                    desk.send(make_intent(ref_px=await stage.price()))
                    await desk.until(lambda: any(e.status == "closed" for e in desk.of(OrderEvent)))
                    heard = {
                        (e.seq, e.kind, e.body) for e in desk.envelopes if not isinstance(decode(e.body), Heartbeat)
                    }
            path = Path(str(config["journal"]))
            assert verify(path).ok
            written = {(each.seq, each.kind, each.body) for each in JournalReader(path).records()}
            assert heard <= written

    asyncio.run(run())


def test_null_venue_acks_after_the_attempt_is_durable() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                for n in range(20):
                    desk.send(make_intent(n, symbol=SYMBOLS[n % 2]))
                await desk.hear(Ack, 20)
                assert len(desk.of(Attempt)) == 20

    asyncio.run(run())


def test_garbage_costs_the_connection_and_not_the_gateway() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None), folder) as gateway:
                _, writer = await asyncio.open_unix_connection(str(gateway.socket))
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                reader_end = await asyncio.open_unix_connection(str(gateway.socket))
                reader_end[1].close()
                desk = await FakeDesk.connect(gateway.socket)
                desk.send(make_intent())
                assert isinstance(await desk.hear(Ack), Ack)
                writer.close()

    asyncio.run(run())


def test_stranger_process_may_not_send_orders() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with unit("gateway", gateway_config(folder, None, desk_pid=1), folder) as gateway:
                desk = await FakeDesk.connect(gateway.socket)
                await desk.until(lambda: desk.lost is not None)
                assert desk.messages == []

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


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"jornal": "x"}, "journal"),
        ({"socket": "/tmp/" + "x" * 120}, "107"),
        ({"venue": {"kind": "ccxt", "symbols": ["BTC/USDT"], "keys_file": "/nowhere"}}, "/nowhere"),
    ],
)
def test_mistake_of_the_user_is_one_line_and_code_two(over: dict[str, object], text: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            with pytest.raises(UnitEndedError) as ended:
                await start("gateway", gateway_config(folder, None, **over), folder)
            assert ended.value.code == 2
            assert text in ended.value.errors
            assert len(ended.value.errors.strip().splitlines()) == 1

    asyncio.run(run())


def test_keys_others_can_read_are_refused() -> None:
    async def run() -> None:
        with short_folder() as folder:
            keys = folder / "open.json"
            keys.write_text(json.dumps({"api_key": "a", "secret": "b"}))
            keys.chmod(0o644)
            target = {"kind": "ccxt", "symbols": ["BTC/USDT"], "keys_file": str(keys), "rest": "http://127.0.0.1:9"}
            with pytest.raises(UnitEndedError) as ended:
                await start("gateway", gateway_config(folder, None, venue=target), folder)
            assert (ended.value.code, "0600" in ended.value.errors) == (2, True)

    asyncio.run(run())
