"""Exits of a run that are not those of its simulation.

Problem: a signal is the same for both once a candle has closed, but a return or a stop is judged on a
candle's high and low in the one and on the rates that were met in the other. So an exit in another candle is
a defect only if the rates do not explain it.

Not here: prices and amounts of one that both have (`shadow_fills`). Invariant: one divergence at most for
each exit of either side, and one for a candle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from backtest.divergence import CODE, FILL, LATENCY, Trade, Word
from backtest.exit_rules import JUDGED_ON_RATES, ROI
from backtest.market_time import at
from backtest.shadow_fills import Fills, differs_in_fill, lost
from backtest.shadow_pair import Draft, Held, Pair


def compare_exit(pair: Pair, trade: Trade, held: Held, fills: Fills) -> Draft | None:
    """Compare how a trade that both have entered ends."""
    ours = None if held.closed_ms is None else _candle(pair, held.exits[-1], trade.closed_ms)
    if not trade.is_closed and ours is None:
        return None
    if ours is not None and held.exits[-1].is_foreign and (not trade.is_closed or ours <= trade.closed_ms):
        gone = lost(held.exits[-1], "exit")
        return pair.draft(ours, gone.cause, "exit", gone.sentence)
    if trade.is_closed and ours == trade.closed_ms:
        return _same_candle(pair, trade, held, fills)
    if trade.is_closed and (ours is None or ours > trade.closed_ms):
        return _kept(pair, trade, held)
    return _early(pair, trade, held)


def surplus_exits(pair: Pair) -> Iterator[Draft]:
    """Tell the exits that the run only wanted and the simulation does not have."""
    left = {each.closed_ms for each in pair.trades}
    for word in pair.unheard:
        t = pair.terms.candle(word.t_ms)
        if word.side != "sell" or id(word) in pair.told or t in left:
            continue
        text = f"the run wants to leave at {at(word.t_ms)} for {word.why!r}, the backtest does not"
        draft = pair.draft(t, CODE, "exit", text)
        draft.is_led = not pair.is_in_trade(t)
        yield draft


def _candle(pair: Pair, word: Word, wanted: int) -> int:
    """The candle a word is of; a rate met while a candle closes may be of that one."""
    t = pair.terms.candle(word.t_ms)
    before = t - pair.terms.timeframe_ms
    is_boundary = word.t_ms - t <= pair.terms.tolerances.boundary_ms
    return before if before == wanted and is_boundary and word.why in JUDGED_ON_RATES else t


def _same_candle(pair: Pair, trade: Trade, held: Held, fills: Fills) -> Draft | None:
    t = trade.closed_ms
    sold = [word for word in held.exits if _candle(pair, word, t) == t]
    word = _together(sold)
    if word.why != trade.exit_reason:
        text = f"the run leaves at {at(word.t_ms)} for {word.why!r}, the backtest for {trade.exit_reason!r}"
        if trade.exit_reason in JUDGED_ON_RATES and _is_of_rates(pair, word, t, held.entry.price):
            return pair.draft(t, FILL, "exit", f"{text}: what was met first in that candle differs")
        return pair.draft(t, CODE, "exit", f"{text} on the same candles")
    fills.exits += 1
    other = differs_in_fill(word, trade.close_rate, 0.0, pair.terms.fee, pair.terms.tolerances, fills)
    return None if other is None else pair.draft(t, other.cause, "exit", other.sentence, **other.figures)


def _is_signal(pair: Pair, word: Word, t: int, entered: float) -> bool:
    """Whether a word is a signal that was there and only waited for a profit."""
    return pair.terms.signals(pair.pair, t) and pair.terms.rules.may_leave(entered, word.price)


def _is_of_rates(pair: Pair, word: Word, t: int, entered: float) -> bool:
    """Whether a word can be said within a candle, when a rate asks for it."""
    return word.why in JUDGED_ON_RATES or pair.terms.rules.has_own_exits or _is_signal(pair, word, t, entered)


def _together(words: Sequence[Word]) -> Word:
    """Join the sales of one position within a candle: what was left was wanted again."""
    if len(words) == 1:
        return words[0]
    filled = sum(each.filled for each in words)
    return replace(
        words[-1],
        wanted=words[0].wanted,
        granted=max(filled, words[0].granted),
        filled=filled,
        price=sum(each.filled * each.price for each in words) / filled,
        fee=sum(each.filled * each.price * each.fee for each in words)
        / sum(each.filled * each.price for each in words),
    )


def _kept(pair: Pair, trade: Trade, held: Held) -> Draft:
    """The simulation leaves, and the run does so later or not at all."""
    t, terms = trade.closed_ms, pair.terms
    wanted = [word for word in pair.unheard if word.side == "sell" and word.t_ms >= held.entry.t_ms]
    tried = sorted((*held.exits, *wanted), key=lambda each: each.t_ms)
    for word in tried:
        if _candle(pair, word, t) == t and word.why == trade.exit_reason:
            pair.told.add(id(word))
            gone = lost(word, "exit")
            return pair.draft(t, gone.cause, "exit", gone.sentence, **gone.figures)
    for word in tried:
        if terms.is_late(word, t):
            pair.told.add(id(word))
            text = f"the exit due at {at(t)} was decided only at {at(word.t_ms)}"
            return pair.draft(t, LATENCY, "exit", text, late_ms=word.t_ms - t)
    unasked = pair.unasked(t)
    if unasked is not None:
        text = f"the strategy had something to say at {at(t)} and was not heard: {unasked.objection}"
        return pair.draft(t, unasked.lost, "exit", text)
    fault = pair.fault(t, is_entry=False)
    if fault is not None:
        return pair.faulted(t, "exit", fault)
    return _not_reached(pair, trade, held, tried)


def _not_reached(pair: Pair, trade: Trade, held: Held, tried: Sequence[Word]) -> Draft:
    """Nothing was said: because the rates did not ask for it, or though they did."""
    t, terms, reason = trade.closed_ms, pair.terms, trade.exit_reason
    end = t + terms.timeframe_ms
    met = terms.rates(pair.pair, t, end)
    text = f"the backtest leaves at {at(t)} for {reason!r} at {trade.close_rate:g}, the run says nothing"
    if reason in JUDGED_ON_RATES and met is not None:
        # A high of the same candle may have come after its low: it moves no stop for sure.
        before = terms.rates(pair.pair, terms.candle(held.entry.t_ms), t)
        highest = max(held.entry.price, before[1] if before else 0.0)
        best = met[1] if reason == ROI else met[0]
        margin = 1 + terms.tolerances.fill_bps / 1e4
        clear = best / margin if reason == ROI else best * margin
        due = terms.rules.is_due(reason, held.entry.price, clear, highest / margin, t - held.entry.t_ms)
        if not due:
            is_met = best >= trade.close_rate if reason == ROI else best <= trade.close_rate
            text += ": the rates it met had not brought its stop there" if is_met else ""
            text += f" ({met[0]:g} to {met[1]:g} in that candle)"
            return pair.draft(t, FILL, "exit", text, backtest=trade.close_rate, met=best)
    elif met is not None and not terms.rules.may_leave(held.entry.price, met[1]):
        return pair.draft(t, FILL, "exit", f"{text}: at its rates that was no profit")
    soon = (w for w in tried if w.why == reason and w.t_ms < end + terms.timeframe_ms)
    if terms.rules.has_own_exits and next(soon, None) is not None:
        return pair.draft(t, FILL, "exit", f"{text} until the next candle: its rates were others")
    return pair.draft(t, CODE, "exit", text, rate=trade.close_rate)


def _early(pair: Pair, trade: Trade, held: Held) -> Draft:
    """The run leaves, and the simulation stays."""
    word, terms = held.exits[-1], pair.terms
    t = terms.candle(word.t_ms)
    entered, price = held.entry.price, word.price
    text = f"the run leaves at {at(word.t_ms)} for {word.why!r}, the backtest does not in that candle"
    as_later = trade.is_closed and trade.exit_reason == word.why
    if word.why in JUDGED_ON_RATES:
        met = terms.rates(pair.pair, terms.candle(held.entry.t_ms), t + terms.timeframe_ms)
        highest = max(price, entered, met[1] if met else 0.0)
        margin = 1 + terms.tolerances.fill_bps / 1e4
        near = price * margin if word.why == ROI else price / margin
        due = terms.rules.is_due(word.why, entered, near, highest * margin, word.t_ms - held.entry.t_ms)
        if due or (due is None and as_later):
            text += f": at {price:g} it was due"
            return pair.draft(t, FILL, "exit", text, rate=price, entered=entered)
    elif terms.rules.has_own_exits and as_later and trade.closed_ms <= t + terms.timeframe_ms:
        return pair.draft(t, FILL, "exit", f"{text} but in the next: its rates were others", rate=price)
    elif _is_signal(pair, word, t, entered):
        text += f": the signal was there, and the profit at {price:g}"
        return pair.draft(t, FILL, "exit", text, rate=price, entered=entered)
    return pair.draft(t, CODE, "exit", text, rate=price)
