"""Where two simulations of a strategy differ because their candles do: the cause `data`.

Problem: a candle that the desk missed or saw otherwise changes indicators for hours, and through the slots
and the wallet other pairs as well. What is wanted is the candle to blame.

Not here: the run itself (`shadow_execution`). Invariant: a difference is one of `data` unless all candles are
the same; it follows from an earlier one of its pair if no further candle changed between them, and from one
of another pair if none of its own changed.
"""

from collections import defaultdict
from collections.abc import Sequence

from backtest.divergence import CODE, DATA, CandleChange, Divergence, Figure, Tolerances, Trade
from backtest.market_time import at


def between_simulations(
    reference: Sequence[Trade], seen: Sequence[Trade], changes: Sequence[CandleChange], tolerances: Tolerances
) -> list[Divergence]:
    """Tell every trade in which the simulation on the candles seen differs from the reference's."""
    changed: dict[str, list[CandleChange]] = defaultdict(list)
    everything = sorted(changes, key=lambda each: (each.t_ms, each.pair, each.what))
    for each in everything:
        changed[each.pair].append(each)
    blamed: dict[str, CandleChange] = {}  # by pair: the last change that was told
    first: Divergence | None = None
    found: list[Divergence] = []
    leads: dict[str, str] = {}
    change: CandleChange | None
    for t_ms, pair, what, sentence, figures in sorted(_differences(reference, seen, tolerances), key=_order):
        change = _nearest(changed[pair], t_ms)
        cause, told, follows = DATA, sentence, ""
        if change is not None and change != blamed.get(pair):
            blamed[pair] = change
            told = f"{sentence}: the desk saw another candle of {at(change.t_ms)} ({change.what})"
        elif pair in leads:
            follows = leads[pair]
        elif first is not None:
            follows = first.name
        elif (other := _nearest(everything, t_ms)) is not None:
            told = (
                f"{sentence}: the desk saw another candle of {other.pair} at {at(other.t_ms)} ({other.what})"
            )
        else:
            cause = CODE
            told = f"{sentence}, though all candles are the same: two backtests of this strategy differ"
        made = Divergence(
            pair=pair, t_ms=t_ms, cause=cause, what=what, sentence=told, figures=figures, follows=follows
        )
        if not follows:
            leads[pair] = made.name
            first = first or made
        found.append(made)
    return found


def _nearest(changes: Sequence[CandleChange], t_ms: int) -> CandleChange | None:
    """Pick the last change by then; the next one, if there is none: a month's candles share a price step."""
    before = [each for each in changes if each.t_ms <= t_ms]
    return before[-1] if before else next(iter(changes), None)


_Difference = tuple[int, str, str, str, dict[str, Figure]]


def _order(difference: _Difference) -> tuple[int, str, str]:
    return difference[:3]


def _differences(
    reference: Sequence[Trade], seen: Sequence[Trade], tolerances: Tolerances
) -> list[_Difference]:
    ours = {(each.pair, each.opened_ms): each for each in reference}
    theirs = {(each.pair, each.opened_ms): each for each in seen}
    found: list[_Difference] = []
    for pair, opened in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get((pair, opened)), theirs.get((pair, opened))
        if a is None or b is None:
            where = "only on the candles the desk saw" if a is None else "only on the reference's candles"
            found.append((opened, pair, "entry", f"the strategy enters at {at(opened)} {where}", {}))
        else:
            found += _differ(a, b, tolerances)
    return found


def _differ(a: Trade, b: Trade, tolerances: Tolerances) -> list[_Difference]:
    """Tell the first thing in which two trades of one entry differ."""
    if a.enter_tag != b.enter_tag:
        text = f"the strategy enters for {b.enter_tag!r}, on the reference's candles for {a.enter_tag!r}"
        return [(a.opened_ms, a.pair, "entry", text, {})]
    for name, was, is_ in (("rate", a.open_rate, b.open_rate), ("amount", a.amount, b.amount)):
        if not _same(was, is_, tolerances):
            text = (
                f"the trade of {at(a.opened_ms)} opens with the {name} {is_:g}, the reference's with {was:g}"
            )
            return [(a.opened_ms, a.pair, "entry", text, {"reference": was, "seen": is_})]
    if (a.closed_ms, a.exit_reason) != (b.closed_ms, b.exit_reason):
        text = (
            f"the trade of {at(a.opened_ms)} ends with {_end(b)}, on the reference's candles with {_end(a)}"
        )
        ends = [each.closed_ms for each in (a, b) if each.is_closed]
        return [(min(ends, default=a.opened_ms), a.pair, "exit", text, {})]
    if a.is_closed and not _same(a.close_rate, b.close_rate, tolerances):
        text = (
            f"the trade of {at(a.opened_ms)} closes at {b.close_rate:g}, on the reference's candles at"
            f" {a.close_rate:g}"
        )
        return [
            (a.closed_ms, a.pair, "exit", text, {"reference": a.close_rate, "seen": b.close_rate}),
        ]
    return []


def _end(trade: Trade) -> str:
    return f"{trade.exit_reason} at {at(trade.closed_ms)}" if trade.is_closed else "the data"


def _same(was: float, is_: float, tolerances: Tolerances) -> bool:
    return abs(was - is_) <= tolerances.exact * max(abs(was), abs(is_))
