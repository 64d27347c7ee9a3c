"""Recorded trades: the three layouts, what is refused, and agreement with the recorded candles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from venues.recorded import CandleError, load_candles
from venues.recorded_trades import load_trades

RAW: dict[str, list[Any]] = {
    "trade_ms": [1000, 1000, 2500],
    "trade_id": [7, 8, 9],
    "price": [10.5, 10.25, 11.0],
    "qty": [1.0, 0.5, 0.125],
    "buyer_is_maker": [True, False, True],
}


def write(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = folder / "trades.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_raw_layout(tmp_path: Path) -> None:
    found = load_trades(write(tmp_path, RAW), "AAA/USDT", start=1000, end=2500)

    assert found.time_ms.tolist() == [1000, 1000]
    assert found.buyer_is_maker.tolist() == [True, False]
    assert (found.price_decimals, found.quantity_decimals) == (2, 3)


def test_ccxt_layout(tmp_path: Path) -> None:
    columns = {
        "timestamp": RAW["trade_ms"], "id": ["a", "b", "c"], "side": ["sell", "buy", "sell"],
        "price": RAW["price"], "amount": RAW["qty"],
    }  # fmt: skip

    found = load_trades(write(tmp_path, columns), "AAA/USDT")

    assert found.buyer_is_maker.tolist() == [True, False, True]


def test_identical_duplicate_is_dropped(tmp_path: Path) -> None:
    columns = {name: [*values[:2], values[1], values[2]] for name, values in RAW.items()}

    found = load_trades(write(tmp_path, columns), "AAA/USDT")

    assert (len(found), found.duplicates) == (3, 1)


@pytest.mark.parametrize(
    ("change", "row", "words"),
    [
        ({"trade_id": [7, 7, 9]}, 1, "contradicts"),
        ({"trade_ms": [1000, 900, 2500]}, 1, "in order of time"),
        ({"price": [10.5, float("nan"), 11.0]}, 1, "finite price above 0"),
        ({"qty": [1.0, 0.5, 0.0]}, 2, "finite quantity above 0"),
    ],
)
def test_impossible_rows(tmp_path: Path, change: dict[str, list[Any]], row: int, words: str) -> None:
    path = write(tmp_path, RAW | change)

    with pytest.raises(CandleError, match=f"row {row}: .*{words}") as caught:
        load_trades(path, "AAA/USDT")

    assert str(path) in str(caught.value)


def test_foreign_and_corrupt_files(tmp_path: Path) -> None:
    path = write(tmp_path, {"when": [1]})
    with pytest.raises(CandleError, match="expected columns of trades"):
        load_trades(path, "AAA/USDT")
    path.write_bytes(b"no")
    with pytest.raises(CandleError, match="expected a Parquet file"):
        load_trades(path, "AAA/USDT")


@pytest.mark.parametrize(
    ("trades", "exchange", "pair"),
    [
        ("kraken-BTC_USDT-trades-202311", "kraken", "BTC/USDT"),
        ("binance-XRP_ETH-trades-201910", "binance", "XRP/ETH"),
    ],
)
def test_trades_resample_to_the_recorded_candles(
    market_data: Path, trades: str, exchange: str, pair: str
) -> None:
    ticks = load_trades(market_data / "trades" / f"{trades}.parquet", pair)
    begin, end = int(ticks.time_ms[0]) // 60_000 * 60_000, int(ticks.time_ms[-1]) + 1
    candles = load_candles(market_data / "candles", exchange, pair, "1m", begin, end)

    minutes, first = np.unique(ticks.time_ms // 60_000 * 60_000, return_index=True)
    assert minutes.tolist() == candles.date_ms.tolist()
    assert np.maximum.reduceat(ticks.price, first).tolist() == candles.high.tolist()
    assert np.minimum.reduceat(ticks.price, first).tolist() == candles.low.tolist()
    assert ticks.price[first].tolist() == candles.open.tolist()
    assert np.allclose(np.add.reduceat(ticks.quantity, first), candles.volume, rtol=1e-9, atol=1e-12)
