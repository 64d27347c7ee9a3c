"""Strategies are found by name, file or folder; what cannot be loaded says why, where and what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from parley.errors import UserError
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config
from tests.kit.strategy_text import strategy_text


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spot_candles(tmp_path_factory.mktemp("candles"), 300)


def write(folder: Path, name: str, *changes: tuple[str, str], more: str = "") -> Path:
    text = strategy_text(name) + more
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name.lower()}.py"
    path.write_text(text)
    return path


def prepared(folder: Path, data: Path, **options: Any) -> Prepared:
    config = write_config(folder / "config.json")
    options.setdefault("strategy_path", folder)
    return prepare(Options(user_data_dir=folder / "user", config=(config,), datadir=data, **options))


def analysed(folder: Path, data: Path, **options: Any) -> None:
    made = prepared(folder, data, **options)
    analyse(made, made.strategies[0])


def refusal(folder: Path, data: Path, **options: Any) -> str:
    with pytest.raises(UserError) as told:
        analysed(folder, data, **options)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_file_or_a_folder_stands_for_the_strategies_in_it(tmp_path: Path, data: Path) -> None:
    first = write(tmp_path, "First")
    write(tmp_path, "Second")

    by_file = prepared(tmp_path, data, strategy=str(first), strategy_path=None)
    by_folder = prepared(tmp_path, data, strategy_list=(f"{tmp_path}/",), strategy_path=None)

    assert [each.get_strategy_name() for each in by_file.strategies] == ["First"]
    assert [each.get_strategy_name() for each in by_folder.strategies] == ["First", "Second"]


def test_a_strategy_may_extend_one_of_its_own_file_or_of_a_file_beside_it(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    first = write(folder, "First")
    (folder / "more.py").write_text(
        f"from {first.stem} import First as Basis\n\n\nclass Mixin:\n    pass\n\n\n"
        "class Second(Mixin, Basis):\n    pass\n\n\nclass Third(Second):\n    pass\n"
    )

    found = prepared(folder, data, strategy_list=(str(folder / "more.py"),), strategy_path=None)

    assert [each.get_strategy_name() for each in found.strategies] == ["Second", "Third"]


def test_a_misspelt_name_is_told_the_nearest(tmp_path: Path, data: Path) -> None:
    told = refusal(tmp_path, data, strategy="TrendCros", strategy_path=STRATEGIES)

    assert told.startswith("there is no strategy 'TrendCros' in ")
    assert told.endswith("did you mean 'TrendCross'?")


def test_code_that_does_not_import_names_file_and_line(tmp_path: Path, data: Path) -> None:
    cases = {
        "Missing": ("from freqtrade", "import no_such_library\nfrom freqtrade", "no_such_library", 2),
        "Broken": ('timeframe = "5m"', "timeframe = = 1", "invalid syntax", 5),
        "Raising": ('timeframe = "5m"', "timeframe = 1 / 0", "division by zero", 5),
    }
    for name, (old, new, why, line) in cases.items():
        file = write(tmp_path, name, (old, new))
        told = refusal(tmp_path, data, strategy=name)
        assert f"({file}, line {line})" in told
        assert why in told


def test_no_timeframe_anywhere_is_told_and_the_option_mends_it(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path, "Timeless", ('timeframe = "5m"', "can_short = False"))

    told = refusal(tmp_path, data, strategy="Timeless")

    assert told.startswith(f"strategy 'Timeless' ({file}): timeframe must be set")
    assert prepared(tmp_path, data, strategy="Timeless", timeframe="5m").config["timeframe"] == "5m"


def test_a_short_strategy_in_spot_is_refused(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Shorty", ('timeframe = "5m"', 'timeframe = "5m"\n    can_short = True'))

    assert "Short strategies cannot run in spot" in refusal(tmp_path, data, strategy="Shorty")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("        return dataframe[:50]", "must return 300 rows, returned 50"),
        ("        return None", "must return a DataFrame, returned None"),
        ("        return dataframe.drop(columns='open')", "must keep the column 'open'"),
        ("        dataframe.loc[9, 'close'] = float('nan')\n        return dataframe", "close nan in row 10"),
        (
            "        return dataframe['none']",
            "failed in populate_entry_trend or populate_exit_trend of AAA/USDT: KeyError: 'none'",
        ),
    ],
)
def test_frames_that_cannot_be_used_are_told(tmp_path: Path, data: Path, body: str, told: str) -> None:
    file = write(tmp_path, "Odd", ('        dataframe["enter_long"] = 1\n        return dataframe', body))

    line = refusal(tmp_path, data, strategy="Odd")

    assert told in line
    assert str(file) in line


def test_indicators_of_another_length_are_told(tmp_path: Path, data: Path) -> None:
    # freqtrade's own check speaks first; with it switched off ours does.
    checked = write(
        tmp_path,
        "Short",
        ("metadata):\n        return dataframe", "metadata):\n        return dataframe[3:]"),
    )
    assert str(checked) in refusal(tmp_path, data, strategy="Short")
    unchecked = "stoploss = -0.1\n    disable_dataframe_checks = True"
    write(
        tmp_path,
        "Free",
        ("stoploss = -0.1", unchecked),
        ("metadata):\n        return dataframe", "metadata):\n        return dataframe[3:]"),
    )

    assert "populate_indicators of AAA/USDT must return 300 rows, returned 297" in refusal(
        tmp_path, data, strategy="Free"
    )


def test_an_informative_pair_without_candles_is_told(tmp_path: Path, data: Path) -> None:
    asks = "        self.dp.get_pair_dataframe('ZZZ/USDT', '1h')\n        return dataframe"
    write(tmp_path, "Asking", ("metadata):\n        return dataframe", f"metadata):\n{asks}"))

    told = refusal(tmp_path, data, strategy="Asking")

    assert "there are no 1h candles of ZZZ/USDT" in told


def test_too_much_warm_up_is_told(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Slow", ("startup_candle_count = 5", "startup_candle_count = 300"))

    assert "startup_candle_count must leave a candle to trade on, was 300 of 300" in refusal(
        tmp_path, data, strategy="Slow"
    )


def test_one_bad_strategy_of_a_list_leaves_the_others(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")
    write(tmp_path, "Bad", ('timeframe = "5m"', "timeframe = 1 / 0"))

    made = prepared(tmp_path, data, strategy_list=("Bad", "Good", "Nobody"))

    assert [each.get_strategy_name() for each in made.strategies] == ["Good"]
    assert [each.name for each in made.refused] == ["Bad", "Nobody"]
    assert len(analyse(made, made.strategies[0]).frames) == 3


def test_lists_need_one_timeframe(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Fast")
    write(tmp_path, "Slow", ('timeframe = "5m"', 'timeframe = "1h"'))

    told = refusal(tmp_path, data, strategy_list=("Fast", "Slow"))
    assert "must have one timeframe (Fast has 5m, Slow has 1h): set --timeframe" in told
    assert len(prepared(tmp_path, data, strategy_list=("Fast", "Slow"), timeframe="1h").strategies) == 2


def test_missing_candles_are_told(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")

    told = refusal(tmp_path, data, strategy="Good", pairs=("AAB/USDT",))
    assert "no candles of AAB/USDT" in told
    assert "did you mean 'AAA/USDT'?" in refusal(
        tmp_path, data, strategy="Good", settings={"exchange": {"pair_whitelist": ["AAB/USDT"]}}
    )
    assert "there are no candles of" not in told or "AAB" in told


def test_a_pair_of_the_list_without_candles_is_skipped_and_named(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")

    made = prepared(
        tmp_path, data, strategy="Good", settings={"exchange": {"pair_whitelist": ["AAA/USDT", "QQQ/USDT"]}}
    )

    assert (list(made.candles), made.skipped) == (["AAA/USDT"], ("QQQ/USDT",))


def test_patterns_and_offline_filters_make_the_pair_list(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")

    made = prepared(
        tmp_path, data, strategy="Good",
        settings={
            "exchange": {"pair_whitelist": [".*/USDT"], "pair_blacklist": ["BBB/.*"]},
            "pairlists": [{"method": "StaticPairList"}, {"method": "OffsetFilter", "offset": 1}],
        },
    )  # fmt: skip

    assert list(made.candles) == ["CCC/USDT"]


def test_pair_lists_that_need_the_exchange_are_refused(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")

    told = refusal(
        tmp_path, data, strategy="Good",
        settings={"pairlists": [{"method": "VolumePairList", "number_assets": 5}]},
    )  # fmt: skip

    assert "VolumePairList" in told
