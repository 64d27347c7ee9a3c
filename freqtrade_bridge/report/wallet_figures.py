"""freqtrade's figures of the course of a wallet: highs and lows, drawdown, and ratios of daily balances.

Not here: the course (`wallet`). Invariant: names, order and values are those of freqtrade's own report of the
same course.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from freqtrade.constants import DATETIME_PRINT_FORMAT
from pandas import Series, Timedelta

from freqtrade_bridge.report.drawdown import Drawdown, deepest_fall
from freqtrade_bridge.report.figures import Figures, annual_ratio
from freqtrade_bridge.report.wallet import WalletCourse

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_DAY_MS: Final = 86_400_000


def wallet_figures(course: WalletCourse) -> Figures:
    """Return freqtrade's figures of a wallet's course; nothing for an empty one."""
    moments, worth = course.worth()
    if not len(moments):
        return {}
    low, high = int(np.argmin(worth)), int(np.argmax(worth))
    daily = _daily_returns(moments, worth)
    fall = _fall(worth)
    return {
        "start_balance": worth[0],
        "end_balance": worth[-1],
        "high_balance": worth[high],
        "low_balance": worth[low],
        "sharpe": _ratio(daily, daily),
        "sortino": _ratio(daily, daily[daily < 0]),
        "calmar": _calmar(moments, worth, fall),
        "low_date": _shown(moments[low]),
        "low_ts": int(moments[low]),
        "high_date": _shown(moments[high]),
        "high_ts": int(moments[high]),
        **_drawdown(moments, worth, fall),
    }


def _daily_returns(moments: _Ints, worth: _Floats) -> "Series[float]":
    days = moments // _DAY_MS
    last = np.append(days[1:] != days[:-1], True)
    return Series(worth[last]).pct_change().dropna()


def _ratio(returns: "Series[float]", spread: "Series[float]") -> float:
    return annual_ratio(returns.mean(), spread.std(ddof=0)) if len(returns) else 0.0


def _fall(worth: _Floats, *, relative: bool = False) -> Drawdown | None:
    if len(worth) < 2:
        return None
    return deepest_fall(np.diff(worth, prepend=worth[0]), float(worth[0]), relative=relative)


def _calmar(moments: _Ints, worth: _Floats, fall: Drawdown | None) -> float:
    if fall is None:
        return 0.0
    days = max(1, int(moments[-1] - moments[0]) // _DAY_MS)
    earned = (float(worth[-1]) - float(worth[0])) / float(worth[0])
    return annual_ratio(earned / days * 100, fall.relative)


def _drawdown(moments: _Ints, worth: _Floats, fall: Drawdown | None) -> Figures:
    underwater = _fall(worth, relative=True)
    if fall is None or underwater is None:
        zeros = ("max_drawdown_account", "max_relative_drawdown", "max_drawdown_abs")
        names = ("drawdown_start", "drawdown_start_ts", "drawdown_end", "drawdown_end_ts")
        lasted: dict[str, Any] = {"drawdown_duration": timedelta(), "drawdown_duration_s": 0.0}
        ends = {"max_drawdown_low": 0.0, "max_drawdown_high": 0.0}
        return {**dict.fromkeys(zeros, 0.0), **dict.fromkeys(names), **lasted, **ends}
    start, end = int(moments[fall.high]), int(moments[fall.low])
    duration = Timedelta(end - start, unit="ms")
    return {
        "max_drawdown_account": fall.relative,
        "max_relative_drawdown": underwater.relative,
        "max_drawdown_abs": fall.absolute,
        "drawdown_start": _shown(start),
        "drawdown_start_ts": start,
        "drawdown_end": _shown(end),
        "drawdown_end_ts": end,
        "drawdown_duration": duration,
        "drawdown_duration_s": duration.total_seconds(),
        "max_drawdown_low": fall.low_value,
        "max_drawdown_high": fall.high_value,
    }


def _shown(moment_ms: int) -> str:
    return datetime.fromtimestamp(int(moment_ms) / 1000, UTC).strftime(DATETIME_PRINT_FORMAT)
