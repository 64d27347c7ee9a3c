"""Orders that stay open over a candle: timeouts, replacements, fills of exits.

Invariant: an order is looked at once per candle, before anything else happens to its pair.
"""

import math

import numpy as np

from parley.kernels.book import close_trade, fill_if_touched, recalculate, remove_order
from parley.kernels.codes import (
    ASK_ADJUST_ORDER_PRICE,
    ASK_ENTRY_TIMEOUT,
    ASK_EXIT_TIMEOUT,
    ASK_PROTECTIONS,
)
from parley.kernels.entries import LONG, SHORT, enter
from parley.kernels.exits import place_exit
from parley.kernels.ports import call, order_at
from parley.kernels.wallet import refresh

_ACTIVE = 0
_GONE = 1
_TRADE_GONE = 2


def manage_orders(
    desk: np.void,
    trade: np.void,
    row: int,
    date: int,
    now: int,
    open_: float,
    high: float,
    low: float,
    tag: int,
) -> bool:
    """Time out and replace open orders; True when the trade itself must go."""
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        following = order["next"]
        if order["is_open"]:
            outcome = _time_out(desk, trade, index, now)
            if outcome == _TRADE_GONE:
                return True
            if outcome == _ACTIVE and desk["hook_adjust_order"] and now > order["order_date"]:
                last = trade["last_order"]
                if _replace(desk, trade, index, row, date, now, open_, high, low, tag):
                    desk["canceled_trades"] += 1
                    return True
                if index == last:
                    # What was placed just now is not looked at again.
                    return False
        index = following
    return False


def _time_out(desk: np.void, trade: np.void, index: int, now: int) -> int:
    order = order_at(desk["orders"], index)
    entry = order["is_entry"]
    timeout = desk["entry_timeout_ms"] if entry else desk["exit_timeout_ms"]
    late = not math.isnan(timeout) and order["order_date"] <= now - timeout
    if not late:
        if desk["hook_entry_timeout"] if entry else desk["hook_exit_timeout"]:
            box = desk["box"]
            box[0] = trade["slot"]
            box[1] = index
            box[2] = now
            call(desk["port"], ASK_ENTRY_TIMEOUT if entry else ASK_EXIT_TIMEOUT)
            late = box[0] != 0.0
        if not late:
            return _ACTIVE
    if entry:
        desk["timedout_entry"] += 1
        if trade["filled_entries"] == 0:
            return _TRADE_GONE
    else:
        desk["timedout_exit"] += 1
    remove_order(desk, trade, index)
    return _GONE


def _replace(
    desk: np.void, trade: np.void, index: int, row: int, date: int, now: int, open_: float, high: float,
    low: float, tag: int,
) -> bool:  # fmt: skip
    """Ask for another price; True when the trade must go."""
    order = order_at(desk["orders"], index)
    box = desk["box"]
    box[0] = trade["slot"]
    box[1] = index
    box[2] = now
    box[3] = open_
    call(desk["port"], ASK_ADJUST_ORDER_PRICE)
    rate = float(box[0])
    price = order["price"]
    if rate == price:
        return False
    is_entry = order["is_entry"]
    remaining = order["remaining"]
    reason = order["tag"]
    reason_row = order["tag_row"]
    remove_order(desk, trade, index)
    if is_entry:
        desk["canceled_entry"] += 1
    else:
        desk["canceled_exit"] += 1
    if math.isnan(rate) or rate == 0.0:
        return bool(trade["filled_entries"] == 0)
    if is_entry:
        stake = remaining * price / trade["leverage"]
        direction = SHORT if trade["is_short"] else LONG
        enter(
            desk,
            trade["pair"],
            row,
            date,
            open_,
            high,
            low,
            direction,
            trade["slot"],
            rate,
            stake,
            tag,
            False,
        )
        desk["replaced_entry"] += 1
    else:
        place_exit(desk, trade, date, rate, remaining, reason, reason_row)
        desk["replaced_exit"] += 1
    return bool(trade["open_orders"] == 0 and is_entry and trade["filled_entries"] == 0)


def settle_exit(desk: np.void, trade: np.void, index: int, now: int, low: float, high: float) -> None:
    """Fill an exit order if the candle touches it, and close the trade when nothing is left."""
    if not fill_if_touched(desk, trade, index, now, low, high):
        return
    order = order_at(desk["orders"], index)
    if order["filled"] != trade["amount"]:
        recalculate(desk, trade, False)
    else:
        close_trade(desk, trade, order["price"], now)
    refresh(desk)
    if desk["protections"]:
        box = desk["box"]
        box[0] = trade["pair"]
        box[1] = now
        box[2] = trade["is_short"]
        call(desk["port"], ASK_PROTECTIONS)
