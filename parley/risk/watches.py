"""Three breakers' memories as pure folds: which symbols have gone stale, how orders fare, and how equity
jumps.

Problem: a feed that stops for one symbol, a venue that turns most orders away, and an account whose worth
leaps are each a sign that something is not as it looks, long before a loss shows. Times are market time, so
that each fires and ends alike in a replay.

Not here: the five breakers of F239-F243 and what a breaker does (`agents.risk`).

Invariant: what cannot be judged (no candle length yet, no equity before) trips nothing here; the gate refuses
on missing data by itself."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from .limits import MINUTE_NS, Breakers

FOREVER = 2**62  # market ns


class Seen(msgspec.Struct, kw_only=True):
    """When a symbol's data came last, how long its candles are, and until when nothing opens in it."""

    t: int
    tf_ns: int = 0
    until: int = 0


class Fares(msgspec.Struct, kw_only=True):
    """Orders turned away, and fills counted so far (as ``trades_today`` says), each with its time."""

    rejects: list[int] = []
    fills: list[int] = []
    trades: int = 0


def stale_symbols(
    seen: dict[str, Seen], came: Mapping[str, int], now: int, limits: Breakers
) -> list[tuple[str, float]]:
    """Fold what came at a time; name the symbols that are stale since now, their data's age in candles.

    ``came`` are symbols with the length of their candle, 0 where only a book came. A symbol is stale when
    nothing came for more than ``stale_bars`` candles, and until ``stale_pause_min`` after it came again.
    """
    found: list[tuple[str, float]] = []
    for symbol in sorted({*seen, *came}):
        known = seen.get(symbol)
        if known is None:
            seen[symbol] = Seen(t=now, tf_ns=came[symbol])
            continue
        age = now - known.t
        if known.tf_ns and age > limits.stale_bars * known.tf_ns and known.until != FOREVER:
            known.until = FOREVER
            found.append((symbol, age / known.tf_ns))
        if symbol in came:
            if known.until == FOREVER:
                known.until = now + limits.stale_pause_min * MINUTE_NS
            known.t = now
            known.tf_ns = came[symbol] or known.tf_ns
    return found


def is_stale(seen: Mapping[str, Seen], symbols: Iterable[str], now: int) -> tuple[str, int] | None:
    """Name the first of some symbols in which nothing opens because its data went stale, and until when."""
    for symbol in symbols:
        known = seen.get(symbol)
        if known is not None and known.until > now:
            return symbol, known.until
    return None


def rejected(fares: Fares, now: int, limits: Breakers) -> Decimal | None:
    """Count an order that was turned away; give the share of such orders when it is too high, and start anew.

    Of a window's orders those that were turned away and those that filled are compared; up to
    ``rejects_least`` rejects say nothing.
    """
    since = now - limits.reject_window_min * MINUTE_NS
    fares.rejects = [*(t for t in fares.rejects if t > since), now]
    fares.fills = [t for t in fares.fills if t > since]
    count = len(fares.rejects)
    share = Decimal(count) / (count + len(fares.fills))
    if count <= limits.rejects_least or share <= limits.reject_share:
        return None
    fares.rejects, fares.fills = [], []
    return share


def filled(fares: Fares, trades_today: int, now: int, limits: Breakers) -> None:
    """Fold the day's count of fills, which begins anew every day."""
    more = trades_today - fares.trades if trades_today >= fares.trades else trades_today
    fares.trades = trades_today
    if more > 0:
        keep = limits.rejects_least + 1_000  # beyond these another one changes no verdict
        fares.fills = [*fares.fills, *[now] * min(more, keep)][-keep:]


def jump(before: Decimal, equity: Decimal) -> Decimal:
    """Give by what share of itself equity changed since the last look, either way; 0 without one."""
    return abs(equity - before) / before if before > 0 else Decimal(0)
