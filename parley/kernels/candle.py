"""One candle of one pair: open orders, entry, exits, in freqtrade's order.

Invariant: nothing here looks at a later candle.
"""

import numpy as np

from parley.kernels.book import fill_if_touched, last_open_order, remove_trade
from parley.kernels.codes import ASK_ADJUST_POSITION, ASK_REJECTED, NAMED, PARTIAL_EXIT
from parley.kernels.entries import LONG, NO_TRADE, SHORT, enter, max_stake, min_stake
from parley.kernels.exits import check_exit, leave
from parley.kernels.funding import charge_funding
from parley.kernels.grid import amount_to_precision
from parley.kernels.orders import manage_orders, settle_exit
from parley.kernels.ports import call, load_int, pair_at, trade_at
from parley.kernels.values import profit_ratio
from parley.kernels.wallet import available_stake, refresh


def trade_candle(
    desk: np.void, at: int, row: int, date: int, now: int, open_: float, high: float, low: float, close:
    float, signals: int, direction: int, can_enter: bool,
) -> int:  # fmt: skip
    """Returns the side of a position that closed here and left the pair empty, else 0."""
    pair = pair_at(desk["pairs"], at)
    exiting = 0
    if pair["open_trades"] > 0:
        first = trade_at(desk["trades"], _slot(desk, pair, at, 0))
        if not desk["stacking"]:
            exiting = SHORT if first["is_short"] else LONG
        k = 0
        while k < pair["open_trades"]:
            trade = trade_at(desk["trades"], _slot(desk, pair, at, k))
            if trade["open_orders"] > 0 and manage_orders(
                desk, trade, row, date, now, open_, high, low, row - 1
            ):
                remove_trade(desk, trade)
                refresh(desk)
            else:
                k += 1
    if can_enter and direction and (desk["stacking"] or pair["open_trades"] == 0):
        locked_until = pair["lock_short"] if direction == SHORT else pair["lock_long"]
        if locked_until <= date:
            most = desk["max_open_trades"]
            if most <= 0 or desk["open_count"] < most:
                slot = enter(
                    desk, at, row, date, open_, high, low, direction, NO_TRADE, 0.0, 0.0, row - 1, False
                )
                if slot != NO_TRADE:
                    refresh(desk)
            else:
                desk["rejected"] += 1
                if desk["notes_rejected"]:
                    desk["box"][0] = at
                    desk["box"][1] = date
                    desk["box"][2] = row - 1
                    call(desk["port"], ASK_REJECTED)
    k = 0
    while k < pair["open_trades"]:
        trade = trade_at(desk["trades"], _slot(desk, pair, at, k))
        before = pair["open_trades"]
        _hold(desk, trade, row, date, now, open_, high, low, close, signals)
        if pair["open_trades"] == before:
            k += 1
    if exiting and pair["open_trades"] == 0:
        return exiting
    return 0


def _slot(desk: np.void, pair: np.void, at: int, place: int) -> int:
    """The slot of the pair's n-th open trade."""
    if not desk["stacking"]:
        return int(pair["slot"])
    seen = 0
    for k in range(desk["open_count"]):
        slot = load_int(desk["open_slots"], k)
        if trade_at(desk["trades"], slot)["pair"] == at:
            if seen == place:
                return slot
            seen += 1
    return -1


def _hold(
    desk: np.void, trade: np.void, row: int, date: int, now: int, open_: float, high: float, low: float,
    close: float, signals: int,
) -> None:  # fmt: skip
    """Fill the entry, look for exits, fill the exit."""
    if trade["open_orders"] > 0:
        index = last_open_order(desk, trade, 1)
        if index >= 0 and fill_if_touched(desk, trade, index, now, low, high):
            refresh(desk)
    if trade["amount"] > 0.0:
        if desk["futures"] and now % desk["funding_ms"] == 0:
            charge_funding(desk, trade, now)
        if desk["hook_adjust_position"]:
            _adjust_position(desk, trade, row, date, now, open_, high, low, close)
        if trade["is_open"]:
            check_exit(desk, trade, row, date, now, open_, high, low, close, signals)
    if trade["open_orders"] > 0:
        index = last_open_order(desk, trade, 0)
        if index >= 0:
            settle_exit(desk, trade, index, now, low, high)


def _adjust_position(
    desk: np.void, trade: np.void, row: int, date: int, now: int, open_: float, high: float, low: float,
    close: float,
) -> None:  # fmt: skip
    """Let the strategy buy more or sell a part."""
    pair = pair_at(desk["pairs"], trade["pair"])
    least = min_stake(pair, pair["min_cost_position"], open_, desk["margin_reserve"], 1.0)
    most = max_stake(desk, pair, open_, 1.0)
    profit = profit_ratio(desk, trade, open_)
    available = min(most, available_stake(desk))
    box = desk["box"]
    box[0] = trade["slot"]
    box[1] = now
    box[2] = open_
    box[3] = profit
    box[4] = least
    box[5] = available
    call(desk["port"], ASK_ADJUST_POSITION)
    stake = float(box[0])
    tag = int(box[1])
    if stake > 0.0:
        limit = desk["max_entry_adjustment"]
        if limit < 0 or trade["filled_entries"] <= limit:
            side = SHORT if trade["is_short"] else LONG
            slot = enter(
                desk, trade["pair"], row, date, open_, high, low, side, trade["slot"], 0.0, stake,
                tag if tag != -1 else row - 1, True,
            )  # fmt: skip
            if slot != NO_TRADE:
                refresh(desk)
    elif stake < 0.0:
        # The driver turned the stake into an amount: exact division.
        amount = amount_to_precision(desk, pair, float(box[2]))
        if amount == 0.0:
            return
        remaining = (trade["amount"] - amount) * open_
        if least != 0.0 and remaining != 0.0 and remaining < least:
            return
        reason = int(box[3])
        kind = reason if reason >= NAMED else PARTIAL_EXIT
        if leave(desk, trade, row, date, now, open_, high, low, close, kind, amount):
            settle_exit(desk, trade, trade["last_order"], now, low, high)
