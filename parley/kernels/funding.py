"""Funding fees of futures: what a position paid or earned since its last fill.

Invariant: fees are summed from the last fill again each time, so the sum is freqtrade's to the last bit.
"""

import math

import numpy as np

from parley.kernels.ports import load_float, load_int, order_at, pair_at
from parley.kernels.wallet import add_up, summed


def charge_funding(desk: np.void, trade: np.void, now: int) -> None:
    """Renew the running fees of a trade."""
    pair = pair_at(desk["pairs"], trade["pair"])
    since = max(trade["open_date"], trade["last_filled"])
    first = _first_at(pair, since)
    amount = trade["amount"]
    total, rest = 0.0, 0.0
    k = first
    while k < pair["funding_rows"] and load_int(pair["funding_dates"], k) <= now * 1_000_000:
        total, rest = add_up(desk["compensated"], total, rest, load_float(pair["funding_fees"], k) * amount)
        k += 1
    fees = summed(total, rest)
    if math.isnan(fees):
        fees = 0.0
    if not trade["is_short"]:
        fees = -fees
    trade["funding_running"] = fees
    prior, prior_rest = 0.0, 0.0
    index = trade["first_order"]
    while index >= 0:
        order = order_at(desk["orders"], index)
        fee = order["funding_fee"]
        if not math.isnan(fee) and fee != 0.0:
            prior, prior_rest = add_up(desk["compensated"], prior, prior_rest, fee)
        index = order["next"]
    trade["funding_fees"] = summed(prior, prior_rest) + fees
    trade["quiet_high"] = 0.0
    trade["quiet_low"] = math.inf


def _first_at(pair: np.void, since: int) -> int:
    low = 0
    high = pair["funding_rows"]
    while low < high:
        middle = (low + high) // 2
        if load_int(pair["funding_dates"], middle) < since * 1_000_000:
            low = middle + 1
        else:
            high = middle
    return int(low)
