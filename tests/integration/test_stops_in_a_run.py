"""A recorded day in lock-step with the stops at the exchange: the books agree, and it replays to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parley.messages import KIND_OF, Decision, Intent, Trigger, decode, decode_envelope
from runtime.journal import JournalReader

pytestmark = pytest.mark.timeout(400)
DAY = ("--pairs", "BTC/USDT,ETH/USDT,LTC/USDT", "--from", "2021-05-08", "--to", "2021-05-09")


def parley(home: Path, *arguments: object, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False,
        env=environment | {"PARLEY_HOME": str(home), "COLUMNS": "300", **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def day(home: Path, market_data: Path) -> dict[str, Any]:
    told = parley(
        home, "run", "--data", market_data / "candles", *DAY, "--json", PARLEY_DESK__VENUE_STOPS="true"
    )
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.fixture(scope="module")
def journal(day: dict[str, Any]) -> list[Any]:
    with JournalReader(Path(day["journal"])) as reader:
        kinds = [KIND_OF[name] for name in ("Intent", "Decision", "Trigger")]
        return [decode(decode_envelope(record.body).body) for record in reader.records(kinds=kinds)]


def test_books_agree_and_the_day_replays(home: Path, day: dict[str, Any]) -> None:
    assert day["ledger_equals_exchange"] is True
    assert day["equity_is_reproduced"]
    assert day["attribution_is_complete"]
    again = json.loads(parley(home, "replay", day["journal"], "--json"))
    assert again["mismatches"] == []
    assert again["intents_identical"] == again["intents"] == day["orders"]
    assert again["decisions_identical"] == again["decisions"] == day["rounds"]


def test_stops_stood_moved_and_sold_and_exits_waited_for_them(
    day: dict[str, Any], journal: list[Any]
) -> None:
    stops = [m for m in journal if isinstance(m, Intent) and m.trigger is not None]
    assert len(stops) > 20
    truth = Path(day["journal"]).parent / "truth.jsonl"
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    orders = [e for e in lines if e["event"] == "order" and e.get("type") == "STOP_LOSS_LIMIT"]
    assert {e["status"] for e in orders} >= {"NEW", "CANCELED", "FILLED"}
    held = [m for m in journal if isinstance(m, Decision) and ("desk", "guarded", "") in m.reasons]
    lifted = [m for m in journal if isinstance(m, Trigger) and m.source == "stop_lifted"]
    assert len(held) == len(lifted) > 0
    triggers: dict[bytes, list[Any]] = {}
    for each in stops:
        triggers.setdefault(each.pid, []).append(each.trigger)
    assert all(moved == sorted(moved) for moved in triggers.values())  # no stop was loosened (T4)


def test_people_are_told_where_the_stop_is(home: Path, day: dict[str, Any], journal: list[Any]) -> None:
    (stop, *_) = [m for m in journal if isinstance(m, Intent) and m.trigger is not None]
    listed = parley(home, "orders", "--journal", day["journal"], "--limit", 500)
    assert "stop at the venue" in listed
    rounds = json.loads(parley(home, "rounds", "--journal", day["journal"], "--outcome", "accept", "--json"))[
        "rounds"
    ]
    told = "".join(parley(home, "explain", each["round"], "--journal", day["journal"]) for each in rounds[:4])
    assert "stop at the venue: sell" in told
    assert f"{stop.cid}" in told or len(rounds) > 4
