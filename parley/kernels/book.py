"""The book of trades and orders: chains of orders, fills, what a trade is after its fills, closing.

A trade's orders are a chain in one table; cancelled orders leave it and their place is used again, as
freqtrade deletes them.

Not here: which orders are made (`entries`, `exits`), when they time out (`orders`).

Invariant: `open_orders`, `filled_entries` and `filled_exits` of a trade count its chain.
"""

import math

import numpy as np

from parley.kernels.codes import ASK_ORDER_FILLED, ASK_RECALCULATE
from parley.kernels.doubles import round8
from parley.kernels.funding import charge_funding
from parley.kernels.grid import amount_to_precision, round_price
from parley.kernels.liquidation import renew_liquidations
from parley.kernels.ports import call, load_int, order_at, pair_at, store_int, tick_at, trade_at
from parley.kernels.records import BLOCK, FILED, TRADE
from parley.kernels.stops import adjust_stop, after_fill_stop
from parley.kernels.touch import is_touched
from parley.kernels.values import average_of_one, close_value, open_value, value_with_fee
from parley.kernels.wallet import add_up, forget_sums

TRADE_BYTES = TRADE.itemsize


def add_order(desk: np.void, trade: np.void, is_entry: int, date: int, price: float, amount: float) -> int:
    """Append an open order to a trade's chain; returns its place."""
    index = desk["free_order"]
    if index >= 0:
        desk["free_order"] = order_at(desk["orders"], index)["next"]
    else:
        index = desk["order_count"]
        desk["order_count"] = index + 1
    order = order_at(desk["orders"], index)
    order["id"] = desk["order_id"]
    order["trade_id"] = trade["id"]
    order["next"] = -1
    order["is_entry"] = is_entry
    order["is_open"] = 1
    order["order_date"] = date
    # An entry carries its date as fill date from the start, as in freqtrade.
    order["filled_date"] = date if is_entry else -1
    order["price"] = price
    order["amount"] = amount
    order["filled"] = 0.0
    order["remaining"] = amount
    order["cost"] = amount * price * (1.0 + desk["fee"])
    order["funding_fee"] = math.nan
    order["tag"] = -1
    order["tag_row"] = -1
    if trade["last_order"] >= 0:
        order_at(desk["orders"], trade["last_order"])["next"] = index
    else:
        trade["first_order"] = index
    trade["last_order"] = index
    trade["open_orders"] += 1
    desk["waiting"] += 1
    return int(index)


def remove_order(desk: np.void, trade: np.void, index: int) -> None:
    """Take an open order out of its chain."""
    before = -1
    at = trade["first_order"]
    while at != index:
        before = at
        at = order_at(desk["orders"], at)["next"]
    order = order_at(desk["orders"], index)
    if before >= 0:
        order_at(desk["orders"], before)["next"] = order["next"]
    else:
        trade["first_order"] = order["next"]
    if trade["last_order"] == index:
        trade["last_order"] = before
    trade["open_orders"] -= 1
    desk["waiting"] -= 1
    order["next"] = desk["free_order"]
    desk["free_order"] = index


def last_open_order(desk: np.void, trade: np.void, is_entry: int) -> int:
    """The latest open order of this side, or -1."""
    found = -1
    if trade["open_orders"] == 0:
        return found
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        if order["is_open"] and order["is_entry"] == is_entry:
            found = index
        index = order["next"]
    return int(found)


def cancel_open_orders(desk: np.void, trade: np.void) -> None:
    """Cancel whatever is open."""
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        following = order["next"]
        if order["is_open"]:
            if order["is_entry"]:
                desk["canceled_entry"] += 1
            else:
                desk["canceled_exit"] += 1
            remove_order(desk, trade, index)
        index = following


def keeps_similar(desk: np.void, trade: np.void, price: float, amount: float, is_entry: int) -> bool:
    """Whether an equal order is open already; if not, what is open is cancelled."""
    if trade["open_orders"] == 0:
        return False
    index = last_open_order(desk, trade, is_entry)
    if index >= 0:
        order = order_at(desk["orders"], index)
        if order["price"] == price and order["amount"] == amount:
            return True
    cancel_open_orders(desk, trade)
    return False


