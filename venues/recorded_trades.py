"""Recorded public trades of one pair: read a file, refuse what cannot be trades.

Three layouts are known: raw Binance trades (`trade_ms`, `trade_id`), aggregated Binance trades
(`trade_ms`, `agg_id`) and ccxt's (`timestamp`, `id`, `side`, `amount`). Identical duplicates are
dropped with a count; conflicting ones, disorder, NaN and impossible numbers are one `CandleError`
with file and row, as for candles. Not here: making candles of them. Invariant: times never go
back, prices and quantities are above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from venues.market_rules import Fault, first_of_id, trade_faults
from venues.recorded import CandleError, Moment, decimals_of, moment_ms, refuse

_LAYOUTS = (
    {"time": "trade_ms", "id": "trade_id", "price": "price", "quantity": "qty", "maker": "buyer_is_maker"},
    {"time": "trade_ms", "id": "agg_id", "price": "price", "quantity": "qty", "maker": "buyer_is_maker"},
    {"time": "timestamp", "id": "id", "price": "price", "quantity": "amount", "maker": "side"},
)


@dataclass(frozen=True, slots=True)
class TradeSeries:
    """Public trades of one pair; all arrays have the same length."""

    pair: str
    file: str
    time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    quantity: npt.NDArray[np.float64]
    buyer_is_maker: npt.NDArray[np.bool_]
    duplicates: int
    price_decimals: int
    quantity_decimals: int

    def __len__(self) -> int:
        return len(self.time_ms)


def load_trades(path: str | Path, pair: str, start: Moment = None, end: Moment = None) -> TradeSeries:
    """Validated trades with `start` <= time < `end` (UTC)."""
    file = Path(path)
    columns = _read(file)
    time_ms, price, quantity = columns["time"], columns["price"], columns["quantity"]
    if len(time_ms) == 0:
        raise CandleError(f"{file}: expected trades, the file has no rows")
    for fault in trade_faults(columns):
        refuse(file, fault)
    fresh = np.equal(first_of_id(columns["id"]), np.arange(len(time_ms)))
    first, last = moment_ms(start), moment_ms(end)
    keep = fresh.copy()
    if first is not None:
        keep &= time_ms >= first
    if last is not None:
        keep &= time_ms < last
    if not keep.any():
        raise CandleError(
            f"{file}: expected trades from {start!r} to {end!r}, "
            f"it has {int(time_ms[0])} to {int(time_ms[-1])} ms"
        )
    return TradeSeries(
        pair,
        str(file),
        time_ms[keep],
        price[keep],
        quantity[keep],
        columns["maker"][keep],
        duplicates=int((~fresh).sum()),
        price_decimals=decimals_of(price),
        quantity_decimals=decimals_of(quantity),
    )


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise CandleError(f"{path}: expected a Parquet file of trades, it cannot be read: {error}") from error
    return trade_columns(path, table)


def trade_columns(path: Path, table: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """Time, id, price, quantity and maker of a table in one of the known layouts."""
    for layout in _LAYOUTS:
        if all(name in table.column_names for name in layout.values()):
            break
    else:
        raise CandleError(
            f"{path}: expected columns of trades such as {', '.join(_LAYOUTS[0].values())}; "
            f"it has {', '.join(table.column_names)}"
        )
    for name in layout.values():
        if table[name].null_count:
            raise CandleError(
                f"{path}: expected a value of {name} in every row, {table[name].null_count} are empty"
            )
    maker = np.asarray(table[layout["maker"]].to_numpy())
    if layout["maker"] == "side":
        known = np.isin(maker.astype(str), ("buy", "sell"))
        refuse(path, Fault("side", ~known, maker, "expected side 'buy' or 'sell'"))
        maker = maker.astype(str) == "sell"
    return {
        "time": table[layout["time"]].to_numpy().astype(np.int64),
        "id": np.asarray(table[layout["id"]].to_numpy()).astype(str),
        "price": table[layout["price"]].to_numpy().astype(np.float64),
        "quantity": table[layout["quantity"]].to_numpy().astype(np.float64),
        "maker": maker.astype(bool),
    }
