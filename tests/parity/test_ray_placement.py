"""The same hours decided in one process and by Ray actors: equal decisions and orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parley.messages import KIND_OF, Intent, Message, decode, decode_envelope
from runtime.journal import JournalReader

pytestmark = [pytest.mark.timeout(300)]
WINDOW = ("2021-05-19 11:00", "2021-05-19 15:00")  # the crash of that day
ROUNDS = 3 * 4 * 60


def run(home: Path, data: Path, placement: str, *, watched: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the window and return the summary; what `parley status` says meanwhile goes into ``watched``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {"PARLEY_HOME": str(home)}
    command = [sys.executable, "-m", "runtime.cli"]
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            done = subprocess.run(
                [*command, "status", "--json"], capture_output=True, text=True, check=False, env=environment
            )
            if done.returncode == 0:
                watched.append(json.loads(done.stdout))
            over.wait(1.0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            [
                *command, "run", "--data", str(data / "candles"), "--pairs", "BTC/USDT,ETH/USDT,LTC/USDT",
                "--from", WINDOW[0], "--to", WINDOW[1], "--placement", placement, "--json",
            ],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
    finally:
        over.set()
        watcher.join()
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def decided(journal: str) -> list[Message]:
    """Return all decisions and orders, in order; of orders not what the clock of the machine says."""
    with JournalReader(journal) as reader:
        found = []
        for record in reader.records(kinds=[KIND_OF["Decision"], KIND_OF["Intent"]]):
            message = decode(decode_envelope(record.body).body)
            # `risk_hash` covers ages by the wall clock; `test_placements` injects stamps and compares it too
            found.append(
                replace(message, send_by=0, risk_hash=b"") if isinstance(message, Intent) else message
            )
        return found


def late(journal: str) -> int:
    with JournalReader(journal) as reader:
        return sum(1 for _ in reader.records(kinds=[KIND_OF["Late"]]))


def test_ray_actors_decide_what_the_desk_alone_decides(tmp_path: Path, market_data: Path) -> None:
    seen: list[dict[str, Any]] = []
    packed = run(tmp_path / "packed", market_data, "packed", watched=[])
    began = time.monotonic()

    spread = run(tmp_path / "spread", market_data, "spread", watched=seen)

    assert spread["rounds"] >= ROUNDS
    assert spread["orders"] > 0
    assert decided(spread["journal"]) == decided(packed["journal"])
    assert spread["decision_hash"] == packed["decision_hash"]
    assert late(spread["journal"]) == late(packed["journal"]) == 0
    assert spread["ledger_equals_exchange"] is True
    # it was not one process: each agent has its own, and frames of its own went to it
    agents = seen[-1]["agents"]
    assert len({agent["pid"] for agent in agents.values()}) == len(agents) >= 7
    assert min(agent["frames"] for agent in agents.values()) > 0
    print(f"{spread['rounds']} rounds, {spread['orders']} orders, {time.monotonic() - began:.0f} s")
    print({name: (agent["pid"], agent["frames"]) for name, agent in agents.items()})