def fill_if_touched(desk: np.void, trade: np.void, index: int, now: int, low: float, high: float) -> bool:
    """Fill an open order whose price lies inside the candle."""
    order = order_at(desk["orders"], index)
    if not is_touched(order["price"], low, high):
        return False
    order["filled_date"] = now
    order["filled"] = order["amount"]
    order["remaining"] = 0.0
    order["is_open"] = 0
    order["funding_fee"] = trade["funding_running"]
    trade["funding_running"] = 0.0
    trade["open_orders"] -= 1
    desk["waiting"] -= 1
    trade["last_filled"] = max(trade["last_filled"], now)
    if order["is_entry"]:
        trade["filled_entries"] += 1
        trade["open_rate"] = order["price"]
        recalculate(desk, trade, False)
        if trade["filled_entries"] == 1:
            trade["initial_stop_loss_pct"] = math.nan
            trade["trailing"] = 0
        adjust_stop(desk, trade, trade["open_rate"], trade["stop_loss_pct"], False, False)
    else:
        trade["filled_exits"] += 1
    if desk["futures"]:
        charge_funding(desk, trade, now)
    if desk["hook_order_filled"]:
        box = desk["box"]
        box[0] = trade["slot"]
        box[1] = index
        box[2] = now
        call(desk["port"], ASK_ORDER_FILLED)
    whole_exit = not order["is_entry"] and order["amount"] == trade["amount"]
    if desk["futures"] and (desk["cross"] or not whole_exit):
        renew_liquidations(desk, trade)
    if not whole_exit:
        after_fill_stop(desk, trade, now, order["price"])
    return True


def recalculate(desk: np.void, trade: np.void, closing: bool) -> None:
    """Amounts, averages and profits of a trade from its filled orders."""
    trade["quiet_high"] = 0.0
    trade["quiet_low"] = math.inf
    if trade["filled_entries"] == 1 and trade["filled_exits"] == 0:
        _one_entry(desk, trade)
    elif trade["filled_entries"] == 0 and trade["filled_exits"] == 0:
        trade["funding_fees"] = 0.0
        trade["max_stake_amount"] = 0.0
    elif not (
        closing and trade["filled_entries"] == 1 and trade["filled_exits"] == 1 and _round_trip(desk, trade)
    ):
        box = desk["box"]
        box[0] = trade["slot"]
        box[1] = 1.0 if closing else 0.0
        call(desk["port"], ASK_RECALCULATE)
        forget_sums(desk, trade)
        if box[0] != 0.0:
            adjust_stop(desk, trade, trade["open_rate"], trade["stop_loss_pct"], False, False)


def _first_filled(desk: np.void, trade: np.void) -> np.void:
    order = order_at(desk["orders"], trade["first_order"])
    while order["is_open"]:
        order = order_at(desk["orders"], order["next"])
    return order


def _one_entry(desk: np.void, trade: np.void) -> None:
    order = _first_filled(desk, trade)
    fee = order["funding_fee"]
    trade["funding_fees"] = 0.0 if math.isnan(fee) else 0.0 + fee
    _know(desk, trade, order)
    trade["max_stake_amount"] = trade["known_stake"]
    if trade["known_cut"] > 0.0:
        trade["open_rate"] = trade["known_rate"]
        trade["amount"] = trade["known_cut"]
        if trade["stake_amount"] != trade["known_stake"]:
            trade["stake_amount"] = trade["known_stake"]
            forget_sums(desk, trade)
        trade["open_trade_value"] = trade["known_value"]
        adjust_stop(desk, trade, trade["open_rate"], trade["stop_loss_pct"], False, False)


def _know(desk: np.void, trade: np.void, order: np.void) -> None:
    """What follows from the first fill alone; freqtrade computes it anew each time, here it is kept."""
    amount = order["filled"]
    price = order["price"]
    if trade["known_amount"] == amount and trade["known_price"] == price:
        return
    trade["known_amount"] = amount
    trade["known_price"] = price
    trade["known_stake"] = value_with_fee(desk, amount, price, 0.0, 0.0) / trade["leverage"]
    trade["known_cut"] = amount_to_precision(desk, pair_at(desk["pairs"], trade["pair"]), amount)
    trade["known_average"] = average_of_one(desk, amount, price)
    trade["known_rate"] = round_price(desk, tick_at(desk["ticks"], trade["tick"]), trade["known_average"])
    trade["known_value"] = open_value(desk, trade["is_short"], trade["known_cut"], trade["known_rate"])


