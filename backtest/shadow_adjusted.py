"""How far the run of a strategy that adjusts positions can be laid beside its backtest: until it does.

Problem: more of a position, or a part less, moves the price on which its returns and stops are judged, and
sets free or ties up money for others. Taken for entries and exits, additions and partial exits would be told
as defects; left out, what follows from them would be.

Not here: the comparison (`shadow`). Invariant: what is judged is the time before the first adjustment of any
course, and somebody is told where it ends and how much lies behind it.
"""

from collections.abc import Iterable, Sequence

from backtest.divergence import NOWHERE, Tolerances, Trade, Word
from backtest.market_time import at


def judged(simulated: Iterable[Trade], words: Iterable[Word], length_ms: int, end_ms: int) -> tuple[int, str]:
    """Return the open time of the last candle that is judged, and in words what lies behind it.

    length_ms: of a candle. end_ms: open time of the last candle; it is judged where nobody adjusted.
    """
    wanted = _of_run(words, Tolerances())
    times = [word.t_ms for word in wanted]
    times += [trade.adjusted_ms for trade in simulated if trade.adjusted_ms != NOWHERE]
    first = min(times, default=end_ms + length_ms)
    if first >= end_ms + length_ms:
        return end_ms, ""
    since = first - first % length_ms
    additions = sum(word.side == "buy" for word in wanted)
    return since - length_ms, (
        f"not judged from {at(since)} on, when positions were first adjusted: {additions} additions and"
        f" {len(wanted) - additions} partial exits of the run, and what follows from them, are not compared"
    )


def before(trades: Sequence[Trade], t_ms: int) -> list[Trade]:
    """Return the trades as they were when a candle began; what ended later was still open."""
    return [each if each.closed_ms < t_ms else each.still_open() for each in trades if each.opened_ms < t_ms]


def _of_run(words: Iterable[Word], tolerances: Tolerances) -> list[Word]:
    """What a run wanted of positions it held, besides leaving them."""
    found: list[Word] = []
    held: dict[str, tuple[float, float]] = {}  # by pair: what is left, and of how much
    for word in sorted(words, key=lambda w: (w.t_ms, w.pair, w.side, w.why, w.filled)):
        left, most = held.get(word.pair, (0.0, 0.0))
        if word.side == "buy":
            if left > 0.0:
                found.append(word)
            left, most = left + word.filled, most + word.filled
        elif word.side == "sell" and left > 0.0:
            if word.wanted < left * (1 - tolerances.amount) and not word.is_foreign:
                found.append(word)
            left -= word.filled
            if left <= tolerances.amount * most:  # fees and lots leave a little
                left = most = 0.0
        held[word.pair] = (left, most)
    return found
