"""Entries of a run that are not those of its simulation.

Not here: prices and amounts of one that both have (`shadow_fills`). Invariant: one divergence at most for
each entry of either side, and one for a candle.
"""

from collections.abc import Iterator

from backtest.divergence import CODE, LATENCY, Trade, Word
from backtest.market_time import at
from backtest.shadow_fills import Fills, differs_in_fill, lost
from backtest.shadow_pair import Draft, Held, Pair


def compare_entry(pair: Pair, trade: Trade, held: Held, fills: Fills) -> Draft | None:
    """Compare an entry that both have."""
    word, terms, t = held.entry, pair.terms, trade.opened_ms
    if terms.candle(word.t_ms) != t:
        late = (terms.candle(word.t_ms) - t) // terms.timeframe_ms
        text = f"the entry due at {at(t)} was decided at {at(word.t_ms)}, {late} candles later"
        return pair.draft(t, LATENCY, "entry", text, late_ms=word.t_ms - t)
    if word.why != trade.enter_tag:
        text = f"the run enters at {at(word.t_ms)} for {word.why!r}, the backtest for {trade.enter_tag!r}"
        return pair.draft(t, CODE, "entry", text)
    fills.entries += 1
    stake = trade.amount * trade.open_rate if terms.has_fixed_stake else 0.0
    other = differs_in_fill(word, trade.open_rate, stake, terms.fee, terms.tolerances, fills)
    if other is None:
        return None
    return pair.draft(t, other.cause, "entry", other.sentence, **other.figures)


def missing_entry(pair: Pair, trade: Trade) -> Draft:
    """Say why the run has no position where the simulation enters."""
    t, terms = trade.opened_ms, pair.terms
    buys = [word for word in pair.unheard if word.side == "buy"]
    for word in buys:
        if terms.candle(word.t_ms) == t:
            pair.told.add(id(word))
            gone = lost(word, "entry")
            return pair.draft(t, gone.cause, "entry", gone.sentence, **gone.figures)
    for word in buys:
        if terms.is_late(word, t):
            pair.told.add(id(word))
            text = f"the entry due at {at(t)} was wanted only at {at(word.t_ms)}, and not filled then"
            return pair.draft(t, LATENCY, "entry", text, late_ms=word.t_ms - t)
    unasked = pair.unasked(t)
    if unasked is not None:
        text = f"the strategy had something to say at {at(t)} and was not heard: {unasked.objection}"
        return pair.draft(t, unasked.lost, "entry", text)
    fault = pair.fault(t, is_entry=True)
    if fault is not None:
        return pair.faulted(t, "entry", fault)
    text = f"the backtest enters at {at(t)}, the run's strategy says nothing on the same candles"
    draft = pair.draft(t, CODE, "entry", text, rate=trade.open_rate)
    draft.is_led, draft.needs_slot = pair.is_held(t), "run"
    return draft


def surplus_entries(pair: Pair) -> Iterator[Draft]:
    """Tell the entries of the run, filled or only wanted, that the simulation does not have."""
    for held in pair.surplus:
        yield _wanted(pair, held.entry, f"the run enters at {at(held.entry.t_ms)}")
    entered = {each.opened_ms for each in pair.trades}
    for word in pair.unheard:
        # One that was wanted again within its candle is the entry it became.
        if word.side == "buy" and id(word) not in pair.told and pair.terms.candle(word.t_ms) not in entered:
            yield _wanted(pair, word, f"the run wants to enter at {at(word.t_ms)}")


def _wanted(pair: Pair, word: Word, what: str) -> Draft:
    t = pair.terms.candle(word.t_ms)
    text = f"{what} for {word.why!r}, the backtest does not on the same candles"
    draft = pair.draft(t, CODE, "entry", text, rate=word.price)
    draft.is_led, draft.needs_slot = pair.is_in_trade(t), "simulation"
    return draft
