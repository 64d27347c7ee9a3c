"""`parley backtest` as a user meets it, and its files as freqtrade's own commands read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.forked import commands
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config
from tests.kit.strategy_text import strategy_text

ROOT = Path(__file__).resolve().parent.parent.parent
FREQTRADE = Path(sys.executable).parent / "freqtrade"
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
# Compiled kernels are kept below the user's home, which the runs here do not see.
KERNELS = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backtest")
    spot_candles(made / "candles", 2000)
    (made / "user").mkdir()
    write_config(made / "config.json")
    return made


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": str(Path(sys.executable).parent), "PARLEY_HOME": str(home), "HOME": str(home),
        "PYTHONPATH": str(ROOT), "COLUMNS": "200", "XDG_CACHE_HOME": KERNELS,
    }  # fmt: skip


def run(*command: object, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment(home), capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip


def parley(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return commands().run(
        "runtime.cli", "backtest", "--config", folder / "config.json",
        "--datadir", folder / "candles", "--userdir", folder / "user", "--strategy-path", STRATEGIES,
        *arguments, cwd=folder, env=environment(folder / "home"), timeout=380,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exported(folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One backtest of two strategies, one of them unknown, exported with its signals."""
    done = parley(
        folder, "--strategy-list", "TrendCross", "BandReversion", "Nobody", "-i", "5m", "--breakdown", "week",
        "--export", "signals", "--notes", "a note", "--timerange", "20240302-",
    )  # fmt: skip
    return done, folder / "user" / "backtest_results"


