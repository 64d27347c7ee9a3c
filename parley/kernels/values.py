"""What a position is worth: freqtrade's products of decimals, bit for bit.

Each function tries double-double arithmetic and asks the driver for exact arithmetic when the result lies too
near the edge between two floats (about once in 2^40 results).

Invariant: the result is the float nearest to freqtrade's decimal result.
"""

import numpy as np

from parley.kernels.codes import ASK_AVERAGE, ASK_STAKE, ASK_VALUE
from parley.kernels.doubles import certain, decimal_pair, pair_product, pair_quotient, pair_sum, round8
from parley.kernels.ports import call


def value_with_fee(desk: np.void, amount: float, rate: float, fee_hi: float, fee_lo: float) -> float:
    """amount * rate * (1 + fee) of the decimals; the fee is a pair and carries its sign."""
    ah, al, sure_a = decimal_pair(amount)
    rh, rl, sure_r = decimal_pair(rate)
    if sure_a and sure_r:
        vh, vl = pair_product(ah, al, rh, rl)
        if fee_hi != 0.0:
            fh, fl = pair_product(vh, vl, fee_hi, fee_lo)
            vh, vl = pair_sum(vh, vl, fh, fl)
        if certain(vh, vl, 0.0):
            return vh
    box = desk["box"]
    box[0] = amount
    box[1] = rate
    box[2] = fee_hi
    call(desk["port"], ASK_VALUE)
    return float(box[0])


def open_value(desk: np.void, is_short: int, amount: float, rate: float) -> float:
    """What opening costs a long trade, or brings a short one."""
    if is_short:
        return value_with_fee(desk, amount, rate, -desk["fee_hi"], -desk["fee_lo"])
    return value_with_fee(desk, amount, rate, desk["fee_hi"], desk["fee_lo"])


def close_value(desk: np.void, trade: np.void, rate: float, amount: float) -> float:
    """What closing this amount brings a long trade or costs a short one, with funding for futures."""
    if trade["is_short"]:
        value = value_with_fee(desk, amount, rate, desk["fee_hi"], desk["fee_lo"])
        if desk["futures"]:
            return float(value - trade["funding_fees"])
        return value
    value = value_with_fee(desk, amount, rate, -desk["fee_hi"], -desk["fee_lo"])
    if desk["futures"]:
        return float(value + trade["funding_fees"])
    return value


def profit_ratio(desk: np.void, trade: np.void, rate: float) -> float:
    """Profit of the whole trade at this rate, as a ratio rounded to 8 places."""
    opened = trade["open_trade_value"]
    closed = close_value(desk, trade, rate, trade["amount"])
    if opened == 0.0:
        return 0.0
    if trade["is_short"]:
        return round8((1.0 - (closed / opened)) * trade["leverage"])
    return round8(((closed / opened) - 1.0) * trade["leverage"])


def profit_against(desk: np.void, trade: np.void, rate: float, ratio: float) -> int:
    """Whether the rounded profit at this rate is above (1) or below (-1) a ratio; exact where floats cannot
    tell."""
    opened = trade["open_trade_value"]
    if opened > 0.0:
        fee = desk["fee"] if trade["is_short"] else -desk["fee"]
        closed = trade["amount"] * rate * (1.0 + fee)
        if desk["futures"]:
            closed += -trade["funding_fees"] if trade["is_short"] else trade["funding_fees"]
        share = closed / opened - 1.0
        about = (-share if trade["is_short"] else share) * trade["leverage"]
        # Rounding to 8 places and a few float operations stay far below this.
        if abs(about - ratio) > 1e-7 * (1.0 + trade["leverage"]):
            return 1 if about > ratio else -1
    profit = profit_ratio(desk, trade, rate)
    if profit > ratio:
        return 1
    return -1 if profit < ratio else 0


def rate_for_roi(desk: np.void, trade: np.void, roi: float) -> float:
    """The close rate at which the trade earns this ratio."""
    share = roi / trade["leverage"]
    opened = open_value(desk, trade["is_short"], trade["amount"], trade["open_rate"])
    at_zero = close_value(desk, trade, 0.0, trade["amount"])
    at_one = close_value(desk, trade, 1.0, trade["amount"])
    slope = at_one - at_zero
    side = -1.0 if trade["is_short"] else 1.0
    adjusted = 1.0 + (share / side)
    return float((adjusted * opened - at_zero) / slope)


def stake_of(desk: np.void, amount: float, price: float, leverage: float) -> float:
    """What an open order binds in stake currency."""
    ah, al, sure_a = decimal_pair(amount)
    ph, pl, sure_p = decimal_pair(price)
    lh, ll, sure_l = decimal_pair(leverage)
    if sure_a and sure_p and sure_l:
        vh, vl = pair_product(ah, al, ph, pl)
        vh, vl = pair_quotient(vh, vl, lh, ll)
        # The quotient is cut at 18 places.
        if certain(vh, vl, 1.1e-18):
            return vh
    box = desk["box"]
    box[0] = amount
    box[1] = price
    box[2] = leverage
    call(desk["port"], ASK_STAKE)
    return float(box[0])


def average_of_one(desk: np.void, amount: float, price: float) -> float:
    """stake / amount of a single order: its price, unless that has more than 18 places."""
    if price >= 0.01:
        return price
    # All that recorded prices have: without this, half of the loop's time of 264 pairs went into asking.
    if np.rint(price * 1e12) / 1e12 == price:
        return price
    digits = np.rint(price * 1e18)
    if digits < 1e15 and digits / 1e18 == price:
        return price
    box = desk["box"]
    box[0] = amount
    box[1] = price
    call(desk["port"], ASK_AVERAGE)
    return float(box[0])
