"""Closed trades as the frame freqtrade makes of them: same columns, same values, same types.

Invariant: nothing is computed here but roundings to 8 places, durations and texts.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from backtest.candles import PairCandles
from backtest.compile import entry_point
from backtest.order_lists import KEYS, SET, list_orders
from backtest.result import BT_DATA_COLUMNS
from backtest.tables import Tables, address
from backtest.text_columns import Texts, look_up
from parley.kernels import codes
from parley.kernels.doubles import two_product


def build(tables: Tables, texts: Sequence[str]) -> DataFrame:
    """One row per closed trade, in the order of closing."""
    count = int(tables.desk[0]["closed_count"])
    if count == 0:
        return DataFrame.from_records([], columns=list(BT_DATA_COLUMNS))
    trades = tables.closed_trades()
    tags = _entry_tags(trades, tables.candles, texts)
    reasons = _reasons(trades, tables.candles, texts)
    fee = float(tables.desk[0]["fee"])
    opened, closed = trades["open_date"], trades["close_date"]
    names = Texts(trades["pair"], [spec.pair for spec in tables.specs])
    none_staked = trades["max_stake_amount"] == 0.0
    most = rounded(trades["max_stake_amount"])
    columns = {
        "pair": names.column(),
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
        "exit_reason": reasons.column(),
        "initial_stop_loss_abs": trades["initial_stop_loss"],
        "initial_stop_loss_ratio": _or_none(trades["initial_stop_loss_pct"]),
        "stop_loss_abs": trades["stop_loss"],
        "stop_loss_ratio": _or_none(trades["stop_loss_pct"]),
        "min_rate": _or_none(trades["min_rate"]),
        "max_rate": _or_none(trades["max_rate"]),
        "is_open": np.zeros(count, bool),
        "enter_tag": tags.column(),
        "leverage": _leverages(trades["leverage"], tables.shown.leverages),
        "is_short": trades["is_short"] != 0,
        "open_timestamp": opened,
        "close_timestamp": closed,
        "orders": _orders(tables, trades, tags, reasons),
        "funding_fees": trades["funding_fees"],
    }
    return DataFrame(columns, columns=list(BT_DATA_COLUMNS), copy=False)


def rounded(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Python's `round(x, 8)` of every value: the kernel's `round8` on a column."""
    given = np.ascontiguousarray(x)
    # Amounts of coins worth next to nothing, and what is no number: the arithmetic below does not hold there.
    large = np.flatnonzero(~(np.abs(given) < 4.5e7))
    x = given.copy() if len(large) else given
    x[large] = 0.0
    p, e = two_product(x, 1e8)  # type: ignore[arg-type]  # the same arithmetic, value by value
    base: NDArray[np.float64] = np.floor(p)
    beyond = ((p - base) - 0.5) + e
    up = (beyond > 0.0) | ((beyond == 0.0) & (base != 2.0 * np.floor(0.5 * base)))
    result: NDArray[np.float64] = (base + up) / 1e8
    result[large] = [round(v, 8) for v in given[large].tolist()]
    return result


def _or_none(x: NDArray[np.float64]) -> Any:
    """freqtrade shows None where a value is zero or missing; the frame makes NaN of it."""
    empty = (x == 0.0) | np.isnan(x)
    if empty.all():
        return np.full(len(x), None, dtype=object)
    return np.where(empty, np.nan, x)


def _leverages(x: NDArray[np.float64], answered: Mapping[float, float]) -> NDArray[Any]:
    """Whole numbers where a strategy answered nothing else: freqtrade's frame takes them as they are."""
    whole = {number for number in answered.values() if isinstance(number, int)}
    return x.astype(np.int64) if whole and whole.issuperset(x.tolist()) else x


def _entry_tags(
    trades: Mapping[str, NDArray[Any]], candles: Sequence[PairCandles], texts: Sequence[str]
) -> Texts:
    tags = trades["enter_tag"]
    found = look_up(trades["pair"], tags, [c.enter_tags for c in candles], [c.offset for c in candles])
    places = np.where(tags <= -2, len(found.words) - 2 - tags, found.places)
    return Texts(places, [*found.words, *texts])


def _reasons(
    trades: Mapping[str, NDArray[Any]], candles: Sequence[PairCandles], texts: Sequence[str]
) -> Texts:
    reasons = trades["exit_reason"]
    words: list[Any] = [codes.REASON_TEXTS[k] for k in range(codes.PARTIAL_EXIT + 1)]
    places = np.where(reasons >= codes.NAMED, reasons - codes.NAMED + len(words), reasons)
    words += texts
    signalled = np.where(reasons == codes.EXIT_SIGNAL, trades["exit_row"], -1)
    tags = look_up(trades["pair"], signalled, [c.exit_tags for c in candles], [c.offset for c in candles])
    told = np.array([bool(word) for word in tags.words])[tags.places]
    return Texts(np.where(told, tags.places + len(words), places), words + tags.words)


def _orders(
    tables: Tables, trades: Mapping[str, NDArray[Any]], tags: Texts, reasons: Texts
) -> NDArray[np.object_]:
    """Each trade's orders as freqtrade's short JSON."""
    lists: list[Any] = [None] * len(tags.places)
    patterns = [_pattern(side, entry) for side, entry in _PATTERNS]
    keys = [sys.intern(key) for key in SET]
    desk = tables.desk[0]
    # Held until the lists are made.
    parts = _addresses([*keys, *patterns])
    tag_words, reason_words = _addresses(tags.words), _addresses(reasons.words)
    for name, array in (
        ("order_parts", parts),
        ("tag_words", tag_words),
        ("tag_places", tags.places),
        ("reason_words", reason_words),
        ("reason_places", reasons.places),
    ):
        desk[name] = address(array)
    desk["order_lists"] = id(lists)
    if entry_point(list_orders)(address(tables.desk)):
        raise MemoryError("no memory for the orders of the closed trades")
    for k in np.flatnonzero(trades["plain"] == 0).tolist():
        lists[k] = _chain(tables, {name: trades[name][k] for name in ("pair", "is_short", "first_order")})
    return np.fromiter(lists, dtype=object, count=len(lists))


_PATTERNS = (("buy", True), ("sell", False), ("sell", True), ("buy", False))
"""Entry and exit of a long and of a short trade."""


def _pattern(side: str, is_entry: bool) -> dict[str, Any]:
    given = {"ft_order_side": side, "ft_is_entry": is_entry}
    return {sys.intern(key): given.get(key) for key in KEYS}


def _addresses(objects: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([id(each) for each in objects], np.int64)


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
