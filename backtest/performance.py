"""Standard performance figures of a simulation, under names that freqtrade's do not use.

Problem: freqtrade's Sharpe, Sortino and Calmar are computed from trades in a way of their own (its report
keeps them, `freqtrade_bridge.report`). What the rest of the field means by these words is computed here, from
daily returns of the account's *realised* balance: profits count on the day their trade closed, so open trades
are not marked. A day without a closed trade has return 0.

Not here: freqtrade's figures, statistics of single trades.

Sources: Sharpe, "The Sharpe Ratio", 1994; Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier",
2012 (probabilistic Sharpe ratio), and "The Deflated Sharpe Ratio", 2014; Sortino and Price, 1994; Young,
"Calmar Ratio", 1991; Van Tharp, system quality number.
"""

import math
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DAYS_PER_YEAR: Final = 365
DAY_MS: Final = 86_400_000
_EULER: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()
Floats = NDArray[np.float64]


class Performance(NamedTuple):
    """Figures of a balance by day; a ratio without a meaning (no variation, no loss, no trade) is None.

    Ratios are by year of 365 days with a riskless rate of 0; shares are fractions, not percent.
    """

    days: int
    total_return: float
    cagr: float | None
    volatility: float | None
    sharpe_daily: float | None
    sortino_daily: float | None
    calmar_cagr: float | None
    max_drawdown: float
    """Largest loss from a peak of the realised balance, as a share of that peak."""
    max_drawdown_days: int
    """Longest time below a former peak, days."""
    skewness: float | None
    kurtosis: float | None
    """Of daily returns; 3 for a normal distribution."""
    sharpe_probabilistic: float | None
    """Probability that the true Sharpe ratio is above 0."""
    sharpe_deflated: float | None
    """The same against the best that ``trials`` strategies without any skill would show by luck."""
    trials: int
    sqn: float | None
    """Mean over standard deviation of trades' profits, times the root of their number (at most 100)."""


def daily_balance(
    close_ms: NDArray[np.int64], profit: Floats, start: float, start_ms: int, end_ms: int
) -> Floats:
    """Return the realised balance at the start and at the end of every day of the simulation.

    Parameters
    ----------
    close_ms, profit : when each trade closed (ms UTC) and what it brought (stake currency), in any order
    start : balance before the first trade
    start_ms, end_ms : first and last candle; the days between are UTC calendar days
    """
    first, last = start_ms // DAY_MS, max(end_ms, int(close_ms.max(initial=end_ms))) // DAY_MS
    by_day = np.zeros(int(last - first) + 1)
    np.add.at(by_day, (close_ms // DAY_MS - first).astype(np.int64), profit)
    return np.concatenate(([start], start + np.cumsum(by_day)))


def performance(balance: Floats, trade_profit: Floats, trials: int = 1) -> Performance:
    """Compute the figures.

    Parameters
    ----------
    balance : as `daily_balance` gives it, positive at the start
    trade_profit : profit of each trade, stake currency
    trials : how many strategies or parameter sets were tried before this one was chosen; with 1 the deflated
        Sharpe ratio is the probabilistic one

    Raises
    ------
    ValueError
        When the balance does not begin above 0 or ``trials`` is below 1.
    """
    if not (len(balance) >= 1 and balance[0] > 0):
        raise ValueError(f"a balance must begin above 0, was {balance[:1].tolist()}")
    if trials < 1:
        raise ValueError(f"trials must be at least 1, was {trials}")
    days = len(balance) - 1
    solvent = bool((balance[:-1] > 0).all())
    returns = balance[1:] / balance[:-1] - 1 if solvent else np.zeros(0)
    total = float(balance[-1] / balance[0] - 1)
    cagr = (1 + total) ** (DAYS_PER_YEAR / days) - 1 if days and total > -1 else None
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    sharpe = float(returns.mean()) / deviation if deviation > 0 else None
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    drawdown, longest = _drawdown(balance)
    skewness, kurtosis = _moments(returns)
    year = math.sqrt(DAYS_PER_YEAR)
    return Performance(
        days=days,
        total_return=total,
        cagr=cagr,
        volatility=deviation * year if deviation > 0 else None,
        sharpe_daily=sharpe * year if sharpe is not None else None,
        sortino_daily=float(returns.mean()) / downside * year if downside > 0 else None,
        calmar_cagr=cagr / drawdown if cagr is not None and drawdown > 0 else None,
        max_drawdown=drawdown,
        max_drawdown_days=longest,
        skewness=skewness,
        kurtosis=kurtosis,
        sharpe_probabilistic=probabilistic_sharpe(sharpe, 0.0, len(returns), skewness, kurtosis),
        sharpe_deflated=probabilistic_sharpe(
            sharpe, luckiest_sharpe(trials, len(returns)), len(returns), skewness, kurtosis
        ),
        trials=trials,
        sqn=_sqn(trade_profit),
    )


def probabilistic_sharpe(
    sharpe: float | None, above: float, observations: int, skewness: float | None, kurtosis: float | None
) -> float | None:
    """Return the probability that the true Sharpe ratio exceeds ``above``; both per observation, not year."""
    if sharpe is None or skewness is None or kurtosis is None or observations < 2:
        return None
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:
        return None
    return _NORMAL.cdf((sharpe - above) * math.sqrt(observations - 1) / math.sqrt(spread))


def luckiest_sharpe(trials: int, observations: int) -> float:
    """Return the Sharpe ratio, per observation, that the best of ``trials`` shows without any skill.

    The variance of the trials' ratios is taken as that of an estimate around 0, 1 / (observations - 1).
    """
    if trials < 2 or observations < 2:
        return 0.0
    deviation = 1 / math.sqrt(observations - 1)
    high, higher = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return deviation * ((1 - _EULER) * high + _EULER * higher)


def _drawdown(balance: Floats) -> tuple[float, int]:
    peaks = np.maximum.accumulate(balance)
    below = balance < peaks
    longest = run = 0
    for is_below in below.tolist():
        run = run + 1 if is_below else 0
        longest = max(longest, run)
    return float(np.max((peaks - balance) / peaks)), longest


def _moments(returns: Floats) -> tuple[float | None, float | None]:
    if len(returns) < 2:
        return None, None
    away = returns - returns.mean()
    variance = float(np.mean(away**2))
    if variance <= 0:
        return None, None
    return float(np.mean(away**3)) / variance**1.5, float(np.mean(away**4)) / variance**2


def _sqn(profit: Floats) -> float | None:
    if len(profit) < 2:
        return None
    deviation = float(profit.std(ddof=1))
    if deviation <= 0:
        return None
    return float(profit.mean()) / deviation * math.sqrt(min(len(profit), 100))
