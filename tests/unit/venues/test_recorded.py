"""Recorded candles: what is found, what is refused, and what real files give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.recorded import (
    CandleError,
    available_pairs,
    decimals_of,
    load_candles,
    moment_ms,
    timeframe_ms,
    warnings_of,
)

MINUTE = 60_000
T0 = 1_620_432_000_000  # 2021-05-08 00:00 UTC
ROWS: list[tuple[float, ...]] = [
    (10.0, 12.0, 9.5, 11.0, 5.5),
    (11.0, 11.0, 11.0, 11.0, 0.0),
    (11.0, 13.0, 10.0, 12.25, 1.125),
]


def write(folder: Path, times: list[int], rows: list[tuple[float, ...]], name: str = "AAA_USDT-1m") -> Path:
    columns: dict[str, Any] = {"date": pa.array(times, pa.timestamp("ms", tz="UTC"))}
    for position, column in enumerate(("open", "high", "low", "close", "volume")):
        columns[column] = pa.array([row[position] for row in rows], pa.float64())
    path = folder / f"binance-{name}.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def load(folder: Path, **window: Any) -> Any:
    return load_candles(folder, "binance", "AAA/USDT", "1m", **window)


def times(*minutes: int) -> list[int]:
    return [T0 + minute * MINUTE for minute in minutes]


def test_start_is_inclusive_and_end_exclusive(tmp_path: Path) -> None:
    write(tmp_path, times(0, 1, 2), ROWS)

    found = load(tmp_path, start="2021-05-08T00:01", end="2021-05-08T00:02")

    assert found.date_ms.tolist() == times(1)
    assert found.gaps == ()
    assert (found.price_decimals, found.volume_decimals) == (2, 3)


def test_gaps_are_marked_and_counted(tmp_path: Path) -> None:
    write(tmp_path, times(0, 1, 5), ROWS)

    found = load(tmp_path)
    wider = load(tmp_path, start=T0 - 2 * MINUTE, end=T0 + 8 * MINUTE)

    assert found.gaps == ((T0 + 2 * MINUTE, T0 + 5 * MINUTE, 3),)
    assert found.missing == 3
    assert wider.gaps == (
        (T0 - 2 * MINUTE, T0, 2),
        (T0 + 2 * MINUTE, T0 + 5 * MINUTE, 3),
        (T0 + 6 * MINUTE, T0 + 8 * MINUTE, 2),
    )
    assert "7 candles missing in 3 gaps" in warnings_of([wider])[0]


def test_identical_duplicates_are_dropped_with_a_count(tmp_path: Path) -> None:
    write(tmp_path, times(0, 1, 1, 2), [ROWS[0], ROWS[1], ROWS[1], ROWS[2]])

    found = load(tmp_path)

    assert len(found) == 3
    assert found.duplicates == 1
    assert "1 identical duplicates" in warnings_of([found])[0]


@pytest.mark.parametrize(
    ("minutes", "change", "row", "words"),
    [
        ((0, 1, 1), {}, 2, "contradicts"),
        ((0, 2, 1), {}, 2, "in order"),
        ((0, 1, 2), {1: (11.0, float("nan"), 11.0, 11.0, 0.0)}, 1, "finite number as high"),
        ((0, 1, 2), {2: (11.0, float("inf"), 11.0, 11.0, 0.0)}, 2, "finite number as high"),
        ((0, 1, 2), {0: (10.0, 10.5, 9.5, 11.0, 5.5)}, 0, "high of at least"),
        ((0, 1, 2), {0: (10.0, 12.0, 10.5, 11.0, 5.5)}, 0, "low of at most"),
        ((0, 1, 2), {1: (11.0, 11.0, 11.0, 11.0, -1.0)}, 1, "volume of at least 0"),
        ((0, 1, 2), {2: (0.0, 13.0, 0.0, 12.25, 1.0)}, 2, "above 0"),
    ],
)
def test_impossible_rows_are_one_error_with_file_and_row(
    tmp_path: Path, minutes: tuple[int, ...], change: dict[int, tuple[float, ...]], row: int, words: str
) -> None:
    path = write(tmp_path, times(*minutes), [change.get(i, one) for i, one in enumerate(ROWS)])

    with pytest.raises(CandleError) as caught:
        load(tmp_path)

    text = str(caught.value)
    assert text.startswith(f"{path}: row {row}: ")
    assert words in text


def test_times_off_the_grid_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [T0, T0 + MINUTE + 1, T0 + 2 * MINUTE], ROWS)

    with pytest.raises(CandleError, match=r"row 1: expected open times on the 1m grid"):
        load(tmp_path)


def test_missing_pair_names_the_nearest(tmp_path: Path) -> None:
    for name in ("AAA_USDT-1m", "BBB_USDT-1m", "AAB_USDT-1m-2021"):
        write(tmp_path, times(0, 1, 2), ROWS, name)

    with pytest.raises(CandleError, match=r"got 'AAX/USDT'; there are: AA[AB]/USDT, AA[AB]/USDT, BBB/USDT"):
        load_candles(tmp_path, "binance", "AAX/USDT", "1m")
    assert available_pairs(tmp_path, "binance", "1m") == ["AAA/USDT", "AAB/USDT", "BBB/USDT"]


def test_empty_folder_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CandleError, match="found only: nothing"):
        load(tmp_path)
    with pytest.raises(CandleError, match="expected a folder"):
        load(tmp_path / "nowhere")


def test_corrupt_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "binance-AAA_USDT-1m.parquet"
    path.write_bytes(b"PAR1 this is no parquet file PAR1")
    with pytest.raises(CandleError, match=r"AAA_USDT-1m\.parquet: expected a Parquet file"):
        load(tmp_path)
    pq.write_table(pa.table({"date": [1], "open": [1.0]}), path)
    with pytest.raises(CandleError, match="missing: high, low, close, volume"):
        load(tmp_path)


def test_several_files_one_that_covers_is_taken(tmp_path: Path) -> None:
    write(tmp_path, times(0), ROWS[:1], "AAA_USDT-1m-a")
    whole = write(tmp_path, times(0, 1, 2), ROWS, "AAA_USDT-1m-b")

    found = load(tmp_path, start=T0, end=T0 + 3 * MINUTE)

    assert found.file == str(whole)


def test_several_files_are_merged_where_they_agree(tmp_path: Path) -> None:
    write(tmp_path, times(0, 1), ROWS[:2], "AAA_USDT-1m-a")
    write(tmp_path, times(1, 2), ROWS[1:], "AAA_USDT-1m-b")

    assert load(tmp_path).date_ms.tolist() == times(0, 1, 2)

    write(tmp_path, times(1, 2), [ROWS[0], ROWS[2]], "AAA_USDT-1m-b")
    with pytest.raises(CandleError, match="identical candles where files overlap"):
        load(tmp_path)


def test_window_outside_of_the_data_says_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, times(0, 1, 2), ROWS)

    with pytest.raises(CandleError, match=r"it has 2021-05-08 00:00 to 2021-05-08 00:02"):
        load(tmp_path, start="2022-01-01")
    with pytest.raises(CandleError, match="expected start before end"):
        load(tmp_path, start="2022-01-01", end="2021-01-01")


@pytest.mark.parametrize(("text", "ms"), [("1m", 60_000), ("4h", 14_400_000), ("1w", 604_800_000)])
def test_timeframes(text: str, ms: int) -> None:
    assert timeframe_ms(text) == ms


@pytest.mark.parametrize("text", ["", "m", "0m", "1M", "1.5h", "-1h", "1 m"])
def test_bad_timeframes(text: str) -> None:
    with pytest.raises(CandleError, match="expected a timeframe"):
        timeframe_ms(text)


def test_moments() -> None:
    assert moment_ms("2021-05-08") == moment_ms("2021-05-08T02:00+02:00") == T0
    with pytest.raises(CandleError, match="expected a date"):
        moment_ms("May")


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=20), st.integers(0, 8))
def test_decimals_are_those_of_the_written_numbers(counts: list[int], decimals: int) -> None:
    values = np.array([float(f"{count}e-{decimals}") for count in counts])
    texts = [f"{count:0{decimals + 1}d}" for count in counts]
    expected = max(len(text[len(text) - decimals :].rstrip("0")) for text in texts) if decimals else 0

    assert decimals_of(values) == expected


def test_real_window(market_data: Path) -> None:
    found = load_candles(market_data / "candles", "binance", "BTC/USDT", "1m", "2021-05-08", "2021-05-20")

    assert len(found) == 12 * 1440
    assert found.gaps == ()
    assert (found.price_decimals, found.volume_decimals) == (2, 6)


def test_real_gap(market_data: Path) -> None:
    found = load_candles(market_data / "candles", "binance", "BTC/USDT", "1m")

    assert [count for _, _, count in found.gaps] == [17_100_000 // 60_000 - 1]


@pytest.mark.parametrize(
    ("exchange", "pair", "timeframe", "rows", "duplicates", "missing"),
    [("binance", "QLC/BTC", "5m", 8880, 52, 52), ("bittrex", "ETH/BTC", "1h", 941, 219, 0)],
)
def test_dirty_files(
    market_data: Path, exchange: str, pair: str, timeframe: str, rows: int, duplicates: int, missing: int
) -> None:
    """Figures of manifest.csv: their duplicates are identical, so they are dropped, and the gaps marked."""
    found = load_candles(market_data / "candles" / "dirty", exchange, pair, timeframe)

    assert (len(found), found.duplicates, found.missing) == (rows - duplicates, duplicates, missing)
    assert (np.diff(found.date_ms) > 0).all()


def test_every_recorded_candle_file_is_usable(market_data: Path) -> None:
    folder = market_data / "candles"
    pairs = [(path.name.split("-")) for path in sorted(folder.glob("*.parquet")) if "ALL_" not in path.name]
    assert len(pairs) > 10
    for exchange, pair, timeframe, *_ in pairs:
        series = load_candles(folder, exchange, pair.replace("_", "/"), timeframe.removesuffix(".parquet"))
        assert len(series) > 0
