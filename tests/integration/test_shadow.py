"""A paper run with real processes, beside its backtest: three injected causes, each told.

The strategy's process is stopped for some candles (latency), the reference has another candle (data), the
venue takes another fee than is configured (fill), and the strategy's file is changed afterwards (code).

Not here: the same without processes, which is quicker (tests/parity/test_shadow_of_paper.py).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from tests.kit.freqtrade_folder import STRATEGIES, walk, write_candles, write_config
from tests.kit.paper_run import PATIENCE_S, PaperRun, causes
from tests.kit.units import short_folder

pytestmark = [pytest.mark.long, pytest.mark.kill, pytest.mark.timeout(900)]
AGENT = "strategy/OldNames"
WARM_UP = 40
CANDLES = 45  # that are traded
CANDLE_MS = 300_000
SPEED = 100
STOPPED_S = 8.0  # more than two candles


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
        run = PaperRun(folder)
        trading = run.start(
            "trade", "--config", str(folder / "config.json"), "--datadir", str(folder / "candles"),
            "--userdir", str(folder / "user"), "--strategy-path", str(STRATEGIES), "--strategy", "OldNames",
            "--consent", "--speed", str(SPEED), "--json",
        )  # fmt: skip
        try:
            pid = run.pid_of(AGENT, trading)
            moment = _an_entry(folder) - CANDLE_MS // 2
            run.wait_until(lambda: run.market_ms() >= moment, trading)
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
