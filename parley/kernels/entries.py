"""Opening trades and adding to them: price, stake, leverage, amount, and the order that follows.

A refusal (no balance, stake too small, amount cut to nothing, the strategy says no) is a returned value,
never an exception: the loop goes on as freqtrade does.

Invariant: the order of checks and roundings is freqtrade's; each of them can change the next.
"""

import math

import numpy as np

from parley.kernels.book import add_order, fill_if_touched, keeps_similar, open_trade, recalculate
from parley.kernels.codes import (
    ASK_CONFIRM_ENTRY,
    ASK_CUSTOM_ENTRY_PRICE,
    ASK_CUSTOM_STAKE,
    ASK_LEVERAGE,
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    RUNNING,
)
from parley.kernels.grid import amount_to_precision, round_price
from parley.kernels.liquidation import max_leverage, max_notional
from parley.kernels.ports import call, order_at, pair_at, tick_at, trade_at
from parley.kernels.stops import adjust_stop
from parley.kernels.wallet import available_stake, trade_stake

NO_TRADE = -1
LONG = 1
SHORT = 2


def wanted_direction(desk: np.void, signals: int) -> int:
    """LONG, SHORT or 0, from the signals of the candle before."""
    long_ = signals & ENTER_LONG
    short = desk["can_short"] and signals & ENTER_SHORT
    if long_ and not (signals & EXIT_LONG) and not short:
        return LONG
    if short and not (signals & EXIT_SHORT) and not long_:
        return SHORT
    return 0


def tick_index(desk: np.void, pair: np.void, now: int) -> int:
    """The precision of prices in force: the market's, or the last one seen in the candles."""
    first = pair["first_tick"]
    low = 1
    high = pair["tick_count"]
    while low < high:
        middle = (low + high) // 2
        if tick_at(desk["ticks"], first + middle)["from_ms"] <= now:
            low = middle + 1
        else:
            high = middle
    return int(first + low - 1)


def min_stake(pair: np.void, by_cost: float, price: float, reserve: float, leverage: float) -> float:
    """The least stake the venue takes; 0 when it names none."""
    amount = pair["min_amount"] * price * reserve
    if math.isnan(by_cost):
        return 0.0 if math.isnan(amount) else float(amount / leverage)
    if math.isnan(amount):
        return by_cost / leverage
    return float(max(by_cost, amount) / leverage)


def max_stake(desk: np.void, pair: np.void, price: float, leverage: float) -> float:
    """The largest stake the venue takes."""
    limit = math.inf
    if desk["futures"] and pair["tier_count"] > 0:
        notional = max_notional(desk, pair, leverage)
        if not math.isnan(notional) and notional != 0.0:
            limit = notional
    if not math.isnan(pair["max_cost"]):
        limit = min(limit, pair["max_cost"])
    if not math.isnan(pair["max_amount"]):
        limit = min(limit, pair["max_amount"] * price)
    return limit / leverage


def valid_stake(desk: np.void, stake: float, least: float, most: float, staked: float) -> float:
    """The stake within wallet and limits; 0 when there is none."""
    if not stake > 0.0:
        return 0.0
    allowed = min(most, available_stake(desk))
    if staked != 0.0:
        allowed = min(allowed, most - staked)
    if least > allowed:
        return 0.0
    if stake < least:
        # More than 30 % above what was wanted is not wanted.
        if stake * 1.3 < least:
            return 0.0
        stake = least
    if stake > allowed:
        stake = allowed
    return stake


def enter(
    desk: np.void, at: int, row: int, now: int, open_: float, high: float, low: float, direction: int,
    slot: int, rate: float, wanted_stake: float, tag: int, adjusts: bool,
) -> int:  # fmt: skip
    """Place an entry order; returns the slot of its trade or NO_TRADE.

    slot: of the trade to add to, NO_TRADE for a new one. adjusts: the strategy asked for more of a position
    (`wanted_stake`); otherwise `rate` and `wanted_stake` above 0 replace an order that was open.
    """
    pair = pair_at(desk["pairs"], at)
    is_short = 1 if direction == SHORT else 0
    fresh = slot < 0
    tick_place = tick_index(desk, pair, now)
    price = open_
    leverage = 1.0
    staked = 0.0
    if not fresh:
        held = trade_at(desk["trades"], slot)
        leverage = held["leverage"]
        staked = held["stake_amount"]
    if desk["entry_limit"]:
        if desk["hook_entry_price"]:
            price = _custom_price(desk, at, row, now, price, is_short, slot, tag, tick_place)
        price = max(price, low) if is_short else min(price, high)

    stake = wanted_stake if adjusts else staked
    if fresh:
        stake = trade_stake(desk)
        if math.isnan(stake):
            return slot
        most_leverage = max_leverage(desk, pair, stake)
        if desk["status"] != RUNNING:
            return slot
        if desk["hook_leverage"] and desk["futures"]:
            leverage = _custom_leverage(desk, at, row, now, open_, most_leverage, is_short, tag)
        leverage = min(max(leverage, 1.0), most_leverage)
    by_cost = pair["min_cost_entry"] if fresh else pair["min_cost_adjust"]
    least = min_stake(pair, by_cost, price, desk["margin_reserve"], leverage)
    most = max_stake(desk, pair, price, leverage)
    if fresh and desk["hook_stake"]:
        stake = _custom_stake(desk, at, row, now, price, stake, least, most, leverage, is_short, tag)
    stake = valid_stake(desk, stake, least, most, staked)

    if not adjusts and not fresh:
        price = rate
        stake = wanted_stake if wanted_stake != 0.0 else stake
    if stake == 0.0 or (least != 0.0 and stake < least):
        return slot
    desk["order_id"] += 1
    amount = amount_to_precision(desk, pair, (stake / price) * leverage)
    if amount == 0.0:
        return slot
    stake = amount * price / leverage
    if desk["hook_confirm_entry"] and not adjusts:
        agreed = _confirmed(desk, at, row, now, price, amount, is_short, tag)
        if agreed == 0.0:
            return slot
        if agreed < amount:  # a desk granted a part; freqtrade's callback says all or nothing
            amount = agreed
            stake = amount * price / leverage
    if fresh:
        slot = _new_trade(desk, at, now, price, stake, amount, leverage, is_short, tag, tick_place)
    elif keeps_similar(desk, trade_at(desk["trades"], slot), price, amount, 1):
        return NO_TRADE
    trade = trade_at(desk["trades"], slot)
    adjust_stop(desk, trade, trade["open_rate"], desk["stoploss"], True, False)
    index = add_order(desk, trade, 1, now, price, amount)
    order_at(desk["orders"], index)["tag"] = tag
    fill_if_touched(desk, trade, index, now, low, high)
    recalculate(desk, trade, False)
    return slot


