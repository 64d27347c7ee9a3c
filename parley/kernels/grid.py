"""Rounding prices and amounts to what a venue accepts, as freqtrade and ccxt do: on decimal text.

A grid is the multiples of step / scale, step and scale whole (scale a power of ten). Dividing in floats tells
on which side of a multiple a number lies unless it is within a few units of the last place. Then the multiple
itself is made (one correctly rounded division) and compared: a decimal of at most 15 digits that rounds to x
*is* the number x prints as.

Not here: precisions by significant digits, odd ticks, numbers of more than 15 digits; the driver computes
those exactly.

Invariant: equal to `parley.kernels.exact` for every input; tests compare them.
"""

import numpy as np

from parley.kernels.codes import ASK_AMOUNT_PRECISION, ASK_PRICE_PRECISION, ASK_QUOTIENT, GRID, UNROUNDED
from parley.kernels.doubles import certain, decimal_pair, pair_quotient
from parley.kernels.ports import call
from parley.kernels.values import value_with_fee

_TOLERANCE = 1e-15
_FIFTEEN_DIGITS = 1e15
_TRUNCATE, _ROUND, _UP, _DOWN = 0, 1, 2, 3


def amount_to_precision(desk: np.void, pair: np.void, amount: float) -> float:
    """Cut an amount, through contracts where the pair trades in contracts."""
    if pair["amount_way"] == UNROUNDED:
        return amount
    size = pair["contract_size"]
    if size == 1.0:
        return _cut(desk, pair, amount)
    contracts = _cut(desk, pair, _quotient(desk, amount, size))
    return value_with_fee(desk, contracts, size, 0.0, 0.0)


def _cut(desk: np.void, pair: np.void, amount: float) -> float:
    if pair["amount_way"] == GRID and amount >= 0.0:
        step = pair["amount_step"]
        scale = pair["amount_scale"]
        q = amount * scale / step
        near = np.floor(q + 0.5)
        if near * step < _FIFTEEN_DIGITS:
            if abs(q - near) > q * _TOLERANCE:
                return float(np.floor(q) * step / scale)
            if amount >= near * step / scale:
                return float(near * step / scale)
            return float((near - 1.0) * step / scale)
    box = desk["box"]
    box[0] = amount
    # The precision as the venue states it, which the driver knows by the pair's place.
    box[1] = pair["rank"]
    call(desk["port"], ASK_AMOUNT_PRECISION)
    return float(box[0])


def _quotient(desk: np.void, a: float, b: float) -> float:
    ah, al, sure_a = decimal_pair(a)
    bh, bl, sure_b = decimal_pair(b)
    if sure_a and sure_b:
        hi, lo = pair_quotient(ah, al, bh, bl)
        if certain(hi, lo, 1.1e-18):
            return hi
    box = desk["box"]
    box[0] = a
    box[1] = b
    call(desk["port"], ASK_QUOTIENT)
    return float(box[0])


def round_price(desk: np.void, tick: np.void, price: float) -> float:
    """To the nearest multiple, halves up."""
    if tick["way"] == UNROUNDED or price != price:
        return price
    if tick["way"] == GRID and price >= 0.0:
        step = tick["step"]
        scale = tick["scale"]
        q = price * scale / step
        below = np.floor(q)
        if (2.0 * below + 1.0) * step * 5.0 < _FIFTEEN_DIGITS:
            if abs(q - (below + 0.5)) > q * _TOLERANCE:
                return float(np.floor(q + 0.5) * step / scale)
            if price >= (2.0 * below + 1.0) * step * 5.0 / (scale * 10.0):
                return float((below + 1.0) * step / scale)
            return float(below * step / scale)
    return _ask_price(desk, tick, price, _ROUND)


def round_price_up(desk: np.void, tick: np.void, price: float) -> float:
    """To the next multiple above; a multiple stays."""
    if tick["way"] == UNROUNDED or price != price:
        return price
    if tick["way"] == GRID and price >= 0.0:
        step = tick["step"]
        scale = tick["scale"]
        if tick["by_tick"] == 0:
            return float(np.ceil(price * scale) / scale)
        q = price * scale / step
        near = np.floor(q + 0.5)
        if near * step < _FIFTEEN_DIGITS:
            if abs(q - near) > q * _TOLERANCE:
                return float((np.floor(q) + 1.0) * step / scale)
            multiple = near * step / scale
            if price == multiple:
                return price
            if price > multiple:
                return float((near + 1.0) * step / scale)
            return float(multiple)
    return _ask_price(desk, tick, price, _UP)


def round_price_down(desk: np.void, tick: np.void, price: float) -> float:
    """To the next multiple below; a multiple stays."""
    if tick["way"] == UNROUNDED or price != price:
        return price
    if tick["way"] == GRID and price >= 0.0:
        step = tick["step"]
        scale = tick["scale"]
        if tick["by_tick"] == 0:
            return float(np.floor(price * scale) / scale)
        q = price * scale / step
        near = np.floor(q + 0.5)
        if near * step < _FIFTEEN_DIGITS:
            if abs(q - near) > q * _TOLERANCE:
                return float(np.floor(q) * step / scale)
            multiple = near * step / scale
            if price == multiple:
                return price
            if price > multiple:
                return float(multiple)
            return float((near - 1.0) * step / scale)
    return _ask_price(desk, tick, price, _DOWN)


def _ask_price(desk: np.void, tick: np.void, price: float, rounding: int) -> float:
    box = desk["box"]
    box[0] = price
    box[1] = tick["precision"]
    box[2] = tick["mode"]
    box[3] = rounding
    call(desk["port"], ASK_PRICE_PRECISION)
    return float(box[0])
