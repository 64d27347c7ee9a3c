"""Every contract of `.importlinter` finds a violation planted for it.

The contracts run on a copy of the configuration over a tree of empty packages, so the result does not depend
on the code of the day: without plants all are kept, with one plant each all are broken.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, root_packages

# file -> text; between them they break each contract at least once
PLANTS = {
    "parley/upward.py": "import runtime\n",
    "agents/hidden.py": "def f():\n    import torch\n",
    "agents/greedy.py": "import strategies\n",
    "agents/coupled.py": "import agents.greedy\n",
    "strategies/greedy.py": "import venues\n",
    "orchestrator/greedy.py": "import arbitrage\n",
    "parley/risk/rules.py": "import parley.risk._token\n",
    "runtime/client.py": "import ccxt.pro\n",
    "venues/store.py": "import redis\n",
    "runtime/gateway.py": "import sqlite3\n",
    "runtime/desk.py": "import psycopg\n",
    "runtime/serving.py": "import fastapi\n",
    "runtime/one/__init__.py": "import runtime.two\n",
    "runtime/two.py": "import runtime.one\n",
    "venues/sandbox/match.py": "import parley.ledger\n",
    "venues/sandbox/fees.py": "import parley.kernels.fees\n",
    "venues/sandbox/book.py": "import venues.sim.book\n",
    "backtest/greedy.py": "import freqtrade.strategy\n",
}
# Present in both trees, because contracts name them.
INNOCENT = {
    "parley/risk/__init__.py": "",
    "parley/risk/_token.py": "",
    "parley/risk/gate.py": "import parley.risk._token\n",
    "parley/ledger.py": "",
    "parley/kernels/__init__.py": "",
    "parley/kernels/fees.py": "",
    "runtime/journal.py": "import sqlite3\n",
    "runtime/server.py": "import venues.client\n",
    "runtime/tables.py": "import sqlalchemy\n",
    "runtime/postgres/__init__.py": "",
    "runtime/postgres/migrate.py": "import alembic.command\nimport sqlalchemy\n",
    "venues/client.py": "import ccxt.pro\n",
    "venues/sandbox/__init__.py": "",
    "venues/sim/__init__.py": "",
    "venues/sim/book.py": "import parley.ledger\n",
    "agents/risk.py": "import arbitrage\nimport parley.ledger\n",
}


def run_contracts(folder: Path, files: dict[str, str]) -> tuple[dict[str, str], str]:
    """Write the tree, run import-linter in it, and return contract -> KEPT or BROKEN, and all it said."""
    for root in root_packages():
        (folder / root).mkdir()
        (folder / root / "__init__.py").touch()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / ".importlinter", folder)
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return dict(re.findall(r"^(\S+) (KEPT|BROKEN)", process.stdout, re.MULTILINE)), process.stdout


@pytest.fixture(scope="module")
def contracts() -> list[str]:
    text = (ROOT / ".importlinter").read_text(encoding="utf-8")
    return re.findall(r"^\[importlinter:contract:(.+)\]", text, re.MULTILINE)


def test_contracts_are_kept_by_innocent_code(tmp_path: Path, contracts: list[str]) -> None:
    verdicts, output = run_contracts(tmp_path, INNOCENT)

    assert verdicts == dict.fromkeys(contracts, "KEPT"), output


def test_each_contract_finds_its_planted_violation(tmp_path: Path, contracts: list[str]) -> None:
    verdicts, output = run_contracts(tmp_path, INNOCENT | PLANTS)

    assert verdicts == dict.fromkeys(contracts, "BROKEN"), output
    for file in PLANTS:
        # Without its root, because a cycle is reported with names relative to the package it is in.
        module = file.partition("/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert f".{module}" in output, f"{file} was not found:\n{output}"


def test_protected_token_exists() -> None:
    # `only-the-gate-approves` is written with wildcards, which match nothing as long as nothing is there.
    assert (ROOT / "parley/risk/_token.py").is_file()
    assert (ROOT / "parley/risk/gate.py").is_file()
