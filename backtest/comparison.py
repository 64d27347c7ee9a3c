"""A desk beside each of its strategies alone: what negotiation gave, and what it cost.

Not here: standard figures of one strategy (`performance`). Invariant: all shares are of the money each began
with, and every drawdown is realised, so that a part of the account can be compared with the whole.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from pandas import DataFrame, concat


class Standing(NamedTuple):
    """How somebody fared. ``turnover``: what was bought and sold; all but ``trades`` as shares."""

    name: str
    trades: int
    total_return: float
    max_drawdown: float
    turnover: float
    costs: float


def standing_of_account(
    fills: int, began: Decimal, ended: Decimal, drawdown: float, volume: Decimal, fees: Decimal
) -> Standing:
    """Of a whole account by its books, the desk's own agents included; the drawdown is of marked equity."""
    return Standing(
        name="the account", trades=fills, total_return=float(ended / began - 1), max_drawdown=drawdown,
        turnover=float(volume / began), costs=float(fees / began),
    )  # fmt: skip


def standing_of_all(name: str, trades: Sequence[DataFrame], wallets: Sequence[float], fee: float) -> Standing:
    """Of several simulations side by side, with all their money to begin with."""
    return standing_alone(name, concat(trades, ignore_index=True), sum(wallets), fee)


def standing_alone(name: str, trades: DataFrame, wallet: float, fee: float) -> Standing:
    """Of a simulation's trades (`backtest.result`) with `wallet` to begin with; drawdown is realised."""
    # What closes at one moment is one step: in which order trades stand says nothing.
    profits = trades.groupby("close_timestamp")["profit_abs"].sum().to_numpy(np.float64)
    balance = wallet + np.concatenate(([0.0], np.cumsum(profits)))
    peaks = np.maximum.accumulate(balance)
    turned = sum(each["amount"] * each["safe_price"] for orders in trades["orders"] for each in orders)
    return Standing(
        name=name, trades=len(trades), total_return=float(balance[-1] / wallet - 1),
        max_drawdown=float(np.max(1 - balance / peaks)), turnover=turned / wallet,
        costs=turned * fee / wallet,
    )  # fmt: skip
