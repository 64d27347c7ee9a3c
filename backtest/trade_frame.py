"""Closed trades as the frame freqtrade makes of them: same columns, same values, same types.

Invariant: nothing is computed here but roundings to 8 places, durations and texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from backtest.candles import PairCandles
from backtest.result import BT_DATA_COLUMNS
from backtest.tables import Tables
from parley.kernels import codes
from parley.kernels.doubles import two_product
from parley.kernels.records import BLOCK

_SIDES = np.array([["buy", "sell"], ["sell", "buy"]], dtype=object)
"""Entry and exit of a long and of a short trade."""


def build(tables: Tables, texts: Sequence[str]) -> DataFrame:
    """One row per closed trade, in the order of closing."""
    count = int(tables.desk[0]["closed_count"])
    if count == 0:
        return DataFrame.from_records([], columns=list(BT_DATA_COLUMNS))
    # Columns of the kernel's table as they lie: nobody writes them any more.
    trades = tables.closed_trades()
    tags = _entry_tags(trades["pair"], trades["enter_tag"], tables.candles, texts)
    reasons = _reasons(trades, trades["exit_reason"], trades["exit_row"], tables.candles, texts)
    fee = float(tables.desk[0]["fee"])
    opened, closed = trades["open_date"], trades["close_date"]
    names = np.array([spec.pair for spec in tables.specs], dtype=object)
    none_staked = trades["max_stake_amount"] == 0.0
    most = rounded(trades["max_stake_amount"])
    columns = {
        "pair": names[trades["pair"]],
        "stake_amount": rounded(trades["stake_amount"]),
        "max_stake_amount": np.where(none_staked, np.nan, most) if none_staked.any() else most,
        "amount": rounded(trades["amount"]),
        "open_date": pd.to_datetime(pd.Series(opened), unit="ms", utc=True),
        "close_date": pd.to_datetime(pd.Series(closed), unit="ms", utc=True),
        "open_rate": trades["open_rate"],
        "close_rate": trades["close_rate"],
        "fee_open": np.full(count, fee),
        "fee_close": np.full(count, fee),
        "trade_duration": (closed - opened) // 60_000,
        "profit_ratio": trades["close_profit"],
        "profit_abs": trades["close_profit_abs"],
        "exit_reason": reasons,
        "initial_stop_loss_abs": trades["initial_stop_loss"],
        "initial_stop_loss_ratio": _or_none(trades["initial_stop_loss_pct"]),
        "stop_loss_abs": trades["stop_loss"],
        "stop_loss_ratio": _or_none(trades["stop_loss_pct"]),
        "min_rate": _or_none(trades["min_rate"]),
        "max_rate": _or_none(trades["max_rate"]),
        "is_open": np.zeros(count, bool),
        "enter_tag": tags,
        "leverage": trades["leverage"],
        "is_short": trades["is_short"] != 0,
        "open_timestamp": opened,
        "close_timestamp": closed,
        "orders": _orders(tables, trades, tags, reasons),
        "funding_fees": trades["funding_fees"],
    }
    return DataFrame(columns, columns=list(BT_DATA_COLUMNS), copy=False)


def rounded(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Python's `round(x, 8)` of every value: the kernel's `round8` on a column."""
    x = np.ascontiguousarray(x)
    if not (np.abs(x) < 4.5e7).all():
        return np.array([round(v, 8) for v in x.tolist()])
    p, e = two_product(x, 1e8)  # type: ignore[arg-type]  # the same arithmetic, value by value
    base: NDArray[np.float64] = np.floor(p)
    beyond = ((p - base) - 0.5) + e
    up = (beyond > 0.0) | ((beyond == 0.0) & (base != 2.0 * np.floor(0.5 * base)))
    result: NDArray[np.float64] = (base + up) / 1e8
    return result


def _or_none(x: NDArray[np.float64]) -> Any:
    """freqtrade shows None where a value is zero or missing; the frame makes NaN of it."""
    empty = (x == 0.0) | np.isnan(x)
    if empty.all():
        return np.full(len(x), None, dtype=object)
    return np.where(empty, np.nan, x)


def _look_up(
    pairs: NDArray[np.int64], rows: NDArray[np.int64], columns: Sequence[Any], offsets: Sequence[int]
) -> NDArray[np.object_]:
    """The value of each pair's column at each row, None for no column and for NaN."""
    found = np.full(len(rows), None, dtype=object)
    for at in range(len(columns)):
        column = columns[at]
        here = np.flatnonzero((pairs == at) & (rows >= 0))
        if column is None or not len(here):
            continue
        if _is_blank(column):
            found[here] = ""
            continue
        values = column.take(rows[here] + offsets[at])
        texts = values.to_numpy(dtype=object)
        missing = values.isna().to_numpy()
        if missing.any():
            texts = np.where(missing, None, texts)
        found[here] = texts
    return found


