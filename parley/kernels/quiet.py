"""Candles at which nothing can happen: found without the full treatment.

Between two events a candle of an open trade only widens its extremes; a candle of a pair without trade and
without signal does nothing at all. This finds the next one that may matter. It may stop at a candle that
turns out to be quiet, it never passes one that is not: every threshold keeps a margin wider than what
rounding can do.

Invariant: skipping is not semantics; a run with `skips` off gives the same trades (tests compare).
"""

import math

import numpy as np

from parley.kernels.codes import (
    ENTER_LONG,
    ENTER_LONG_SET,
    ENTER_SHORT,
    ENTER_SHORT_SET,
    EXIT_LONG_SET,
    EXIT_SHORT_SET,
)
from parley.kernels.ports import load_byte, load_float, load_int

_MARGIN = 1e-6
_MINUTE_MS = 60_000
_NEVER = 1 << 62


def next_signal(desk: np.void, pair: np.void, row: int) -> int:
    """The first row from this one on whose signals may open a trade."""
    wanted = ENTER_LONG
    if desk["can_short"]:
        wanted |= ENTER_SHORT
    signals = pair["signals"]
    rows = pair["rows"]
    # Eight candles at a time as long as none of them has one.
    wanted_of_eight = wanted * 0x0101010101010101
    while row + 7 < rows and not (load_int(signals + row - 1, 0) & wanted_of_eight):
        row += 8
    while row < rows and not (load_byte(signals, row - 1) & wanted):
        row += 1
    return row


def date_of(desk: np.void, pair: np.void, row: int) -> int:
    """When a row's candle begins; a pair without gaps needs no look at its dates."""
    if pair["steps"] == 0:
        return int(desk["start_ms"] + (pair["first_step"] + row) * desk["timeframe_ms"])
    return load_int(pair["dates"], row)


def next_event(desk: np.void, pair: np.void, trade: np.void, row: int) -> int:
    """The first row from this one on that may change this trade; notes the extremes of those passed."""
    short = trade["is_short"]
    rows = pair["rows"]
    end = rows
    if desk["futures"]:
        now = date_of(desk, pair, row - 1)
        end = _row_at(desk, pair, row, now // desk["funding_ms"] * desk["funding_ms"] + desk["funding_ms"])
    stop = trade["stop_loss"]
    liquidation = trade["liquidation"]
    if liquidation == liquidation and liquidation != 0.0:
        stop = min(stop, liquidation) if short else max(stop, liquidation)
    leaving = 0
    entering = 0
    if desk["use_exit_signal"]:
        leaving = EXIT_SHORT_SET if short else EXIT_LONG_SET
        entering = ENTER_SHORT_SET if short else ENTER_LONG_SET
    highs = pair["highs"]
    lows = pair["lows"]
    signals = pair["signals"]
    most = trade["max_rate"]
    least = trade["min_rate"]
    trade["seen_row"] = row
    trade["seen_most"] = most
    trade["seen_least"] = least
    quiet = True
    while quiet and row < end:
        # While one profit is in force, a candle is quiet between two rates that do not change.
        goal, changes = _goal(desk, trade, date_of(desk, pair, row))
        part = min(end, _row_at(desk, pair, row, changes))
        floor, ceiling = (goal, stop) if short else (stop, goal)
        if desk["trailing_stop"]:
            if short and trade["quiet_low"] > floor:
                floor = trade["quiet_low"]
            elif not short and trade["quiet_high"] < ceiling:
                ceiling = trade["quiet_high"]
        if floor < 0.0:
            # A low of 0 stands for no price at all.
            floor = 0.0
        while row < part:
            high = load_float(highs, row)
            low = load_float(lows, row)
            if not (low > floor and high < ceiling):
                quiet = False
                break
            if leaving:
                signal = load_byte(signals, row - 1)
                if signal & leaving and not signal & entering:
                    quiet = False
                    break
            most = max(most, high)
            least = min(least, low)
            row += 1
    trade["max_rate"] = most
    trade["min_rate"] = least
    return int(row)


def _row_at(desk: np.void, pair: np.void, row: int, date: int) -> int:
    """The first row from this one on that is not before a date."""
    rows = pair["rows"]
    if date >= _NEVER:
        return int(rows)
    if pair["steps"] == 0:
        steps = (date - desk["start_ms"] + desk["timeframe_ms"] - 1) // desk["timeframe_ms"]
        return int(min(max(steps - pair["first_step"], row), rows))
    low = row
    high = rows
    while low < high:
        middle = (low + high) // 2
        if load_int(pair["dates"], middle) < date:
            low = middle + 1
        else:
            high = middle
    return int(low)


def _goal(desk: np.void, trade: np.void, date: int) -> tuple[float, int]:
    """A rate that surely does not reach the profit in force, and when another comes into force."""
    minutes = (date - trade["open_date"]) // _MINUTE_MS
    at = -1
    changes = _NEVER
    for k in range(desk["roi_steps"]):
        if desk["roi_minutes"][k] <= minutes:
            at = k
        elif changes == _NEVER:
            changes = trade["open_date"] + desk["roi_minutes"][k] * _MINUTE_MS
    if at < 0:
        return (-math.inf if trade["is_short"] else math.inf), changes
    short = trade["is_short"]
    share = desk["roi_ratios"][at] / trade["leverage"]
    funding = trade["funding_fees"] if desk["futures"] else 0.0
    fee = desk["fee"]
    # Plain floats: the margin covers what they lose.
    if short:
        rate = ((1.0 - share) * trade["open_trade_value"] + funding) / (trade["amount"] * (1.0 + fee))
    else:
        rate = ((1.0 + share) * trade["open_trade_value"] - funding) / (trade["amount"] * (1.0 - fee))
    margin = abs(rate) * _MARGIN
    return (rate + margin if short else rate - margin), changes


def trailing_is_monotone(positive: float, stoploss: float) -> bool:
    """Whether a lower high never asks for a higher stop, which skipping relies on."""
    return math.isnan(positive) or abs(positive) <= abs(stoploss)
