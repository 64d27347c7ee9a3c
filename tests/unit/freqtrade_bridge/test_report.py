"""Figures that a comparison with freqtrade's report does not reach, and the files of a result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.btanalysis import load_backtest_metadata, load_backtest_stats

from freqtrade_bridge.report import WalletRun, store_result, wallet_course, wallet_figures
from freqtrade_bridge.report.figures import by_period, longest_runs
from tests.kit.freqtrade_folder import START, walk


@pytest.mark.parametrize(
    ("won", "wins", "losses"),
    [("", 0, 0), ("w", 1, 0), ("l", 0, 1), ("wwww", 4, 0), ("wlwwlll", 2, 3), ("lwwl", 2, 1)],
)
def test_the_longest_runs(won: str, wins: int, losses: int) -> None:
    assert longest_runs(np.array([each == "w" for each in won], dtype=bool)) == (wins, losses)


def test_days_without_a_trade_are_shown_and_weekdays_are_not() -> None:
    closes = pd.to_datetime(["2024-03-01 10:00", "2024-03-03 10:00", "2024-03-03 11:00"], utc=True)
    trades = pd.DataFrame({"close_date": closes, "profit_abs": [1.0, -2.0, 4.0]})

    days = by_period(trades, "day")

    assert [(day["date"], day["trades"], day["profit_abs"]) for day in days] == [
        ("01/03/2024", 1, 1.0), ("02/03/2024", 0, 0.0), ("03/03/2024", 2, 2.0),
    ]  # fmt: skip
    assert days[2]["profit_factor"] == 2.0
    assert [day["date"] for day in by_period(trades, "weekday")] == ["Friday", "Sunday"]


def order(minutes: int, amount: float, price: float, *, entry: bool) -> dict[str, object]:
    filled = int((START + pd.Timedelta(minutes=minutes)).timestamp() * 1000)
    return {"order_filled_timestamp": filled, "amount": amount, "safe_price": price, "ft_is_entry": entry}


def test_the_wallet_holds_what_earlier_fills_left() -> None:
    candles = walk(1, 12)
    trades = pd.DataFrame([{
        "pair": "AAA/USDT", "leverage": 1.0, "fee_open": 0.0, "fee_close": 0.0, "is_short": False,
        "profit_abs": 30.0,
        "orders": [
            order(10, 2.0, 100.0, entry=True), order(20, 1.0, 110.0, entry=False),
            order(30, 1.0, 120.0, entry=False),
            {**order(40, 9.0, 1.0, entry=False), "order_filled_timestamp": None},
        ],
    }])  # fmt: skip
    end = START + pd.Timedelta(minutes=55)
    run = WalletRun(START.to_pydatetime(), end.to_pydatetime(), 300_000, "USDT", 1000.0, futures=False)

    found = wallet_course(run, trades, {"AAA/USDT": candles})
    course = found.frame()

    money = course[course["currency"] == "USDT"]["balance"].tolist()
    coins = course[course["currency"] == "AAA"]
    assert money == [1000.0] * 2 + [800.0] * 2 + [910.0] * 2 + [1030.0] * 5
    assert coins["balance"].tolist() == [2.0, 2.0, 1.0, 1.0]
    assert coins["rate"].tolist() == candles["open"][3:7].tolist()
    assert coins["date"].iloc[0] == START + pd.Timedelta(minutes=15)
    figures = wallet_figures(found)
    assert (figures["start_balance"], figures["end_balance"]) == (1000.0, 1030.0)


def test_a_result_is_found_and_read_by_freqtrade_and_never_taken_for_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("# a strategy")
    strategy = type("Mine", (), {"__file__": str(file), "config": {"stake_amount": 1}})()
    config = {"original_config": {"exchange": {"name": "binance", "secret": "hidden"}}}
    figures = {
        "Mine": {"backtest_run_start_ts": 5, "timeframe": "5m", "timeframe_detail": "", "a": float("nan")}
    }
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    span = (START.to_pydatetime(), when)

    paths = [
        store_result(
            tmp_path / "out", config, figures, [], {"Mine": strategy}, {"AAA/USDT": walk(1, 10)}, *span, when,
            notes="hello",
        )
        for _ in range(2)
    ]  # fmt: skip

    assert [path.name for path in paths] == [
        "backtest-result-2026-01-02_03-04-05.zip", "backtest-result-2026-01-02_03-04-05-2.zip",
    ]  # fmt: skip
    assert load_backtest_stats(tmp_path / "out")["strategy"]["Mine"]["timeframe"] == "5m"
    metadata = load_backtest_metadata(paths[1])
    assert (metadata["Mine"]["notes"], len(metadata["Mine"]["run_id"])) == ("hello", 40)
    with ZipFile(paths[0]) as archive:
        assert "hidden" not in archive.read("backtest-result-2026-01-02_03-04-05_config.json").decode()
        assert archive.read("backtest-result-2026-01-02_03-04-05_Mine.py") == b"# a strategy"
        assert (
            json.loads(archive.read("backtest-result-2026-01-02_03-04-05.json"))["strategy"]["Mine"]["a"]
            is None
        )
    assert not list((tmp_path / "out").glob(".*[0-9a-z].zip"))
