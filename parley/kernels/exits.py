"""Leaving trades: which reasons a candle gives, at which rate, and the order that follows.

Invariant: reasons are tried in freqtrade's order (signal, stop, ROI, trailing stop); the first that places an
order wins.
"""

import math

import numpy as np

from parley.kernels.book import add_order, keeps_similar
from parley.kernels.codes import (
    ASK_CONFIRM_EXIT,
    ASK_CUSTOM_EXIT,
    ASK_CUSTOM_EXIT_PRICE,
    ASK_CUSTOM_ROI,
    CUSTOM_EXIT,
    ENTER_LONG_SET,
    ENTER_SHORT_SET,
    EXIT_LONG_SET,
    EXIT_SHORT_SET,
    EXIT_SIGNAL,
    LIQUIDATION,
    NAMED,
    NONE,
    PARTIAL_EXIT,
    ROI,
    STOP_LOSS,
    TRAILING_STOP_LOSS,
)
from parley.kernels.grid import amount_to_precision, round_price
from parley.kernels.ports import call, order_at, pair_at, tick_at
from parley.kernels.stops import follow_price, stop_reached
from parley.kernels.values import profit_against, profit_ratio, rate_for_roi

_MINUTE_MS = 60_000


def check_exit(
    desk: np.void, trade: np.void, row: int, date: int, now: int, open_: float, high: float, low: float,
    close: float, signals: int,
) -> None:  # fmt: skip
    """Everything this candle says about an open position; places at most one exit order."""
    short = trade["is_short"]
    entering = signals & (ENTER_SHORT_SET if short else ENTER_LONG_SET)
    leaving = signals & (EXIT_SHORT_SET if short else EXIT_LONG_SET)
    best = low if short else high
    best = best if best != 0.0 else open_
    _note_extremes(trade, high if high != 0.0 else open_, low if low != 0.0 else open_)
    follow_price(desk, trade, date, open_, low, high, False)
    stop = stop_reached(trade, open_, low, high)
    roi = False
    if not (entering and desk["ignore_roi"]):
        _, ratio = roi_in_force(desk, trade, (date - trade["open_date"]) // _MINUTE_MS, date)
        roi = not math.isnan(ratio) and profit_against(desk, trade, best, ratio) > 0

    if desk["use_exit_signal"]:
        kind = NONE
        if leaving and not entering:
            if (
                not desk["exit_profit_only"]
                or profit_against(desk, trade, open_, desk["exit_profit_offset"]) > 0
            ):
                kind = EXIT_SIGNAL
        elif desk["hook_exit"]:
            kind = _custom_exit(desk, trade, date, open_, profit_ratio(desk, trade, open_))
        if kind != NONE and leave(desk, trade, row, date, now, open_, high, low, close, kind, math.nan):
            return
    if stop in (STOP_LOSS, LIQUIDATION) and leave(
        desk, trade, row, date, now, open_, high, low, close, stop, math.nan
    ):
        return
    if roi and leave(desk, trade, row, date, now, open_, high, low, close, ROI, math.nan):
        return
    if stop == TRAILING_STOP_LOSS:
        leave(desk, trade, row, date, now, open_, high, low, close, stop, math.nan)


def _note_extremes(trade: np.void, high: float, low: float) -> None:
    most = trade["max_rate"] if trade["max_rate"] != 0.0 else trade["open_rate"]
    trade["max_rate"] = max(high, most)
    least = trade["min_rate"] if trade["min_rate"] != 0.0 else trade["open_rate"]
    trade["min_rate"] = min(low, least)


def roi_in_force(desk: np.void, trade: np.void, minutes: int, date: int) -> tuple[int, float]:
    """The step of the ROI table for a trade of this age, NaN as its ratio for none.

    Of a strategy's own ratio the step is the age, which is negative where detail candles end before an entry.
    """
    at = -1
    for k in range(desk["roi_steps"]):
        if desk["roi_minutes"][k] <= minutes:
            at = k
    if desk["hook_roi"]:
        box = desk["box"]
        box[0] = trade["slot"]
        box[1] = date
        box[2] = minutes
        call(desk["port"], ASK_CUSTOM_ROI)
        custom = float(box[0])
        if math.isfinite(custom) and (at < 0 or custom < desk["roi_ratios"][at]):
            return int(minutes), custom
    if at < 0:
        return -1, math.nan
    return int(desk["roi_minutes"][at]), float(desk["roi_ratios"][at])


def leave(
    desk: np.void, trade: np.void, row: int, date: int, now: int, open_: float, high: float, low: float,
    close: float, kind: int, part: float,
) -> bool:  # fmt: skip
    """Place an exit order for this reason; `part` is the amount of a partial exit, NaN for all."""
    trade["close_date"] = now
    amount = trade["amount"] if math.isnan(part) else part
    minutes = (now - trade["open_date"]) // _MINUTE_MS
    rate = open_
    if kind in (STOP_LOSS, TRAILING_STOP_LOSS, LIQUIDATION):
        rate = _stop_rate(desk, trade, open_, high, low, kind, minutes)
    elif kind == ROI:
        rate = _roi_rate(desk, trade, open_, high, low, close, minutes, now)
        if math.isnan(rate):
            return False
    reason = kind
    reason_row = -1
    if kind == EXIT_SIGNAL:
        # The driver looks whether that candle has an exit tag.
        reason_row = row - 1
    if (kind in (EXIT_SIGNAL, CUSTOM_EXIT, PARTIAL_EXIT) or kind >= NAMED) and desk["exit_limit"]:
        if desk["hook_exit_price"]:
            rate = _custom_rate(desk, trade, row, now, rate, reason, reason_row)
        rate = min(rate, high) if trade["is_short"] else max(rate, low)
    partial = not math.isnan(part)
    if (
        desk["hook_confirm_exit"]
        and kind != LIQUIDATION
        and not partial
        and not _confirmed(desk, trade, now, rate, amount, reason, reason_row)
    ):
        return False
    trade["exit_reason"] = reason
    trade["exit_row"] = reason_row
    return place_exit(desk, trade, date, rate, amount, reason, reason_row)


def place_exit(
    desk: np.void, trade: np.void, date: int, rate: float, amount: float, reason: int, reason_row: int
) -> bool:
    """The order itself; False when an equal one is open already."""
    desk["order_id"] += 1
    price = round_price(desk, tick_at(desk["ticks"], trade["tick"]), rate)
    pair = pair_at(desk["pairs"], trade["pair"])
    amount = amount_to_precision(desk, pair, amount if amount != 0.0 else trade["amount"])
    if keeps_similar(desk, trade, price, amount, 0):
        return False
    order = order_at(desk["orders"], add_order(desk, trade, 0, date, price, amount))
    order["tag"] = reason
    order["tag_row"] = reason_row
    return True


def _stop_rate(
    desk: np.void, trade: np.void, open_: float, high: float, low: float, kind: int, minutes: int
) -> float:
    short = trade["is_short"]
    stop = trade["stop_loss"]
    if kind == LIQUIDATION and not math.isnan(trade["liquidation"]) and trade["liquidation"] != 0.0:
        stop = trade["liquidation"]
    if short:
        if stop < low:
            return open_
    elif stop > high:
        return open_
    if kind == TRAILING_STOP_LOSS and minutes == 0:
        # Entry candle: assume the least favourable path that arms the stop.
        side = -1 if short else 1
        positive = desk["trailing_positive"]
        if (
            not desk["hook_stoploss"]
            and desk["trailing_stop"]
            and desk["trailing_only_offset"]
            and not math.isnan(positive)
            and positive != 0.0
        ):
            worst = open_ * (
                1 + side * abs(desk["trailing_offset"]) - side * abs(positive / trade["leverage"])
            )
        else:
            worst = open_ * (1 - side * abs(trade["stop_loss_pct"] / trade["leverage"]))
        if short:
            return float(min(high, worst))
        return float(max(low, worst))
    return float(stop)


def _roi_rate(
    desk: np.void, trade: np.void, open_: float, high: float, low: float, close: float, minutes: int, now: int
) -> float:
    """NaN: this candle cannot have reached it after the entry."""
    step, ratio = roi_in_force(desk, trade, minutes, now)
    if math.isnan(ratio):
        return open_
    on_candle = step % desk["timeframe_min"] == 0
    if ratio == -1.0 and on_candle:
        return open_
    rate = rate_for_roi(desk, trade, ratio)
    short = trade["is_short"]
    better_open = open_ < rate if short else open_ > rate
    if minutes > 0 and minutes == step and on_candle and better_open:
        return open_
    if minutes == 0:
        if short:
            if open_ < close and trade["open_rate"] > open_ and rate < close:
                return math.nan
        elif open_ > close and trade["open_rate"] < open_ and rate > close:
            return math.nan
    return float(min(max(rate, low), high))


def _custom_exit(desk: np.void, trade: np.void, date: int, rate: float, profit: float) -> int:
    box = desk["box"]
    box[0] = trade["slot"]
    box[1] = date
    box[2] = rate
    box[3] = profit
    call(desk["port"], ASK_CUSTOM_EXIT)
    return int(box[0])


def _custom_rate(
    desk: np.void, trade: np.void, row: int, now: int, rate: float, reason: int, reason_row: int
) -> float:
    profit = profit_ratio(desk, trade, rate)
    box = desk["box"]
    box[0] = trade["slot"]
    box[1] = now
    box[2] = rate
    box[3] = profit
    box[4] = reason
    box[5] = reason_row
    call(desk["port"], ASK_CUSTOM_EXIT_PRICE)
    asked = float(box[0])
    return rate if math.isnan(asked) else asked


def _confirmed(
    desk: np.void, trade: np.void, now: int, rate: float, amount: float, reason: int, reason_row: int
) -> bool:
    box = desk["box"]
    box[0] = trade["slot"]
    box[1] = now
    box[2] = rate
    box[3] = amount
    box[4] = reason
    box[5] = reason_row
    call(desk["port"], ASK_CONFIRM_EXIT)
    return bool(box[0] != 0.0)
