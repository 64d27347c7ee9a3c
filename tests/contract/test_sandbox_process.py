"""The sandbox as a process: configuration errors, stopping, its parent's death, and determinism."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.sandbox import ACCOUNT, ROOT, SYNTHETIC, SandboxProcess, sandbox

BTC = "BTC/USDT"


def start(config: object, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return subprocess.run(
        [sys.executable, "-m", "venues.sandbox", "--config", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", ["expected JSON"]),
        ([], ["expected a JSON object"]),
        ({"truth": "t", "feed": SYNTHETIC, "sede": 1}, ["no key 'sede'", "'seed'"]),
        ({"truth": "t", "feed": SYNTHETIC | {"asets": []}}, ["no key 'asets'", "'assets'"]),
        ({"truth": "t", "feed": {"kind": "ticks"}}, ["feed.kind", "synthetic", "'ticks'"]),
        ({"truth": "t", "feed": {"kind": "candles", "pairs": ["BTC/USDT"]}}, ["folder"]),
        (
            {"truth": "t", "feed": {"kind": "candles", "folder": "/nowhere", "pairs": ["BTC/USDT"]}},
            ["expected a folder", "/nowhere"],
        ),
        ({"truth": "t", "feed": SYNTHETIC, "speed": "fast"}, ["speed", "'fast'"]),
        ({"truth": "t", "feed": SYNTHETIC, "maker_fee": 0.1}, ["maker_fee", "0.1"]),
        ({"truth": "t", "feed": SYNTHETIC, "accounts": [ACCOUNT, ACCOUNT]}, ["different api_key"]),
        ({"truth": "t", "feed": SYNTHETIC | {"crosses": ["DOGE/BTC"]}}, ["DOGE/BTC"]),
        ({"truth": "t", "feed": {"kind": "trades", "files": {"BTCUSDT": "x"}}}, ["files", "'BTCUSDT'"]),
        ({"truth": "/nowhere/truth.jsonl", "feed": SYNTHETIC}, ["/nowhere/truth.jsonl"]),
    ],
)
def test_a_bad_configuration_is_one_clear_error(tmp_path: Path, config: object, words: list[str]) -> None:
    done = start(config, tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert all(word in done.stderr for word in words), done.stderr


def test_help_says_how_to_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "venues.sandbox", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "--config FILE" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    async def run() -> None:
        async with sandbox() as venue:
            control = await venue.control()
            await control.go()
            await control.steps(3)
            venue.process.send_signal(number)
            assert await venue.process.wait() == 0
            truth = venue.truth()
            assert [line["n"] for line in truth] == list(range(len(truth)))
            assert truth[0]["event"] == "start"
            assert truth[-1]["event"] == "end"
            assert truth[-1]["steps"] == 3
            assert ACCOUNT["secret"] not in venue.truth_path.read_text()

    asyncio.run(run())


PARENT = """
import json, os, subprocess, sys
config = json.load(open(sys.argv[1]))
config["parent_pid"] = os.getpid()
json.dump(config, open(sys.argv[1], "w"))
command = [sys.executable, "-m", "venues.sandbox", "--config", sys.argv[1]]
child = subprocess.Popen(command, stdout=subprocess.PIPE)
sys.stdout.write(child.stdout.readline().decode())
sys.stdout.flush()
sys.stdin.read()
"""


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    async def run() -> None:
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"truth": str(tmp_path / "truth.jsonl"), "feed": SYNTHETIC}))
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PARENT, str(file), cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert parent.stdout is not None
        ready = json.loads(await parent.stdout.readline())
        descriptor = os.pidfd_open(ready["pid"])
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, gone.set)
        parent.kill()
        await parent.wait()
        await gone.wait()
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        assert parent.stdin is not None
        parent.stdin.close()

    asyncio.run(run())


async def trade_a_little(venue: SandboxProcess) -> list[dict[str, Any]]:
    """The same orders at the same steps; returns what the truth log says without wall time."""
    async with venue.client() as exchange:
        await exchange.load_markets()
        control = await venue.control()
        await control.go()
        for number in range(30):
            await control.steps(1)
            price = (await exchange.fetch_ticker(BTC))["last"]
            if number % 3 == 0:
                await exchange.create_order(BTC, "market", "buy", 0.1, params={"clientOrderId": f"m{number}"})
            if number % 5 == 0:
                name = {"clientOrderId": f"l{number}"}
                await exchange.create_order(BTC, "limit", "sell", 0.05, price * 1.0004, name)
        return [
            {name: value for name, value in line.items() if name not in ("wall_ns", "config")}
            for line in venue.truth("order", "trade", "balances")
        ]


def test_same_seed_and_same_orders_give_the_same_truth() -> None:
    async def once(seed: int) -> list[dict[str, Any]]:
        async with sandbox(seed=seed) as venue:
            return await trade_a_little(venue)

    first, again, other = asyncio.run(once(1)), asyncio.run(once(1)), asyncio.run(once(2))

    assert sum(line["event"] == "trade" for line in first) > 10
    assert any(line.get("liquidity") == "maker" for line in first)
    assert first == again
    assert first != other


def test_truth_adds_up() -> None:
    """Balances follow from the start and the trades, by arithmetic that knows nothing of the sandbox."""

    async def run() -> None:
        async with sandbox() as venue:
            await trade_a_little(venue)
            start_line = venue.truth("start")[0]
            owned = {
                asset: Decimal(amount["free"]) for asset, amount in start_line["accounts"]["first"].items()
            }
            for trade in venue.truth("trade"):
                base, quote = trade["symbol"].split("/")
                sign = 1 if trade["side"] == "BUY" else -1
                qty, price = Decimal(trade["qty"]), Decimal(trade["price"])
                assert Decimal(trade["quote_qty"]) == qty * price
                received, amount = (base, qty) if sign == 1 else (quote, qty * price)
                assert trade["fee_asset"] == received
                assert 0 <= amount * Decimal("0.001") - Decimal(trade["fee"]) < Decimal("1e-8")
                owned[base] = owned.get(base, Decimal(0)) + sign * qty
                owned[quote] = owned.get(quote, Decimal(0)) - sign * qty * price
                owned[received] -= Decimal(trade["fee"])
            last = venue.truth("balances")[-1]["balances"]
            totals = {asset: Decimal(one["free"]) + Decimal(one["locked"]) for asset, one in last.items()}
            assert totals == owned

    asyncio.run(run())


def test_paced_market_needs_no_acknowledgement() -> None:
    async def run() -> None:
        async with sandbox(speed=60_000) as venue:
            control = await venue.control()
            await control.go()
            while not (message := await control.hear()).get("end"):
                assert message["t"]
            assert message["steps"] == 40

    asyncio.run(run())


def test_trades_file_is_played_in_slices(market_data: Path) -> None:
    feed = {
        "kind": "trades",
        "files": {"BTC/USDT": str(market_data / "trades" / "binance-BTC_USDT-aggtrades-20201101T09.parquet")},
        "slice_ms": 60_000,
    }

    async def run() -> None:
        async with sandbox(feed) as venue, venue.client() as exchange:
            await exchange.load_markets()
            control = await venue.control()
            await control.go()
            end = await control.to_end()
            candles = await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=1000)
            assert end["steps"] == len(candles) == 60
            assert len(await exchange.fetch_trades("BTC/USDT", limit=1000)) == 1000

    asyncio.run(run())
