"""freqtrade's four protections: what closed trades say about trading on.

Asked after every exit. All of them look at trades closed after a moment in the past. Closing times may fall:
a pair whose candles begin before the others' stays as many rows behind for ever, and closes in its own past.

Not here: when they are asked (`parley.kernels.orders`), what a lock is (`locks`).

Invariant: sums run over the closed trades in their order, with Python's own `sum`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.locks import LockBook
from parley.kernels.settings import ProtectionSettings

_MINUTE_MS = 60_000
_STOPS = ("trailing_stop_loss", "stop_loss", "stoploss_on_exchange", "liquidation")
_LOCAL = ("CooldownPeriod", "LowProfitPairs", "StoplossGuard")
_GLOBAL = ("MaxDrawdown", "StoplossGuard")


class Closed(NamedTuple):
    """The trades closed so far."""

    trades: Mapping[str, NDArray[Any]]
    """Columns, in the order of closing."""
    reasons: Sequence[str]
    """Exit reasons as texts, the same order."""


class Protections:
    """The protections of a run and the locks they made."""

    def __init__(
        self,
        rules: Sequence[ProtectionSettings],
        locks: LockBook,
        starting_balance: float,
        day_ms: int = 86_400_000,
    ) -> None:
        self._rules = rules
        self._locks = locks
        self._balance = starting_balance
        self._day_ms = day_ms

    def look(self, closed: Closed, at: int, pair: str, now: int, is_short: bool) -> None:
        """After an exit of this pair."""
        side = "short" if is_short else "long"
        for rule in self._rules:
            if rule.method in _LOCAL:
                self._keep(self._judge(rule, closed, at, now, is_short), pair, now, side, rule)
        for rule in self._rules:
            if rule.method in _GLOBAL:
                if rule.method == "StoplossGuard" and rule.only_per_pair:
                    continue
                self._keep(self._judge(rule, closed, None, now, is_short), "*", now, side, rule)

    def _keep(
        self, found: tuple[int, str] | None, pair: str, now: int, side: str, rule: ProtectionSettings
    ) -> None:
        if found is None:
            return
        until, reason = found
        bound = side if rule.only_per_side and rule.method in ("LowProfitPairs", "StoplossGuard") else "*"
        if pair == "*":
            locked = bool(self._locks.in_force("*", until, bound))
        else:
            locked = self._locks.is_locked(pair, until, bound)
        if not locked:
            self._locks.lock(pair, until, reason, now, bound)

    def _judge(
        self, rule: ProtectionSettings, closed: Closed, at: int | None, now: int, is_short: bool
    ) -> tuple[int, str] | None:
        """Until when to stop and why, or None."""
        since = now - rule.lookback_period_min * _MINUTE_MS
        is_recent = closed.trades["close_date"] > since
        if at is not None:
            is_recent &= closed.trades["pair"] == at
        recent: list[int] = np.flatnonzero(is_recent).tolist()
        if rule.method == "CooldownPeriod":
            if not recent:
                return None
            return self._end(rule, closed, recent), f"Cooldown period for {_until(rule)}."
        if rule.method == "LowProfitPairs":
            return self._low_profit(rule, closed, recent, is_short)
        if rule.method == "StoplossGuard":
            return self._stops(rule, closed, recent, is_short)
        return self._drawdown(rule, closed, recent, since)

    def _low_profit(
        self, rule: ProtectionSettings, closed: Closed, recent: Sequence[int], is_short: bool
    ) -> tuple[int, str] | None:
        if len(recent) < rule.trade_limit:
            return None
        trades = closed.trades
        profit = sum(
            float(trades["close_profit"][k])
            for k in recent
            if trades["close_profit"][k]
            and (not rule.only_per_side or bool(trades["is_short"][k]) == is_short)
        )
        if not profit < rule.required_profit:
            return None
        reason = f"{profit} < {rule.required_profit} in {_period(rule)}, locking {_until(rule)}."
        return self._end(rule, closed, recent), reason

    def _stops(
        self, rule: ProtectionSettings, closed: Closed, recent: Sequence[int], is_short: bool
    ) -> tuple[int, str] | None:
        trades = closed.trades
        stopped = [
            k
            for k in recent
            if closed.reasons[k] in _STOPS
            and trades["close_profit"][k]
            and trades["close_profit"][k] < rule.required_profit
            and (not rule.only_per_side or bool(trades["is_short"][k]) == is_short)
        ]
        if len(stopped) < rule.trade_limit:
            return None
        reason = f"{rule.trade_limit} stoplosses in {rule.lookback_period_min} min, locking {_until(rule)}."
        return self._end(rule, closed, stopped), reason

    def _drawdown(
        self, rule: ProtectionSettings, closed: Closed, recent: Sequence[int], since: int
    ) -> tuple[int, str] | None:
        if len(recent) < rule.trade_limit or not recent:
            return None
        trades = closed.trades
        rows = np.asarray(recent)
        # Sorting is not stable, and freqtrade sorts dates: the same call on the same type.
        rows = rows[trades["close_date"][rows].astype("datetime64[us]").argsort(kind="quicksort")]
        if rule.calculation_mode == "equity":
            before = sum(
                float(profit)
                for profit, date in zip(trades["close_profit_abs"], trades["close_date"], strict=True)
                if date <= since
            )
            drawdown = _relative(trades["close_profit_abs"][rows], self._balance + before)
        else:
            gains = trades["close_profit"][rows].cumsum()
            drawdown = float(abs(min(0.0, (gains - np.maximum(0, np.maximum.accumulate(gains))).min())))
        if not drawdown > rule.max_allowed_drawdown:
            return None
        reason = f"{drawdown} passed {rule.max_allowed_drawdown} in {_period(rule)}, locking {_until(rule)}."
        return self._end(rule, closed, recent), reason

    def _end(self, rule: ProtectionSettings, closed: Closed, rows: Sequence[int]) -> int:
        latest = int(max(closed.trades["close_date"][k] for k in rows))
        if rule.unlock_at is None:
            return latest + rule.stop_duration_min * _MINUTE_MS
        hour, minute = rule.unlock_at.split(":")
        in_day = latest % self._day_ms
        # Only hour and minute change; seconds of the closing time stay.
        until = latest - in_day + (int(hour) * 60 + int(minute)) * _MINUTE_MS + in_day % _MINUTE_MS
        return until + self._day_ms if until < latest else until


def _relative(profits: NDArray[np.float64], balance: float) -> float:
    """The largest drop below the highest balance, as a share of it."""
    gains = profits.cumsum()
    high = np.maximum(0, np.maximum.accumulate(gains))
    with np.errstate(all="ignore"):
        if balance:
            drops = ((balance + high) - (balance + gains)) / (balance + high)
        else:
            drops = (high - gains) / high
    known = drops[~np.isnan(drops)]
    return float(max(0.0, known.max())) if len(known) else 0.0


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count in (1, -1) else f"{count} {word}s"


def _duration(rule: ProtectionSettings) -> str:
    if rule.stop_duration_candles:
        return _plural(rule.stop_duration_candles, "candle")
    return _plural(rule.stop_duration_min, "minute")


def _until(rule: ProtectionSettings) -> str:
    if rule.unlock_at is not None:
        return f"until {rule.unlock_at}"
    return f"for {_duration(rule)}"


def _period(rule: ProtectionSettings) -> str:
    if rule.lookback_period_candles:
        return _plural(rule.lookback_period_candles, "candle")
    return _plural(rule.lookback_period_min, "minute")
