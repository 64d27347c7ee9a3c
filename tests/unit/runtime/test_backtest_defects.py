"""What goes wrong with one strategy of a list leaves the others their results; an empty folder is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.options import Options
from parley.errors import DataError
from runtime import backtesting
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import walk, write_candles, write_config
from tests.kit.strategy_text import strategy_text

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


def options_of(folder: Path, **changes: Any) -> Options:
    write_candles(folder / "data", {"AAA_USDT-5m": walk(1, 300)})
    (folder / "strategies").mkdir()
    for name in ("Good", "Bad"):
        (folder / "strategies" / f"{name}.py").write_text(strategy_text(name))
    chosen: dict[str, Any] = {"strategy_list": ("Good", "Bad")} | changes
    config = write_config(folder / "config.json", exchange={"pair_whitelist": [".*/USDT"]})
    return Options(
        user_data_dir=folder / "user", config=(config,), strategy_path=folder / "strategies", export="none",
        **{"datadir": folder / "data", **chosen},
    )  # fmt: skip


def test_a_defect_at_one_strategy_leaves_the_others_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = backtesting.simulate_strategy

    def simulate(prepared: Any, analysed: Any) -> Any:
        if analysed.strategy.get_strategy_name() == "Bad":
            raise RuntimeError("of ours")
        return genuine(prepared, analysed)

    monkeypatch.setattr(backtesting, "simulate_strategy", simulate)

    done = backtesting.run_backtest(options_of(tmp_path), UNWATCHED)

    assert done.results["Good"]["total_trades"] > 0
    (refused,) = done.refused
    assert refused.reason.startswith(
        f"strategy 'Bad' ({tmp_path / 'strategies' / 'Bad.py'}): a defect of Parley"
    )
    assert "RuntimeError: of ours; its traceback is in " in refused.reason


def test_a_defect_at_the_only_strategy_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(prepared: Any, analysed: Any) -> Any:
        raise RuntimeError("of ours")

    monkeypatch.setattr(backtesting, "simulate_strategy", simulate)

    with pytest.raises(RuntimeError, match="of ours"):
        backtesting.run_backtest(options_of(tmp_path, strategy_list=(), strategy="Good"), UNWATCHED)


def test_patterns_over_an_empty_folder_name_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError) as told:
        backtesting.run_backtest(options_of(tmp_path, datadir=tmp_path / "empty"), UNWATCHED)

    assert str(told.value) == (
        f"{tmp_path / 'empty'}: there are no spot candles of any pair, and exchange.pair_whitelist"
        " ['.*/USDT'] names none either"
    )


def test_a_timerange_without_candles_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        backtesting.run_backtest(options_of(tmp_path, timerange="20301105-"), UNWATCHED)

    assert str(told.value) == (
        f"{tmp_path / 'data'}: there are no 5m candles of AAA/USDT in the timerange 20301105-, those there"
        " are go from 2024-03-01 00:00 to 2024-03-02 00:55"
    )
