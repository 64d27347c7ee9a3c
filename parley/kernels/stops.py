"""The stop of a trade: how it is set, how it follows the price, whether a candle reached it.

Invariant: a stop is a price the venue accepts, rounded up for long trades and down for short ones.
"""

import math

import numpy as np

from parley.kernels.codes import ASK_CUSTOM_STOPLOSS, LIQUIDATION, NONE, STOP_LOSS, TRAILING_STOP_LOSS
from parley.kernels.grid import round_price_down, round_price_up
from parley.kernels.ports import call, tick_at
from parley.kernels.values import profit_against, profit_ratio


def adjust_stop(
    desk: np.void, trade: np.void, price: float, stoploss: float, initial: bool, refresh: bool
) -> None:
    """Move the stop to this share below (above) the price: never back, unless `refresh` allows it."""
    if initial and trade["stop_loss"] != 0.0:
        return
    tick = tick_at(desk["ticks"], trade["tick"])
    if trade["stop_from"] != price or trade["stop_share"] != stoploss:
        # Asked several times in a row for the same.
        share = abs(stoploss / trade["leverage"])
        if trade["is_short"]:
            trade["stop_at"] = round_price_down(desk, tick, price * (1.0 + share))
        else:
            trade["stop_at"] = round_price_up(desk, tick, price * (1.0 - share))
        trade["stop_from"] = price
        trade["stop_share"] = stoploss
    stop = trade["stop_at"]
    if math.isnan(trade["initial_stop_loss_pct"]):
        if trade["is_short"]:
            trade["initial_stop_loss"] = round_price_down(desk, tick, stop)
        else:
            trade["initial_stop_loss"] = round_price_up(desk, tick, stop)
        trade["stop_loss"] = stop
        trade["stop_loss_pct"] = -abs(stoploss)
        trade["initial_stop_loss_pct"] = -abs(stoploss)
        return
    better = stop < trade["stop_loss"] if trade["is_short"] else stop > trade["stop_loss"]
    if refresh or better:
        if not refresh:
            trade["trailing"] = 1
        if trade["stop_loss"] == 0.0:
            trade["initial_stop_loss"] = stop
        trade["stop_loss"] = stop
        trade["stop_loss_pct"] = -abs(stoploss)


def follow_price(
    desk: np.void, trade: np.void, date: int, rate: float, low: float, high: float, after_fill: bool
) -> None:
    """What the strategy's stop rules make of this candle; low and high are 0 after a fill."""
    if after_fill and not desk["stop_after_fill"]:
        return
    stoploss = desk["stoploss"]
    adjust_stop(desk, trade, trade["open_rate"], stoploss, True, False)
    if trade["is_short"]:
        right_side = trade["stop_loss"] > (high if high != 0.0 else rate)
        bound = low if low != 0.0 else rate
    else:
        right_side = trade["stop_loss"] < (low if low != 0.0 else rate)
        bound = high if high != 0.0 else rate
    if not right_side:
        return
    if desk["hook_stoploss"]:
        # Valuing may use the box itself, so the numbers come first.
        profit = profit_ratio(desk, trade, bound)
        box = desk["box"]
        box[0] = trade["slot"]
        box[1] = bound
        box[2] = profit
        box[3] = 1.0 if after_fill else 0.0
        box[4] = date
        call(desk["port"], ASK_CUSTOM_STOPLOSS)
        custom = box[0]
        if custom != 0.0 and math.isfinite(custom):
            stoploss = custom
            adjust_stop(desk, trade, bound, stoploss, False, after_fill)
    if desk["trailing_stop"]:
        offset = desk["trailing_offset"]
        against = profit_against(desk, trade, bound, offset)
        if not (desk["trailing_only_offset"] and against < 0):
            if not math.isnan(desk["trailing_positive"]) and against > 0:
                stoploss = desk["trailing_positive"]
            adjust_stop(desk, trade, bound, stoploss, False, False)
        if trade["is_short"]:
            trade["quiet_low"] = bound
        else:
            trade["quiet_high"] = bound


def stop_reached(trade: np.void, rate: float, low: float, high: float) -> int:
    """The kind of stop this candle touched, or NONE."""
    stop = trade["stop_loss"]
    liquidation = trade["liquidation"]
    liquid = liquidation == liquidation and liquidation != 0.0
    if trade["is_short"]:
        edge = high if high != 0.0 else rate
        hit = stop <= edge
        drowned = liquid and liquidation <= edge
    else:
        edge = low if low != 0.0 else rate
        hit = stop >= edge
        drowned = liquid and liquidation >= edge
    if hit:
        return TRAILING_STOP_LOSS if trade["trailing"] else STOP_LOSS
    if drowned:
        return LIQUIDATION
    return NONE


def after_fill_stop(desk: np.void, trade: np.void, now: int, rate: float) -> None:
    """The stop's turn after an order was filled."""
    if desk["stop_after_fill"]:
        follow_price(desk, trade, now, rate, 0.0, 0.0, True)
