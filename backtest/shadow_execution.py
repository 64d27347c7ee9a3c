"""Where a run differs from the simulation on the very candles it saw: the causes code, latency, fill, desk.

Problem: a trade that the one has and the other has not leaves them in different positions, and with other
free slots, so that they differ again without anybody's fault. The first difference has the cause, the others
follow from it until both hold the same again.

Not here: single entries and exits (`shadow_entries`, `shadow_exits`), candles (`shadow_candles`). Invariant:
every entry and every exit of either side is in at most one divergence, whatever the order they are given in;
what lies behind the last candle is in none.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from backtest.divergence import CODE, DESK, FILL, LATENCY, Divergence, Fault, Trade, Word
from backtest.shadow_entries import compare_entry, missing_entry, surplus_entries
from backtest.shadow_exits import compare_exit, surplus_exits
from backtest.shadow_fills import Fills
from backtest.shadow_pair import Draft, Pair, Terms


def against_run(
    seen: Sequence[Trade], words: Sequence[Word], faults: Sequence[Fault], terms: Terms
) -> tuple[list[Divergence], Fills]:
    """Tell every entry and exit in which a run differs from the simulation on the candles it saw."""
    end = terms.last_ms + terms.timeframe_ms
    by_pair: dict[str, tuple[list[Trade], list[Word]]] = defaultdict(lambda: ([], []))
    for trade in sorted(seen, key=lambda each: (each.opened_ms, each.pair)):
        by_pair[trade.pair][0].append(trade)
    for word in sorted(words, key=lambda w: (w.t_ms, w.pair, w.side, w.why, w.filled)):
        if word.t_ms < end:
            by_pair[word.pair][1].append(word)
    ordered = sorted(faults, key=lambda each: (each.t_ms, each.pair, each.text))
    pairs = [Pair(name, *by_pair[name], ordered, terms) for name in sorted(by_pair)]
    fills = Fills()
    drafts = [draft for pair in pairs for draft in _once(_compared(pair, fills))]
    return _lead(drafts, pairs, terms), fills


def _compared(pair: Pair, fills: Fills) -> Iterator[Draft]:
    for k, trade in enumerate(pair.trades):
        held = pair.partners.get(k)
        if held is None:
            yield missing_entry(pair, trade)
            continue
        entry = compare_entry(pair, trade, held, fills)
        if entry is not None:
            yield entry
        left = compare_exit(pair, trade, held, fills)
        if left is not None:
            left.is_led = left.is_led or _leads(entry, left)
            yield left
    yield from surplus_entries(pair)
    yield from surplus_exits(pair)


def _leads(entry: Draft | None, left: Draft) -> bool:
    """Whether an exit differs because its entry did."""
    if entry is None:
        return False
    was, is_ = entry.made.cause, left.made.cause
    return was in (LATENCY, CODE) or (was in (FILL, DESK) and is_ == was)


def _once(drafts: Iterator[Draft]) -> list[Draft]:
    """Keep one of each candle's entries and exits: an order is wanted again until it is filled."""
    found: dict[tuple[int, str], Draft] = {}
    for draft in drafts:
        found.setdefault((draft.made.t_ms, draft.made.what), draft)
    return list(found.values())


def _lead(drafts: list[Draft], pairs: Sequence[Pair], terms: Terms) -> list[Divergence]:
    """Say of each what it follows from, in the order of time."""
    last: dict[str, Divergence] = {}  # by pair, the last for itself
    shared: dict[str, Divergence] = {}
    newest: Divergence | None = None
    found: list[Divergence] = []
    for draft in sorted(drafts, key=lambda each: (each.made.t_ms, each.made.pair, each.made.what)):
        made = draft.made
        lead = last.get(made.pair) if draft.is_led else shared.get(draft.shared)
        if lead is None and draft.needs_slot:
            made, is_full = _without_slot(made, draft.needs_slot, pairs, terms)
            lead = newest if is_full and made.cause == CODE else _remembered(made, last, terms)
        if lead is not None:
            made = replace(made, cause=lead.cause, follows=lead.name)
        else:
            last[made.pair] = newest = made
            if draft.shared:
                shared[draft.shared] = made
        found.append(made)
    return found


def _remembered(made: Divergence, last: Mapping[str, Divergence], terms: Terms) -> Divergence | None:
    """What a strategy that looks at its own trades may have remembered of its pair."""
    before = last.get(made.pair)
    is_near = before is not None and made.t_ms - before.t_ms <= terms.tolerances.memory_ms
    return before if terms.remembers and made.cause == CODE and is_near else None


def _without_slot(
    made: Divergence, side: str, pairs: Sequence[Pair], terms: Terms
) -> tuple[Divergence, bool]:
    """Whether one side had no slot for an entry; that a simulation leaves last is a cause of its own."""
    t = made.t_ms
    if side == "run":
        return made, sum(pair.is_held(t) for pair in pairs) >= terms.max_open_trades
    taken = [pair for pair in pairs if pair.is_in_trade(t)]
    is_full = len(taken) >= terms.max_open_trades
    if is_full and any(pair.leaves(t) for pair in taken):
        told = f"{made.sentence}: a slot that it leaves in that candle is free only for the run"
        return replace(made, cause=FILL, sentence=told), True
    return made, is_full
