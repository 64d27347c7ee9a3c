"""ruff refuses clock, chance, ids and environment where decisions are made, and only there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.project import ROOT

# Each line is a read of something that differs between two runs; numbers are checked line by line.
BANNED = """\
import random
import datetime as d
import os
import time
import uuid
from time import monotonic_ns, time_ns
import numpy as np
from numpy.random import default_rng
a = time.time()
b = time.monotonic()
c = time.perf_counter()
e = d.datetime.now()
f = d.datetime.utcnow()
g = np.random.rand(3)
h = np.random.seed(1)
i = np.random.randint(3)
j = np.random.default_rng()
k = uuid.uuid4()
l = os.environ["HOME"]
m = os.getenv("HOME")
"""
BANNED_LINES = {1, 6, 8, *range(9, 21)}
ALLOWED = "import numpy as np\n\n\ndef draw(rng: np.random.Generator) -> float:\n    return rng.random()\n"


def lines_with(rule: str, text: str, name: str) -> set[int]:
    """Return the lines of `text` on which ruff reports `rule`, as if the text stood in file `name`."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=json"]
    process = subprocess.run(
        [*command, f"--stdin-filename={name}", "-"],
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return {each["location"]["row"] for each in json.loads(process.stdout) if each["code"] == rule}


@pytest.mark.parametrize("package", ["parley", "agents", "orchestrator", "strategies", "arbitrage"])
def test_bans_fire_in_pure_packages(package: str) -> None:
    assert lines_with("TID251", BANNED, f"{package}/planted.py") == BANNED_LINES


@pytest.mark.parametrize("folder", ["runtime", "venues", "tests/unit", "benchmarks", "tools"])
def test_bans_are_lifted_in_shells(folder: str) -> None:
    assert lines_with("TID251", BANNED, f"{folder}/planted.py") == set()


def test_generator_type_is_allowed() -> None:
    assert lines_with("TID251", ALLOWED, "agents/planted.py") == set()


def test_print_is_banned_in_packages() -> None:
    assert lines_with("T201", "print(1)\n", "agents/planted.py") == {1}
    assert lines_with("T201", "print(1)\n", "runtime/planted.py") == {1}
