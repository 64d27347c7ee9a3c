"""`parley run --placement spread` as a person sees it: status, pause, resume, restart, Ctrl-C, the books."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.agent import ROLES
from parley.messages import Late, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from tests.kit.person import PARLEY, PATIENCE_S, Person, is_whole

pytestmark = pytest.mark.timeout(500)


def since(agent: str, name: str, before: int) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Wait for a number of an agent to grow."""

    def look(status: dict[str, Any]) -> dict[str, Any] | None:
        said: dict[str, Any] = status.get("agents", {}).get(agent, {})
        return said if said.get(name, 0) > before else None

    return look


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "home")


@pytest.fixture
def run(person: Person, market_data: Path) -> Iterator[subprocess.Popen[str]]:
    process = person.begins(
        "run", "--placement", "spread", "--data", market_data / "candles", "--pairs",
        "BTC/USDT,ETH/USDT,LTC/USDT", "--from", "2021-05-19T10:00", "--to", "2021-05-22", "--speed", 600,
        "--json",
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def test_person_looks_after_a_spread_desk(person: Person, run: subprocess.Popen[str]) -> None:
    status = person.waits(is_whole)
    agents = status["agents"]
    assert {agent.partition("/")[0] for agent in agents} == set(ROLES)
    assert {said["placement"] for said in agents.values()} == {"spread"}
    assert len({said["pid"] for said in agents.values()}) == len(agents)
    assert listed_actors(status, person) == {f"agent/main/{agent}" for agent in agents}

    said = person.reads("agents", "pause", "risk")
    assert said["agent"] == "risk/main"
    assert said["is_paused"] is True
    # What it was just being asked may still be answered.
    silent = person.waits(since("risk/main", "frames", said["frames"] + 10))
    answers = silent["answers"]
    told = person.waits(since("risk/main", "frames", silent["frames"] + 10))
    assert told["answers"] == answers, "a paused agent answers nothing"
    assert told["is_paused"] is True
    missed = missed_by(person, "risk/main")
    assert missed > 0, "the desk has to count it as silent"

    assert person.reads("agents", "resume", "risk")["is_paused"] is False
    person.waits(since("risk/main", "answers", answers))

    before = agents["signal/book"]
    assert person.types("agents", "restart", "signal/book").returncode == 0
    after = person.waits(since("signal/book", "incarnation", before["incarnation"]))
    assert after["pid"] != before["pid"]
    assert after["restarts"] == 1

    wrong = person.types("agents", "pause", "nobody")
    assert wrong.returncode == 2
    assert "there is no agent 'nobody'" in wrong.stderr
    assert "Traceback" not in wrong.stderr

    tree = psutil.Process(run.pid).children(recursive=True)
    assert len(tree) > len(agents)
    run.send_signal(signal.SIGINT)
    out, errors = run.communicate(timeout=PATIENCE_S)
    result = json.loads(out)
    assert run.returncode == 0, errors
    assert [each for each in tree if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert result["placement"] == "spread"
    assert result["ledger_equals_exchange"] is True
    assert result["rounds"] > 100
    gone = person.types("status")
    assert gone.returncode == 2
    assert "nothing runs" in gone.stderr


def listed_actors(status: dict[str, Any], person: Person) -> set[str]:
    """Ask Ray's own command line."""
    ray = status["ray"]["ray"]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": ray["token_file"]}
    done = subprocess.run(
        [PARLEY.with_name("ray"), "list", "actors", "--format", "json", "--address", ray["dashboard"]],
        env=person.environment | token, capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    return {each["name"] for each in json.loads(done.stdout) if each["state"] == "ALIVE"}


def missed_by(person: Person, agent: str) -> int:
    """Count the requests the desk recorded as not answered by an agent."""
    (journal,) = person.home.glob("runs/*/desk.journal")
    with JournalReader(journal) as reader:
        lates = [decode(decode_envelope(each.body).body) for each in reader.records(kinds=kinds("Late"))]
    return sum(1 for late in lates if isinstance(late, Late) and late.agent == agent)
