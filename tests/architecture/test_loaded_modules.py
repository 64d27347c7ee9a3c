"""What each process may have in memory, read from `sys.modules` of a fresh interpreter.

Import contracts see statements; this sees the result, third-party chains included. It guards start-up time,
memory and the promise that a desk holds no venue client.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, module_name, root_packages, sources

HEAVY = {
    "ccxt", "freqtrade", "torch", "fastapi", "sqlalchemy", "pandas", "polars", "pyarrow", "redis", "cupy",
    "psycopg", "alembic",
}  # fmt: skip
AGENTS = ["agents.strategy", "agents.signal", "agents.risk", "agents.capital", "agents.execution"]
AGENTS += ["agents.arbitrageur", "agents.meta", "agents.silent", "agents.consent", "agents.outside"]
# A map of names to factory strings, no agent: it is loaded by whoever composes a firm.
NO_AGENTS = {"agents", "agents.registry"}
OTHER_LAYERS = set(root_packages()) - {"agents", "arbitrage", "parley"}

ASK_FOR_HELP = """\
import runtime.cli
sys.argv = ["parley", "--help"]
try:
    runtime.cli.main()
except SystemExit as end:
    assert not end.code, end.code
"""

# process -> (what it runs, what must not be loaded afterwards)
PROCESSES: dict[str, tuple[str, set[str]]] = {
    "pure packages": (
        "import parley, agents, orchestrator",
        HEAVY | {"ray", "asyncio", "sqlite3", "aiohttp"},
    ),
    "desk": ("import runtime.desk", HEAVY | {"aiohttp", "requests"}),
    # What a desk will read of the shipper loads no driver; the shipper itself needs the driver and no more.
    "backlog": ("import runtime.backlog", HEAVY | {"aiohttp", "requests", "uvloop"}),
    "shipper": ("import runtime.shipper.ship", HEAVY - {"psycopg"} | {"aiohttp", "requests"}),
    "api": ("import api.__main__", HEAVY - {"psycopg", "fastapi"} | {"aiohttp", "requests", "ray", "numba"}),
    "cli": ("import runtime.cli", HEAVY | {"ray", "aiohttp", "numba"}),
    # The file first: what takes seconds to load, or is broken, must not stand between a person and a kill.
    "parley kill": (
        "import runtime.commands.kill",
        HEAVY | {"aiohttp", "ray", "numba", "runtime.kill_takeover"},
    ),
    "parley --help": (
        ASK_FOR_HELP,
        HEAVY | {"ray", "aiohttp", "numba"},
    ),
}
# Whoever hosts an agent imports that agent and no other.
PROCESSES |= {
    f"host of {name}": (
        f"import {name}",
        HEAVY | {"ray", "asyncio", "aiohttp"} | OTHER_LAYERS | set(AGENTS) - {name},
    )
    for name in AGENTS
}


@cache
def loaded_after(code: str) -> frozenset[str]:
    """Run `code` in a fresh interpreter at the repository root and name the modules loaded then."""
    script = f"import sys\n{code}\nimport json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, f"{code!r} ended with {process.returncode}:\n{process.stderr}"
    return frozenset(json.loads(process.stdout.splitlines()[-1]))


@pytest.mark.parametrize("process", PROCESSES)
def test_process_loads_nothing_forbidden(process: str) -> None:
    code, forbidden = PROCESSES[process]

    assert sorted(loaded_after(code) & forbidden) == []


def test_every_agent_has_a_row() -> None:
    assert {module_name(path) for path in sources("agents")} - NO_AGENTS <= set(AGENTS)


def test_table_finds_what_a_chain_loads(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text("import sqlite3\n")

    assert "sqlite3" in loaded_after(f"sys.path.insert(0, {str(tmp_path)!r}); import chain")
