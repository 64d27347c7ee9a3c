"""A paper run with real processes, beside its backtest: three injected causes, each told.

The strategy's process is stopped for some candles (latency), the reference has another candle (data), the
venue takes another fee than is configured (fill), and the strategy's file is changed afterwards (code).

Not here: the same without processes, which is quicker (tests/parity/test_shadow_of_paper.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from parley.messages import MarketBatch, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from tests.kit.freqtrade_folder import STRATEGIES, walk, write_candles, write_config
from tests.kit.units import short_folder

pytestmark = [pytest.mark.long, pytest.mark.kill, pytest.mark.timeout(900)]
AGENT = "strategy/OldNames"
WARM_UP = 40
CANDLES = 45  # that are traded
CANDLE_MS = 300_000
SPEED = 100
STOPPED_S = 8.0  # more than two candles
PATIENCE_S = 240.0


class PaperRun:
    """A `parley trade` in a process of its own, and what it left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        named = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.environment = named | {"PARLEY_HOME": str(folder / "home")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self.environment, start_new_session=True,
        )  # fmt: skip

    def ask(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", *words, "--json"], capture_output=True, text=True,
            env=self.environment, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def shadow(self, **given: Path) -> tuple[int, dict[str, Any]]:
        words = [
            word for name, place in given.items() for word in (f"--{name.replace('_', '-')}", str(place))
        ]
        code, told = self.ask("shadow", *words)
        (strategy,) = told["strategies"]
        return code, strategy


def causes(told: dict[str, Any], cause: str) -> list[dict[str, Any]]:
    return [each for each in told["divergences"] if each["cause"] == cause and not each["follows"]]


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperRun]:
    with short_folder() as folder:
        count = WARM_UP + CANDLES
        frames = {}
        for seed, name in enumerate(("AAA", "BBB", "CCC"), 1):
            made = walk(seed, count, price=10.0**seed)
            # Enough of everything, in small lots.
            made["volume"] = (
                np.random.default_rng(seed).uniform(500, 900, count) * 10.0 ** (3 - seed)
            ).round(3)
            frames[f"{name}_USDT-5m"] = made
        write_candles(folder / "candles", frames)
        write_config(folder / "config.json")
        (folder / "user").mkdir()
        (folder / "home").mkdir()
        run = PaperRun(folder)
        trading = run.start(
            "trade", "--config", str(folder / "config.json"), "--datadir", str(folder / "candles"),
            "--userdir", str(folder / "user"), "--strategy-path", str(STRATEGIES), "--strategy", "OldNames",
            "--consent", "--speed", str(SPEED), "--json",
        )  # fmt: skip
        try:
            pid = _agent(run, trading)
            _wait_until(run, _an_entry(folder) - CANDLE_MS // 2)
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(STOPPED_S)
            finally:
                os.kill(pid, signal.SIGCONT)
            followed = run.start("shadow", "--follow", "--every", "3")
            said, errors = trading.communicate(timeout=PATIENCE_S * 2)
            assert trading.returncode == 0, errors[-2000:]
            lines, errors = followed.communicate(timeout=PATIENCE_S)
            assert followed.returncode in (0, 1), errors[-2000:]
            (folder / "followed.txt").write_text(lines)
            (folder / "said.json").write_text(said)
            yield run
        finally:
            for process in (trading,):
                if process.poll() is None:
                    process.terminate()
                    process.wait(60)


def _agent(run: PaperRun, trading: subprocess.Popen[str]) -> int:
    """Wait until the strategy's process answers and candles come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert trading.poll() is None, trading.communicate()
        code, told = run.ask("status")
        found = told.get("agents", {}).get(AGENT, {}) if code == 0 else {}
        if found.get("pid") and found.get("state") == "alive":
            return int(found["pid"])
        time.sleep(0.5)
    raise AssertionError(f"{AGENT} did not come up")


def _an_entry(folder: Path) -> int:
    """When the strategy enters in its backtest, ms: some time after the run began, and before it ends."""
    options = Options(
        user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
        strategy="OldNames", strategy_path=STRATEGIES,
    )  # fmt: skip
    prepared = prepare(options)
    trades = simulate_strategy(prepared, analyse(prepared, prepared.strategies[0])).trades
    begin = int(trades["open_timestamp"].min())
    return int(min(t for t in trades["open_timestamp"] if t >= begin + 12 * CANDLE_MS))


def _wait_until(run: PaperRun, t_ms: int) -> None:
    """Wait until the market is at a time."""
    (path,) = (run.folder / "home" / "runs").glob("*/desk.journal")
    deadline, seq, now = time.monotonic() + PATIENCE_S, 0, 0
    while now < t_ms:
        assert time.monotonic() < deadline, f"the market is at {now} and not at {t_ms}"
        time.sleep(0.1)
        with JournalReader(path) as reader:
            for record in reader.records(seq, kinds("MarketBatch")):
                seq, batch = record.seq, decode(decode_envelope(record.body).body)
                assert isinstance(batch, MarketBatch)
                now = batch.t // 1_000_000


def test_run_differs_only_by_latency_where_its_process_was_stopped(paper: PaperRun) -> None:
    code, told = paper.shadow()
    assert told["changed_candles"] == []
    assert told["entries_as_backtest"] >= 5
    assert causes(told, "data") == causes(told, "code") == [], told["divergences"]
    late = causes(told, "latency")
    assert late
    assert code == 1
    # as many candles as it was stopped for, and the ones it worked off after that
    first = min(each["t_ms"] for each in late)
    length = STOPPED_S * 1000 * SPEED + 2 * CANDLE_MS
    assert all(each["t_ms"] - first <= length for each in late)


def test_following_the_run_told_the_same(paper: PaperRun) -> None:
    text = (paper.folder / "followed.txt").read_text()
    _, told = paper.shadow()
    for each in causes(told, "latency"):
        assert each["sentence"] in text
    assert "divergences: " in text


def test_three_injected_causes_are_each_attributed(paper: PaperRun) -> None:
    other = paper.folder / "other"
    other.mkdir()
    for path in (paper.folder / "candles").iterdir():
        frame = pd.read_feather(path)
        if path.name.startswith("AAA"):
            row = WARM_UP + CANDLES - 20
            frame.loc[row, ["close", "high"]] = frame.loc[row, "high"] * 1.05
        frame.to_feather(other / path.name)
    cheaper = write_config(paper.folder / "cheaper.json", fee=0.0005)
    code, told = paper.shadow(datadir=other, config=cheaper)
    assert code == 1
    assert [each["pair"] for each in told["changed_candles"]] == ["AAA/USDT"]
    assert {each["pair"] for each in causes(told, "data")} == {"AAA/USDT"}
    assert causes(told, "latency")
    paid = [each for each in causes(told, "fill") if "paid a fee of 0.1000%" in each["sentence"]]
    assert len(paid) >= 5
    assert causes(told, "code") == []


def test_changed_strategy_is_told_from_all_of_them(paper: PaperRun) -> None:
    changed = paper.folder / "changed"
    changed.mkdir()
    text = (STRATEGIES / "old_names.py").read_text()
    old = "timeperiod=10"
    assert old in text
    (changed / "old_names.py").write_text(text.replace(old, "timeperiod=6"))
    code, told = paper.shadow(strategy_path=changed)
    assert code == 1
    assert len(causes(told, "code")) >= 5
    assert causes(told, "data") == []