def test_the_tables_are_freqtrades(exported: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, _ = exported

    titles = (
        "BACKTESTING REPORT", "LEFT OPEN TRADES REPORT", "ENTER TAG STATS", "EXIT REASON STATS",
        "MIXED TAG STATS", "WEEK BREAKDOWN", "SUMMARY METRICS", "STRATEGY SUMMARY",
    )  # fmt: skip
    for title in titles:
        assert title in done.stdout, done.stderr


def test_a_bad_strategy_of_a_list_is_a_line_and_leaves_the_others(
    exported: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = exported

    assert done.returncode == 1
    assert done.stderr.startswith("parley: there is no strategy 'Nobody' in ")
    assert done.stderr.count("\n") == 1
    assert "Result for strategy TrendCross" in done.stdout
    assert "Result for strategy BandReversion" in done.stdout


def test_freqtrade_shows_parleys_file(
    folder: Path, exported: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    done, results = exported

    shown = run(
        FREQTRADE, "backtesting-show", "--config", folder / "config.json", "--userdir", folder / "user",
        "--backtest-directory", results, "--breakdown", "week", cwd=folder, home=folder / "home",
    )  # fmt: skip

    assert shown.returncode == 0, shown.stderr[-3000:]
    # Every row of every table freqtrade prints is a row Parley printed.
    rows = [line.replace(" ", "") for line in shown.stdout.splitlines() if line.startswith("│")]
    printed = {line.replace(" ", "") for line in done.stdout.splitlines()}
    assert len(rows) > 120
    assert [row for row in rows if row not in printed] == []


def test_freqtrade_analyses_parleys_file(
    folder: Path, exported: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    _, results = exported

    analysed = run(
        FREQTRADE, "backtesting-analysis", "--config", folder / "config.json", "--userdir", folder / "user",
        "--backtest-directory", results, "--analysis-groups", "0", "1", "2", "5",
        "--indicator-list", "fast", "rsi", cwd=folder, home=folder / "home",
    )  # fmt: skip

    assert analysed.returncode == 0, analysed.stderr[-3000:]
    assert "cross_rising" in analysed.stdout
    assert "below_band" in analysed.stdout
    assert "Cannot process" not in analysed.stdout


def test_the_example_of_the_documentation_runs(tmp_path: Path, market_data: Path) -> None:
    text = (ROOT / "docs" / "freqtrade.md").read_text(encoding="utf-8")
    block = (
        text.split("```sh")[1]
        .split("```")[0]
        .replace("\\\n", " ")
        .replace('"$PARLEY_DATA"', str(market_data))
    )
    words = block.split()
    assert words[:2] == ["parley", "backtest"]

    done = run(
        sys.executable, "-m", "runtime.cli", *words[1:], "--backtest-directory", tmp_path / "out", cwd=ROOT,
        home=tmp_path,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "Result for strategy TrendCross" in done.stdout
    assert len(list((tmp_path / "out").glob("backtest-result-*.zip"))) == 1


def test_json_is_one_object(folder: Path) -> None:
    done = parley(folder, "-s", "TrendCross", "-p", "AAA/USDT", "BBB/USDT", "--export", "none", "--json")

    told: dict[str, Any] = json.loads(done.stdout)
    figures = told["strategies"]["TrendCross"]
    assert (done.returncode, done.stderr) == (0, "")
    assert figures["pairlist"] == ["AAA/USDT", "BBB/USDT"]
    assert figures["total_trades"] == len(figures["trades"]) > 0
    assert (told["file"], told["refused"]) == (None, {})
    assert set(told["seconds"]) == {"load", "analyse", "simulate", "look ahead", "report"}
    assert told["lookahead"]["TrendCross"]["biases"] == []


def test_what_a_strategy_prints_or_logs_is_beside_the_answer_and_freqtrades_options_are_taken(
    folder: Path, tmp_path: Path
) -> None:
    text = strategy_text("Talks").replace(
        "metadata):\n        return dataframe",
        "metadata):\n        print('hello')\n        logging.getLogger('Talks').info('noted')"
        "\n        return dataframe",
        1,
    )
    (tmp_path / "talks.py").write_text("import logging\n" + text)

    done = parley(
        folder, "-s", str(tmp_path / "talks.py"), "--strategy-path", tmp_path, "--export", "none", "--json",
        "--no-lookahead-check", "-v", "--logfile", tmp_path / "x.log", "--no-color", "--cache", "none",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["strategies"]["Talks"]["total_trades"] > 0
    assert "hello\n" in done.stderr
    assert "Talks - INFO - noted" in done.stderr
    assert "Talks - INFO - noted" in (tmp_path / "x.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-s", "TrendCros"), "did you mean 'TrendCross'?"),
        (("-s", "TrendCross", "--timerange", "2024"), 'Incorrect syntax for timerange "2024"'),
        (("-s", "TrendCross", "-p", "QQQ/USDT"), "there are no candles of QQQ/USDT"),
        (("-s", "TrendCross", "--export", "all"), "export must be one of none, trades, signals, was 'all'"),
        (("-s", "BothSides",), "Short strategies cannot run in spot"),
        (("-s", "TrendCross", "--cache", "foo"), "cache must be one of none, day, week, month, was 'foo'"),
        ((), "there is no strategy to run"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    done = parley(folder, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("parley: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_strategy_that_knows_the_future_is_named_and_the_exit_code_says_so(folder: Path) -> None:
    corpus = ROOT / "tests" / "kit" / "foresight" / "biased"

    done = parley(
        folder, "--strategy", "NextClose", "--strategy-path", corpus, "--export", "none", "--json",
        "--page", folder / "pages",
    )  # fmt: skip
    unchecked = parley(
        folder, "--strategy", "NextClose", "--strategy-path", corpus, "--export", "none",
        "--no-lookahead-check",
    )  # fmt: skip

    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["lookahead"]["NextClose"]["biases"][0]["column"] == "value"
    assert told["performance"]["NextClose"]["trials"] == 1
    page = folder / "pages" / "NextClose.html"
    assert told["pages"] == [str(page)]
    assert "Balance and drawdown" in page.read_text(encoding="utf-8")
    assert unchecked.returncode == 0
    assert "knows the future" not in unchecked.stdout
