"""The course of the wallet during a simulation, and freqtrade's figures of it.

Problem: freqtrade writes down every candle what the wallet holds and derives drawdown, Sharpe, Sortino and
Calmar of daily balances from that. All of it follows from the filled orders of the trades, so it is computed
from them afterwards instead of being kept while simulating.

Not here: figures of closed trades (`strategy`). Invariant: what is held at a candle is what all earlier fills
left, at the candle's open price; an order that waits for its price is not seen. Sums are made in freqtrade's
order and with its decimals; what may differ in the last digit is a trade with funding between two fills.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from freqtrade.constants import DATETIME_PRINT_FORMAT
from freqtrade.data import metrics
from pandas import DataFrame

from freqtrade_bridge.report.figures import Figures
from parley.kernels.exact import Fill, position, value_with_fee

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WalletRun:
    """When a simulation looked at the wallet, and how it began; times in ms UTC."""

    start: datetime
    end: datetime
    timeframe_ms: int
    stake_currency: str
    balance: float
    futures: bool

    def moments(self) -> npt.NDArray[np.int64]:
        """Return the open time of every candle that was simulated, the first one left out."""
        step = self.timeframe_ms
        return np.arange(_ms(self.start) + step, _ms(self.end) + 1, step, dtype=np.int64)


@dataclass(slots=True)
class _Open:
    """An open trade between two fills, in freqtrade's terms."""

    amount: float = 0.0
    stake: float = 0.0
    realised: float = 0.0


@dataclass(frozen=True, slots=True)
class _Fill:
    """What a trade is after one of its orders was filled; None once it is closed."""

    at_ms: int
    trade: int
    left: _Open | None


def wallet_course(run: WalletRun, trades: DataFrame, candles: Mapping[str, DataFrame]) -> DataFrame:
    """Return date, currency, rate and balance of all that is held, candle by candle, as freqtrade captures
    it."""
    moments = run.moments()
    listed = list(trades.itertuples(index=False))
    fills = sorted(
        (fill for number, trade in enumerate(listed) for fill in _fills(number, trade)),
        key=lambda fill: fill.at_ms,
    )
    # Index 0 stands for the time before the first fill; a candle sees what was filled before it opened.
    times = np.array([0, *dict.fromkeys(fill.at_ms for fill in fills)], dtype=np.int64)
    money, held = _states(run, listed, fills, len(times), list(candles))
    seen = np.searchsorted(times, moments, side="left") - 1
    places = [(0, run.stake_currency, np.ones(len(moments)), money[seen])]
    if not run.futures:
        for number, (pair, amounts) in enumerate(held.items(), 1):
            places.append((number, pair.partition("/")[0], _opens(candles[pair], moments), amounts[seen]))
    return _rows(moments, places)


def _states(
    run: WalletRun, trades: list[Any], fills: list[_Fill], count: int, pairs: list[str]
) -> tuple[_Floats, dict[str, _Floats]]:
    money = np.full(count, run.balance)
    held = {pair: np.full(count, np.nan) for pair in pairs}
    open_: dict[int, _Open] = {}
    closed, place, last = 0.0, 0, -1
    for number, fill in enumerate(fills):
        if fill.at_ms != last:
            place, last = place + 1, fill.at_ms
        pair = trades[fill.trade].pair
        if fill.left is None:
            open_.pop(fill.trade, None)
            closed += trades[fill.trade].profit_abs
        else:
            open_[fill.trade] = fill.left
        held[pair][place] = fill.left.amount if fill.left else 0.0
        if number + 1 == len(fills) or fills[number + 1].at_ms != last:
            money[place] = _total(run, closed, open_)
    return money, {pair: _carried_on(amounts) for pair, amounts in held.items()}


def _carried_on(amounts: _Floats) -> _Floats:
    """Repeat every amount until the next one; before the first there is nothing."""
    last = np.maximum.accumulate(np.where(np.isnan(amounts), 0, np.arange(len(amounts))))
    return np.nan_to_num(amounts[last])


def _total(run: WalletRun, closed: float, open_: Mapping[int, _Open]) -> float:
    # In freqtrade's order of additions: where two balances are the same but for a last digit, that digit
    # says which of two days had the higher one.
    profit = closed + sum(trade.realised for trade in open_.values())
    staked = sum(trade.stake for trade in open_.values())
    free = run.balance + profit - staked
    return free + staked if run.futures else free


