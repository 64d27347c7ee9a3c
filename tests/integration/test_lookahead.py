"""The look-ahead fence over a corpus: every strategy that peeks is named with its column, no other is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.lookahead import Foresight, check_foresight, sample
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import prepare
from tests.kit.foresight.biased.biased import PEEKS_AT
from tests.kit.foresight.clean.clean import CLEAN
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

CORPUS = Path(__file__).resolve().parent.parent / "kit" / "foresight"


def checked(folder: Path, names: tuple[str, ...], path: Path, moments: int = 30) -> dict[str, Foresight]:
    spot_candles(folder / "data", 2500)
    options = Options(
        user_data_dir=folder / "user", config=(write_config(folder / "config.json"),),
        datadir=folder / "data", strategy_list=names, strategy_path=path, timeframe="5m", export="none",
        dataformat_ohlcv="feather",
    )  # fmt: skip
    prepared = prepare(options)
    assert not prepared.refused
    return {
        strategy.get_strategy_name(): check_foresight(prepared, analyse(prepared, strategy), moments)
        for strategy in prepared.strategies
    }


def test_every_strategy_that_peeks_is_found_by_its_column(tmp_path: Path) -> None:
    told = checked(tmp_path, tuple(PEEKS_AT), CORPUS / "biased")

    assert {
        name: found.biases[0].column if found.biases else None for name, found in told.items()
    } == PEEKS_AT
    assert all(found.unsure == () for found in told.values())
    for found in told.values():
        for bias in found.biases:
            assert bias.candle <= bias.moment
            assert bias.then != bias.later


def test_no_strategy_that_knows_only_the_past_is_accused(tmp_path: Path) -> None:
    told = checked(tmp_path, CLEAN, CORPUS / "clean")

    assert {name: [str(bias) for bias in found.biases] for name, found in told.items()} == {
        n: [] for n in CLEAN
    }
    assert all(found.unsure == () for found in told.values())
    assert all(found.moments >= 9 for found in told.values())


def test_the_projects_own_strategies_know_only_the_past(tmp_path: Path) -> None:
    names = ("TrendCross", "BandReversion", "ChannelBreakout", "OldNames")

    told = checked(tmp_path, names, STRATEGIES)

    assert {name: found.biases for name, found in told.items()} == dict.fromkeys(names, ())


def test_a_strategy_that_changes_its_mind_is_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "moody.py").write_text(
        "import random\n"
        "from tests.kit.foresight.corpus import Corpus\n\n"
        "class Moody(Corpus):\n"
        "    def value(self, f):\n"
        "        return f['close'] * random.random()\n"
    )

    told = checked(tmp_path, ("Moody",), folder)["Moody"]

    assert told.is_clean
    assert len(told.unsure) == 3
    assert all("asked twice" in why for why in told.unsure)


def test_moments_are_rows_with_something_after_them(tmp_path: Path) -> None:
    spot_candles(tmp_path / "data", 300)
    frame = pd.read_feather(tmp_path / "data" / "AAA_USDT-5m.feather").assign(enter_long=0)
    frame.loc[[7, 150, 299], "enter_long"] = 1

    rows = sample(frame, 20, 30)

    assert len(rows) == 20
    assert 150 in rows
    assert all(30 <= row <= 298 for row in rows)
    assert sample(frame.iloc[:1], 5) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_moments_are_still_moments(tmp_path: Path, count: int) -> None:
    spot_candles(tmp_path / "data", 100)
    frame = pd.read_feather(tmp_path / "data" / "AAA_USDT-5m.feather")

    assert 1 <= len(sample(frame, count)) <= count
