"""How much to stake: the formulas of position sizing, each on its own and total.

A formula takes plain numbers and gives plain numbers; what is not finite or makes no
sense gives zero (nothing is staked on nonsense), never an exception. Whoever calls
takes the least of those that apply and lets the instrument cut it to the lot. Money
is Decimal, ratios measured from the market are floats.

Not here: which formulas apply and with which settings (`agents.capital`).

Invariant: no result is negative, NaN or infinite.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import isfinite, sqrt

from parley.money import decimal

ZERO = Decimal(0)
ONE = Decimal(1)
DAY_NS = 86_400_000_000_000


def unlimited_stake(available: Decimal, tied_up: Decimal, max_open_trades: int) -> Decimal:
    """Share all money between the trades allowed, (available + tied up) / n, at most available (F252)."""
    if max_open_trades < 1 or not _money(available, tied_up):
        return ZERO
    return max(ZERO, min((available + tied_up) / max_open_trades, available))


def amended_stake(stake: Decimal, available: Decimal, min_ratio: Decimal) -> Decimal:
    """Shrink a stake to what is available, or give zero below ``min_ratio`` of it (F253)."""
    if not _money(stake, available, min_ratio):
        return ZERO
    if available >= stake:
        return max(ZERO, stake)
    return available if available > 0 and available >= stake * min_ratio else ZERO


def min_stake(min_notional: Decimal, reserve: Decimal, stop_distance: Decimal) -> Decimal:
    """Give the least stake the venue takes now and still at the stop (F254).

    ``reserve`` (0.05) is added on top; ``stop_distance`` is the fraction lost at the
    stop, so that what is left can still be sold. Both together at most 1.5 times.
    """
    if not _money(min_notional, reserve, stop_distance) or min_notional < 0 or reserve < 0:
        return ZERO
    most = Decimal("1.5")
    distance = abs(stop_distance)
    factor = most if distance >= 1 else (ONE + reserve) / (ONE - distance)
    return min_notional * min(max(factor, ONE), most)


def risk_quantity(equity: Decimal, risk: Decimal, entry: Decimal, stop: Decimal) -> Decimal:
    """Give the base quantity that loses ``risk`` of equity between entry and stop, long or short."""
    if not _money(equity, risk, entry, stop) or entry <= 0 or stop <= 0 or equity <= 0 or risk <= 0:
        return ZERO
    distance = abs(entry - stop)
    return equity * risk / distance if distance > 0 else ZERO


def kelly_fraction(conf: float, payoff: float, part: float = 0.5) -> float:
    """Give ``part`` of Kelly's share of capital: part * (p - (1 - p) / b), within [0, 1].

    ``conf`` is the probability p of winning, ``payoff`` b what a win pays per unit lost.
    """
    if not (isfinite(conf) and isfinite(payoff) and isfinite(part)) or payoff <= 0 or not 0 <= conf <= 1:
        return 0.0
    return max(0.0, min(1.0, part * (conf - (1.0 - conf) / payoff)))


def payoff_ratio(entry: Decimal, stop: Decimal, take: Decimal) -> float:
    """Give gain at the target per loss at the stop; zero unless they lie on opposite sides of the entry."""
    if not _money(entry, stop, take):
        return 0.0
    gain, loss = take - entry, entry - stop
    if gain * loss <= 0:
        return 0.0
    return float(gain / loss)


def atr_quantity(equity: Decimal, risk: Decimal, atr: float, multiple: float) -> Decimal:
    """Give the base quantity that loses ``risk`` of equity over ``multiple`` true ranges (F251)."""
    move = atr * multiple
    if not isfinite(move) or move <= 0 or not _money(equity, risk) or equity <= 0 or risk <= 0:
        return ZERO
    return equity * risk / Decimal(repr(move))


def volatility_factor(sigma_day: float, target_day: float) -> float:
    """Give target / sigma, at most 1; both daily standard deviations as fractions."""
    if not (isfinite(sigma_day) and isfinite(target_day)) or sigma_day < 0 or target_day <= 0:
        return 0.0
    return 1.0 if sigma_day <= target_day else target_day / sigma_day


def daily_sigma(sigma_bar: float, tf_ns: int) -> float:
    """Scale a bar's standard deviation to a day by the square root of time; zero for nonsense."""
    if not isfinite(sigma_bar) or sigma_bar < 0 or tf_ns <= 0:
        return 0.0
    return sigma_bar * sqrt(DAY_NS / tf_ns)


def correlation_factor(weighted: Iterable[tuple[float, float]], free: float) -> float:
    """Shrink what adds to a correlated heap: free / sum(max(rho, 0) * share), at most 1 (F256).

    ``weighted`` are (correlation, share of equity) of what is held; up to ``free`` of
    equity nothing shrinks. A correlation that is not finite counts as 1.
    """
    heap = 0.0
    for rho, share in weighted:
        if not isfinite(share):
            return 0.0
        heap += (max(0.0, min(1.0, rho)) if isfinite(rho) else 1.0) * max(0.0, share)
    if not isfinite(free) or free < 0:
        return 0.0
    return 1.0 if heap <= free else free / heap


def scaled(amount: Decimal, factor: float) -> Decimal:
    """Multiply an amount by a factor in [0, 1]; outside of it, or not finite, gives zero."""
    if not isfinite(factor) or not 0 <= factor <= 1 or not _money(amount) or amount < 0:
        return ZERO
    return amount * decimal(factor)


def _money(*values: Decimal) -> bool:
    for value in values:  # noqa: SIM110 - a generator costs twice as much, and every review asks this often
        if not value.is_finite() or not -30 <= value.adjusted() < 18:
            return False
    return True
