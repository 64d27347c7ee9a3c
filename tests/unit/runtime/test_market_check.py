"""`parley data check` finds what is wrong, where, and nothing in what is right."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.marketstore.check import Finding, check_file, check_rows
from runtime.marketstore.series import Series, parse_name
from runtime.marketstore.tables import canonical
from tests.kit.market import DEALS, HOUR, MINUTE, MINUTES, RATES, START, candles, settlements, trades
from venues.recorded import CandleError

HERE = Path("binance-BTC_USDT-1m.parquet")
Spoil = Callable[[dict[str, np.ndarray]], None]


def spoiled(spoil: Spoil, count: int = 100) -> pa.Table:
    table = candles(count)
    table = table.set_column(0, "date", table["date"].cast(pa.int64()))
    columns = {name: table[name].to_numpy().copy() for name in table.column_names}
    spoil(columns)
    return pa.table(columns)


def codes(found: list[Finding]) -> list[str]:
    return sorted(one.code for one in found)


def put(name: str, row: int, value: float) -> Spoil:
    def spoil(columns: dict[str, np.ndarray]) -> None:
        columns[name][row] = value

    return spoil


def test_sound_rows_have_no_finding() -> None:
    assert list(check_rows(candles(100), MINUTES, HERE)) == []
    assert list(check_rows(trades(100), DEALS, HERE)) == []
    assert list(check_rows(settlements(100), RATES, HERE)) == []


@pytest.mark.parametrize(
    ("spoil", "code", "place"),
    [
        (put("close", 7, np.nan), "nan", "row 7 at 2021-05-08 00:07:00"),
        (put("volume", 8, np.inf), "nan", "row 8 at 2021-05-08 00:08:00"),
        (put("open", 9, 0.0), "price", "row 9 at"),
        (put("volume", 10, -1.0), "volume", "row 10 at"),
        (put("high", 11, 1.0), "ohlc", "row 11 at"),
        (put("low", 12, 1e6), "ohlc", "row 12 at"),
        (put("date", 13, START + 13 * MINUTE + 1), "timeframe", "row 13 at 2021-05-08 00:13:00"),
    ],
)
def test_wrong_value_is_found_with_its_place(spoil: Spoil, code: str, place: str) -> None:
    found = list(check_rows(spoiled(spoil), MINUTES, HERE))

    assert code in codes(found)
    (one,) = [each for each in found if each.code == code]
    assert one.count == 1
    assert one.places[0].startswith(place)
    assert one.is_error


def test_every_wrong_row_is_counted_and_the_first_are_named() -> None:
    def spoil(columns: dict[str, np.ndarray]) -> None:
        columns["volume"][20:40] = -1.0

    (found,) = check_rows(spoiled(spoil), MINUTES, HERE)

    assert (found.code, found.count, len(found.places)) == ("volume", 20, 5)


def test_gap_counts_missing_candles() -> None:
    table = candles(100)
    holed = pa.concat_tables([table.slice(0, 10), table.slice(13, 50), table.slice(64)])

    (found,) = check_rows(holed, MINUTES, HERE)

    assert (found.code, found.count, found.is_error, found.is_normal) == ("gap", 4, False, False)
    assert found.places == (
        "2021-05-08 00:10:00 to 2021-05-08 00:13:00 (3)", "2021-05-08 01:03:00 to 2021-05-08 01:04:00 (1)",
    )  # fmt: skip


def test_short_gap_of_a_venue_that_omits_empty_minutes_is_normal() -> None:
    table = candles(200)
    holed = pa.concat_tables([table.slice(0, 10), table.slice(13, 50), table.slice(63 + 61)])

    long, short = check_rows(holed, Series("kraken", "BTC/USDT", "spot", "1m"), HERE)

    assert (short.is_normal, short.count) == (True, 3)
    assert (long.is_normal, long.count) == (False, 61)


def test_duplicates_and_contradictions_are_told_apart() -> None:
    table = candles(10)
    other = candles(10, seed=2)
    twice = pa.concat_tables(
        [table.slice(0, 4), table.slice(3, 1), table.slice(4, 2), other.slice(5, 1), table.slice(6)]
    )

    found = {one.code: one for one in check_rows(twice, MINUTES, HERE)}

    assert set(found) == {"duplicate", "conflict"}
    assert found["duplicate"].places == ("row 4 at 2021-05-08 00:03:00",)
    assert found["conflict"].places[0].startswith("row 7 at 2021-05-08 00:05:00")


def test_disorder_is_found() -> None:
    table = candles(10)

    found = list(check_rows(pa.concat_tables([table.slice(5), table.slice(0, 5)]), MINUTES, HERE))

    assert codes(found) == ["order"]
    assert found[0].places[0].startswith("row 5 at 2021-05-08 00:00:00")


def test_wrong_timeframe_is_one_finding_and_no_thousand_gaps() -> None:
    found = list(check_rows(candles(100, step=5 * MINUTE), MINUTES, HERE))

    assert codes(found) == ["timeframe"]
    assert "multiples of 300 s" in found[0].text


def test_trades_with_wrong_values() -> None:
    table = trades(30)
    ids = table["id"].to_pylist()
    ids[20] = ids[19]
    amounts = table["amount"].to_numpy().copy()
    amounts[3] = np.nan
    wrong = table.set_column(1, "id", pa.array(ids)).set_column(5, "amount", pa.array(amounts))

    assert codes(list(check_rows(wrong, DEALS, HERE))) == ["conflict", "nan"]


def test_repeated_trade_is_a_duplicate() -> None:
    table = trades(30)

    found = list(check_rows(pa.concat_tables([table, table.slice(29)]), DEALS, HERE))

    assert [(one.code, one.count) for one in found] == [("duplicate", 1)]


def test_lost_settlement_is_a_gap_and_a_change_of_the_interval_is_none() -> None:
    hourly = settlements(48, begin=START, step=HOUR)
    jitter = pa.array(np.asarray(hourly["date"].cast(pa.int64())) + np.arange(48) % 7 * 70)
    late = hourly.set_column(0, "date", jitter.cast(hourly.schema.field(0).type))
    lost = pa.concat_tables([late.slice(0, 20), late.slice(21)])
    before = settlements(6, begin=START - 6 * 8 * HOUR, step=8 * HOUR)

    assert list(check_rows(pa.concat_tables([before, late]), RATES, HERE)) == []
    (found,) = check_rows(lost, RATES, HERE)
    assert (found.code, found.count) == ("gap", 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"PAR1 no", "cannot be read"),
        (None, "missing: open, high, low, close, volume"),
    ],
)
def test_unreadable_file_is_a_finding(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / HERE
    if content is None:
        pq.write_table(candles(3).select(["date"]), path)
    else:
        path.write_bytes(content)

    (found,) = check_file(path, MINUTES)

    assert found.code == "unreadable"
    assert said in found.text


@pytest.mark.parametrize("seed", range(12))
def test_check_and_reader_refuse_the_same_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def spoil(columns: dict[str, np.ndarray]) -> None:
        name = ["open", "high", "low", "close", "volume", "date"][seed % 6]
        row = int(rng.integers(1, 99))
        columns[name][row] = columns[name][row] * rng.choice([1.0, -1.0, 1.3]) if name != "date" else START

    table = spoiled(spoil)
    is_wrong = any(one.is_error for one in check_rows(table, MINUTES, HERE))
    try:
        canonical(MINUTES, table, HERE)
    except CandleError:
        assert is_wrong
    else:
        assert not is_wrong


# ---------------------------------------------------------------- real files


def manifest_rows(market_data: Path) -> list[dict[str, str]]:
    with (market_data / "manifest.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["kind"] == "candle" and row["missing"]]


def test_findings_of_every_candle_file_are_those_of_its_manifest(market_data: Path) -> None:
    """The figures were counted by whoever collected the files, not by this code."""
    checked = 0
    for row in manifest_rows(market_data):
        path = market_data / row["file"]
        found: dict[str, int] = {}
        for one in check_file(path, parse_name(path)):
            found[one.code] = found.get(one.code, 0) + one.count
        expected = {
            "gap": round(float(row["missing"])), "duplicate": round(float(row["dup"])),
            "ohlc": round(float(row["ohlc_bad"])), "nan": round(float(row["nan"])),
        }  # fmt: skip
        assert found == {code: count for code, count in expected.items() if count}, row["file"]
        checked += 1
    assert checked > 70


@pytest.mark.parametrize(
    ("name", "code", "count"),
    [
        ("candles/dirty/binance-QLC_BTC-5m.parquet", "duplicate", 52),
        ("candles/dirty/binance-QLC_BTC-5m.parquet", "gap", 52),
        ("candles/dirty/bittrex-ETH_BTC-1h.parquet", "duplicate", 219),
        ("futures/dirty/binanceusdm-BTC_USDT_USDT-1h-futures.parquet", "gap", 1000),
    ],
)
def test_dirty_files_are_found(market_data: Path, name: str, code: str, count: int) -> None:
    path = market_data / name

    found = {one.code: one for one in check_file(path, parse_name(path))}

    assert found[code].count == count
    assert found[code].places
    assert not found[code].is_normal
