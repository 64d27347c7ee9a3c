"""`parley data download` over real sockets from the sandbox exchange: resumable, and closed candles only.

The sandbox plays recorded candles, so what has to come is known. Not here: venues with holes
(tests/unit/runtime/test_market_downloading.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyarrow as pa
from typer.testing import CliRunner, Result

from runtime.cli import app
from runtime.marketstore.formats import write
from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore
from tests.kit.database import fresh_database, rows
from tests.kit.market import MINUTE, MINUTES, START, candles
from tests.kit.sandbox import Control, SandboxProcess, sandbox

PLAYED = 300
Scenario = Callable[[SandboxProcess, Control], Awaitable[None]]


def with_recorded(
    tmp_path: Path, scenario: Scenario, table: pa.Table | None = None, history: int = 200
) -> None:
    (tmp_path / "played").mkdir()
    write(candles(PLAYED) if table is None else table, tmp_path / "played" / MINUTES.file_name(), MINUTES)
    feed = {
        "kind": "candles", "folder": str(tmp_path / "played"), "exchange": "binance", "pairs": ["BTC/USDT"],
        "timeframe": "1m", "history": history, "start": "2021-05-08T03:20",
    }  # fmt: skip

    async def run() -> None:
        async with sandbox(feed) as venue:
            control = await venue.control()
            await control.go()
            await scenario(venue, control)

    asyncio.run(run())


async def parley(tmp_path: Path, *arguments: object, url: str | None = None) -> tuple[int, str, str]:
    environment = {"PARLEY_HOME": str(tmp_path / "home"), "DATABASE_URL": url}

    def run() -> Result:
        # In a thread of this process, since each new one would load ccxt again.
        return CliRunner().invoke(app, ["data", *map(str, arguments)], env=environment)

    result = await asyncio.to_thread(run)
    return result.exit_code, result.stdout, result.stderr


async def download(tmp_path: Path, venue: SandboxProcess, *arguments: object) -> list[dict]:
    code, out, err = await parley(
        tmp_path, "download", "--pairs", "BTC/USDT", "--since", "2021-05-08", "--address", venue.rest,
        "--json", *arguments,
    )  # fmt: skip
    assert code == 0, err
    return json.loads(out)["downloaded"]


def stored(tmp_path: Path, series: Series = MINUTES) -> pa.Table:
    return MarketStore(tmp_path / "home" / "market").read(series)


def test_closed_candles_come_once_and_the_rest_when_they_are_closed(tmp_path: Path) -> None:
    async def scenario(venue: SandboxProcess, control: Control) -> None:
        done = await control.steps(20)
        newest = (done["t"] - START) // MINUTE

        (told,) = await download(tmp_path, venue, "--timeframes", "1m")
        assert told["added"] == newest
        assert stored(tmp_path).equals(candles(newest))

        (told,) = await download(tmp_path, venue, "--timeframes", "1m")
        assert told == {"series": "binance BTC/USDT 1m", "added": 0, "asked": 0}

        done = await control.steps(15)
        (told,) = await download(tmp_path, venue, "--timeframes", "1m")
        assert (told["added"], told["asked"]) == (15, 1)
        assert stored(tmp_path).equals(candles(newest + 15))

    with_recorded(tmp_path, scenario)


def test_hole_in_the_store_is_filled_and_nothing_else_is_asked_for(tmp_path: Path) -> None:
    async def scenario(venue: SandboxProcess, control: Control) -> None:
        await control.steps(5)
        table = candles(180)
        holed = tmp_path / MINUTES.file_name("part")
        write(pa.concat_tables([table.slice(0, 50), table.slice(90)]), holed, MINUTES)
        code, _, err = await parley(tmp_path, "import", holed)
        assert code == 0, err

        (told,) = await download(tmp_path, venue, "--timeframes", "1m", "--until", "2021-05-08T03:00")

        assert (told["added"], told["asked"]) == (40, 1)
        assert stored(tmp_path).equals(table)

    with_recorded(tmp_path, scenario)


def test_longer_candles_and_trades(tmp_path: Path) -> None:
    async def scenario(venue: SandboxProcess, control: Control) -> None:
        await control.steps(40)
        fives, threes = await download(tmp_path, venue, "--timeframes", "5m,15m")
        assert fives["added"] > 40
        assert threes["added"] > 12

        arguments = ("--kind", "trades", "--until", "2022-01-01")
        (told,) = await download(tmp_path, venue, *arguments)
        deals = Series("binance", "BTC/USDT", "aggtrades")
        ids = [int(each) for each in stored(tmp_path, deals)["id"].to_pylist()]
        assert told["added"] == len(ids) > 100
        assert ids == list(range(ids[0], ids[0] + len(ids)))

        await control.steps(10)
        (more,) = await download(tmp_path, venue, *arguments)
        ids = [int(each) for each in stored(tmp_path, deals)["id"].to_pylist()]
        assert more["added"] == len(ids) - told["added"] > 0
        assert ids == list(range(ids[0], ids[0] + len(ids)))

    with_recorded(tmp_path, scenario)


def test_database_gets_what_the_store_gets(tmp_path: Path) -> None:
    database = fresh_database()

    async def scenario(venue: SandboxProcess, control: Control) -> None:
        await control.steps(5)
        for minute in (90, 150):
            code, out, err = await parley(
                tmp_path, "download", "--pairs", "BTC/USDT", "--timeframes", "1m", "--since", "2021-05-08",
                "--until", f"2021-05-08T{minute // 60:02}:{minute % 60:02}", "--address", venue.rest,
                "--json", url=database.admin,
            )  # fmt: skip
            assert code == 0, err
            assert json.loads(out)["database"] in (90, 60)
            assert rows(database, "candles", "count(*), max(t) - min(t)")[0][0] == minute
        assert rows(database, "candles", "close", "t") == [
            (each,) for each in candles(150)["close"].to_pylist()
        ]

    with_recorded(tmp_path, scenario)


def test_pair_and_timeframe_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    async def scenario(venue: SandboxProcess, control: Control) -> None:
        base = ("download", "--since", "2021-05-08", "--address", venue.rest)
        code, _, err = await parley(tmp_path, *base, "--pairs", "BTC/USDC")
        assert (code, err) == (2, "parley: binance does not list 'BTC/USDC'; did you mean 'BTC/USDT'?\n")
        code, _, err = await parley(tmp_path, *base, "--pairs", "BTC/USDT", "--timeframes", "7m")
        assert code == 2
        assert err.startswith("parley: binance has no '7m' candles; it has 1s, 1m")
        code, _, err = await parley(tmp_path, *base, "--pairs", "BTC/USDT", "--kind", "funding_rate")
        assert code in (1, 2)
        assert err.count("\n") == 1
        assert not list((tmp_path / "home").rglob("*.parquet"))

    with_recorded(tmp_path, scenario)


def test_venue_that_cannot_be_reached_is_named_in_one_line(tmp_path: Path) -> None:
    code, out, err = asyncio.run(
        parley(
            tmp_path,
            "download",
            "--pairs",
            "BTC/USDT",
            "--since",
            "2021-05-08",
            "--address",
            "http://127.0.0.1:9",
        )
    )

    assert (code, out) == (1, "")
    assert err.startswith("parley: binance cannot be reached: ")
    assert "127.0.0.1:9" in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "home").rglob("*.parquet"))
