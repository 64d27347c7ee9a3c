"""A run of somebody whose environment is full of secrets: who needs one has it, and nobody writes it down.

Every process of a spread run with a foreign database is looked at as the operating system shows it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from runtime.postgres import EmbeddedServer
from runtime.postgres.migrate import make_database
from tests.kit.database import discard, new_server
from tests.kit.person import PATIENCE_S, Person, is_whole

pytestmark = pytest.mark.timeout(400)
MARK = "zq11qz"
OTHERS = {"BINANCE_API_KEY": f"{MARK}-key", "GITHUB_TOKEN": f"{MARK}-token", "PGPASSWORD": f"{MARK}-pg"}
NEED_THE_DATABASE = {"cli", "shipper", "api"}


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    made.start(ends_with_us=True)
    yield made
    discard(made)


@pytest.fixture
def person(tmp_path: Path, server: EmbeddedServer) -> Person:
    make_database(server)
    somebody = Person(tmp_path / "home")
    where = quote(str(server.sockets), safe="")
    url = f"postgresql://postgres:{MARK}-password@/parley?host={where}&port=5432"
    somebody.environment |= OTHERS | {"DATABASE_URL": url, "PARLEY_API__PORT": "0", "PARLEY_API__ON": "true"}
    return somebody


def holders(pids: dict[str, int]) -> dict[str, list[str]]:
    """Name per process the variables that hold a secret, where there are some."""
    found = {}
    for name, pid in pids.items():
        raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        variables = [each.partition("=")[0] for each in raw.split("\0") if MARK in each]
        if variables:
            found[name] = sorted(variables)
    return found


def processes(status: dict[str, Any]) -> dict[str, int]:
    """Return all processes of a run by name: its units, its agents, and those of Ray."""
    units = {name: unit["pid"] for name, unit in status["units"].items()}
    agents = {name: agent["pid"] for name, agent in status["agents"].items()}
    ray = {
        f"ray {child.name()} {child.pid}": child.pid for child in psutil.Process(units["ray"]).children(True)
    }
    return units | agents | ray


def test_secrets_reach_only_who_needs_them_and_no_file(person: Person) -> None:
    run = person.begins("run", "--placement", "spread", "--database")
    try:
        status = person.waits(is_whole)
        pids = processes(status)
        assert {"desk", "gateway", "hub", "sandbox", "ray", "risk/main"} | NEED_THE_DATABASE <= pids.keys()
        held = holders(pids)
    finally:
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=PATIENCE_S)

    assert run.returncode == 0, err
    assert held.pop("cli") == sorted({*OTHERS, "DATABASE_URL"})  # it was given them
    assert held == {name: ["DATABASE_URL", "PGPASSWORD"] for name in ("shipper", "api")}
    written = [
        path for path in person.home.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()
    ]
    assert written == []
    assert MARK not in out + err
