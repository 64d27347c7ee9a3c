"""A gateway at an exchange that speaks as any of our venues: orders, those in doubt, a broken stream, a kill.

Real sockets, real ccxt, the real exchange with its hostility switched on; the truth log is the judge.

Not here: the adapters alone (`test_adapter_on_venues`), whole desks
(tests/integration/test_desk_on_venues.py), what one venue alone has (`test_gateway_on_bybit` and its like),
Binance (`test_gateway`, `test_gateway_in_doubt`, `test_kill`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from parley.messages import Ack, Fill, OrderEvent, Unknown, VenueReject
from tests.kit.gateway_stage import Stage, staged
from tests.kit.kills import home_with_gateway
from tests.kit.shared_stage import Shared, shared
from tests.kit.units import UnitEndedError, gateway_config, make_cancel, make_intent, start
from venues.capabilities import CAPABILITIES

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def friendly(request: pytest.FixtureRequest) -> Iterator[Shared[Stage]]:
    """A stage at an exchange that is not hostile; who plays there leaves nothing that others mind."""
    with shared(staged(request.param)) as stage:
        yield stage


ADAPTED = ("okx", "bybit", "kucoin", "kraken", "coinbase", "hyperliquid")
BY_THE_CLOCK = ("bybit", "hyperliquid")  # their answers say when they were given, not what time it is there
# KuCoin tells in an answer where its sockets are: no line can be put before them.
BREAKABLE = (
    "kraken",
    "coinbase",
    *(pytest.param(each, marks=pytest.mark.long) for each in ("okx", "bybit", "hyperliquid")),
)


@pytest.mark.parametrize("friendly", ADAPTED, indirect=True)
def test_what_traded_at_once_is_told_before_the_answer(friendly: Shared[Stage]) -> None:
    async def story(stage: Stage) -> None:
        venue, desk = stage.venue, stage.desk
        sent = stage.alternating(6)
        for intent in sent:
            desk.send(intent)
        await desk.until(lambda: len(desk.of(Ack)) == 6)
        for ack in desk.of(Ack):
            at = desk.messages.index(ack)
            told = [m for m in desk.messages[:at] if isinstance(m, Fill | OrderEvent) and m.iid == ack.iid]
            states = [m.status for m in told if isinstance(m, OrderEvent)]
            assert states[-1] == ("closed" if any(isinstance(m, Fill) for m in told) else "open")
            if stage.at.name not in BY_THE_CLOCK:  # market time, not the machine's: lock-step runs are alike
                assert ack.t_venue // 1_000_000 == venue.truth("order")[-1]["t"]
        assert stage.told() == stage.traded()
        assert len(stage.traded()) >= 3
        assert {fill.venue for fill in desk.of(Fill)} == {stage.at.name}

        desk.send(make_cancel(sent[1]))
        await desk.until(lambda: "canceled" in {m.status for m in desk.of(OrderEvent)})
        (ended,) = {m.iid for m in desk.of(OrderEvent) if m.status == "canceled"}
        assert ended == sent[1].iid
        if stage.at.name == "coinbase":  # whose stream tells the same again: once is enough
            await asyncio.sleep(0.3)
        assert len(desk.of(Fill)) == len(stage.traded())

    friendly.play(story)


@pytest.mark.parametrize("friendly", ADAPTED, indirect=True)
def test_an_id_that_the_venue_does_not_take_is_refused_before_it_is_sent(friendly: Shared[Stage]) -> None:
    async def story(stage: Stage) -> None:
        charset = CAPABILITIES[stage.at.name].cid_charset
        before = stage.venue.truth("order")
        wrong = stage.orders.market(cid="an id" if "_" in charset else "an_id")
        stage.desk.send(wrong)
        no = await stage.desk.hear(VenueReject)
        assert (no.iid, no.code, no.definitive) == (wrong.iid, "last_look:client_id", True)
        assert f"[{charset}]" in no.detail
        assert stage.venue.truth("order") == before
        async with asyncio.timeout(PATIENCE_S):
            while no not in stage.refusals():
                await asyncio.sleep(0.05)

    friendly.play(story)


@pytest.mark.parametrize("friendly", BREAKABLE, indirect=True)
def test_executions_of_a_broken_private_stream_are_told_when_it_stands_again(friendly: Shared[Stage]) -> None:
    async def story(stage: Stage) -> None:
        venue, desk = stage.venue, stage.desk
        sent = [
            stage.orders.limit(share, side=side, qty=Decimal("0.3"))
            for side, share in (("buy", "0.9995"), ("buy", "0.999"), ("buy", "0.8"), ("sell", "1.0005"))
        ]
        for intent in sent:
            desk.send(intent)
        await desk.until(lambda: {each.iid for each in sent} <= {each.iid for each in desk.of(Ack)})
        assert stage.line.opened  # the stream goes over it
        before = len(stage.traded())
        stage.line.cut()
        await stage.market.steps(12)
        assert len(stage.traded()) > before  # while nobody heard it
        stage.line.mend()
        await stage.until(lambda: stage.told() == stage.traded())
        filled = {each["client_order_id"] for each in venue.truth("order") if each["status"] == "FILLED"}
        ended = {each.iid for each in sent if stage.at.wire_id(each.cid) in filled}
        assert ended
        await stage.until(
            lambda: ended <= {each.iid for each in desk.of(OrderEvent) if each.status == "closed"}
        )
        assert len(desk.of(Fill)) == len(stage.traded())

    friendly.play(story)


def secret_parts(key: str) -> list[str]:
    """Return what of a key nobody else may know: of a PEM its inner lines, of a number its digits."""
    lines = key.strip().splitlines()
    return [each.removeprefix("0x") for each in (lines[1:-1] if len(lines) > 1 else lines)]


@pytest.mark.parametrize("friendly", ADAPTED, indirect=True)
def test_the_key_is_written_nowhere(friendly: Shared[Stage]) -> None:
    async def story(stage: Stage) -> None:
        secrets = (stage.at.keys["secret"], stage.at.keys["passphrase"])
        marks = [mark.lower().encode() for key in secrets for mark in secret_parts(key)]
        assert marks
        assert all(len(mark) > 10 for mark in marks)
        written = [each for each in stage.folder.rglob("*") if each.is_file() and each.name != "keys.json"]
        assert len(written) >= 3
        found = [each for each in written if any(mark in each.read_bytes().lower() for mark in marks)]
        assert found == []

    friendly.play(story)


LOST = pytest.param({"lost": 1.0}, True, id="answer lost")
FATES = (
    LOST,
    pytest.param(
        {"failed": 1.0, "lookup_lag_ms": 150}, True, id="5xx after accepting", marks=pytest.mark.long
    ),
    pytest.param({"dropped": 1.0}, False, id="request lost", marks=pytest.mark.long),
    pytest.param(
        {"lost": 1.0, "private": {"lost": 0.5}}, True, id="answer and events lost", marks=pytest.mark.long
    ),
)


@pytest.mark.parametrize("exchange", ADAPTED)
@pytest.mark.parametrize(("switches", "exist"), FATES)
def test_an_order_in_doubt_has_the_fate_that_the_exchange_knows(
    exchange: str, switches: dict[str, object], exist: bool
) -> None:
    async def scenario() -> None:
        async with staged(exchange, **switches) as stage:
            desk, sent = stage.desk, stage.alternating(4)
            for intent in sent:
                desk.send(intent)
            await stage.until(lambda: len(desk.of(Ack)) + len(desk.of(VenueReject)) == 4)
            assert {each.iid for each in desk.of(Unknown)} == {each.iid for each in sent}
            fates: list[Ack | VenueReject] = [*desk.of(Ack), *desk.of(VenueReject)]
            assert {each.iid for each in fates} == {each.iid for each in sent}
            placed: dict[str, set[int]] = {}
            for line in stage.venue.truth("order"):
                if line["order_id"]:
                    placed.setdefault(line["client_order_id"], set()).add(line["order_id"])
            assert set(placed) == ({stage.at.wire_id(each.cid) for each in sent} if exist else set())
            assert all(len(numbers) == 1 for numbers in placed.values())  # no order twice
            assert len(desk.of(Ack)) == len(placed)
            assert {each.code for each in desk.of(VenueReject)} == (set() if exist else {"not_accepted"})
            assert stage.told() == stage.traded()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "exchange",
    [
        "okx",
        "bybit",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ("kucoin", "kraken", "coinbase", "hyperliquid")
        ),
    ],
)
def test_kill_cancels_there_too_also_with_the_key_of_a_gateway_that_hangs(exchange: str) -> None:
    async def scenario() -> None:
        async with home_with_gateway(exchange) as home:
            resting = await home.rest(8)
            said = await home.kill()
            (account,) = said["accounts"]
            assert (account["cancels_sent"], account["confirmed"], account["unconfirmed"]) == (8, 8, [])
            assert home.cancelled(resting) == {each.cid for each in resting}
            home.desk.send(make_intent(100, symbol=home.at.btc, ref_px=Decimal(50_000)))
            assert (await home.desk.hear(VenueReject)).code == "last_look:halted"
            events = {each.iid: each.status for each in home.desk.of(OrderEvent)}
            assert all(events[each.iid] == "canceled" for each in resting)

    asyncio.run(scenario())


def test_a_venue_that_nobody_certified_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = gateway_config(tmp_path, None)
        keys = str(tmp_path / "keys.json")
        config["venue"] = {"kind": "ccxt", "symbols": ["BTC/USDT"], "keys_file": keys, "exchange": "bybt"}
        with pytest.raises(UnitEndedError) as ended:
            await start("gateway", config, tmp_path)
        assert ended.value.code == 2
        assert "no certified adapter for 'bybt'; did you mean 'bybit'?" in ended.value.errors
        assert len(ended.value.errors.strip().splitlines()) == 1
        assert not (tmp_path / "gw.journal").exists()

    asyncio.run(scenario())