def _round_trip(desk: np.void, trade: np.void) -> bool:
    """One entry and one exit of the same amount; False when it is something else."""
    entry = _first_filled(desk, trade)
    leaving = order_at(desk["orders"], entry["next"])
    while leaving["is_open"]:
        leaving = order_at(desk["orders"], leaving["next"])
    if entry["filled"] != leaving["filled"] or leaving["is_entry"]:
        return False
    funding = 0.0 if math.isnan(entry["funding_fee"]) else 0.0 + entry["funding_fee"]
    if not math.isnan(leaving["funding_fee"]):
        funding += leaving["funding_fee"]
    trade["funding_fees"] = funding
    amount = leaving["filled"]
    _know(desk, trade, entry)
    closed = close_value(desk, trade, leaving["price"], amount)
    plain = trade["known_cut"] == amount and trade["known_rate"] == trade["known_average"]
    if plain:
        opened = trade["known_value"]
    else:
        opened = open_value(desk, trade["is_short"], amount, trade["known_average"])
    # A sum from zero, as freqtrade's: it makes -0.0 into 0.0.
    profit = 0.0 + round8(opened - closed if trade["is_short"] else closed - opened)
    if plain and trade["known_average"] == entry["price"]:
        staked = opened
    else:
        staked = open_value(desk, trade["is_short"], entry["filled"], entry["price"])
    trade["max_stake_amount"] = trade["known_stake"]
    if staked > 0.0:
        ratio = (profit / staked) * trade["leverage"]
        if ratio != 0.0:
            trade["realized_profit"] = profit
        trade["close_profit"] = ratio
        trade["close_profit_abs"] = profit
    return True


def close_trade(desk: np.void, trade: np.void, rate: float, now: int) -> None:
    """The trade is over: compute its profit and move it to the closed ones."""
    trade["close_date"] = now
    trade["close_rate"] = rate
    trade["is_open"] = 0
    recalculate(desk, trade, True)
    desk["total_profit"] += trade["close_profit_abs"]
    desk["closed_profit"], desk["closed_profit_rest"] = add_up(
        desk["compensated"], desk["closed_profit"], desk["closed_profit_rest"], trade["close_profit_abs"]
    )
    _file(desk, trade)
    drop_trade(desk, trade)


def _file(desk: np.void, trade: np.void) -> None:
    """Write a closed trade into the columns of closed ones."""
    trade["plain"] = 0
    if trade["filled_entries"] == 1 and trade["filled_exits"] == 1 and trade["open_orders"] == 0:
        entry = order_at(desk["orders"], trade["first_order"])
        leaving = order_at(desk["orders"], trade["last_order"])
        if (
            entry["tag"] == trade["enter_tag"]
            and leaving["tag"] == trade["exit_reason"]
            and leaving["tag_row"] == trade["exit_row"]
        ):
            trade["plain"] = 1
            trade["entry_amount"] = entry["amount"]
            trade["entry_price"] = entry["price"]
            trade["entry_date"] = entry["filled_date"]
            trade["entry_cost"] = entry["cost"]
            trade["exit_amount"] = leaving["amount"]
            trade["exit_price"] = leaving["price"]
            trade["exit_date"] = leaving["filled_date"]
            trade["exit_cost"] = leaving["cost"]
            if not desk["watched"]:
                # Nobody asks for them again: their places stay in the processor's cache.
                leaving["next"] = desk["free_order"]
                entry["next"] = trade["last_order"]
                desk["free_order"] = trade["first_order"]
    source = desk["trades"] + trade["slot"] * TRADE_BYTES
    place = desk["closed_count"]
    target = desk["closed"] + 8 * (place // BLOCK * BLOCK * FILED + place % BLOCK)
    for field in range(FILED):
        store_int(target, field * BLOCK, load_int(source, field))
    if desk["watched"]:
        kept = desk["kept"] + place * TRADE_BYTES
        for field in range(TRADE_BYTES // 8):
            store_int(kept, field, load_int(source, field))
    desk["closed_count"] += 1


def drop_trade(desk: np.void, trade: np.void) -> None:
    """Take a trade from the open ones. Its record stays readable until its slot is used again."""
    slot = trade["slot"]
    count = desk["open_count"]
    at = 0
    while load_int(desk["open_slots"], at) != slot:
        at += 1
    for k in range(at, count - 1):
        store_int(desk["open_slots"], k, load_int(desk["open_slots"], k + 1))
    desk["open_count"] = count - 1
    desk["summed"] = min(desk["summed"], at)
    desk["waiting"] -= trade["open_orders"]
    store_int(desk["free_slots"], desk["free_count"], slot)
    desk["free_count"] += 1
    pair = pair_at(desk["pairs"], trade["pair"])
    pair["open_trades"] -= 1


def remove_trade(desk: np.void, trade: np.void) -> None:
    """Drop a trade that never was: its orders are free again."""
    while trade["first_order"] >= 0:
        order = order_at(desk["orders"], trade["first_order"])
        if not order["is_open"]:
            trade["open_orders"] += 1
            desk["waiting"] += 1
        remove_order(desk, trade, trade["first_order"])
    drop_trade(desk, trade)


def open_trade(desk: np.void) -> np.void:
    """A fresh record among the open trades."""
    desk["free_count"] -= 1
    slot = load_int(desk["free_slots"], desk["free_count"])
    store_int(desk["open_slots"], desk["open_count"], slot)
    desk["open_count"] += 1
    trade = trade_at(desk["trades"], slot)
    trade["slot"] = slot
    return trade
