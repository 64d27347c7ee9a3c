"""A strategy's run beside its backtest: every difference with its one cause.

Problem: "why does it trade otherwise than in the backtest?" is the most asked question about bots. There are
three courses of one strategy: A, simulated on the reference's candles; B, simulated on the candles the desk
saw; and the run. A beside B shows what the candles did, B beside the run what was done on them.

Not here: reading a run's journal and simulating (`runtime.shadow`). Invariant: three equal courses have no
divergence; the order in which anything is given does not matter.
"""

from collections.abc import Sequence

from backtest.divergence import CandleChange, Compared, Fault, Trade, Word
from backtest.shadow_candles import between_simulations
from backtest.shadow_execution import against_run
from backtest.shadow_pair import Terms


def compare(
    reference: Sequence[Trade],
    seen: Sequence[Trade],
    words: Sequence[Word],
    terms: Terms,
    changes: Sequence[CandleChange] = (),
    faults: Sequence[Fault] = (),
) -> Compared:
    """Compare one strategy's run with its simulations on the reference's candles and on those seen."""
    done, fills = against_run(seen, words, faults, terms)
    found = [*between_simulations(reference, seen, changes, terms.tolerances), *done]
    return Compared(
        divergences=tuple(sorted(found, key=lambda each: (each.t_ms, each.pair, each.what, each.cause))),
        slippage_bps=tuple(fills.slippage_bps), entries=fills.entries, exits=fills.exits,
    )  # fmt: skip
