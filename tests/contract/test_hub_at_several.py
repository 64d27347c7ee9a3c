"""One hub at two exchanges: candles, books and trades of both, under names that say where they are.

Real sandboxes of different protocols by the clock, each a process with its own control socket.

Not here: what one exchange alone tells (`test_hub`, `test_hub_on_venues`), gateways
(`test_gateway_at_several`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parley.instruments import at
from parley.messages import Bar, MarketBatch
from tests.contract.test_hub import bars_of, to_end
from tests.contract.test_hub_on_venues import candle
from tests.kit.cut_line import CutLine, cut_line
from tests.kit.sandbox import SandboxProcess
from tests.kit.units import FakeDesk, UnitEndedError, hub_config, short_folder, start, unit
from tests.kit.venues import VENUES

pytestmark = pytest.mark.timeout(120)
CANDLES = 30
PAIRS = ["BTC/USDT", "ETH/USDT"]
HOME, AWAY = "binance", "bybit"
FEED: dict[str, Any] = {"kind": "synthetic", "candles": CANDLES, "history": 30, "assets": ["BTC", "ETH"]}


@contextlib.asynccontextmanager
async def two(speed: float | str, seed: int = 8) -> AsyncIterator[tuple[SandboxProcess, SandboxProcess]]:
    """Run both exchanges; the further one plays a market of its own at the same time."""
    async with (
        VENUES[HOME].sandbox(FEED, speed=speed) as home,
        VENUES[AWAY].sandbox(FEED, speed=speed, seed=seed) as away,
    ):
        yield home, away


def config_of(
    folder: Path, home: SandboxProcess, away: SandboxProcess, *, ws: str = "", **over: object
) -> dict[str, object]:
    """Make the configuration of a hub at both."""
    control = str(away.control_path)
    also = {"exchange": AWAY, "symbols": PAIRS, "rest": away.rest, "ws": ws or away.ws, "control": control}
    config = hub_config(folder, home, exchange=HOME, symbols=PAIRS, lockstep=False, also=[also])
    return config | over


def bars_at(desk: FakeDesk, where: str) -> dict[str, list[Bar]]:
    """The candles of an exchange by its own names; empty: of the home one."""
    return {pair: [bar for bar in bars_of(desk) if bar.symbol == at(pair, where)] for pair in PAIRS}


async def told_by(name: str, venue: SandboxProcess) -> dict[str, list[list[float]]]:
    """Ask an exchange for the candles that it played."""
    async with VENUES[name].client(venue) as client:
        return {pair: (await client.fetch_ohlcv(pair, "1m", limit=CANDLES))[-CANDLES:] for pair in PAIRS}


@pytest.mark.parametrize("speed", [1200.0, 12_000.0])
def test_every_candle_of_both_arrives_under_its_own_name(speed: float) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with (
                two(speed) as (home, away),
                unit("hub", config_of(folder, home, away), folder) as hub,
            ):
                desk = await FakeDesk.connect(hub.socket)
                counts = await to_end(desk)
                assert counts["candles_seen"] == counts["candles_sent"] == 2 * len(PAIRS) * CANDLES
                assert counts["candles_closed"] == 2 * len(PAIRS) * CANDLES
                assert (counts["missed"], counts["reconnects"]) == (0, 0)
                for name, where, venue in ((HOME, "", home), (AWAY, AWAY, away)):
                    heard = {
                        pair: [candle(bar) for bar in bars] for pair, bars in bars_at(desk, where).items()
                    }
                    assert heard == await told_by(name, venue)
                assert bars_at(desk, "") != bars_at(desk, AWAY)
                batches = desk.of(MarketBatch)
                symbols = {each.symbol for batch in batches for each in batch.books}
                assert symbols == {at(pair, where) for pair in PAIRS for where in ("", AWAY)}
                assert {each.symbol for batch in batches for each in batch.prints} == symbols
                times = [batch.t for batch in batches]
                assert times == sorted(times)
                desk.link.close("the test is over")

    asyncio.run(run())


def test_a_stream_that_breaks_at_one_exchange_puts_no_candle_of_another_in_doubt() -> None:
    async def story(line: CutLine, home: SandboxProcess, away: SandboxProcess, desk: FakeDesk) -> None:
        await desk.hear(MarketBatch)
        markets = [await home.control(), await away.control()]
        for each in markets:
            await each.go()
        closed = 0

        async def played(steps: int, *, here: int, there: int) -> None:
            nonlocal closed
            for _ in range(steps):
                for each in markets:
                    await each.steps(1)
            async with asyncio.timeout(30):
                while (
                    len(bars_at(desk, "")["BTC/USDT"]) < here or len(bars_at(desk, AWAY)["BTC/USDT"]) < there
                ):
                    for batch in desk.of(MarketBatch)[closed:]:
                        desk.say(f"closed:{batch.step}")
                        closed += 1
                    await asyncio.sleep(0.02)

        await played(4, here=3, there=3)
        line.cut()
        # each candle of the home exchange comes at once, as if nothing had happened
        await played(4, here=7, there=3)
        line.mend()
        lines = line.opened
        while line.opened == lines:
            await asyncio.sleep(0.05)
        for n in range(20):
            await asyncio.sleep(0.5)
            await played(1, here=8 + n, there=3)
            if len(bars_at(desk, AWAY)["BTC/USDT"]) > 8:
                break
        gaps = {gap for batch in desk.of(MarketBatch) for gap in batch.gaps}
        assert gaps
        assert all(gap.startswith(f"{AWAY} ") for gap in gaps), gaps
        for where, name, venue in (("", HOME, home), (AWAY, AWAY, away)):
            known = await told_by(name, venue)
            for pair, bars in bars_at(desk, where).items():
                rows = [candle(bar) for bar in bars]
                assert rows
                assert all(row in known[pair] for row in rows)
                assert [row[0] for row in rows] == list(range(int(rows[0][0]), int(rows[-1][0]) + 1, 60_000))
        desk.link.close("the test is over")
        for each in markets:
            await each.hang_up()

    async def run() -> None:
        with short_folder() as folder:
            async with two("max") as (home, away), cut_line(away.ws) as (line, ws):
                config = config_of(folder, home, away, ws=ws, control="", streams=["candle", "book"])
                config["also"] = [{**each, "control": ""} for each in config["also"]]  # type: ignore[attr-defined]
                async with unit("hub", config, folder) as hub:
                    await story(line, home, away, await FakeDesk.connect(hub.socket))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"lockstep": True}, "lock-step plays one exchange, was binance, bybit"),
        ({"control": ""}, "expected a control socket for every exchange or for none"),
        ({"exchange": AWAY}, "expected exchanges that differ from each other, was bybit, bybit"),
    ],
)
def test_exchanges_that_cannot_be_played_together_are_refused(over: dict[str, object], said: str) -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with VENUES[HOME].sandbox(FEED) as venue:
                with pytest.raises(UnitEndedError) as ended:
                    await start("hub", config_of(folder, venue, venue, **over), folder)
                assert ended.value.code == 2
                assert said in ended.value.errors

    asyncio.run(run())


def test_a_further_exchange_that_nobody_can_reach_is_named() -> None:
    async def run() -> None:
        with short_folder() as folder:
            async with two("max") as (home, away):
                config = config_of(folder, home, away)
                config["also"][0]["rest"] = "http://127.0.0.1:9"  # type: ignore[index]
                with pytest.raises(UnitEndedError) as ended:
                    await start("hub", config, folder)
                assert ended.value.code == 2
                assert "bybit: the venue's markets cannot be read" in ended.value.errors

    asyncio.run(run())
