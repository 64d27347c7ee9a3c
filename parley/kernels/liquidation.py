"""Liquidation prices: the venue's formulas as freqtrade knows them, and the limits of its margin table.

Invariant: a trade without margin table keeps its price (freqtrade logs a warning and goes on).
"""

import math

import numpy as np

from parley.kernels.codes import NO_MAINTENANCE_AMOUNT, STAKE_ABOVE_TIERS
from parley.kernels.grid import round_price
from parley.kernels.ports import load_int, pair_at, tick_at, tier_at, trade_at

DEFAULT = 0
BINANCE = 1
BYBIT = 2
BITGET = 3


def renew_liquidations(desk: np.void, trade: np.void) -> None:
    """After a fill: this trade's price, with cross margin those of all open positions."""
    if not desk["cross"]:
        _renew(desk, trade, trade["stake_amount"])
        return
    balance = desk["wallet_free"] + desk["wallet_collateral"]
    for k in range(desk["open_count"]):
        other = trade_at(desk["trades"], load_int(desk["open_slots"], k))
        if other["amount"] > 0.0 and not _renew(desk, other, balance):
            return


def _renew(desk: np.void, trade: np.void, balance: float) -> bool:
    pair = pair_at(desk["pairs"], trade["pair"])
    tier = find_tier(desk, pair, trade["stake_amount"])
    if tier < 0:
        return False
    margin = tier_at(desk["tiers"], tier)
    ratio = margin["maintenance_rate"]
    if desk["liquidation_formula"] == BINANCE:
        others = 0.0
        if desk["cross"]:
            sums, known = _other_positions(desk, trade)
            if not known:
                return False
            others = sums
        extra = margin["maintenance_amount"]
        if math.isnan(extra):
            desk["status"] = NO_MAINTENANCE_AMOUNT
            return False
        side = -1 if trade["is_short"] else 1
        size = trade["amount"]
        price = ((balance + others + extra) - (side * size * trade["open_rate"])) / (
            (size * ratio) - (side * size)
        )
    elif desk["liquidation_formula"] == BYBIT:
        worth = trade["amount"] * trade["open_rate"]
        spare = (worth / trade["leverage"] - worth * ratio) / trade["amount"]
        price = trade["open_rate"] + spare if trade["is_short"] else trade["open_rate"] - spare
    elif desk["liquidation_formula"] == BITGET:
        side = -1 if trade["is_short"] else 1
        price = (balance - (trade["amount"] * trade["open_rate"] * side)) / (
            trade["amount"] * (ratio + pair["taker_fee"] - side)
        )
    else:
        value = balance / trade["amount"]
        share = ratio + pair["taker_fee"]
        if trade["is_short"]:
            price = (trade["open_rate"] + value) / (1.0 + share)
        else:
            price = (trade["open_rate"] - value) / (1.0 - share)
    buffer = abs(trade["open_rate"] - price) * desk["liquidation_buffer"]
    price = price - buffer if trade["is_short"] else price + buffer
    trade["liquidation"] = round_price(desk, tick_at(desk["ticks"], trade["tick"]), max(price, 0.0))
    return True


def _other_positions(desk: np.void, trade: np.void) -> tuple[float, bool]:
    """Unrealised profit less maintenance margin of the other pairs' trades."""
    margins = 0.0
    profits = 0.0
    for k in range(desk["open_count"]):
        other = trade_at(desk["trades"], load_int(desk["open_slots"], k))
        if other["pair"] == trade["pair"]:
            continue
        tier = find_tier(desk, pair_at(desk["pairs"], other["pair"]), other["stake_amount"])
        if tier < 0:
            return 0.0, False
        margin = tier_at(desk["tiers"], tier)
        mark = other["open_rate"]
        margins += other["amount"] * mark * margin["maintenance_rate"] - margin["maintenance_amount"]
        profits += other["amount"] * mark - other["amount"] * other["open_rate"]
    return profits - margins, True


def find_tier(desk: np.void, pair: np.void, notional: float) -> int:
    """The place of the highest tier that starts at or below this value, or -1."""
    for k in range(pair["tier_count"] - 1, -1, -1):
        if notional >= tier_at(desk["tiers"], pair["first_tier"] + k)["min_notional"]:
            return int(pair["first_tier"] + k)
    return -1


def max_leverage(desk: np.void, pair: np.void, stake: float) -> float:
    """The highest leverage for a position of this stake."""
    if not desk["futures"] or pair["tier_count"] == 0:
        return 1.0
    if stake == 0.0:
        return float(tier_at(desk["tiers"], pair["first_tier"])["max_leverage"])
    for k in range(pair["tier_count"]):
        tier = tier_at(desk["tiers"], pair["first_tier"] + k)
        leverage = tier["max_leverage"]
        most = math.inf if math.isnan(tier["max_notional"]) else tier["max_notional"] / leverage
        if stake <= most:
            return float(leverage)
    desk["status"] = STAKE_ABOVE_TIERS
    return 1.0


def max_notional(desk: np.void, pair: np.void, leverage: float) -> float:
    """The largest position at this leverage; NaN when the table does not say."""
    if desk["last_tier_only"]:
        return float(tier_at(desk["tiers"], pair["first_tier"] + pair["tier_count"] - 1)["max_notional"])
    for k in range(pair["tier_count"] - 1, -1, -1):
        tier = tier_at(desk["tiers"], pair["first_tier"] + k)
        if leverage <= tier["max_leverage"]:
            return float(tier["max_notional"])
    return math.nan
