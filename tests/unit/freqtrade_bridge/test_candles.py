"""Candles from every kind of folder are one and the same; rows that cannot be traded on are refused."""

from __future__ import annotations

from pathlib import Path

import ccxt
import pandas as pd
import pytest
from freqtrade.configuration import TimeRange
from freqtrade.data.btanalysis import get_tick_size_over_time
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType, TradingMode
from pandas.testing import assert_frame_equal, assert_series_equal

from freqtrade_bridge.candles import CheckedCandles
from freqtrade_bridge.markets import made_up_markets
from freqtrade_bridge.sources import FreqtradeFolder, GivenFrames, ParleyFolder, open_folder
from freqtrade_bridge.tick_sizes import as_steps, count_decimals
from parley.errors import DataError
from tests.kit.freqtrade_folder import START, hourly, walk, write_candles


def tick_sizes(rows: pd.DataFrame) -> pd.Series:
    """Do what freqtrade's function does: leave columns of counts and return the steps."""
    counted = count_decimals(rows)
    for name, counts in counted.columns().items():
        rows[name] = counts
    return counted.steps(rows["date"])


SPOT, FUTURES = TradingMode.SPOT, TradingMode.FUTURES
KEY = ("AAA/USDT", "5m", CandleType.SPOT)


def checked(frame: pd.DataFrame) -> CheckedCandles:
    return CheckedCandles(GivenFrames({KEY: frame}))


def load(candles: CheckedCandles, **options: object) -> pd.DataFrame:
    frame: pd.DataFrame = candles.ohlcv_load("AAA/USDT", "5m", CandleType.SPOT, **options)
    return frame


@pytest.mark.parametrize("gaps", [(), (100, 101, 200)], ids=["whole", "gaps"])
@pytest.mark.parametrize("data_format", ["feather", "parquet", "json", "jsongz"])
def test_a_folder_of_freqtrade_gives_what_freqtrade_loads(
    tmp_path: Path, data_format: str, gaps: tuple[int, ...]
) -> None:
    rows = walk(1, 300).drop(index=list(gaps))
    write_candles(tmp_path, {"AAA_USDT-5m": rows}, data_format)
    timerange = TimeRange.parse_timerange("20240301T0500-20240301T2000")
    theirs = load_pair_history("AAA/USDT", "5m", tmp_path, timerange=timerange, data_format=data_format)

    source = open_folder(tmp_path, None, "binance", SPOT)
    ours = load(CheckedCandles(source), timerange=timerange)

    assert isinstance(source, FreqtradeFolder)
    assert_frame_equal(ours, theirs)
    assert source.available() == [KEY]
    assert len(ours) == 15 * 12 + 1  # the gaps are filled


def test_a_folder_of_several_formats_is_read_as_freqtrade_does_by_default(tmp_path: Path) -> None:
    write_candles(tmp_path, {f"{name}_USDT-5m": walk(1, 30) for name in ("AAA", "BBB", "CCC")}, "json")

    only = open_folder(tmp_path, None, "binance", SPOT)
    write_candles(tmp_path, {"AAA_USDT-5m": walk(1, 50)})
    both = open_folder(tmp_path, None, "binance", SPOT)

    assert isinstance(only, FreqtradeFolder)
    assert only.note == (
        f"{tmp_path}: there are no feather candles, which freqtrade reads by default; those in json are read"
        " (freqtrade: --data-format-ohlcv json)"
    )
    assert isinstance(both, FreqtradeFolder)
    assert (both.available(), both.note) == ([KEY], "")
    assert len(load(CheckedCandles(both))) == 50


def test_pairs_have_their_markets_in_order_of_their_names() -> None:
    api = ccxt.binance()
    names = ["CCC/USDT", "AAA/USDT", "BBB/USDT"]

    made = [list(made_up_markets(each, api, futures=False, swap="swap")) for each in (names, names[::-1])]

    assert made == [sorted(names)] * 2


def test_parleys_files_are_joined_in_order_of_time(tmp_path: Path) -> None:
    rows = walk(1, 600)
    (tmp_path / "candles").mkdir()
    rows[300:].to_parquet(tmp_path / "candles" / "binance-AAA_USDT-5m-202403.parquet")
    rows[:320].to_parquet(tmp_path / "candles" / "binance-AAA_USDT-5m-early.parquet")
    rows.to_parquet(tmp_path / "candles" / "kraken-AAA_USDT-5m.parquet")
    hourly(rows).to_parquet(tmp_path / "candles" / "binance-AAA_USDT-1h.parquet")

    source = open_folder(tmp_path, None, "binance", SPOT)

    assert isinstance(source, ParleyFolder)
    # The overlap of 20 candles is there twice and identical: it is dropped.
    assert_frame_equal(load(CheckedCandles(source)), load(checked(rows)))
    assert sorted(key[1] for key in source.available()) == ["1h", "5m"]


