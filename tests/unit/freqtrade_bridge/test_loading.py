"""A strategy that cannot be run is told with the attribute that is wrong, and leaves the others of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from freqtrade_bridge.options import Options
from freqtrade_bridge.preparing import Prepared, prepare
from parley.errors import UserError
from tests.kit.freqtrade_folder import spot_candles, write_config
from tests.kit.strategy_text import strategy_text


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spot_candles(tmp_path_factory.mktemp("candles"), 100)


def write(folder: Path, name: str, old: str = "", new: str = "") -> Path:
    text = strategy_text(name)
    assert old in text
    path = folder / f"{name.lower()}.py"
    path.write_text(text.replace(old, new) if old else text)
    return path


def prepared(folder: Path, data: Path, *names: str) -> Prepared:
    config = write_config(folder / "config.json")
    named = {"strategy": names[0]} if len(names) == 1 else {"strategy_list": names}
    return prepare(
        Options(user_data_dir=folder / "user", config=(config,), datadir=data, strategy_path=folder, **named)  # type: ignore[arg-type]
    )


def refusal(folder: Path, data: Path, *names: str) -> str:
    with pytest.raises(UserError) as told:
        prepared(folder, data, *names)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_too_long_a_warm_up_is_one_strategys_and_the_others_keep_theirs(tmp_path: Path, data: Path) -> None:
    write(tmp_path, "Good")
    file = write(tmp_path, "Longest", "startup_candle_count = 5", "startup_candle_count = 5000")
    write(tmp_path, "Words", "startup_candle_count = 5", 'startup_candle_count = "30"')

    made = prepared(tmp_path, data, "Good", "Longest", "Words")

    assert [each.get_strategy_name() for each in made.strategies] == ["Good"]
    assert made.startup == 5
    longest, words = made.refused
    assert longest.reason.startswith(
        f"strategy 'Longest' ({file}): startup_candle_count must be smaller, was 5000: "
    )
    assert "4999 candles" in longest.reason
    assert words.reason.endswith("startup_candle_count must be a whole number of candles, was '30'")


def test_too_long_a_warm_up_of_the_only_strategy_is_an_error_with_its_name(
    tmp_path: Path, data: Path
) -> None:
    file = write(tmp_path, "Longest", "startup_candle_count = 5", "startup_candle_count = 5000")

    told = refusal(tmp_path, data, "Longest")

    assert told.startswith(f"strategy 'Longest' ({file}): startup_candle_count must be smaller, was 5000")


@pytest.mark.parametrize(
    ("attribute", "wrong", "told"),
    [
        ("stoploss = -0.1", "stoploss = 0.1", "stoploss must be below 0, was 0.1"),
        ("stoploss = -0.1", 'stoploss = "much"', "stoploss must be a number below 0, was 'much'"),
        (
            "stoploss = -0.1",
            (
                'stoploss = -0.1\n    order_types = {"entry": "limit", "exit": "limit", "stoploss": "foo",'
                ' "stoploss_on_exchange": False}'
            ),
            "order_types.stoploss must be one of 'limit', 'market', was 'foo'",
        ),
        ('{"0": 0.01}', '{"a": 1}', "minimal_roi must have whole minutes as keys, was 'a'"),
        ('{"0": 0.01}', "[1]", "minimal_roi must be a table of minutes and ratios, was [1]"),
        ('{"0": 0.01}', '{"0": "x"}', "minimal_roi.0 must be number, was 'x'"),
    ],
)
def test_a_wrong_attribute_is_named_with_what_was_expected(
    tmp_path: Path, data: Path, attribute: str, wrong: str, told: str
) -> None:
    file = write(tmp_path, "Odd", attribute, wrong)

    assert refusal(tmp_path, data, "Odd") == f"strategy 'Odd' ({file}): {told}"


def test_the_parameters_of_another_strategy_are_told(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path, "Mine")
    parameters = file.with_suffix(".json")
    parameters.write_text('{"strategy_name": "Other", "params": {}}')

    told = refusal(tmp_path, data, "Mine")

    assert told == f"strategy 'Mine' ({file}): {parameters}: strategy_name must be 'Mine', was 'Other'"


def test_an_error_in_the_strategys_own_code_keeps_its_line(tmp_path: Path, data: Path) -> None:
    file = write(tmp_path, "Odd", "stoploss = -0.1", 'stoploss = float("much")')

    told = refusal(tmp_path, data, "Odd")

    assert f"({file}, line 7) failed in loading: ValueError: could not convert" in told


def test_a_strategy_that_ends_the_process_while_it_loads_leaves_the_others(
    tmp_path: Path, data: Path
) -> None:
    write(tmp_path, "Good")
    file = write(tmp_path, "Quits", "stoploss = -0.1", "stoploss = exit(4)")

    made = prepared(tmp_path, data, "Quits", "Good")

    assert [each.get_strategy_name() for each in made.strategies] == ["Good"]
    assert [each.reason for each in made.refused] == [
        f"strategy 'Quits' ({file}, line 7): its code must not end the process, raised SystemExit(4)"
    ]
