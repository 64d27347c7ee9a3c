"""Simulated trades, and a run's words that say the same: what a shadow backtest compares.

Invariant: `words_of(trades)` differ from the trades in nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from backtest.divergence import Compared, Trade, Word
from backtest.exit_rules import ExitRules
from backtest.shadow import compare
from backtest.shadow_pair import Terms

MINUTE = 60_000
CANDLE = 5 * MINUTE
BEGIN = 1_709_251_200_000  # 2024-03-01
FEE = 0.001
RULES = ExitRules(minimal_roi=((0, 0.02), (60, 0.01)), stoploss=-0.05, fee=FEE)
TERMS = Terms(
    timeframe_ms=CANDLE, last_ms=BEGIN + 1000 * CANDLE, max_open_trades=3, has_fixed_stake=True, fee=FEE,
    rules=RULES,
)  # fmt: skip


def a_trade(candle: int = 10, until: int | None = 20, pair: str = "AAA/USDT", **over: Any) -> Trade:
    """Return a trade from one candle of the run to another, or to the end of the candles."""
    made = Trade(pair=pair, opened_ms=BEGIN + candle * CANDLE, open_rate=100.0, amount=1.0, enter_tag="dip")
    if until is not None:
        made = replace(made, closed_ms=BEGIN + until * CANDLE, close_rate=101.0, exit_reason="exit_signal")
    return replace(made, **over)


def entry_of(trade: Trade, **over: Any) -> Word:
    """Return the word that enters a trade, filled as the simulation has it."""
    made = Word(
        pair=trade.pair, side="buy", t_ms=trade.opened_ms, due_ms=trade.opened_ms, why=trade.enter_tag,
        wanted=trade.amount, granted=trade.amount, filled=trade.amount, price=trade.open_rate, fee=FEE,
    )  # fmt: skip
    return replace(made, **over)


def exit_of(trade: Trade, **over: Any) -> Word:
    """Return the word that leaves a trade, filled as the simulation has it."""
    made = Word(
        pair=trade.pair, side="sell", t_ms=trade.closed_ms, due_ms=trade.closed_ms, why=trade.exit_reason,
        wanted=trade.amount, granted=trade.amount, filled=trade.amount, price=trade.close_rate, fee=FEE,
    )  # fmt: skip
    return replace(made, **over)


def words_of(trades: Iterable[Trade]) -> list[Word]:
    """Return the words of a run that trades just so."""
    found: list[Word] = []
    for trade in trades:
        found += [entry_of(trade), exit_of(trade)] if trade.is_closed else [entry_of(trade)]
    return found


def run(trades: Iterable[Trade], words: Iterable[Word], terms: Terms = TERMS, **more: Any) -> Compared:
    """Compare a run with one simulation, on candles that are the reference's."""
    simulated = list(trades)
    return compare(simulated, simulated, list(words), terms, **more)


def causes(compared: Compared) -> list[str]:
    """Return the causes that stand for themselves, in the order of time."""
    return [each.cause for each in compared.divergences if not each.follows]
