"""What is wrong with a strategy, a setting or a candle is one line of `parley backtest`, and never more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.kit.forked import commands
from tests.kit.freqtrade_folder import START, walk, write_candles, write_config
from tests.kit.strategy_text import RETURN, strategy_text

ROOT = Path(__file__).resolve().parent.parent.parent
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
KERNELS = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")

# By strategy: what its file has in place of what, and what is told of it ({file} is its file).
POPULATE_EXIT = "    def populate_exit"
BAD = {
    "NoImport": (
        "from freqtrade.strategy", "import nothing_like_it\nfrom freqtrade.strategy",
        "({file}, line 2) failed in loading: ModuleNotFoundError: No module named 'nothing_like_it'",
    ),
    "NoPython": (
        RETURN, "        return dataframe)\n",
        "({file}, line 11) failed in loading: SyntaxError: unmatched ')'",
    ),
    "NoTimeframe": (
        'timeframe = "5m"', "", "({file}): timeframe must be set in the strategy, the configuration or by",
    ),
    "MissingPair": (
        RETURN, '        self.dp.get_pair_dataframe("QQQ/USDT", "5m")\n' + RETURN,
        "QQQ_USDT-5m.feather: there are no 5m candles of QQQ/USDT, which the strategy asks for",
    ),
    "Shorter": (
        RETURN, "        return dataframe.iloc[3:]\n",
        "({file}): populate_indicators of AAA/USDT must return 500 rows, returned 497",
    ),
    "NoPrices": (
        RETURN, '        dataframe.loc[7, "close"] = float("nan")\n' + RETURN,
        "({file}): populate_indicators of AAA/USDT must keep finite prices, returned close nan in row 8",
    ),
    "NegativeStake": (
        POPULATE_EXIT,
        "    def custom_stake_amount(self, **kwargs):\n        return -5.0\n\n" + POPULATE_EXIT,
        "({file}): custom_stake_amount must return a stake of at least 0, returned -5.0",
    ),
    "NoPrice": (
        POPULATE_EXIT,
        '    def custom_entry_price(self, **kwargs):\n        return float("nan")\n\n' + POPULATE_EXIT,
        "({file}): custom_entry_price must return a price or None, returned nan",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bad input")
    write_candles(made / "candles", {"AAA_USDT-5m": walk(1, 500)})
    write_config(made / "config.json", exchange={"pair_whitelist": ["AAA/USDT"]})
    (made / "strategies").mkdir()
    (made / "strategies" / "good.py").write_text(strategy_text("Good"))
    for name, (old, new, _) in BAD.items():
        text = strategy_text(name)
        assert old in text
        (made / "strategies" / f"{name.lower()}.py").write_text(text.replace(old, new, 1))
    return made


def parley(folder: Path, *arguments: object, **files: Path) -> subprocess.CompletedProcess[str]:
    words = [
        "backtest",
        "--config", files.get("config", folder / "config.json"),
        "--datadir", files.get("candles", folder / "candles"), "--userdir", folder,
        "--strategy-path", folder / "strategies", "--export", "none", *arguments,
    ]  # fmt: skip
    environment = {
        "PATH": str(Path(sys.executable).parent), "PARLEY_HOME": str(folder / "home"), "HOME": str(folder),
        "PYTHONPATH": str(ROOT), "COLUMNS": "200", "XDG_CACHE_HOME": KERNELS,
    }  # fmt: skip
    return commands().run("runtime.cli", *words, cwd=folder, env=environment, timeout=380)


def test_every_bad_strategy_of_a_list_is_one_line_and_the_good_one_has_its_result(folder: Path) -> None:
    done = parley(folder, "--strategy-list", *BAD, "Good", "-i", "5m", "--json", "--no-lookahead-check")

    told: dict[str, Any] = json.loads(done.stdout)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    # With the option every strategy has a timeframe.
    wrong = {name: text for name, (_, _, text) in BAD.items() if name != "NoTimeframe"}
    assert set(told["strategies"]) == {"Good", "NoTimeframe"}
    assert told["strategies"]["Good"]["total_trades"] > 0
    assert set(told["refused"]) == set(wrong)
    assert len(lines) == len(wrong)
    for name, text in wrong.items():
        wanted = text.format(file=folder / "strategies" / f"{name.lower()}.py")
        assert wanted in told["refused"][name]
        assert f"parley: {told['refused'][name]}" in lines


def test_a_strategy_without_a_timeframe_is_told(folder: Path) -> None:
    done = parley(folder, "--strategy", "NoTimeframe")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert BAD["NoTimeframe"][2].format(file=folder / "strategies" / "notimeframe.py") in done.stderr


def test_an_unknown_setting_names_file_line_and_the_nearest(folder: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "mine.json", stoplos=-0.2)
    line = 1 + config.read_text().split('"stoplos"')[0].count("\n")

    done = parley(folder, "--strategy", "Good", config=config)

    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"parley: {config}, line {line}: there is no setting 'stoplos', did you mean 'stoploss'?\n"
    )


def swapped(rows: pd.DataFrame) -> pd.DataFrame:
    order = np.arange(len(rows))
    order[[40, 41]] = order[[41, 40]]
    return rows.iloc[order].reset_index(drop=True)


def changed(column: str, value: object) -> Any:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[41, column] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (swapped, "row 42 (2024-03-01 03:20): expected open times in order, was not"),
        (
            changed("date", START + pd.Timedelta(minutes=202)),
            "row 42 (2024-03-01 03:22): expected open times on the 5m grid, was not",
        ),
        (
            changed("date", START + pd.Timedelta(minutes=200)),
            "row 42 (2024-03-01 03:20): expected one candle per open time, this one contradicts the row",
        ),
        (changed("low", float("nan")), "row 42 (2024-03-01 03:25): expected a finite number as low, was nan"),
        (changed("low", -1.0), "row 42 (2024-03-01 03:25): expected low above 0, was -1.0"),
    ],
    ids=["unsorted", "between", "twice", "nan", "negative"],
)
def test_candles_that_cannot_be_traded_on_name_file_and_row(
    folder: Path, tmp_path: Path, spoil: Any, told: str
) -> None:
    write_candles(tmp_path, {"AAA_USDT-5m": spoil(walk(1, 500))})

    done = parley(folder, "--strategy", "Good", candles=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"parley: {tmp_path / 'AAA_USDT-5m.feather'}, {told}")
    assert done.stderr.count("\n") == 1
