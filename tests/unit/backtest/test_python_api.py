"""A backtest from Python is a function of what it is given, and says in one line what is wrong with it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.strategy import IStrategy

from backtest.result import Result
from backtest.run import run
from parley.errors import UserError
from tests.kit.freqtrade_folder import hourly, walk

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
CONFIG: dict[str, Any] = {
    "exchange": {"name": "binance"}, "stake_currency": "USDT", "stake_amount": 100, "dry_run_wallet": 1000,
    "max_open_trades": 2,
}  # fmt: skip


class Cross(IStrategy):
    """Rises and falls of two averages; keeps a table and an object that a run could write to."""

    timeframe = "5m"
    minimal_roi = {"0": 0.02}  # noqa: RUF012 - as freqtrade's own classes
    stoploss = -0.05
    startup_candle_count = 20
    bought: dict[str, int] = {}  # noqa: RUF012 - written to on purpose

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        dataframe["fast"] = dataframe["close"].rolling(5).mean()
        dataframe["slow"] = dataframe["close"].rolling(20).mean()
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        dataframe.loc[dataframe["fast"] > dataframe["slow"], ["enter_long", "enter_tag"]] = (1, "up")
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        dataframe.loc[dataframe["fast"] < dataframe["slow"], "exit_long"] = 1
        return dataframe

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        self.bought[pair] = self.bought.get(pair, 0) + 1
        return self.bought[pair] % 3 > 0


@pytest.fixture
def candles() -> dict[str, pd.DataFrame]:
    return {f"{name}/USDT": walk(seed, 1500) for seed, name in enumerate(("AAA", "BBB", "CCC"))}


def same(one: Result, other: Result) -> None:
    pd.testing.assert_frame_equal(one.trades, other.trades, check_exact=True)
    for mine, theirs in zip(one[1:], other[1:], strict=True):
        assert mine == theirs


def plain(owner: object) -> str:
    """What an object or a class says of itself, as text."""
    return repr({name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")})


def test_the_same_input_gives_the_same_result_and_stays_as_it_was(candles: dict[str, pd.DataFrame]) -> None:
    config = {**deepcopy(CONFIG), "max_open_trades": 1}
    before = deepcopy((candles, config))
    strategy = Cross({})
    attributes, state = plain(Cross), plain(strategy)

    results = [run(Cross, candles, config), run(strategy, candles, config), run(Cross, candles, config)]

    assert len(results[0].trades) > 20
    for other in results[1:]:
        same(results[0], other)
    for pair, frame in before[0].items():
        pd.testing.assert_frame_equal(candles[pair], frame, check_exact=True)
    assert config == before[1]
    assert (plain(Cross), plain(strategy)) == (attributes, state)
    assert Cross.bought == {}


def test_an_objects_own_attributes_count(candles: dict[str, pd.DataFrame]) -> None:
    careful = Cross({})
    careful.stoploss = -0.001

    assert run(careful, candles, CONFIG).final_balance != run(Cross, candles, CONFIG).final_balance
    assert "stop_loss" in set(run(careful, candles, CONFIG).trades["exit_reason"])


def test_a_file_gives_what_its_class_gives(candles: dict[str, pd.DataFrame]) -> None:
    path = Path(__file__).resolve().parents[3] / "freqtrade_bridge" / "strategies" / "gatekeeper.py"

    result = run(path, candles, CONFIG)

    assert len(result.trades) > 5
    assert result.faults == ()
    same(result, run(str(path), candles, CONFIG))


def test_longer_candles_go_by_their_timeframe(candles: dict[str, pd.DataFrame]) -> None:
    seen: list[int] = []

    class Asks(Cross):
        def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
            assert self.dp is not None
            seen.append(len(self.dp.get_pair_dataframe(metadata["pair"], "1h")))
            return super().populate_indicators(dataframe, metadata)

    given: dict[Any, pd.DataFrame] = {**candles}
    given |= {(pair, "1h"): hourly(frame) for pair, frame in candles.items()}

    run(Asks, given, CONFIG)

    assert seen == [125] * 3


def test_futures_are_charged_the_funding_that_is_given(candles: dict[str, pd.DataFrame]) -> None:
    config = {**CONFIG, "trading_mode": "futures", "margin_mode": "isolated"}
    pair, rows = "AAA/USDT:USDT", candles["AAA/USDT"]
    marks = hourly(rows)
    rates = pd.DataFrame({"date": marks["date"][::8], "funding_rate": 0.001}).reset_index(drop=True)
    given: dict[Any, pd.DataFrame] = {pair: rows, (pair, "1h", "mark"): marks}

    charged = run(Cross, {**given, (pair, "8h", "funding_rate"): rates}, config)
    free = run(Cross, given, config)

    assert charged.trades["funding_fees"].abs().sum() > 0
    assert free.trades["funding_fees"].abs().sum() == 0
    assert (charged.faults, free.faults) == ((), (f"{pair}: no funding is known, none is charged",))


def test_errors_of_callbacks_are_named_or_refused(candles: dict[str, pd.DataFrame]) -> None:
    class Fails(Cross):
        def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
            raise ValueError("not today")

    result = run(Fails, candles, CONFIG)

    assert len(result.faults) == 1
    assert "confirm_trade_entry raised" in result.faults[0]
    assert "ValueError: not today" in result.faults[0]
    with pytest.raises(UserError, match="confirm_trade_entry failed: ValueError: not today"):
        run(Fails, candles, CONFIG, callback_errors="refuse")


def test_what_is_wrong_is_told(candles: dict[str, pd.DataFrame]) -> None:
    one = candles["AAA/USDT"]
    bad = one.copy()
    bad.loc[3, "close"] = np.nan
    cases: list[tuple[Any, Any, Any, str]] = [
        (int, candles, CONFIG, "must be a class that extends IStrategy, an object of one or a path, was"),
        (Cross, candles, {**CONFIG, "stake_amonut": 1}, "'stake_amonut', did you mean 'stake_amount'"),
        (Cross, {"AAA/USDT": one[::3]}, CONFIG, "the frame of AAA/USDT: expected candles of 5m, was 15m"),
        (Cross, {"AAA/USDT": one[::-1]}, CONFIG, "row 2 .*: expected open times in order"),
        (Cross, {"AAA/USDT": bad}, CONFIG, "row 4 .*: expected a finite number as close, was nan"),
        (Cross, {"AAA/USDT": one.drop(columns="low")}, CONFIG, r"\['low'\] are missing"),
        (Cross, {"AAA/USDT": [1]}, CONFIG, "expected a DataFrame, was list"),
        ("nowhere.py", candles, CONFIG, "there is no strategy file or folder"),
        (Cross, {"AAAUSDT": one}, CONFIG, "must go by pair, such as 'BTC/USDT' .*, one goes by 'AAAUSDT'"),
        (Cross, candles, None, "config must be a table of freqtrade's settings, was NoneType"),
        (Cross, candles, {**CONFIG, "exchange": "binance"}, "exchange must be a table .*, was 'binance'"),
        (Cross, None, CONFIG, "candles must be a table of frames by pair, was NoneType"),
    ]
    for strategy, given, config, told in cases:
        with pytest.raises(UserError, match=told) as raised:
            run(strategy, given, config)
        assert "\n" not in str(raised.value)


def test_the_example_of_the_documentation_runs(
    market_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "freqtrade.md").read_text(encoding="utf-8")
    monkeypatch.setenv("PARLEY_DATA", str(market_data))

    exec(
        compile(text.split("```python")[1].split("```")[0], "docs/freqtrade.md", "exec"), {"__name__": "doc"}
    )

    told = capsys.readouterr().out.splitlines()[-1]
    assert int(told.split()[0]) > 20
