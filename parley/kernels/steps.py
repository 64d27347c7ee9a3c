"""One step of time: every pair that has something to do, at the candle itself or at its detail candles.

Invariant: the order of pairs is fixed when a step (a detail candle) begins: open trades first, in the order
they were opened, then the list.
"""

import math

import numpy as np

from parley.kernels.candle import trade_candle
from parley.kernels.codes import NO_PRICE
from parley.kernels.entries import wanted_direction
from parley.kernels.ports import fetch, load_byte, load_float, load_int, pair_at, store_int, trade_at
from parley.kernels.quiet import date_of, next_event, next_signal

NEVER = 1 << 62
SKIP_ALL = 1
"""Quiet candles of open trades are skipped too; otherwise only pairs without trade and signal."""


def one_step(desk: np.void, step: int, now: int) -> None:
    count = _line_up(desk)
    for k in range(count):
        at = load_int(desk["line"], k)
        if load_int(desk["next_step"], at) <= step:
            _process(desk, at, step, now)
    for at in range(desk["pair_count"]):
        if load_int(desk["next_step"], at) <= step:
            _process(desk, at, step, now)


def _line_up(desk: np.void) -> int:
    """Write down the pairs of the open trades; returns how many."""
    count = desk["open_count"]
    for k in range(count):
        store_int(desk["line"], k, trade_at(desk["trades"], load_int(desk["open_slots"], k))["pair"])
    desk["line_count"] = count
    return int(count)


def _process(desk: np.void, at: int, step: int, now: int) -> None:
    desk["turn"] = at
    pair = pair_at(desk["pairs"], at)
    row = pair["row"]
    signals = load_byte(pair["signals"], row - 1)
    date = date_of(desk, pair, row)
    open_ = load_float(pair["opens"], row)
    high = load_float(pair["highs"], row)
    low = load_float(pair["lows"], row)
    close = load_float(pair["closes"], row)
    # What the search for the next event reads; it is there by the time this candle is done.
    fetch(pair["highs"], row + 8)
    fetch(pair["lows"], row + 8)
    fetch(pair["highs"], row + 16)
    fetch(pair["lows"], row + 16)
    _trade_twice(desk, at, row, date, now, open_, high, low, close, signals, wanted_direction(desk, signals))
    plan(desk, at, pair, row + 1)


def _trade_twice(
    desk: np.void, at: int, row: int, date: int, now: int, open_: float, high: float, low: float, close:
    float, signals: int, direction: int,
) -> None:  # fmt: skip
    """Once, and again when a position closed and the signal points the other way."""
    if not math.isfinite(open_ + high + low + close):
        desk["box"][0] = at
        desk["box"][1] = row
        desk["status"] = NO_PRICE
        return
    can_enter = now != desk["end_ms"]
    for _ in range(2):
        closed = trade_candle(
            desk, at, row, date, now, open_, high, low, close, signals, direction, can_enter
        )
        if not (desk["can_short"] and direction and closed and closed != direction):
            break


def plan(desk: np.void, at: int, pair: np.void, row: int) -> None:
    """Find the next row of this pair that needs a look, from this one on."""
    if pair["open_trades"] == 0:
        row = next_signal(desk, pair, row)
    elif desk["skips"] == SKIP_ALL:
        trade = trade_at(desk["trades"], pair["slot"])
        trade["seen_row"] = -1
        if trade["open_orders"] == 0:
            row = next_event(desk, pair, trade, row)
    pair["row"] = row
    if row >= pair["rows"]:
        store_int(desk["next_step"], at, NEVER)
        return
    # Other pairs come in between, and each pair's candles lie elsewhere.
    fetch(pair["opens"], row)
    fetch(pair["highs"], row)
    fetch(pair["lows"], row)
    fetch(pair["closes"], row)
    if pair["steps"] == 0:
        store_int(desk["next_step"], at, pair["first_step"] + row)
    else:
        store_int(desk["next_step"], at, load_int(pair["steps"], row))


def detailed_step(desk: np.void, step: int, now: int) -> None:
    """The same through the detail candles of this step, up to the beginning of the next one as freqtrade
    does."""
    for at in range(desk["pair_count"]):
        pair = pair_at(desk["pairs"], at)
        pair["was_open"] = 1 if pair["open_trades"] > 0 else 0
        pair["detail_count"] = 0
        pair["stamp"] = -1
    place = 0
    while place * desk["detail_ms"] <= desk["timeframe_ms"]:
        moment = now + place * desk["detail_ms"]
        count = _line_up(desk)
        if place > 0:
            desk["line_count"] = -1
        for k in range(count):
            _process_detail(desk, load_int(desk["line"], k), step, now, moment, place)
        for at in range(desk["pair_count"]):
            _process_detail(desk, at, step, now, moment, place)
        place += 1
    for at in range(desk["pair_count"]):
        if load_int(desk["next_step"], at) <= step:
            plan(desk, at, pair_at(desk["pairs"], at), pair_at(desk["pairs"], at)["row"] + 1)


def _process_detail(desk: np.void, at: int, step: int, now: int, moment: int, place: int) -> None:
    pair = pair_at(desk["pairs"], at)
    # A pair is processed once per detail candle although it may stand in both lists.
    if pair["stamp"] == place or load_int(desk["next_step"], at) > step:
        return
    pair["stamp"] = place
    desk["turn"] = at
    row = pair["row"]
    signals = load_byte(pair["signals"], row - 1)
    if place == 0:
        pair["direction"] = wanted_direction(desk, signals)
        direction = pair["direction"]
    else:
        if pair["detail_count"] <= place:
            return
        direction = pair["direction"]
        if desk["expire_ms"] > 0.0 and moment - now > desk["expire_ms"]:
            direction = 0
    is_open = pair["open_trades"] > 0
    if pair["was_open"] and not is_open:
        # Closed within this candle: not again before the next one.
        return
    if is_open:
        pair["was_open"] = 1
    if place == 0 and (direction or is_open):
        _find_detail(desk, pair, load_int(pair["dates"], row))
    if pair["detail_count"] > 0:
        spot = pair["detail_first"] + place
        date = load_int(pair["detail_dates"], spot)
        open_ = load_float(pair["detail_opens"], spot)
        high = load_float(pair["detail_highs"], spot)
        low = load_float(pair["detail_lows"], spot)
        close = load_float(pair["detail_closes"], spot)
    else:
        date = load_int(pair["dates"], row)
        open_ = load_float(pair["opens"], row)
        high = load_float(pair["highs"], row)
        low = load_float(pair["lows"], row)
        close = load_float(pair["closes"], row)
    _trade_twice(desk, at, row, date, moment, open_, high, low, close, signals, direction)


def _find_detail(desk: np.void, pair: np.void, date: int) -> None:
    """The detail candles of the candle that begins at this date."""
    first = _first_detail(pair, date)
    pair["detail_first"] = first
    pair["detail_count"] = _first_detail(pair, date + desk["timeframe_ms"]) - first


def _first_detail(pair: np.void, date: int) -> int:
    low = 0
    high = pair["detail_rows"]
    while low < high:
        middle = (low + high) // 2
        if load_int(pair["detail_dates"], middle) < date:
            low = middle + 1
        else:
            high = middle
    return int(low)
