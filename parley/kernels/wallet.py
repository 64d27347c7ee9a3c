"""The wallet of a simulation: what is free, what is bound, what the next trade may stake.

freqtrade keeps a snapshot that it renews at certain moments and reads stale in between; so does this. Sums
run in the order of the open trades, from zero, the way Python's `sum` adds floats (plain up to 3.11,
compensated from 3.12 on). What such a sum is after each open trade is kept: a new trade is one addition, a
trade that leaves costs those behind it (of 264 pairs a third of the whole loop went into adding again).

Not here: stakes a strategy proposes, limits of the venue (`entries`).

Invariant: `refresh` is called exactly where freqtrade calls `wallets.update()`. The first `summed` places of
`sums` are right; whoever changes a trade that is in them calls `forget_sums`.
"""

import math

import numpy as np

from parley.kernels.codes import ASK_WALLET
from parley.kernels.ports import call, load_float, load_int, order_at, store_float, trade_at
from parley.kernels.values import stake_of

# What a place of `sums` holds: stakes and realized profits of the open trades up to it, and what was lost.
_STAKES, _STAKES_REST, _PROFITS, _PROFITS_REST = 0, 1, 2, 3
SUMS = 4


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


def _add_up_open(desk: np.void) -> None:
    """Bring the sums over open trades up to date."""
    sums = desk["sums"]
    place = desk["summed"]
    if place == desk["open_count"]:
        return
    stakes, stakes_rest, profits, profits_rest = 0.0, 0.0, 0.0, 0.0
    if place > 0:
        last = SUMS * (place - 1)
        stakes = load_float(sums, last + _STAKES)
        stakes_rest = load_float(sums, last + _STAKES_REST)
        profits = load_float(sums, last + _PROFITS)
        profits_rest = load_float(sums, last + _PROFITS_REST)
    for k in range(place, desk["open_count"]):
        trade = trade_at(desk["trades"], load_int(desk["open_slots"], k))
        stakes, stakes_rest = add_up(desk["compensated"], stakes, stakes_rest, trade["stake_amount"])
        profits, profits_rest = add_up(desk["compensated"], profits, profits_rest, trade["realized_profit"])
        store_float(sums, SUMS * k + _STAKES, stakes)
        store_float(sums, SUMS * k + _STAKES_REST, stakes_rest)
        store_float(sums, SUMS * k + _PROFITS, profits)
        store_float(sums, SUMS * k + _PROFITS_REST, profits_rest)
    desk["summed"] = desk["open_count"]


def forget_sums(desk: np.void, trade: np.void) -> None:
    """A trade's stake or realized profit changed: sums from its place on are no longer right."""
    # From the end: mostly it is the newest.
    place = desk["open_count"] - 1
    while place >= 0 and load_int(desk["open_slots"], place) != trade["slot"]:
        place -= 1
    if place >= 0:
        desk["summed"] = min(desk["summed"], place)


def _open_sum(desk: np.void, kind: int) -> float:
    _add_up_open(desk)
    if desk["open_count"] == 0:
        return 0.0
    last = SUMS * (desk["open_count"] - 1) + kind
    return summed(load_float(desk["sums"], last), load_float(desk["sums"], last + 1))


def tied_up(desk: np.void) -> float:
    """Stakes of all open trades, now."""
    return _open_sum(desk, _STAKES)


def refresh(desk: np.void) -> None:
    """Take a new snapshot."""
    bound = tied_up(desk)
    used = 0.0
    if desk["futures"]:
        used = bound
    elif desk["waiting"] > 0:
        for k in range(desk["open_count"]):
            trade = trade_at(desk["trades"], load_int(desk["open_slots"], k))
            if trade["open_orders"] > 0:
                used += pending_stake(desk, trade)
    if desk["watched"] or desk["notes_wallet"]:
        for k in range(desk["open_count"]):
            _note(desk, trade_at(desk["trades"], load_int(desk["open_slots"], k)))
    current = desk["start_cap"] + (desk["total_profit"] + _open_sum(desk, _PROFITS)) - bound
    desk["wallet_free"] = current + desk["cross_extra"]
    desk["wallet_used"] = used
    desk["wallet_total"] = current + used
    if desk["cross"]:
        desk["wallet_collateral"] = _positions(desk)
    if desk["notes_wallet"]:
        call(desk["port"], ASK_WALLET)


def _note(desk: np.void, trade: np.void) -> None:
    """What the snapshot says of this trade's coins and collateral."""
    trade["wallet_amount"] = trade["amount"]
    trade["wallet_stake"] = trade["stake_amount"]
    pending, rest = 0.0, 0.0
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        if order["is_open"] and not order["is_entry"]:
            pending, rest = add_up(desk["compensated"], pending, rest, order["amount"])
        index = order["next"]
    trade["wallet_pending"] = summed(pending, rest)


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
