"""The walk through time: which pair is processed at which candle, in freqtrade's order.

Time goes in steps of the timeframe. At each step the pairs with open trades come first, in the order their
trades were opened, then the others in the order of the pair list. A row of a pair is consumed at the first
step not before its date; `next_step` says when a pair has something to do.

Invariant: a step is either done completely or not begun, so the driver can make tables larger between two
steps and call again.
"""

import numpy as np

from parley.kernels.book import remove_trade
from parley.kernels.codes import ASK_BOT_LOOP_START, DONE, FORCE_EXIT, GROW, RUNNING, STOPPED
from parley.kernels.exits import place_exit
from parley.kernels.orders import settle_exit
from parley.kernels.ports import FAILED, call, load_float, load_int, pair_at, trade_at
from parley.kernels.steps import NEVER, detailed_step, one_step, plan
from parley.kernels.wallet import refresh


def simulate(desk: np.void) -> int:
    """Run until the end or until the driver is needed; returns the status."""
    desk["status"] = RUNNING
    if desk["step"] == 0:
        desk["step"] = 1
        for at in range(desk["pair_count"]):
            plan(desk, at, pair_at(desk["pairs"], at), 1)
    while desk["step"] <= desk["last_step"]:
        if _tables_are_short(desk):
            desk["status"] = GROW
            return GROW
        if not desk["hook_bot_loop_start"]:
            step = NEVER
            for at in range(desk["pair_count"]):
                step = min(step, load_int(desk["next_step"], at))
            if step > desk["last_step"]:
                break
            desk["step"] = max(desk["step"], step)
        now = desk["start_ms"] + desk["step"] * desk["timeframe_ms"]
        desk["now"] = now
        if desk["hook_bot_loop_start"]:
            desk["box"][0] = now
            desk["turn"] = -1
            call(desk["port"], ASK_BOT_LOOP_START)
        if desk["detail_ms"] > 0:
            detailed_step(desk, desk["step"], now)
        else:
            one_step(desk, desk["step"], now)
        if load_int(desk["port"], FAILED):
            desk["status"] = STOPPED
        if desk["status"] != RUNNING:
            return int(desk["status"])
        desk["step"] += 1
    # From here on every candle has been.
    desk["step"] = desk["last_step"] + 1
    desk["line_count"] = -1
    _leave_all(desk)
    refresh(desk)
    if desk["status"] == RUNNING:
        desk["status"] = DONE
    return int(desk["status"])


def _tables_are_short(desk: np.void) -> bool:
    """Whether one step might not fit: each open trade and each pair can make a few orders."""
    times = 1
    if desk["detail_ms"] > 0:
        times = desk["timeframe_ms"] // desk["detail_ms"] + 2
    room = 6 * times * (desk["open_count"] + desk["pair_count"]) + 8
    return bool(
        desk["order_count"] + room > desk["order_capacity"]
        or desk["closed_count"] + desk["open_count"] + 2 * times * desk["pair_count"]
        > desk["closed_capacity"]
        or desk["free_count"] < 2 * desk["pair_count"]
    )


def _leave_all(desk: np.void) -> None:
    """Close what is still open at its pair's last candle, pairs in the order they came to life."""
    for k in range(desk["pair_count"]):
        at = load_int(desk["last_order"], k)
        pair = pair_at(desk["pairs"], at)
        if pair["open_trades"] == 0:
            continue
        j = 0
        while j < desk["open_count"]:
            trade = trade_at(desk["trades"], load_int(desk["open_slots"], j))
            before = desk["open_count"]
            if trade["pair"] == at:
                _leave_last(desk, trade, pair)
            if desk["open_count"] == before:
                j += 1


def _leave_last(desk: np.void, trade: np.void, pair: np.void) -> None:
    if (trade["open_orders"] > 0 and trade["filled_entries"] == 0) or not trade["amount"] > 0.0:
        remove_trade(desk, trade)
        return
    row = pair["rows"] - 1
    date = load_int(pair["dates"], row)
    open_ = load_float(pair["opens"], row)
    place_exit(desk, trade, date, open_, trade["amount"], FORCE_EXIT, -1)
    trade["exit_reason"] = FORCE_EXIT
    trade["exit_row"] = -1
    settle_exit(
        desk, trade, trade["last_order"], date, load_float(pair["lows"], row), load_float(pair["highs"], row)
    )
