"""`parley backtest --desk` with freqtrade strategies: what it tells, and what is left when it is cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

ROOT = Path(__file__).resolve().parent.parent.parent
BIASED = ROOT / "tests" / "kit" / "foresight" / "biased"
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("desk")
    spot_candles(made / "candles", 1200)
    (made / "user").mkdir()
    write_config(made / "config.json")
    (made / "desk.toml").write_text("")
    return made


def command(folder: Path, *arguments: object) -> list[str]:
    return [str(word) for word in (
        sys.executable, "-m", "runtime.cli", "backtest", "--desk", folder / "desk.toml", "--config",
        folder / "config.json", "--datadir", folder / "candles", "--userdir", folder / "user", *arguments,
    )]  # fmt: skip


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PARLEY_HOME": str(home), "PYTHONPATH": str(ROOT)}


def parley(folder: Path, home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), cwd=ROOT, env=environment(home), capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip


def told(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_strategies_that_know_the_future_are_named_as_without_a_desk(folder: Path, tmp_path: Path) -> None:
    asked = ("--strategy", "NextClose", "--strategy-path", BIASED)
    at_desk = told(parley(folder, tmp_path, *asked, "--json"), 1)["lookahead"]
    plain = subprocess.run(
        [word for word in command(folder, *asked, "--json", "--export", "none")
         if word not in ("--desk", str(folder / "desk.toml"))],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert at_desk == {"strategy/NextClose": told(plain, 1)["lookahead"]["NextClose"]}
    assert at_desk["strategy/NextClose"]["biases"]
    shown = parley(folder, tmp_path, *asked)
    assert shown.returncode == 1
    assert "strategy/NextClose knows the future" in shown.stdout
    unchecked = parley(folder, tmp_path, *asked, "--no-lookahead-check")
    assert unchecked.returncode == 0
    assert "knows the future" not in unchecked.stdout


@pytest.mark.long
def test_a_clean_strategy_is_checked_and_its_journal_is_kept(folder: Path, tmp_path: Path) -> None:
    asked = ("--strategy", "TrendCross", "--strategy-path", STRATEGIES)
    found = told(parley(folder, tmp_path, *asked, "--json"))
    assert found["lookahead"]["strategy/TrendCross"]["moments"] > 50
    assert found["lookahead"]["strategy/TrendCross"]["biases"] == []
    journal = Path(found["journal"])
    assert journal.parent.parent == tmp_path / "backtests"
    assert sorted(each.name for each in journal.parent.iterdir()) == ["desk.journal", "desk.journal.sum"]


def end(folder: Path, home: Path, how: signal.Signals) -> tuple[int, str, str]:
    """Begin a backtest and end it when its journal has begun."""
    asked = ("--strategy-list", "TrendCross", "BandReversion", "--strategy-path", STRATEGIES)
    running = subprocess.Popen(
        command(folder, *asked, "--no-lookahead-check"), cwd=ROOT, env=environment(home),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not list(home.glob("backtests/*/desk.journal")) and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(how)
        out, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    return running.returncode, out, errors


def test_a_backtest_that_is_cut_off_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    code, out, errors = end(folder, tmp_path, signal.SIGINT)
    assert code not in (0, 2)
    assert out == ""
    assert "Traceback" not in errors
    assert list((tmp_path / "backtests").iterdir()) == []


def test_what_a_killed_backtest_leaves_goes_with_the_next(folder: Path, tmp_path: Path) -> None:
    end(folder, tmp_path, signal.SIGKILL)
    (left,) = (tmp_path / "backtests").iterdir()
    hour_ago = time.time() - 3600
    os.utime(left / "running", (hour_ago, hour_ago))
    asked = ("--strategy", "TrendCross", "--strategy-path", STRATEGIES, "--no-lookahead-check")
    found = told(parley(folder, tmp_path, *asked, "--json"))
    assert list((tmp_path / "backtests").iterdir()) == [Path(found["journal"]).parent]