def _new_trade(
    desk: np.void, at: int, now: int, price: float, stake: float, amount: float, leverage: float, is_short:
    int, tag: int, tick_place: int,
) -> int:  # fmt: skip
    desk["trade_id"] += 1
    trade = open_trade(desk)
    pair = pair_at(desk["pairs"], at)
    pair["open_trades"] += 1
    pair["slot"] = trade["slot"]
    trade["id"] = desk["trade_id"]
    trade["pair"] = at
    trade["is_short"] = is_short
    trade["is_open"] = 1
    trade["open_date"] = now
    trade["close_date"] = -1
    trade["open_rate"] = price
    trade["open_rate_requested"] = price
    trade["close_rate"] = math.nan
    trade["amount"] = 0.0
    trade["amount_requested"] = amount
    trade["stake_amount"] = stake
    trade["max_stake_amount"] = 0.0
    trade["leverage"] = leverage
    trade["open_trade_value"] = 0.0
    trade["close_profit"] = math.nan
    trade["close_profit_abs"] = math.nan
    trade["realized_profit"] = 0.0
    trade["stop_loss"] = 0.0
    trade["stop_loss_pct"] = 0.0
    trade["initial_stop_loss"] = 0.0
    trade["initial_stop_loss_pct"] = math.nan
    trade["trailing"] = 0
    trade["max_rate"] = 0.0
    trade["min_rate"] = 0.0
    trade["liquidation"] = math.nan
    trade["funding_fees"] = 0.0
    trade["funding_running"] = math.nan
    trade["tick"] = tick_place
    trade["enter_tag"] = tag
    trade["exit_reason"] = 0
    trade["exit_row"] = -1
    trade["first_order"] = -1
    trade["last_order"] = -1
    trade["filled_entries"] = 0
    trade["filled_exits"] = 0
    trade["open_orders"] = 0
    trade["last_filled"] = 0
    trade["known_amount"] = 0.0
    trade["stop_from"] = math.nan
    trade["quiet_high"] = 0.0
    trade["quiet_low"] = math.inf
    trade["seen_row"] = -1
    trade["wallet_amount"] = math.nan
    return int(trade["slot"])


def _describe(
    desk: np.void, at: int, row: int, now: int, price: float, is_short: int, detail: float, tag: int
) -> None:
    """Put into the box what every question about an entry says; ``detail`` is what this one is about."""
    box = desk["box"]
    box[0] = at
    box[1] = row
    box[2] = now
    box[3] = price
    box[4] = is_short
    box[5] = detail
    box[6] = tag


def _custom_price(
    desk: np.void,
    at: int,
    row: int,
    now: int,
    price: float,
    is_short: int,
    slot: int,
    tag: int,
    tick_place: int,
) -> float:
    _describe(desk, at, row, now, price, is_short, slot, tag)
    box = desk["box"]
    call(desk["port"], ASK_CUSTOM_ENTRY_PRICE)
    asked = float(box[0])
    if asked != price and not math.isnan(asked):
        return round_price(desk, tick_at(desk["ticks"], tick_place), asked)
    return price


def _custom_leverage(
    desk: np.void, at: int, row: int, now: int, price: float, most: float, is_short: int, tag: int
) -> float:
    _describe(desk, at, row, now, price, is_short, most, tag)
    box = desk["box"]
    call(desk["port"], ASK_LEVERAGE)
    return float(box[0])


def _custom_stake(
    desk: np.void, at: int, row: int, now: int, price: float, stake: float, least: float, most: float,
    leverage: float, is_short: int, tag: int,
) -> float:  # fmt: skip
    _describe(desk, at, row, now, price, is_short, stake, tag)
    box = desk["box"]
    box[7] = least
    box[8] = min(available_stake(desk), most)
    box[9] = leverage
    call(desk["port"], ASK_CUSTOM_STAKE)
    return float(box[0])


def _confirmed(
    desk: np.void, at: int, row: int, now: int, price: float, amount: float, is_short: int, tag: int
) -> float:
    """The amount that may be entered with, 0 for none."""
    _describe(desk, at, row, now, price, is_short, amount, tag)
    box = desk["box"]
    call(desk["port"], ASK_CONFIRM_ENTRY)
    return float(box[0])
