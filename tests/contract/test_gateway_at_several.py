"""One gateway at exchanges of three protocols: what is whose, doubts, bans, broken streams and a kill -9.

Real sockets, real ccxt, real exchanges; their truth logs are the judge.

Not here: each exchange alone (`test_gateway_on_venues`), names and sums without an exchange
(tests/unit/venues/test_several.py), the hub (`test_hub_at_several`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import msgspec
import pytest

from parley.instruments import Instrument, at, exchange_of
from parley.messages import (
    KIND_OF,
    Ack,
    Balance,
    Fill,
    Gap,
    Heartbeat,
    Intent,
    Message,
    OrderEvent,
    Strain,
    Unknown,
    VenueFault,
    VenueReject,
    decode,
)
from runtime import kill_file
from runtime.journal import JournalReader
from tests.kit.bybit import bybit_client
from tests.kit.several_stage import Exchange, SeveralStage, config_of, staged_several
from tests.kit.shared_stage import Shared, shared
from tests.kit.units import UnitEndedError, make_cancel, short_folder, start
from tests.kit.venues import VENUES

pytestmark = pytest.mark.timeout(120)
THREE = ("binance", "bybit", "okx")
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def friendly() -> Iterator[Shared[SeveralStage]]:
    """A stage whose exchanges are not hostile; who plays there leaves nothing that others mind."""
    with shared(staged_several(*THREE)) as stage:
        yield stage


def of_order(stage: SeveralStage, intent: Intent) -> list[Message]:
    return [each for each in stage.desk.messages if getattr(each, "iid", b"") == intent.iid]


async def acked(stage: SeveralStage, *intents: Intent) -> None:
    """Send orders and wait until each is taken."""
    for each in intents:
        stage.desk.send(each)
    iids = {each.iid for each in intents}
    await stage.desk.until(lambda: iids <= {each.iid for each in stage.desk.of(Ack)})


def test_instruments_and_balances_of_all_are_told_as_one(friendly: Shared[SeveralStage]) -> None:
    async def story(stage: SeveralStage) -> None:
        balance = await stage.desk.hear(Balance)
        (said,) = [each for each in stage.desk.controls if each.startswith("instruments:")]
        listed = msgspec.json.decode(said.removeprefix("instruments:"), type=dict[str, Instrument])
        where = {name: each.where for name, each in stage.exchanges.items()}
        assert set(listed) == {at(each, where[name]) for name in THREE for each in ("BTC/USDT", "ETH/USDT")}
        for symbol, each in listed.items():
            assert each.symbol == symbol
            assert each.venue == (exchange_of(symbol) or "binance")
            coin, quote = (at(asset, where[each.venue]) for asset in (symbol[:3], "USDT"))
            assert (each.base, each.quote) == (coin, quote)
        assert dict(balance.assets) == {
            at(asset, where[name]): amount
            for name in THREE
            for asset, amount in (("USDT", Decimal(10_000_000)), ("BTC", Decimal(20)), ("ETH", Decimal(100)))
        }
        assert list(balance.assets) == sorted(balance.assets)

    friendly.play(story)


def test_an_order_goes_to_the_exchange_that_its_symbol_names(friendly: Shared[SeveralStage]) -> None:
    async def story(stage: SeveralStage) -> None:
        sent = {name: each.orders.market(qty=Decimal("0.2")) for name, each in stage.exchanges.items()}
        await acked(stage, *sent.values())
        for name, each in stage.exchanges.items():
            order = sent[name]
            assert each.placed()[order.cid] == 1
            assert not any(order.cid in other.placed() for other in stage.exchanges.values() if other != each)
            facts = of_order(stage, order)
            assert {m.symbol for m in facts if isinstance(m, OrderEvent | Fill)} == {each.orders.symbol}
            fills = [m for m in facts if isinstance(m, Fill)]
            assert sum(fill.qty for fill in fills) == Decimal("0.2")
            assert {(fill.venue, fill.fee_asset) for fill in fills} == {(name, at("BTC", each.where))}
            assert {fill.trade_id for fill in fills} <= each.trades()

    friendly.play(story)


@pytest.mark.parametrize("name", THREE)
def test_an_order_is_cancelled_where_it_rests_by_its_client_id(
    friendly: Shared[SeveralStage], name: str
) -> None:
    async def story(stage: SeveralStage) -> None:
        resting = stage.exchanges[name].orders.limit("0.9")
        await acked(stage, resting)
        stage.desk.send(make_cancel(resting))
        await stage.desk.until(
            lambda: "canceled" in {m.status for m in of_order(stage, resting) if isinstance(m, OrderEvent)}
        )

    friendly.play(story)


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"venue": "binance", "symbol": "BTC/USDT@bybit"}, "last_look:wrong_venue"),
        ({"venue": "bybit", "symbol": "BTC/USDT"}, "last_look:wrong_venue"),
        ({"venue": "binance", "symbol": "BTC/USDT@binance"}, "last_look:unknown_symbol"),
        ({"venue": "kraken", "symbol": "BTC/USDT@kraken"}, "last_look:unknown_symbol"),
    ],
)
def test_an_order_for_another_exchange_than_its_symbol_names_is_refused_and_on_record(
    friendly: Shared[SeveralStage], over: dict[str, Any], code: str
) -> None:
    async def story(stage: SeveralStage) -> None:
        wrong = stage.exchanges["binance"].orders.market(**over)
        stage.desk.send(wrong)
        await stage.desk.until(lambda: of_order(stage, wrong))
        (no,) = of_order(stage, wrong)
        assert isinstance(no, VenueReject)
        assert (no.code, no.definitive) == (code, True)
        assert not any(wrong.cid in each.placed() for each in stage.exchanges.values())
        async with asyncio.timeout(PATIENCE_S):
            while no not in journaled(stage, "VenueReject"):
                await asyncio.sleep(0.05)

    friendly.play(story)


def journaled(stage: SeveralStage, kind: str) -> list[Message]:
    with JournalReader(stage.folder / "gw.journal") as reader:
        return [decode(each.body) for each in reader.records(kinds=[KIND_OF[kind]])]


def test_a_cap_of_one_exchange_is_not_another_ones() -> None:
    async def run() -> None:
        limits = {
            "max_notional": {"USDT": "5000000", "USDT@bybit": "10"},
            "max_position": {"USDT": "9000000", "USDT@bybit": "9000000"},
        }
        async with staged_several("binance", "bybit", limits=limits) as stage:
            here, there = (stage.exchanges[each].orders.market() for each in ("binance", "bybit"))
            await acked(stage, here)
            stage.desk.send(there)
            assert (await stage.desk.hear(VenueReject)).code == "last_look:max_notional"

    asyncio.run(run())


@pytest.mark.parametrize(("fate", "exists"), [("lost", True), ("dropped", False)])
def test_an_order_whose_answer_was_lost_is_looked_up_where_it_was_sent(fate: str, exists: bool) -> None:
    async def run() -> None:
        switches = {"bybit": {"hostility": {fate: 1.0}}}
        async with staged_several("binance", "bybit", switches=switches) as stage:
            home, away = (stage.exchanges[each] for each in ("binance", "bybit"))
            sure, doubtful = home.orders.market(qty=Decimal("0.2")), away.orders.market(qty=Decimal("0.2"))
            await acked(stage, sure)
            stage.desk.send(doubtful)
            await stage.desk.until(
                lambda: any(isinstance(m, Ack | VenueReject) for m in of_order(stage, doubtful))
            )
            told = of_order(stage, doubtful)
            assert any(isinstance(m, Unknown) for m in told)
            assert away.placed().get(doubtful.cid, 0) == exists
            assert any(isinstance(m, Ack) for m in told) is exists
            if exists:
                await stage.desk.until(lambda: any(isinstance(m, Fill) for m in of_order(stage, doubtful)))
                fills = [m for m in of_order(stage, doubtful) if isinstance(m, Fill)]
                assert {(fill.symbol, fill.fee_asset) for fill in fills} == {("BTC/USDT@bybit", "BTC@bybit")}
                assert {fill.trade_id for fill in fills} == away.trades()

    asyncio.run(run())


async def ban_at(bybit: Exchange) -> None:
    """Let somebody else on the same address ask Bybit too much until it is banned."""
    async with bybit_client(bybit.venue) as other:
        with contextlib.suppress(ccxt.AuthenticationError):  # 10009: banned
            for _ in range(1000):
                with contextlib.suppress(ccxt.RateLimitExceeded):  # 10018: too much
                    await other.fetch_time()


def test_a_ban_at_one_exchange_stops_no_order_at_another() -> None:
    async def run() -> None:
        switches = {"bybit": {"weight_limit": 400, "hostility": {"ban": {"after": 2, "ms": 60_000}}}}
        async with staged_several("binance", "bybit", switches=switches) as stage:
            home, away = (stage.exchanges[each] for each in ("binance", "bybit"))
            here, there = home.orders.limit("0.9"), away.orders.limit("0.9")
            await acked(stage, here, there)
            await ban_at(away)
            # the gateway asks for the time each second: then it knows, and its desk opens no round
            await stage.desk.until(lambda: stage.desk.of(Strain))
            assert [each.level for each in stage.desk.of(Strain)] == [3]
            assert "bybit" in stage.desk.of(Strain)[0].why
            await stage.desk.until(
                lambda: any(each.why.startswith("bybit: ") for each in stage.desk.of(VenueFault))
            )

            refused, passed = away.orders.market(), home.orders.market()
            stage.desk.send(refused)
            await stage.desk.until(lambda: any(isinstance(m, VenueReject) for m in of_order(stage, refused)))
            (no,) = of_order(stage, refused)[-1:]
            assert isinstance(no, VenueReject)
            assert no.code == "last_look:venue_rests"
            await acked(stage, passed)
            assert home.placed()[passed.cid] == 1
            assert stage.desk.of(Heartbeat)[-1].offset_ms == -1, "of one exchange the time is not known"

            # a kill takes back what rests at the one, and says that the other's is not confirmed
            kill_file.write(
                stage.folder / "HALT", "kill", ("platform",), mode="cancel", reason="test", by="test"
            )
            await stage.desk.until(
                lambda: "canceled" in {m.status for m in of_order(stage, here) if isinstance(m, OrderEvent)}
            )
            assert not any(isinstance(m, VenueReject) for m in of_order(stage, there)), "not even asked"

    asyncio.run(run())


def test_a_stream_that_breaks_at_one_exchange_says_so_and_the_others_go_on() -> None:
    async def run() -> None:
        async with staged_several("binance", "bybit", inspect_s=30.0) as stage:
            home, away = (stage.exchanges[each] for each in ("binance", "bybit"))
            near = [away.orders.limit(share, qty=Decimal("0.3")) for share in ("0.9995", "0.999")]
            await acked(stage, *near)
            before = away.trades()
            away.line.cut()
            await stage.desk.until(lambda: stage.desk.of(Gap))
            await away.market.steps(12)
            assert away.trades() > before  # while nobody heard it
            resting = home.orders.limit("0.9999", qty=Decimal("0.3"))
            await acked(stage, resting)
            away.line.mend()
            await stage.desk.until(lambda: {m.trade_id for m in stage.desk.of(Fill)} >= away.trades())
            assert {each.stream for each in stage.desk.of(Gap)} == {"user@bybit"}
            assert {m.symbol for m in stage.desk.of(Fill) if m.venue == "bybit"} == {"BTC/USDT@bybit"}

    asyncio.run(run())


def test_a_gateway_killed_with_orders_at_every_exchange_loses_and_doubles_none() -> None:
    async def run() -> None:
        # every answer of one exchange is lost: its orders are in doubt when the gateway dies
        switches = {"bybit": {"hostility": {"lost": 1.0}}}
        async with staged_several(*THREE, switches=switches) as stage:
            resting = [each.orders.limit("0.9", qty=Decimal("0.2")) for each in stage.exchanges.values()]
            filled = [each.orders.market(qty=Decimal("0.2")) for each in stage.exchanges.values()]
            for each in (*resting, *filled):
                stage.desk.send(each)
            async with asyncio.timeout(PATIENCE_S):
                while any(len(each.placed()) < 2 for each in stage.exchanges.values()):
                    await asyncio.sleep(0.02)
            sent = [*resting, *filled]
            await stage.kill_and_follow(sent)

            iids = {each.iid for each in sent}
            await stage.desk.until(lambda: iids <= {each.iid for each in stage.desk.of(Ack)})
            assert not any(each.definitive for each in stage.desk.of(VenueReject))
            for each in stage.exchanges.values():
                own = [order for order in sent if order.symbol == each.orders.symbol]
                assert each.placed() == {order.cid: 1 for order in own}
                await stage.desk.until(
                    lambda each=each: (
                        each.trades()
                        == {m.trade_id for m in stage.desk.of(Fill) if m.symbol == each.orders.symbol}
                    )
                )
            # the next one knows what rests where, and takes back what its desk asks for
            for order in resting:
                stage.desk.send(make_cancel(order, epoch=stage.epoch))
            await stage.desk.until(
                lambda: all(
                    "canceled" in {m.status for m in of_order(stage, order) if isinstance(m, OrderEvent)}
                    for order in resting
                )
            )
            assert all(set(each.placed().values()) == {1} for each in stage.exchanges.values())

    asyncio.run(run())


@pytest.mark.parametrize("down", ["binance", "bybit"])
def test_an_exchange_that_is_down_at_the_start_is_named(down: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with VENUES["binance"].sandbox() as home, VENUES["bybit"].sandbox() as away:
                config = config_of(folder, {"binance": (home, home.ws), "bybit": (away, away.ws)})
                away_or_home = config["venue"] if down == "binance" else config["also"][0]
                away_or_home["rest"] = "http://127.0.0.1:9"
                with pytest.raises(UnitEndedError) as ended:
                    await start("gateway", config, folder)
                assert ended.value.code == 2
                assert f"the venue {down!r} cannot be used: " in ended.value.errors
                assert not (folder / "gw.journal").exists()

    asyncio.run(run())


def test_real_money_is_for_one_exchange_only() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with VENUES["binance"].sandbox() as venue:
                config = config_of(folder, {"binance": (venue, venue.ws), "bybit": (venue, venue.ws)})
                money = {"quote": "USDT", "capital": "1000", "max_clock_offset_ms": 1000.0}
                with pytest.raises(UnitEndedError) as ended:
                    await start("gateway", config | {"real_money": money}, folder)
                assert ended.value.code == 2
                assert "real money at several exchanges ('binance', 'bybit')" in ended.value.errors

    asyncio.run(run())
