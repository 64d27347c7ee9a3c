"""A desk that trades an exchange nobody started for it loses its gateway and its hub, and goes on; one whose
hub falls again and again ends, and goes on where it was when it is resumed.

Not here: what a live run asks for before it starts (unit and contract tests).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.messages import Decision, decode, decode_envelope
from runtime.book_check import check_books
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.replay import replay
from tests.kit.outside_exchange import Outside, outside_exchange
from tests.kit.sandbox import ROOT

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Outside]:
    with outside_exchange(tmp_path) as running:
        yield running


def begin(settings: Path, *options: str, venue: str = "binance") -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    command = ["trade", "--mode", "live", "--desk", str(settings), "--real-money", venue, "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", *command, *options], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    told: dict[str, Any] = json.loads(out) if out else {}
    return told | {"err": err}


def unit(process: subprocess.Popen[str], name: str) -> psutil.Process:
    return next(child for child in psutil.Process(process.pid).children() if name in child.cmdline())


def wait_for_fills(trading: subprocess.Popen[str], home: Path, count: int) -> Path:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert trading.poll() is None, trading.communicate()
        for path in home.glob("runs/*/desk.journal"):
            with JournalReader(path) as reader:
                if sum(1 for _ in reader.records(kinds=kinds("Fill"))) >= count:
                    return path
        time.sleep(0.05)
    raise AssertionError(f"there were no {count} fills")


def wait_for_status(trading: subprocess.Popen[str], home: Path) -> dict[str, Any]:
    """Wait until the desk trades through its second gateway, and return what is said of that one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert trading.poll() is None, trading.communicate()
        said = subprocess.run(
            [sys.executable, "-m", "runtime.cli", "status", "--json"], cwd=ROOT, capture_output=True,
            text=True, check=False, env=os.environ | {"PARLEY_HOME": str(home)},
        )  # fmt: skip
        units = json.loads(said.stdout)["units"] if said.stdout else {}
        if units.get("gateway", {}).get("restarts") and units["gateway"]["epoch"] == 2:
            return dict(units)
        time.sleep(0.2)
    raise AssertionError("the spare did not take over")


def kill_hubs(process: subprocess.Popen[str], count: int) -> None:
    """Kill so many hubs, each when it has taken its place."""
    killed: set[int] = set()
    deadline = time.monotonic() + 120
    while len(killed) < count and time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):
                if "runtime.hub" in child.cmdline() and child.pid not in killed and is_heard(child):
                    child.kill()
                    killed.add(child.pid)
        time.sleep(0.05)
    assert len(killed) == count


def is_heard(hub: psutil.Process) -> bool:
    """Whether somebody is connected to it, so that it serves: there is more than the socket it listens on."""
    named = [each for each in hub.net_connections("unix") if each.status == psutil.CONN_NONE and each.laddr]
    return len(named) > 1


def test_live_desk_goes_on_without_gateway_or_hub_and_on_resume_when_hubs_fell_too_often(
    exchange: Outside, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    settings = exchange.settings(tmp_path / "desk.toml", home)
    first = begin(settings)
    journal = wait_for_fills(first, home, 3)
    lost = unit(first, "runtime.gateway")
    lost.kill()
    units = wait_for_status(first, home)
    assert units["gateway"]["pid"] != lost.pid
    assert units["gateway"]["is_running"]
    fills = sum(1 for _ in JournalReader(journal).records(kinds=kinds("Fill")))
    wait_for_fills(first, home, fills + 1)
    fills = sum(1 for _ in JournalReader(journal).records(kinds=kinds("Fill")))
    kill_hubs(first, 1)
    wait_for_fills(first, home, fills + 1)
    kill_hubs(first, 5)
    said = ended(first, 1)["err"]
    assert "the gateway was ended by SIGKILL; its spare serves in its place: life 2" in said
    # which of its lives were announced before they were killed is up to the machine
    assert "the hub was ended by SIGKILL; it serves again and asks for what it missed: life " in said
    assert "the hub was ended by SIGKILL while running" in said
    assert "it was not started again: it ended 6 times within 60 s of service" in said
    before = decisions(journal)

    told = ended(begin(settings, "--resume", "last", "--duration", "4"), 0)

    assert told["journal"] == str(journal)
    assert told["ledger_equals_exchange"] is True, told["ledger_check"]
    assert told["equity_start"] == "10000"
    assert told["resume"] == journal.parent.name
    moved = told["ledger_check"]["moved"]
    assert told["holds"] == {asset: moved[asset] for asset in moved if asset != "USDT"}
    assert f"to go on: --resume {journal.parent.name}" in told["err"]
    after = decisions(journal)
    assert after[: len(before)] == before
    assert len(after) > len(before) > 0
    assert replay(journal).ok

    someone = exchange.client()
    someone.load_markets()
    someone.create_order("BTC/USDT", "market", "buy", 0.01)
    other = ended(begin(settings, "--resume", "last", "--duration", "3"), 1)

    assert other.get("ledger_equals_exchange") is False, other["err"]
    assert any(line.startswith("BTC: +0.00999") for line in other["ledger_check"]["first"])
    assert "the ledger does not equal the exchange" in other["err"]
    assert begin_elsewhere(exchange, tmp_path, home)
    exchange.end()
    found = check_books(exchange.truth, journal)["ledger_check"]["first"]
    assert [line for line in found if "trade" in line and "not in the journal" not in line] == []
    assert sum("without an intent" in line for line in found) == 1


def begin_elsewhere(exchange: Outside, folder: Path, home: Path) -> bool:
    """Whether the run refuses to go on with other money."""
    richer = exchange.settings(folder / "richer.toml", home, capital=20_000)
    said = ended(begin(richer, "--resume", "last", "--duration", "3"), 2)["err"]
    return "capital was 10000, is 20000" in said


def decisions(journal: Path) -> list[bytes]:
    with JournalReader(journal) as reader:
        found = [decode(decode_envelope(each.body).body) for each in reader.records(kinds=kinds("Decision"))]
    return [each.round for each in found if isinstance(each, Decision)]
