"""Configurations load as freqtrade loads them; whatever is wrong with one is a line with file, line and
key."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from freqtrade_bridge.configuration import load_configuration
from freqtrade_bridge.options import Options
from parley.errors import ConfigError, UserError
from tests.kit.freqtrade_folder import write_config

FLOW = {
    "max_candles": 5, "scale": 0.5, "stacked_imbalance_range": 3, "imbalance_volume": 1, "imbalance_ratio": 3,
}  # fmt: skip
FREQAI = {
    "enabled": True, "train_period_days": 3, "backtest_period_days": 3, "identifier": "x",
    "feature_parameters": {"include_timeframes": ["5m"], "include_corr_pairlist": []},
    "data_split_parameters": {"test_size": 0.3},
}  # fmt: skip


def load(folder: Path, *files: Path, **options: Any) -> dict[str, Any]:
    config: dict[str, Any] = load_configuration(Options(user_data_dir=folder, config=files, **options))
    return config


def refusal(folder: Path, *files: Path, **options: Any) -> str:
    with pytest.raises(UserError) as told:
        load(folder, *files, **options)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_later_files_win_and_files_may_add_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "money.json").write_text('{"stake_amount": 55, "max_open_trades": 7}')
    first = write_config(tmp_path / "a.json", add_config_files=["sub/money.json"], stake_amount=40)
    second = tmp_path / "b.json"
    second.write_text(
        '{"max_open_trades": 9, // comments are allowed\n "exchange": {"pair_whitelist": ["X/Y"]},}'
    )

    config = load(tmp_path, first, second)

    # The file that adds another one overrides it, and the second file overrides both.
    assert (config["stake_amount"], config["max_open_trades"]) == (40, 9)
    assert config["exchange"]["pair_whitelist"] == ["X/Y"]
    assert config["exchange"]["name"] == "binance"


def test_what_has_a_default_need_not_be_given(tmp_path: Path) -> None:
    server = {
        "enabled": False, "listen_ip_address": "127.0.0.1", "listen_port": 8080, "username": "a",
        "password": "b",
    }  # fmt: skip
    config = load(tmp_path, write_config(tmp_path / "a.json", api_server=server))

    assert config["api_server"]["username"] == "a"


def test_an_object_and_a_number_of_one_key_name_both_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_config(first, dry_run_wallet={"USDT": 1000})
    second.write_text('{\n "dry_run_wallet": 500\n}')

    told = refusal(tmp_path, second, first)

    line = 1 + first.read_text().split('"dry_run_wallet"')[0].count("\n")
    assert told == (f"{second}, line 2: dry_run_wallet must be an object as in {first}, line {line}, was 500")
    assert load(tmp_path, first, second)["dry_run_wallet"] == 500  # as freqtrade merges them


def test_environment_and_options_override_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREQTRADE__EXCHANGE__NAME", "kraken")
    monkeypatch.setenv("FREQTRADE__MAX_OPEN_TRADES", "4")
    file = write_config(tmp_path / "a.json")

    config = load(
        tmp_path, file, stake_amount="unlimited", fee=0.002, pairs=("Q/USDT",), timerange="20240301-"
    )

    assert config["exchange"]["name"] == "kraken"
    assert config["max_open_trades"] == 4
    assert (config["stake_amount"], config["fee"]) == ("unlimited", 0.002)
    assert config["exchange"]["pair_whitelist"] == ["Q/USDT"]
    assert config["timerange"] == "20240301-"


def test_settings_without_a_file_are_enough(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        settings={"stake_currency": "EUR", "stake_amount": 5, "exchange": {"name": "kraken"},
                  "dry_run_wallet": 90, "entry_pricing": {"price_side": "same"},
                  "exit_pricing": {"price_side": "same"}, "max_open_trades": 1},
        pairs=("BTC/EUR",),
    )  # fmt: skip

    assert (config["stake_currency"], config["runmode"].value, config["dry_run"]) == ("EUR", "backtest", True)


def test_an_unknown_key_names_file_line_and_the_nearest(tmp_path: Path) -> None:
    file = write_config(tmp_path / "a.json", stoplos=-0.1)
    line = file.read_text().splitlines().index('  "stoplos": -0.1') + 1

    assert refusal(tmp_path, file) == (
        f"{file}, line {line}: there is no setting 'stoplos', did you mean 'stoploss'?"
    )


def test_an_unknown_key_may_be_kept_for_the_strategy(tmp_path: Path) -> None:
    file = write_config(tmp_path / "a.json", my_own=[1], _comment="free", exchange={"$x": 1})

    assert "my_own" in refusal(tmp_path, file)
    assert load(tmp_path, file, allow_unknown_keys=True)["my_own"] == [1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exchange": {"pair_whitelst": []}}, "'exchange.pair_whitelst', did you mean 'pair_whitelist'?"),
        ({"max_open_trades": "three"}, "max_open_trades must be integer or number, was 'three'"),
        ({"trading_mode": "spots"}, "trading_mode must be one of 'spot', 'margin', 'futures', was 'spots'"),
        ({"unfilledtimeout": {"entry": -1}}, "unfilledtimeout.entry must be at least 1, was -1"),
        ({"stake_amount": -5}, "stake_amount"),
        ({"stake_amount": "5x"}, "stake_amount must be a number or 'unlimited', was '5x'"),
        ({"stoploss": 0.1}, "stoploss must be below 0, was 0.1"),
        ({"dry_run_wallet": {"USDT": -3}}, "dry_run_wallet.USDT must be at least 0, was -3"),
        ({"stake_amount": 5000}, "stake_amount must be at most dry_run_wallet"),
        ({"exchange": {"name": "binans"}}, "binans"),
        ({"exchange": {"use_public_trades": True}, "orderflow": FLOW}, "order flow is not supported yet"),
        ({"freqai": FREQAI}, "FreqAI is not supported yet"),
        ({"stake_currency": ""}, "stake_currency must be a currency such as 'USDT', was not given"),
        ({"trailing_stop": True, "trailing_only_offset_is_reached": True}, "trailing_only_offset_is_reached"),
        ({"max_open_trades": -1, "stake_amount": "unlimited"}, "cannot both be unlimited"),
        ({"order_types": {"entry": "market"}}, "order_types must have 'exit', has entry"),
    ],
)
def test_a_wrong_value_is_one_line(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in refusal(tmp_path, write_config(tmp_path / "a.json", **changes))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("stake_amount", "5x", "stake_amount must be a number or 'unlimited', was '5x'"),
        ("stake_amount", "unlimitedly", "stake_amount must be a number or 'unlimited', was 'unlimitedly'"),
        ("stake_amount", "nan", "stake_amount must be above 0 or 'unlimited', was nan"),
        ("stake_amount", "inf", "stake_amount must be above 0 or 'unlimited', was inf"),
        ("dry_run_wallet", math.nan, "dry_run_wallet must be at least 0, was nan"),
        ("dry_run_wallet", -5.0, "dry_run_wallet must be at least 0, was -5.0"),
        ("fee", math.nan, "fee must be a number, was nan"),
        ("fee", -1.0, "fee must be at least 0, was -1.0"),
        ("max_open_trades", -5, "max_open_trades must be at least -1, was -5"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, option: str, value: object, told: str) -> None:
    assert told in refusal(tmp_path, write_config(tmp_path / "a.json"), **{option: value})


def test_an_unknown_environment_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREQTRADE__STAKE_AMOUMT", "5")

    told = refusal(tmp_path, write_config(tmp_path / "a.json"))

    assert told.startswith("environment variable FREQTRADE__STAKE_AMOUMT: there is no setting 'stake_amoumt'")


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{\n "stake_amount": 5,\n "fee": oops\n}')

    assert refusal(tmp_path, file).startswith(f"{file}, line 3: expected JSON")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    file = write_config(tmp_path / "a.json")

    assert "'none.json'" in refusal(tmp_path, Path("none.json"))
    assert "candles" in refusal(tmp_path, file, datadir=tmp_path / "nowhere")
    assert "strategies" in refusal(tmp_path, file, strategy_path=tmp_path / "nowhere")


def test_files_that_add_each_other_are_refused(tmp_path: Path) -> None:
    file = write_config(tmp_path / "a.json", add_config_files=["a.json"])

    assert "circle" in refusal(tmp_path, file)


def test_the_schema_of_every_known_setting_lets_freqtrades_example_pass(tmp_path: Path) -> None:
    example = {
        "$schema": "https://schema.freqtrade.io/schema.json", "bot_name": "x", "initial_state": "running",
        "force_entry_enable": False, "internals": {"process_throttle_secs": 5},
        "telegram": {"enabled": False, "token": "", "chat_id": ""}, "dry_run": True,
        "unfilledtimeout": {"entry": 10, "exit": 10, "exit_timeout_count": 0, "unit": "minutes"},
    }  # fmt: skip

    assert load(tmp_path, write_config(tmp_path / "a.json", **example))["bot_name"] == "x"


def test_a_key_of_the_exchange_never_reaches_a_result(tmp_path: Path) -> None:
    # Only that the error types stay what callers expect: a mistake in a file is a ConfigError.
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"fee": "much"}))

    with pytest.raises(ConfigError):
        load(tmp_path, file)
