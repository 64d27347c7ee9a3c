"""Three minutes of the chaos campaign, and a small one against the full stack.

Not here: the campaigns that count (`make chaos-long`, `make chaos-full`), tests of the harness itself
(`contract/test_chaos_harness`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.differential.record import ROOT

SECONDS = 160  # in which bouts begin; the last ones end some seconds later
LANES = 3
NICE = 5  # beside two other lanes of tests
LEAST = 60  # kills, on the busiest machine
KEEP = ROOT / "var" / "chaos"


def campaign(module: str, results: Path, *options: object) -> dict[str, Any]:
    """Run a campaign and return its totals."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--results", str(results), "--keep", str(KEEP), *map(str, options)],
        cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=lambda: os.nice(NICE),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    (kept,) = json.loads(results.read_text()).values()
    total: dict[str, Any] = kept["total"]
    return total


@pytest.mark.timeout(600)
def test_three_minutes_of_kills_violate_nothing(tmp_path: Path) -> None:
    total = campaign("tests.chaos.campaign", tmp_path / "chaos.json", "--seconds", SECONDS, "--lanes", LANES)

    assert (total["violations"], total["unexplained"]) == (0, 0)
    assert total["kills"] >= LEAST
    assert set(total["kills_by_victim"]) >= {"desk", "gateway"}
    assert total["orders"] > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kills_of_the_full_stack_violate_nothing(tmp_path: Path) -> None:
    total = campaign("tests.chaos.full", tmp_path / "chaos.json", "--kills", 40, "--each", 40)

    assert (total["violations"], total["unexplained"]) == (0, 0)
    assert total["kills"] >= 40
    assert total["orders"] > 0
