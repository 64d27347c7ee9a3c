"""Parts of a report that are computed in another way than freqtrade's, beside freqtrade's functions."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from freqtrade.data import metrics
from pandas.testing import assert_frame_equal

from freqtrade_bridge.report import TradeRecords, WalletRun, wallet_course
from freqtrade_bridge.report.drawdown import deepest_fall
from freqtrade_bridge.report.figures import by_period, profits_in_time
from freqtrade_bridge.report.fills import _ranks, _stakes
from freqtrade_bridge.report.market_change import market_change
from freqtrade_bridge.report.wallet import Holding, WalletCourse
from parley.kernels.exact import stake_of
from tests.kit.freqtrade_folder import START, walk


def trades_of(profits: list[float], minutes: list[int] | None = None) -> pd.DataFrame:
    closes = [START + timedelta(minutes=m) for m in minutes or range(len(profits))]
    return pd.DataFrame({"close_date": closes, "profit_abs": profits, "profit_ratio": profits})


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_deepest_fall_is_freqtrades(seed: int, relative: bool) -> None:
    numbers = np.random.Generator(np.random.Philox(seed))
    count = (1, 2, 5, 40, 300, 2000)[seed]
    # Many at the same minute: freqtrade's sorting is not stable, and another order is another fall.
    minutes = sorted(numbers.integers(0, count // 3 + 1, count).tolist())
    trades = trades_of(numbers.normal(-0.1, 3.0, count).tolist(), minutes)
    theirs = metrics.calculate_max_drawdown(
        trades, value_col="profit_abs", starting_balance=100.0, relative=relative
    )

    ours = deepest_fall(profits_in_time(trades), 100.0, relative=relative)

    ordered = trades.sort_values("close_date")["close_date"]
    assert (ours.absolute, ours.relative) == (theirs.drawdown_abs, theirs.relative_account_drawdown)
    assert (ours.high_value, ours.low_value) == (theirs.high_value, theirs.low_value)
    assert (ordered.iloc[ours.high], ordered.iloc[ours.low]) == (theirs.high_date, theirs.low_date)


@pytest.mark.parametrize("profits", [[1.0, 2.0], [-1.0], [0.0], [-1.0, 2.0, -3.0]])
def test_falls_from_the_very_beginning_and_none_at_all(profits: list[float]) -> None:
    theirs = metrics.calculate_max_drawdown(trades_of(profits), value_col="profit_abs", starting_balance=10.0)

    ours = deepest_fall(np.array(profits), 10.0)

    assert (ours.absolute, ours.low_value) == (theirs.drawdown_abs, theirs.low_value)


@pytest.mark.parametrize("pairs", [1, 3, 12])
@pytest.mark.parametrize("late", [0, 7], ids=["same candles", "one starts late"])
def test_the_market_change_is_freqtrades(pairs: int, late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freqtrade_bridge.report.market_change._PART", 64)
    candles = {f"P{number}/USDT": walk(number, 300) for number in range(pairs)}
    last = f"P{pairs - 1}/USDT"
    candles[last] = candles[last].iloc[late:].reset_index(drop=True)
    dates = candles["P0/USDT"]["date"]
    for start, end in ((0, 299), (40, 299), (40, 41), (10, 200)):
        start, end = (min(moment, len(dates) - 1) for moment in (start, end))
        span = (dates[start].to_pydatetime(), dates[end].to_pydatetime())
        theirs = metrics.combined_dataframes_with_rel_mean(candles, *span)
        assert_frame_equal(market_change(candles, *span), theirs, check_exact=True, check_freq=False)


def some_trades(count: int) -> pd.DataFrame:
    opens = pd.Series([START + timedelta(minutes=5 * number) for number in range(count)])
    return pd.DataFrame({
        "pair": [f"P{number % 3}/USDT" for number in range(count)], "open_date": opens,
        "close_date": opens + timedelta(minutes=25), "profit_ratio": np.linspace(-1.0, 1.0, count),
        "enter_tag": ["", None] * (count // 2) + [""] * (count % 2), "max_rate": [float("nan")] * count,
        "is_short": [False] * count, "orders": [[{"cost": 1.5, "ft_is_entry": True}]] * count,
    })  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_trades_are_written_as_freqtrade_writes_them(count: int) -> None:
    trades = some_trades(count) if count else some_trades(1)[:0]
    theirs = trades.assign(weekday=trades["close_date"].dt.day_of_week).to_dict(orient="records")
    text = orjson.dumps(theirs, default=str, option=orjson.OPT_SERIALIZE_NUMPY)

    records = TradeRecords(trades)

    assert b"".join(records.as_json()) == text
    assert len(records) == count
    # NaN is not itself: compared as text.
    assert str(list(records)) == str(theirs)
    assert str(records[:2]) == str(theirs[:2])


def test_the_best_and_the_worst_trade_are_the_first_of_their_kind() -> None:
    trades = some_trades(6).assign(profit_ratio=[0.0, 2.0, -1.0, 2.0, -1.0, 0.5])
    records = TradeRecords(trades)

    best, worst = records.best_and_worst()

    assert (best["open_date"], worst["open_date"]) == (trades["open_date"][1], trades["open_date"][2])
    with pytest.raises(IndexError):
        records[6]
    assert records[-1]["profit_ratio"] == 0.5


def test_milliseconds_of_a_date_are_written() -> None:
    trades = some_trades(1)
    trades["open_date"] += timedelta(milliseconds=7)

    written = orjson.loads(b"".join(TradeRecords(trades).as_json()))

    assert written[0]["open_date"] == str(trades["open_date"][0])


def test_what_is_held_is_added_up_as_freqtrade_does() -> None:
    numbers = np.random.Generator(np.random.Philox(1))
    dates = np.arange(0, 9000, 5, dtype=np.int64)
    holdings = tuple(
        Holding(
            f"C{number}", dates[:1] - 1, np.array([10.0 ** (number - 9)]), dates,
            np.where(numbers.random(len(dates)) < 0.3, np.nan, numbers.normal(0.0, 1e6, len(dates))),
        )
        for number in range(25)
    )  # fmt: skip
    course = WalletCourse(dates, holdings)
    frame = course.frame()

    moments, worth = course.worth()

    theirs = (frame["rate"] * frame["balance"]).groupby(frame["date"]).sum()
    assert len(moments) == len(theirs) == len(dates)
    assert worth.tolist() == theirs.tolist()


def test_stakes_are_the_decimals_of_freqtrade() -> None:
    amounts = np.array([0.998, 3.0, 12345678.12345678, 0.1, 5.0])
    prices = np.array([100.123, 7.0, 98765.4321, 0.1, 3.3])
    leverages = np.array([1.0, 1.0, 1.0, 1.0, 3.0])

    wanted = [
        stake_of(*each) for each in zip(amounts.tolist(), prices.tolist(), leverages.tolist(), strict=True)
    ]

    assert _stakes(amounts, prices, leverages).tolist() == wanted


def test_trades_of_one_candle_were_opened_in_the_order_of_the_list_behind_reversed_ones() -> None:
    # In order of closing: pair 2 closes at 10 and opens again there, as do pairs 1 and 0 for the first time.
    opens, closes = np.array([0, 10, 10, 10]), np.array([10, 20, 30, 40])
    pairs = np.array([2, 1, 0, 2])

    assert _ranks(opens, closes, pairs, 3).tolist() == [0, 3, 2, 1]


def plain_trade(pair: str, begin: int, end: int, amount: float, price: float) -> dict[str, Any]:
    stamps = [int((START + timedelta(minutes=m)).timestamp() * 1000) for m in (begin, end)]
    orders = [
        {"order_filled_timestamp": at, "amount": amount, "safe_price": price, "ft_is_entry": is_entry}
        for at, is_entry in zip(stamps, (True, False), strict=True)
    ]
    return {
        "pair": pair, "leverage": 1.0, "fee_open": 0.0, "fee_close": 0.0, "is_short": False,
        "profit_abs": 1.0, "orders": orders,
    }  # fmt: skip


def test_the_file_of_the_wallet_has_every_row_of_its_course(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freqtrade_bridge.report.wallet._PART", 3)
    candles = {pair: walk(number, 12) for number, pair in enumerate(("AAA/USDT", "BBB/USDT"))}
    trades = pd.DataFrame([
        plain_trade("AAA/USDT", 10, 20, 2.0, 100.0), plain_trade("BBB/USDT", 10, 40, 1.0, 50.0),
    ])  # fmt: skip
    end = START + timedelta(minutes=55)
    run = WalletRun(START.to_pydatetime(), end.to_pydatetime(), 300_000, "USDT", 1000.0, futures=False)

    course = wallet_course(run, trades, candles)
    file = BytesIO()
    course.write(file)
    frame, written = course.frame(), pd.read_feather(BytesIO(file.getvalue()))

    assert frame["currency"].tolist()[:2] == ["USDT", "USDT"]
    assert frame[frame["currency"] == "USDT"]["balance"].tolist() == [
        1000.0, 1000.0, 750.0, 750.0, 951.0, 951.0, 951.0, 951.0, 1002.0, 1002.0, 1002.0,
    ]  # fmt: skip
    assert frame[frame["currency"] == "BBB"]["balance"].tolist() == [1.0] * 6
    assert written["index"].tolist() == list(range(len(frame)))
    assert_frame_equal(written[["date", "currency", "rate", "balance"]], frame)
    assert written["total_quote"].tolist() == (frame["rate"] * frame["balance"]).tolist()
    moments, worth = course.worth()
    sums = (frame["rate"] * frame["balance"]).groupby(frame["date"]).sum()
    assert (len(moments), worth.tolist()) == (len(sums), sums.tolist())


def test_periods_of_unsorted_trades() -> None:
    day = 1440
    trades = trades_of([1.0, 2.0, 4.0, 8.0], [3 * day, 0, 3 * day + 5, 5])

    days = by_period(trades, "day")

    assert [(each["trades"], each["profit_abs"]) for each in days] == [
        (2, 10.0),
        (0, 0.0),
        (0, 0.0),
        (2, 5.0),
    ]
