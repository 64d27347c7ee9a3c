"""Files of market data: freqtrade's texts are read and written as it does, and bad ones are one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from runtime.marketstore.formats import SUFFIX_OF, read_raw, write
from runtime.marketstore.series import Series
from runtime.marketstore.tables import CANDLES, SETTLEMENTS, TRADES, canonical
from tests.kit.market import DEALS, MINUTES, RATES, candles, settlements, trades
from venues.recorded import CandleError, load_candles
from venues.recorded_trades import load_trades

# As `DataFrame.to_json(orient="values")` writes it, which is what freqtrade keeps.
CANDLE_JSON = "[[1620432000000,100.5,101.0,99.0,100.0,12.5],[1620432060000,100.0,100.0,100.0,100.0,0]]"
TRADE_JSON = (
    '[[1620432000123,"77",null,"sell",100.5,0.25,25.125],[1620432000123,"78","limit","buy",100.4,1.0,100.4]]'
)
OLD_FUNDING_JSON = "[[1620432000000,0.0001,0.0,0.0,0.0,0.0],[1620460800000,-0.00025,0.0,0.0,0.0,0.0]]"
NEW_FUNDING_JSON = "[[1620432000000,0.0001],[1620460800000,-0.00025]]"


def read(path: Path, series: Series) -> pa.Table:
    return canonical(series, read_raw(path, series), path).table


@pytest.mark.parametrize("format_", SUFFIX_OF)
@pytest.mark.parametrize(
    ("series", "table"), [(MINUTES, candles(500)), (DEALS, trades(500)), (RATES, settlements(50))], ids=str
)
def test_every_format_gives_back_what_was_written(
    tmp_path: Path, format_: str, series: Series, table: pa.Table
) -> None:
    path = tmp_path / f"x{SUFFIX_OF[format_]}"

    write(table, path, series)

    assert read(path, series).equals(table)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format_", SUFFIX_OF)
def test_no_digit_of_a_number_is_lost(tmp_path: Path, format_: str) -> None:
    path = tmp_path / f"x{SUFFIX_OF[format_]}"
    table = candles(3)
    volumes = [0.1 + 0.2, 1e-8, 123_456_789.123_456_78]
    table = table.set_column(5, "volume", pa.array(volumes))

    write(table, path, MINUTES)

    assert read(path, MINUTES)["volume"].to_pylist() == volumes


def test_freqtrade_json_of_candles(tmp_path: Path) -> None:
    path = tmp_path / "BTC_USDT-1m.json"
    path.write_text(CANDLE_JSON)

    table = read(path, MINUTES)

    assert table.schema.equals(CANDLES)
    assert table["date"].cast(pa.int64()).to_pylist() == [1620432000000, 1620432060000]
    assert table["volume"].to_pylist() == [12.5, 0.0]
    write(table, path, MINUTES)
    assert json.loads(path.read_text()) == json.loads(CANDLE_JSON)


def test_freqtrade_json_of_trades(tmp_path: Path) -> None:
    path = tmp_path / "BTC_USDT-trades.json.gz"
    path.write_bytes(gzip.compress(TRADE_JSON.encode()))

    table = read(path, DEALS)

    assert table.schema.equals(TRADES)
    assert table["id"].to_pylist() == ["77", "78"]
    assert table["type"].to_pylist() == [None, "limit"]
    write(table, path, DEALS)
    assert json.loads(gzip.decompress(path.read_bytes())) == json.loads(TRADE_JSON)


@pytest.mark.parametrize("text", [OLD_FUNDING_JSON, NEW_FUNDING_JSON])
def test_freqtrade_json_of_funding_rates_old_and_new(tmp_path: Path, text: str) -> None:
    path = tmp_path / "BTC_USDT_USDT-8h-funding_rate.json"
    path.write_text(text)

    table = read(path, RATES)

    assert table.schema.equals(SETTLEMENTS)
    assert table["funding_rate"].to_pylist() == [0.0001, -0.00025]


def test_old_feather_of_funding_rates_keeps_the_rate_as_open(tmp_path: Path) -> None:
    path = tmp_path / "x.feather"
    rates = settlements(5)
    zero = pa.array([0.0] * 5)
    old = pa.table([rates["date"], rates["funding_rate"], zero, zero, zero, zero], names=list(CANDLES.names))
    feather.write_feather(old, str(path))

    assert read(path, RATES).equals(rates)


@pytest.mark.parametrize(
    "text",
    [
        "date,open,high,low,close,volume\n2021-05-08 00:00:00+00:00,100.5,101,99,100,12.5\n",  # pandas
        "Date,Open,High,Low,Close,Volume\n2021-05-08T00:00:00Z,100.5,101,99,100,12.5\n",
        "timestamp,open,high,low,close,volume\n1620432000000,100.5,101,99,100,12.5\n",
        '"date","open","high","low","close","volume","x"\n"2021-05-08 00:00:00","100.5",101,99,100,12.5,y\n',
    ],
)
def test_csv_as_others_write_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)

    table = read(path, MINUTES)

    assert table["date"].cast(pa.int64()).to_pylist() == [1620432000000]
    assert table["open"].to_pylist() == [100.5]


def test_ids_of_trades_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("timestamp,id,type,side,price,amount,cost\n1620432000123,007,,sell,1.5,2,3\n")

    assert read(path, DEALS)["id"].to_pylist() == ["007"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.json", "[[", "cannot be read: Input data was truncated"),
        ("x.json", "[[1,2,3]]", "cannot be read: Expected `array` of length 6"),
        ("x.json", '[["a",1,1,1,1,1]]', "cannot be read: Expected `int`, got `str`"),
        ("x.json", "[]", "no rows"),
        ("x.json", "[[1620432000000,1,null,1,1,1]]", "row 0: expected a finite number as high"),
        ("x.json", "[[1620432000,1,1,1,1,1]]", "row 0: expected a time in milliseconds"),
        ("x.json.gz", "[[1620432000000,1,1,1,1,1]]", "cannot be read: Not a gzipped file"),
        ("x.csv", "1620432000000,1,1,1,1,1\n", "first line must name the columns"),
        ("x.csv", "date,open\n2021-05-08,1\n", "missing: high, low, close, volume"),
        ("x.csv", "date,open,high,low,close,volume\n2021-05-08,a,1,1,1,1\n", "expected numbers"),
        ("x.csv", "date,open,high,low,close,volume\nyesterday,1,1,1,1,1\n", "expected times"),
        ("x.csv", "date,open,high,low,close,volume\n,1,1,1,1,1\n", "expected a time in every row|cannot"),
        ("x.csv", "date,open,high,low,close,volume\n2021-05-08,1,1\n", "cannot be read"),
        ("x.csv", "", "cannot be read"),
        ("x.parquet", "no", "cannot be read"),
        ("x.feather", "no", "cannot be read"),
    ],
)
def test_bad_file_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(CandleError, match=said) as caught:
        read(path, MINUTES)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timestamp,id,side,price,amount\n1620432000123,1,buy,cheap,1\n", "expected times and numbers"),
        ("timestamp,id,side,price,amount\n1620432000123,1,hold,1,1\n", "row 0: expected side"),
        ("timestamp,id,side,price,amount\n1620432000123,,buy,1,1\n", "expected a value of id in every row"),
        (
            "timestamp,id,side,price,amount\n1620432000123,1,buy,1,0\n",
            "row 0: expected a finite quantity above 0",
        ),
    ],
)
def test_bad_trades_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)

    with pytest.raises(CandleError, match=said):
        read(path, DEALS)


def test_stored_files_are_read_by_the_one_reader_of_runs(tmp_path: Path) -> None:
    write(candles(100), tmp_path / MINUTES.file_name("202105"), MINUTES)
    write(trades(100), tmp_path / DEALS.file_name("20210508"), DEALS)

    assert len(load_candles(tmp_path, "binance", "BTC/USDT", "1m")) == 100
    assert len(load_trades(tmp_path / DEALS.file_name("20210508"), "BTC/USDT")) == 100