def test_a_table_of_many_pairs_is_read_by_pair(tmp_path: Path) -> None:
    frames = {"AAA/USDT": walk(1, 50), "BBB/USDT": walk(2, 60)}
    table = pd.concat([rows.assign(pair=pair) for pair, rows in frames.items()])
    table.to_parquet(tmp_path / "binance-ALL_USDT-5m-x.parquet")

    source = open_folder(tmp_path, None, "binance", SPOT)

    assert [key[0] for key in source.available()] == ["AAA/USDT", "BBB/USDT"]
    assert_frame_equal(source.read(("BBB/USDT", "5m", CandleType.SPOT), None), frames["BBB/USDT"])


def test_settlements_are_found_under_another_timeframe_and_the_asked_one_wins(tmp_path: Path) -> None:
    hours = hourly(walk(1, 600))
    eight = hours[hours["date"].dt.hour % 8 == 0].assign(open=1.0)
    hours[:20].to_parquet(tmp_path / "binanceusdm-AAA_USDT_USDT-1h-mark.parquet")
    eight.to_parquet(tmp_path / "binanceusdm-AAA_USDT_USDT-8h-mark.parquet")

    source = open_folder(tmp_path, None, "binance", FUTURES)
    rows = source.read(("AAA/USDT:USDT", "1h", CandleType.MARK), None).set_index("date")["open"]

    assert rows.index.is_monotonic_increasing
    assert rows.iloc[:20].tolist() == hours["open"].iloc[:20].tolist()
    assert rows[START + pd.Timedelta(hours=24)] == 1.0


def spoiled(column: str, row: int, value: object) -> pd.DataFrame:
    rows = walk(1, 100)
    rows.loc[row, column] = value
    return rows


def test_rows_that_cannot_be_traded_on_name_place_row_and_value() -> None:
    cases = {
        "expected a finite number as close, was nan": spoiled("close", 40, float("nan")),
        "expected high of at least open and close": spoiled("high", 40, 1.0),
        "expected low above 0": spoiled("low", 40, -1.0),
        "expected open times in order": spoiled("date", 40, START),
        "expected open times on the 5m grid, was not": spoiled("date", 40, START + pd.Timedelta(minutes=202)),
        "expected one candle per open time": spoiled("date", 40, START + pd.Timedelta(minutes=195)),
    }
    for told, rows in cases.items():
        with pytest.raises(DataError, match="row 41") as raised:
            load(checked(rows))
        assert told in str(raised.value)
        assert str(raised.value).startswith("the frame of AAA/USDT 5m")


def test_the_row_is_counted_from_the_files_first_row(tmp_path: Path) -> None:
    write_candles(tmp_path, {"AAA_USDT-5m": spoiled("close", 90, float("nan"))})
    candles = CheckedCandles(open_folder(tmp_path, "feather", "binance", SPOT))

    with pytest.raises(DataError, match=r"AAA_USDT-5m\.feather, row 91 \(2024-03-01 07:30\)"):
        load(candles, timerange=TimeRange.parse_timerange("20240301T0600-20240301T0800"))


def test_identical_duplicates_are_dropped() -> None:
    rows = walk(1, 50)
    twice = pd.concat([rows[:30], rows[29:]], ignore_index=True)

    assert_frame_equal(load(checked(twice)), load(checked(rows)))


def test_a_file_nothing_can_be_read_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "AAA_USDT-5m.feather").write_bytes(b"nothing")

    with pytest.raises(DataError, match=r"AAA_USDT-5m\.feather: no candles can be read from it as feather"):
        load(CheckedCandles(open_folder(tmp_path, "feather", "binance", SPOT)))


def test_a_frame_without_a_column_is_named() -> None:
    with pytest.raises(DataError, match=r"\['volume'\] are missing"):
        load(checked(walk(1, 10).drop(columns="volume")))


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1.0, 123.456, 1e5, 1e13])
def test_price_steps_are_freqtrades_to_the_last_column(scale: float) -> None:
    rows = walk(3, 12_000, price=1.0, places=16)
    prices = ["open", "high", "low", "close"]
    rows[prices] *= scale
    rows.loc[2::5, prices] = rows.loc[2::5, prices].round(8)
    rows.loc[3::7, prices] = rows.loc[3::7, prices].round(0)
    rows.loc[5::11, "open"] = float("nan")
    theirs, ours = rows.copy(), rows.copy()

    expected = get_tick_size_over_time(theirs)

    assert_series_equal(tick_sizes(ours), expected)
    assert_frame_equal(ours, theirs)


def test_price_steps_keep_the_kind_of_their_columns() -> None:
    theirs, ours = walk(4, 500, places=2), walk(4, 500, places=2)
    theirs["open"] = ours["open"] = theirs["open"].round(0)

    assert_series_equal(tick_sizes(ours), get_tick_size_over_time(theirs))
    assert_frame_equal(ours, theirs)


def test_months_of_whole_prices_have_no_step() -> None:
    rows = walk(4, 500, places=0)

    assert as_steps(tick_sizes(rows)) == ()
    assert as_steps(tick_sizes(walk(4, 500, places=2))) == ((int(START.timestamp() * 1000), 0.01),)