def _is_blank(column: Any) -> bool:
    """Whether a text column is empty everywhere, which it is for most strategies: then its text has no
    bytes."""
    if not hasattr(column.array, "__arrow_array__"):
        return False
    texts = column.array.__arrow_array__()
    chunks = texts.chunks if hasattr(texts, "chunks") else [texts]
    return texts.null_count == 0 and not any(
        buffer is not None and buffer.size for chunk in chunks for buffer in chunk.buffers()[2:]
    )


def _entry_tags(
    pairs: NDArray[np.int64], tags: NDArray[np.int64], candles: Sequence[PairCandles], texts: Sequence[str]
) -> NDArray[np.object_]:
    found = _look_up(pairs, tags, [c.enter_tags for c in candles], [c.offset for c in candles])
    for k in np.flatnonzero(tags <= -2):
        found[k] = texts[-2 - tags[k]]
    return found


def _reasons(
    trades: Mapping[str, NDArray[Any]],
    reasons: NDArray[np.int64],
    rows: NDArray[np.int64],
    candles: Sequence[PairCandles],
    texts: Sequence[str],
) -> NDArray[np.object_]:
    names = np.array([codes.REASON_TEXTS[k] for k in range(codes.PARTIAL_EXIT + 1)], dtype=object)
    named = reasons >= codes.NAMED
    found = names[np.where(named, 0, reasons)]
    signalled = np.flatnonzero(reasons == codes.EXIT_SIGNAL)
    if len(signalled):
        tags = _look_up(
            trades["pair"][signalled],
            rows[signalled],
            [c.exit_tags for c in candles],
            [c.offset for c in candles],
        )
        told = tags.astype(bool)
        found[signalled[told]] = tags[told]
    for k in np.flatnonzero(named):
        found[k] = texts[reasons[k] - codes.NAMED]
    return found


def _orders(
    tables: Tables,
    trades: Mapping[str, NDArray[Any]],
    tags: NDArray[np.object_],
    reasons: NDArray[np.object_],
) -> NDArray[np.object_]:
    """Each trade's orders as freqtrade's short JSON."""
    plain = trades["plain"] != 0
    lists: list[Any] = []
    # In parts that stay in the cache: the numbers are made into objects and used at once.
    for first in range(0, len(tags), BLOCK):
        part = slice(first, first + BLOCK)
        lists += _plain_orders(trades, part, tags, reasons)
    for k in np.flatnonzero(~plain).tolist():
        lists[k] = _chain(tables, {name: column[k] for name, column in trades.items()})
    return np.fromiter(lists, dtype=object, count=len(lists))


def _plain_orders(
    trades: Mapping[str, NDArray[Any]], part: slice, tags: NDArray[np.object_], reasons: NDArray[np.object_]
) -> list[list[dict[str, Any]]]:
    """One entry and one exit per trade."""
    sides = _SIDES[trades["is_short"][part]]
    # No function call per trade: this is most of the time a frame takes.
    return [
        [
            {"amount": amount, "safe_price": price, "ft_order_side": side, "order_filled_timestamp": at,
             "ft_is_entry": True, "ft_order_tag": tag, "cost": cost},
            {"amount": left, "safe_price": last, "ft_order_side": other, "order_filled_timestamp": end,
             "ft_is_entry": False, "ft_order_tag": reason, "cost": proceeds},
        ]
        for amount, price, side, at, tag, cost, left, last, other, end, reason, proceeds in zip(
            trades["entry_amount"][part].tolist(), trades["entry_price"][part].tolist(),
            sides[:, 0].tolist(), trades["entry_date"][part].tolist(),
            tags[part].tolist(), trades["entry_cost"][part].tolist(),
            trades["exit_amount"][part].tolist(), trades["exit_price"][part].tolist(),
            sides[:, 1].tolist(), trades["exit_date"][part].tolist(),
            reasons[part].tolist(), trades["exit_cost"][part].tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _chain(tables: Tables, trade: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    words = tables.words
    at = int(trade["first_order"])
    pair = int(trade["pair"])
    while at >= 0:
        order = tables.orders[at]
        at = int(order["next"])
        entry = bool(order["is_entry"])
        tag, row = int(order["tag"]), int(order["tag_row"])
        found.append(
            {
                "amount": float(order["amount"]),
                "safe_price": float(order["price"]),
                "ft_order_side": "buy" if entry != bool(trade["is_short"]) else "sell",
                "order_filled_timestamp": int(order["filled_date"]) if order["filled_date"] >= 0 else None,
                "ft_is_entry": entry,
                "ft_order_tag": words.entry_tag(pair, tag) if entry else words.reason(pair, tag, row),
                "cost": float(order["cost"]) if order["cost"] else 0,
            }
        )
    return found
