"""The figures freqtrade shows for a group of trades: of a pair, a tag, an exit reason, or all of them.

The formulas are `freqtrade.data.metrics` where that has them and is not slow (`drawdown`). Groups are made of
the few columns the figures read: a group of all columns is a copy of texts and orders.

Not here: which groups there are (`strategy`).
Invariant: names, order and values are those of freqtrade's own report, unrounded where it is unrounded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from freqtrade.data import metrics
from freqtrade.util import format_duration
from pandas import DataFrame

from freqtrade_bridge.report.drawdown import deepest_fall

Figures = dict[str, Any]

TOTAL: Final = "TOTAL"
READ: Final = ("profit_abs", "profit_ratio", "trade_duration", "close_date")
_NEVER: Final = -100.0
"""What freqtrade says of a ratio without a spread."""


@dataclass(frozen=True, slots=True)
class Period:
    """First and last candle of a simulation, and what it began with."""

    start: datetime
    end: datetime
    balance: float

    @property
    def days(self) -> int:
        """Whole days, at least one."""
        return (self.end - self.start).days or 1


def group_figures(key: object, trades: DataFrame, period: Period) -> Figures:
    """Return the figures of one group of trades under its name."""
    profits = trades["profit_abs"]
    count, earned = len(trades), profits.sum()
    mean = trades["profit_ratio"].mean() if count else 0.0
    wins, losses = int((profits > 0).sum()), int((profits < 0).sum())
    expectancy, expectancy_ratio = metrics.calculate_expectancy(trades)
    fall = deepest_fall(profits_in_time(trades), period.balance) if count else None
    average = str(timedelta(minutes=round(trades["trade_duration"].mean()))) if count else "0:00"
    span = (period.start, period.end, period.balance)
    return {
        "key": key,
        "trades": count,
        "profit_mean": mean,
        "profit_mean_pct": round(mean * 100.0, 2),
        "profit_total_abs": earned,
        "profit_total": earned / period.balance,
        "profit_total_pct": round(earned / period.balance * 100.0, 2),
        "duration_avg": average,
        "wins": wins,
        "draws": int((profits == 0).sum()),
        "losses": losses,
        "winrate": wins / count if count else 0.0,
        "cagr": metrics.calculate_cagr(period.days, period.balance, period.balance + earned),
        "expectancy": expectancy,
        "expectancy_ratio": expectancy_ratio,
        "sortino": metrics.calculate_sortino(trades, *span),
        "sharpe": metrics.calculate_sharpe(trades, *span),
        "calmar": _calmar(earned, period, fall.relative) if fall else 0.0,
        "sqn": metrics.calculate_sqn(trades, period.balance),
        "p_value": metrics.calculate_p_value(trades, period.balance),
        "profit_factor": profit_factor(trades),
        "max_drawdown_account": fall.relative if fall else 0.0,
        "max_drawdown_abs": fall.absolute if fall else 0.0,
    }


def profits_in_time(trades: DataFrame) -> npt.NDArray[np.float64]:
    """Return profits by time of closing, those of one candle in the order in which freqtrade sorts them."""
    ordered = trades[["close_date", "profit_abs"]].sort_values("close_date")
    return ordered["profit_abs"].to_numpy(dtype=np.float64)


def annual_ratio(mean: float, spread: float) -> float:
    """Return a year's ratio of a mean return of a day and what it is divided by."""
    if spread == 0 or np.isnan(spread):
        return _NEVER
    return float(mean / spread * np.sqrt(365))


def _calmar(earned: float, period: Period, drawdown: float) -> float:
    if period.start == period.end:
        return 0.0
    return annual_ratio(earned / period.balance / period.days * 100, drawdown)


def by_pair(
    pairs: Sequence[str], trades: DataFrame, total: Figures, period: Period, *, traded: bool = False
) -> list[Figures]:
    """Return figures by pair, best first, and the total; with ``traded`` only of pairs that have trades."""
    narrow = trades[["pair", *READ]]
    found = dict(iter(narrow.groupby("pair")))
    groups = ((pair, found.get(pair, narrow[:0])) for pair in pairs)
    return _ranked((each for each in groups if len(each[1]) or not traded), total, period)


def by_tag(columns: str | list[str], trades: DataFrame, total: Figures, period: Period) -> list[Figures]:
    """Return figures by entry tag, exit reason or both, best first, and the total."""
    keys = [columns] if isinstance(columns, str) else columns
    return _ranked(trades[[*keys, *READ]].groupby(columns), total, period)


def _ranked(groups: Iterable[tuple[Any, DataFrame]], total: Figures, period: Period) -> list[Figures]:
    found = [group_figures(key, group, period) for key, group in groups]
    found.sort(key=lambda line: line["profit_total_abs"], reverse=True)
    return [*found, dict(total)]


def profit_factor(trades: DataFrame) -> float:
    """Return what was won for each unit that was lost; 0 where nothing was lost."""
    profits = trades["profit_abs"]
    lost = profits[profits < 0].sum()
    return float(profits[profits > 0].sum() / abs(lost)) if lost else 0.0


