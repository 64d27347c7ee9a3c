"""The wallet of a simulation: what is free, what is bound, what the next trade may stake.

freqtrade keeps a snapshot that it renews at certain moments and reads stale in between; so does this. Sums
run in the order of the open trades, from zero, the way Python's `sum` adds floats (plain up to 3.11,
compensated from 3.12 on).

Not here: stakes a strategy proposes, limits of the venue (`entries`).

Invariant: `refresh` is called exactly where freqtrade calls `wallets.update()`.
"""

import math

import numpy as np

from parley.kernels.ports import load_int, order_at, trade_at
from parley.kernels.values import stake_of


def add_up(compensated: int, total: float, rest: float, x: float) -> tuple[float, float]:
    """One more float of a sum: the running total and what it lost so far."""
    if not compensated:
        return total + x, 0.0
    t = total + x
    if abs(total) >= abs(x):
        rest += (total - t) + x
    else:
        rest += (x - t) + total
    return t, rest


def summed(total: float, rest: float) -> float:
    """The sum's value."""
    if rest != 0.0 and math.isfinite(rest):
        return total + rest
    return total


def tied_up(desk: np.void) -> float:
    """Stakes of all open trades, now."""
    total, rest = 0.0, 0.0
    for k in range(desk["open_count"]):
        trade = trade_at(desk["trades"], load_int(desk["open_slots"], k))
        total, rest = add_up(desk["compensated"], total, rest, trade["stake_amount"])
    return summed(total, rest)


def refresh(desk: np.void) -> None:
    """Take a new snapshot."""
    profit, profit_rest = 0.0, 0.0
    used = 0.0
    for k in range(desk["open_count"]):
        trade = trade_at(desk["trades"], load_int(desk["open_slots"], k))
        profit, profit_rest = add_up(desk["compensated"], profit, profit_rest, trade["realized_profit"])
        if trade["open_orders"] > 0 and not desk["futures"]:
            used += pending_stake(desk, trade)
    bound = tied_up(desk)
    if desk["futures"]:
        used = bound
    current = desk["start_cap"] + (desk["total_profit"] + summed(profit, profit_rest)) - bound
    desk["wallet_free"] = current + desk["cross_extra"]
    desk["wallet_used"] = used
    desk["wallet_total"] = current + used
    if desk["cross"]:
        desk["wallet_collateral"] = _positions(desk)


def _positions(desk: np.void) -> float:
    """Collateral of all positions; of several trades of a pair freqtrade sees the last, in the first one's
    place."""
    total, rest = 0.0, 0.0
    for k in range(desk["open_count"]):
        pair = trade_at(desk["trades"], load_int(desk["open_slots"], k))["pair"]
        earlier = False
        for j in range(k):
            if trade_at(desk["trades"], load_int(desk["open_slots"], j))["pair"] == pair:
                earlier = True
        if earlier:
            continue
        stake = 0.0
        for j in range(k, desk["open_count"]):
            trade = trade_at(desk["trades"], load_int(desk["open_slots"], j))
            if trade["pair"] == pair:
                stake = trade["stake_amount"]
        total, rest = add_up(desk["compensated"], total, rest, stake)
    return summed(total, rest)


def pending_stake(desk: np.void, trade: np.void) -> float:
    """What the open entry orders of a trade bind."""
    total, rest = 0.0, 0.0
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        if order["is_open"] and order["is_entry"]:
            stake = stake_of(desk, order["amount"], order["price"], trade["leverage"])
            total, rest = add_up(desk["compensated"], total, rest, stake)
        index = order["next"]
    return summed(total, rest)


def available_stake(desk: np.void) -> float:
    """What may be staked, keeping back the part `tradable_balance_ratio` leaves alone."""
    free = desk["wallet_free"]
    bound = tied_up(desk)
    if math.isnan(desk["available_capital"]):
        total = (bound + free) * desk["tradable_ratio"]
    else:
        total = desk["available_capital"] + summed(desk["closed_profit"], desk["closed_profit_rest"])
    return float(min(total - bound, free))


def trade_stake(desk: np.void) -> float:
    """The stake of the next trade; NaN when the balance does not suffice."""
    bound = tied_up(desk)
    available = available_stake(desk)
    stake = desk["stake_amount"]
    if math.isnan(stake):
        if desk["max_open_trades"] == 0:
            stake = 0.0
        else:
            stake = min((available + bound) / desk["max_open_trades"], available)
    if desk["amend_last"]:
        if available > stake * desk["last_min_ratio"]:
            stake = min(stake, available)
        else:
            stake = 0.0
    if available < stake:
        return math.nan
    return float(max(stake, 0.0))
