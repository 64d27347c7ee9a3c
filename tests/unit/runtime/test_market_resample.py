"""Longer candles are those the venue printed, or a slow and obvious computation gives."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from parley.errors import UserError
from runtime.marketstore.formats import read_raw
from runtime.marketstore.resample import candles_of_trades, resample
from runtime.marketstore.series import Series, parse_name
from runtime.marketstore.tables import candle_table, canonical
from tests.kit.market import DAY, HOUR, MINUTE, MINUTES, START, candles, trades


def load(path: Path) -> tuple[Series, pa.Table]:
    series = parse_name(path)
    return series, canonical(series, read_raw(path, series), path).table


def times(table: pa.Table) -> list[int]:
    return table["date"].cast(pa.int64()).to_pylist()


def slowly(rows: list[dict], bucket: int, origin: int = 0) -> dict[int, tuple]:
    """Open, high, low, close and volume of each bucket, with decimal numbers and no array in sight."""
    found: dict[int, list[dict]] = {}
    for row in rows:
        found.setdefault((row["t"] - origin) // bucket * bucket + origin, []).append(row)
    return {
        at: (
            each[0]["open"], max(row["high"] for row in each), min(row["low"] for row in each),
            each[-1]["close"],
            float(sum((Decimal(repr(row["volume"])) for row in each), Decimal(0))),
        )
        for at, each in sorted(found.items())
    }  # fmt: skip


def as_rows(table: pa.Table) -> list[dict]:
    return [row | {"t": t} for row, t in zip(table.to_pylist(), times(table), strict=True)]


def as_dict(table: pa.Table) -> dict[int, tuple]:
    return {
        row["t"]: (row["open"], row["high"], row["low"], row["close"], row["volume"])
        for row in as_rows(table)
    }


def test_five_candles_by_hand() -> None:
    dates = [START + minute * MINUTE for minute in (0, 1, 2, 5, 9)]
    table = candle_table(
        np.array(dates),
        [
            np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([2.5, 9.0, 3.5, 6.0, 5.5]),
            np.array([0.5, 1.5, 2.5, 3.0, 4.5]), np.array([2.0, 3.0, 2.75, 5.0, 4.75]),
            np.array([0.1, 0.2, 0.4, 0.7, 0.0]),
        ],
    )  # fmt: skip

    found = resample(MINUTES, table, "5m")

    assert as_dict(found.table) == {
        START: (1.0, 9.0, 0.5, 2.75, 0.7), START + 5 * MINUTE: (4.0, 6.0, 3.0, 4.75, 0.7)
    }  # fmt: skip
    assert (found.cut, found.thin) == (0, 2)


def test_incomplete_ends_are_left_out_and_counted() -> None:
    table = candles(600, begin=START + 7 * MINUTE)

    found = resample(MINUTES, table, "1h")

    assert times(found.table) == [START + n * HOUR for n in range(1, 10)]
    assert (found.cut, found.thin) == (2, 0)


def test_weeks_begin_on_monday() -> None:
    days = Series("binance", "BTC/USDT", "spot", "1d")

    found = resample(days, candles(40, step=DAY), "1w")

    opens = [datetime.fromtimestamp(t / 1000, UTC) for t in times(found.table)]
    assert [each.isoweekday() for each in opens] == [1] * 5
    assert opens[0] == datetime(2021, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timeframe", "wanted"), [("5m", "3m"), ("5m", "7m"), ("1h", "30m"), ("2d", "1w"), ("1w", "30d")]
)
def test_timeframe_that_does_not_fit_is_refused(timeframe: str, wanted: str) -> None:
    series = Series("binance", "BTC/USDT", "spot", timeframe)

    with pytest.raises(UserError, match="cannot be made of"):
        resample(series, candles(10, step=series.step_ms), wanted)


@pytest.mark.parametrize("wanted", ["3m", "5m", "15m", "1h", "4h", "1d"])
def test_candles_equal_the_slow_computation(wanted: str) -> None:
    table = candles(3000)
    series = Series("binance", "BTC/USDT", "spot", wanted)

    found = resample(MINUTES, table, wanted)

    expected = slowly(as_rows(table), series.step_ms)
    whole = {at: row for at, row in expected.items() if at + series.step_ms <= START + 3000 * MINUTE}
    assert as_dict(found.table) == whole


def test_volumes_beyond_exact_decimals_are_rounded_once() -> None:
    table = candles(5)
    volumes = [0.1234567890123, 1e15, 0.7, -0.0, 1e-12]
    table = table.set_column(5, "volume", pa.array(volumes))

    (volume,) = resample(MINUTES, table, "5m").table["volume"].to_pylist()

    assert volume == float(sum((Decimal(each) for each in volumes), Decimal(0)))


def test_trades_equal_the_slow_computation() -> None:
    table = trades(2000)
    rows = [
        {"t": row["timestamp"], "volume": row["amount"]}
        | dict.fromkeys(("open", "high", "low", "close"), row["price"])
        for row in table.to_pylist()
    ]  # fmt: skip

    assert as_dict(candles_of_trades(table, "1m")) == slowly(rows, MINUTE)


# ---------------------------------------------------------------- what venues printed


@pytest.mark.parametrize("wanted", ["15m", "30m", "1h", "1d"])
def test_five_minutes_of_binance_become_its_longer_candles(market_data: Path, wanted: str) -> None:
    name = "binanceusdm-BTC_USDT_USDT-{}-futures-202503.parquet"
    series, five = load(market_data / "futures" / name.format("5m"))
    _, printed = load(market_data / "futures" / name.format(wanted))

    made = resample(series, five, wanted).table

    common = sorted(set(times(made)) & set(times(printed)))
    assert len(common) > 0.85 * len(printed)
    assert between(made, common).equals(between(printed, common))


def between(table: pa.Table, common: list[int]) -> pa.Table:
    moments = table["date"].cast(pa.int64())
    return table.filter(pc.and_(pc.greater_equal(moments, common[0]), pc.less_equal(moments, common[-1])))


@pytest.mark.parametrize(
    ("deals", "minutes", "count"),
    [("kraken-BTC_USDT-trades-202311", "kraken-BTC_USDT-1m-202311", 5388),
     ("binance-XRP_ETH-trades-201910", "binance-XRP_ETH-1m-201910", 2469)],
)  # fmt: skip
def test_trades_become_the_recorded_candles(market_data: Path, deals: str, minutes: str, count: int) -> None:
    _, table = load(market_data / "trades" / f"{deals}.parquet")
    _, printed = load(market_data / "candles" / f"{minutes}.parquet")

    made = candles_of_trades(table, "1m")

    assert len(made) == len(printed) == count
    assert made.drop_columns("volume").equals(printed.drop_columns("volume"))
    # The recorded volumes are sums of floats, in which the last digits differ from the decimal sum.
    assert np.array_equal(np.round(printed["volume"].to_numpy(), 8), made["volume"].to_numpy())


def test_recorded_five_minutes_of_kraken(market_data: Path) -> None:
    series, minutes = load(market_data / "candles" / "kraken-BTC_USDT-1m-202311.parquet")
    _, printed = load(market_data / "candles" / "kraken-BTC_USDT-5m-202311.parquet")

    found = resample(series, minutes, "5m")

    assert found.cut == 1  # its last candle ended in mid-recording
    assert found.thin > 100  # minutes without a trade
    made, printed = found.table, printed.slice(0, len(printed) - 1)
    assert made.drop_columns("volume").equals(printed.drop_columns("volume"))
    assert np.allclose(printed["volume"].to_numpy(), made["volume"].to_numpy(), rtol=0, atol=1e-9)
