"""What every filled order of every trade left: amounts of coins, bound stakes, realised profits.

Problem: freqtrade adds up the stakes of open trades in the order in which it opened them, unrounded, and a
result has neither; a sum in another order differs in its last digit. Nearly all trades are one entry and one
exit: those are taken as columns, the others one by one.

Not here: the wallet that comes of it (`wallet`). Invariant: fills of one moment stand in the order of their
trades' closing; a trade opened at the same candle as another stands behind those whose pair had been open and
before those of pairs further down the list, as freqtrade goes through them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pandas import DataFrame, Index

from freqtrade_bridge.tick_sizes import decimals
from parley.kernels.exact import Fill, position, stake_of, value_with_fee

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_EXACT = float(1 << 53)
_PLACES = 18
"""freqtrade cuts a stake after so many decimals."""


@dataclass(frozen=True, slots=True)
class Fills:
    """Filled orders, by trade and within it by time; each array has one number per fill but ``closes``.

    ``amounts`` is what the trade holds afterwards, ``stakes`` what it binds, ``realised`` what it has earned;
    all are 0 once it is closed. ``rank`` is the place of the trade in the order of opening, ``closes`` int64
    [trades] the time of each trade's last fill.
    """

    times: _Ints
    pairs: _Ints
    rank: _Ints
    amounts: _Floats
    stakes: _Floats
    realised: _Floats
    ends: npt.NDArray[np.bool_]
    closes: _Ints


class _Left(NamedTuple):
    at_ms: int
    amount: float
    stake: float
    realised: float


def fills_of(trades: DataFrame, pairs: Sequence[str]) -> Fills:
    """Return the fills of all trades; `pairs` is the list in its order."""
    count = len(trades)
    orders: list[list[dict[str, Any]]] = trades["orders"].tolist() if count else []
    pair = Index(pairs).get_indexer(trades["pair"]).astype(np.int64)
    plain = np.fromiter((_is_plain(each) for each in orders), np.bool_, count)
    whole = np.flatnonzero(plain)
    apart = {int(number): _others(trades.iloc[number]) for number in np.flatnonzero(~plain)}
    lengths = np.full(count, 2)
    lengths[list(apart)] = [len(left) for left in apart.values()]
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    total = int(lengths.sum())
    times = np.zeros(total, dtype=np.int64)
    amounts, stakes, realised = np.zeros(total), np.zeros(total), np.zeros(total)
    simple = orders if len(whole) == count else [orders[number] for number in whole.tolist()]
    moments = [(entry["order_filled_timestamp"], end["order_filled_timestamp"]) for entry, end in simple]
    times[first[whole]], times[last[whole]] = np.array(moments, dtype=np.int64).reshape(-1, 2).T
    bought = np.fromiter((entry["amount"] for entry, _ in simple), np.float64, len(simple))
    prices = np.fromiter((entry["safe_price"] for entry, _ in simple), np.float64, len(simple))
    amounts[first[whole]] = bought
    stakes[first[whole]] = _stakes(bought, prices, trades["leverage"].to_numpy(dtype=np.float64)[whole])
    for number, left in apart.items():
        for place, each in enumerate(left, int(first[number])):
            times[place], amounts[place], stakes[place], realised[place] = each
    ends = np.zeros(total, dtype=np.bool_)
    ends[last] = True
    rank = _ranks(times[first], times[last], pair, len(pairs))
    trade = np.repeat(np.arange(count), lengths)
    return Fills(times, pair[trade], rank[trade], amounts, stakes, realised, ends, times[last])


def open_sums(fills: Fills) -> tuple[_Ints, _Floats, _Floats]:
    """Return every moment with a fill, the stakes of all trades open after it, and what those realised."""
    order = np.lexsort((fills.rank, fills.times))
    times = fills.times[order]
    if not len(times):
        return times, np.empty(0), np.empty(0)
    last = np.append(times[1:] != times[:-1], True)
    bound: dict[int, float] = {}
    earned: dict[int, float] = {}
    staked, realised = [], []
    # A dictionary keeps the order of opening, and adding up its values is what freqtrade does.
    for trade, stake, profit, is_end, is_last in zip(
        fills.rank[order].tolist(), fills.stakes[order].tolist(), fills.realised[order].tolist(),
        fills.ends[order].tolist(), last.tolist(), strict=True,
    ):  # fmt: skip
        if is_end:
            bound.pop(trade, None)
            earned.pop(trade, None)
        else:
            bound[trade] = stake
            if profit:
                earned[trade] = profit
        if is_last:
            staked.append(sum(bound.values()))
            realised.append(sum(earned.values()))
    return times[last], np.array(staked, dtype=np.float64), np.array(realised, dtype=np.float64)


def _is_plain(orders: list[dict[str, Any]]) -> bool:
    return (
        len(orders) == 2
        and bool(orders[0]["order_filled_timestamp"] and orders[1]["order_filled_timestamp"])
        and orders[0]["ft_is_entry"]
        and not orders[1]["ft_is_entry"]
    )


def _ranks(opens: _Ints, closes: _Ints, pairs: _Ints, count: int) -> _Ints:
    # By time; then pairs that had been open, then the others in the order of the list.
    before = np.lexsort((np.arange(len(opens)), opens, pairs))
    follows = np.zeros(len(opens), dtype=np.bool_)
    same = pairs[before][1:] == pairs[before][:-1]
    follows[before[1:]] = same & (closes[before][:-1] == opens[before][1:])
    found = np.empty(len(opens), dtype=np.int64)
    found[np.lexsort((pairs, ~follows, opens))] = np.arange(len(opens))
    return found


def _stakes(amounts: _Floats, prices: _Floats, leverages: _Floats) -> _Floats:
    """`stake_of` of every entry: products of decimals with few digits are exact in floats."""
    places = [np.nan_to_num(decimals(numbers)) for numbers in (amounts, prices)]
    whole = [np.rint(numbers * 10.0**each) for numbers, each in zip((amounts, prices), places, strict=True)]
    product, scale = whole[0] * whole[1], places[0] + places[1]
    found: _Floats = product / 10.0**scale
    for place in np.flatnonzero(~((product < _EXACT) & (scale <= _PLACES) & (leverages == 1.0))).tolist():
        found[place] = stake_of(float(amounts[place]), float(prices[place]), float(leverages[place]))
    return found


def _others(trade: Any) -> list[_Left]:
    """What each fill of a trade with several entries or exits left."""
    orders = [order for order in trade["orders"] if order["order_filled_timestamp"]]
    filled = [Fill(order["ft_is_entry"], order["amount"], order["safe_price"]) for order in orders]
    averages = position(filled).averages
    found, earned = [], 0.0
    for count, (order, average) in enumerate(zip(orders, averages, strict=True), 1):
        if not order["ft_is_entry"]:
            earned += _profit(trade, order["amount"], average, order["safe_price"])
        at = int(order["order_filled_timestamp"])
        if count == len(orders):
            found.append(_Left(at, 0.0, 0.0, 0.0))
            continue
        sums = position(filled[:count])
        found.append(_Left(at, sums.amount, sums.stake / trade["leverage"], earned))
    return found


def _profit(trade: Any, size: float, average: float, price: float) -> float:
    fee = -trade["fee_open"] if trade["is_short"] else trade["fee_open"]
    opened, closed = value_with_fee(size, average, fee), value_with_fee(size, price, -fee)
    return round(opened - closed if trade["is_short"] else closed - opened, 8)