def by_period(trades: DataFrame, period: str) -> list[Figures]:
    """Return profits by day, week, month, year or weekday of closing; periods without a trade included."""
    if trades.empty:
        return []
    rule = {"day": "1D", "week": "1W-MON", "month": "1ME", "year": "1YE"}.get(period)
    closed = trades[["close_date", "profit_abs"]]
    if rule is None:
        days = trades["close_date"].dt.day_of_week.to_numpy()
        profits = trades["profit_abs"].to_numpy()
        return [
            {"date": name, "date_ts": day, **_profits(profits[days == day])}
            for day, name in enumerate(_WEEKDAYS)
            if (days == day).any()
        ]
    return [
        {
            "date": end.strftime("%d/%m/%Y"), "date_ts": int(end.to_pydatetime().timestamp() * 1000),
            **_profits(profits),
        }
        for end, profits in _by_bin(closed, rule)
    ]  # fmt: skip


def _by_bin(closed: DataFrame, rule: str) -> Iterator[tuple[Any, npt.NDArray[np.float64]]]:
    if not closed["close_date"].is_monotonic_increasing:
        closed = closed.sort_values("close_date", kind="stable")
    # One count per period and slices instead of a frame per period.
    counts = closed.resample(rule, on="close_date").size()
    profits, ends = closed["profit_abs"].to_numpy(), np.cumsum(counts.to_numpy())
    for label, count, end in zip(counts.index, counts.to_numpy(), ends, strict=True):
        yield label, profits[end - count : end]


_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _profits(profits: Any) -> Figures:
    wins, draws, losses = int((profits > 0).sum()), int((profits == 0).sum()), int((profits < 0).sum())
    lost = profits[profits < 0].sum()
    factor = profits[profits > 0].sum() / abs(lost) if lost else 0.0
    return {
        "profit_abs": float(np.round(profits.sum(), 10)), "wins": wins, "draws": draws, "losses": losses,
        "trades": wins + draws + losses, "profit_factor": round(float(factor), 8),
    }  # fmt: skip


def daily_figures(trades: DataFrame) -> Figures:
    """Return the best and the worst day, and every day's profit."""
    if trades.empty:
        zeros = dict.fromkeys(("backtest_best_day", "backtest_worst_day"), 0)
        zeros |= dict.fromkeys(("backtest_best_day_abs", "backtest_worst_day_abs"), 0)
        zeros |= dict.fromkeys(("winning_days", "draw_days", "losing_days"), 0)
        return {**zeros, "daily_profit_list": []}
    days = trades.resample("1D", on="close_date")
    ratios, profits = days["profit_ratio"].sum(), days["profit_abs"].sum().round(10)
    return {
        "backtest_best_day": ratios.max(),
        "backtest_worst_day": ratios.min(),
        "backtest_best_day_abs": profits.max(),
        "backtest_worst_day_abs": profits.min(),
        "winning_days": int((profits > 0).sum()),
        "draw_days": int((profits == 0).sum()),
        "losing_days": int((profits < 0).sum()),
        "daily_profit": [(str(day.date()), value) for day, value in profits.items()],
    }


def holding_figures(trades: DataFrame) -> Figures:
    """Return how many trades won and lost, in a row too, and how long they were held."""
    if trades.empty:
        none = dict.fromkeys(("wins", "losses", "draws", "winrate"), 0)
        held = dict.fromkeys(("holding_avg", "winner_holding_avg", "loser_holding_avg"), timedelta())
        return {**none, **held, "max_consecutive_wins": 0, "max_consecutive_losses": 0}
    won, lost = trades["profit_ratio"] > 0, trades["profit_ratio"] < 0
    mean = timedelta(minutes=round(trades["trade_duration"].mean()))
    figures: Figures = {
        "wins": int(won.sum()),
        "losses": int(lost.sum()),
        "draws": int((trades["profit_ratio"] == 0).sum()),
        "winrate": int(won.sum()) / len(trades),
        "holding_avg": mean,
        "holding_avg_s": mean.total_seconds(),
    }
    for who, chosen in (("winner", won), ("loser", lost)):
        minutes = trades.loc[chosen, "trade_duration"]
        for what in ("min", "max", "avg"):
            value = getattr(minutes, "mean" if what == "avg" else what)() if len(minutes) else 0
            duration = timedelta(minutes=round(value))
            figures[f"{who}_holding_{what}"] = format_duration(duration)
            figures[f"{who}_holding_{what}_s"] = duration.total_seconds()
    wins, losses = longest_runs(won.to_numpy())
    return {**figures, "max_consecutive_wins": wins, "max_consecutive_losses": losses}


def longest_runs(won: Any) -> tuple[int, int]:
    """Return the most wins and the most non-wins in a row."""
    ends = np.flatnonzero(won != np.append(won[1:], ~won[-1:]))
    lengths = np.diff(ends, prepend=-1)
    return int(lengths[won[ends]].max(initial=0)), int(lengths[~won[ends]].max(initial=0))