def _fills(number: int, trade: Any) -> list[_Fill]:
    orders = [order for order in trade.orders if order["order_filled_timestamp"]]
    if len(orders) == 2:
        first, second = (order["order_filled_timestamp"] for order in orders)
        whole = _Open(trade.amount, trade.stake_amount)
        return [_Fill(first, number, whole), _Fill(second, number, None)]
    filled = [Fill(order["ft_is_entry"], order["amount"], order["safe_price"]) for order in orders]
    averages = position(filled).averages
    found, earned = [], 0.0
    for count, (order, average) in enumerate(zip(orders, averages, strict=True), 1):
        if not order["ft_is_entry"]:
            earned += _profit(trade, order["amount"], average, order["safe_price"])
        sums = position(filled[:count])
        left = _Open(sums.amount, sums.stake / trade.leverage, earned) if count < len(orders) else None
        found.append(_Fill(order["order_filled_timestamp"], number, left))
    return found


def _profit(trade: Any, size: float, average: float, price: float) -> float:
    fee = -trade.fee_open if trade.is_short else trade.fee_open
    opened, closed = value_with_fee(size, average, fee), value_with_fee(size, price, -fee)
    return round(opened - closed if trade.is_short else closed - opened, 8)


def _opens(candles: DataFrame, moments: npt.NDArray[np.int64]) -> _Floats:
    dates = candles["date"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    places = np.minimum(np.searchsorted(dates, moments), len(dates) - 1)
    return np.where(dates[places] == moments, candles["open"].to_numpy()[places], np.nan)


def _rows(moments: npt.NDArray[np.int64], places: list[tuple[int, str, _Floats, _Floats]]) -> DataFrame:
    parts = []
    for number, currency, rates, balances in places:
        shown = np.flatnonzero((balances != 0) & np.isfinite(rates))
        part = DataFrame({"at": moments[shown], "rate": rates[shown], "balance": balances[shown]})
        parts.append(part.assign(currency=currency, number=number))
    rows = pd.concat(parts, ignore_index=True).sort_values(["at", "number"], ignore_index=True)
    rows["date"] = pd.to_datetime(rows["at"], unit="ms", utc=True)
    return rows[["date", "currency", "rate", "balance"]]


def wallet_figures(course: DataFrame) -> Figures:
    """Return freqtrade's figures of a wallet's course; nothing for an empty one."""
    if course.empty:
        return {}
    worth = (course["rate"] * course["balance"]).groupby(course["date"]).sum()
    wallet = worth.rename("total_quote").reset_index()
    lowest, highest = worth.idxmin(), worth.idxmax()
    return {
        "start_balance": worth.iloc[0],
        "end_balance": worth.iloc[-1],
        "high_balance": worth.max(),
        "low_balance": worth.min(),
        "sharpe": metrics.calculate_sharpe_from_balance(wallet),
        "sortino": metrics.calculate_sortino_from_balance(wallet),
        "calmar": metrics.calculate_calmar_from_balance(wallet),
        "low_date": lowest.strftime(DATETIME_PRINT_FORMAT),
        "low_ts": _ms(lowest),
        "high_date": highest.strftime(DATETIME_PRINT_FORMAT),
        "high_ts": _ms(highest),
        **_drawdown(wallet),
    }


def _drawdown(wallet: DataFrame) -> Figures:
    try:
        deepest = metrics.calculate_max_drawdown_from_balance(wallet)
        underwater = metrics.calculate_max_drawdown_from_balance(wallet, relative=True)
    except ValueError:
        zeros = ("max_drawdown_account", "max_relative_drawdown", "max_drawdown_abs")
        names = ("drawdown_start", "drawdown_start_ts", "drawdown_end", "drawdown_end_ts")
        lasted = {"drawdown_duration": timedelta(), "drawdown_duration_s": 0.0}
        ends = {"max_drawdown_low": 0.0, "max_drawdown_high": 0.0}
        return {**dict.fromkeys(zeros, 0.0), **dict.fromkeys(names), **lasted, **ends}
    lasted = deepest.low_date - deepest.high_date
    return {
        "max_drawdown_account": deepest.relative_account_drawdown,
        "max_relative_drawdown": underwater.relative_account_drawdown,
        "max_drawdown_abs": deepest.drawdown_abs,
        "drawdown_start": deepest.high_date.strftime(DATETIME_PRINT_FORMAT),
        "drawdown_start_ts": _ms(deepest.high_date),
        "drawdown_end": deepest.low_date.strftime(DATETIME_PRINT_FORMAT),
        "drawdown_end_ts": _ms(deepest.low_date),
        "drawdown_duration": lasted,
        "drawdown_duration_s": lasted.total_seconds(),
        "max_drawdown_low": deepest.low_value,
        "max_drawdown_high": deepest.high_value,
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
