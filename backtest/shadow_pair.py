"""One pair of a strategy: its simulated trades beside the positions of the run, laid together.

Problem: the run has words (what the strategy wanted, and what became of it), the simulation has trades. A
position is the trade of its candle, or of the candle that it is late for.

Not here: what a difference means (`shadow_entries`, `shadow_exits`). Invariant: every trade has at most one
position, every position at most one trade; a word is in a position if anything of it was filled.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from backtest.divergence import CODE, Divergence, Fault, Figure, Tolerances, Trade, Word
from backtest.exit_rules import ExitRules
from backtest.market_time import at

Rates = Callable[[str, int, int], tuple[float, float] | None]
"""Lowest and highest rate at which a pair could be sold from a time on until before another."""


Signals = Callable[[str, int], bool]
"""Whether a pair's newest closed candle says to leave but may wait for a profit, at the open of the next."""


def no_signals(pair: str, t_ms: int) -> bool:
    """Know no signals."""
    return False


def no_rates(pair: str, begin_ms: int, end_ms: int) -> tuple[float, float] | None:
    """Know no rates."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which a strategy trades; ``last_ms`` is the open time of the last candle both sides have.

    ``remembers``: whether it enters depends on its trades before (protections, `confirm_trade_entry`).
    """

    timeframe_ms: int
    last_ms: int
    max_open_trades: float = float("inf")
    has_fixed_stake: bool = False
    remembers: bool = False
    fee: float = 0.0
    rules: ExitRules = field(default_factory=ExitRules)
    rates: Rates = no_rates
    signals: Signals = no_signals
    tolerances: Tolerances = field(default_factory=Tolerances)

    def candle(self, t_ms: int) -> int:
        """The open time of the candle a time is in."""
        return t_ms - t_ms % self.timeframe_ms

    def is_late(self, word: Word, due_ms: int) -> bool:
        """Whether a word rests on what had closed by `due_ms` and came after that candle."""
        return word.due_ms == due_ms and self.candle(word.t_ms) > due_ms


@dataclass(slots=True)
class Held:
    """A position of the run: the word that opened it, and those that sold of it."""

    entry: Word
    exits: list[Word] = field(default_factory=list)
    is_closed: bool = False

    @property
    def closed_ms(self) -> int | None:
        """When the last of it was sold."""
        return self.exits[-1].t_ms if self.is_closed else None


@dataclass(slots=True)
class Draft:
    """A divergence before it is known whether it follows from another.

    ``is_led``: the two already held different things of this pair. ``needs_slot``: it would not be if "run"
    (or "simulation") had a free slot. ``shared``: what it has in common with others, of any pair.
    """

    made: Divergence
    is_led: bool = False
    needs_slot: str = ""
    shared: str = ""


def positions(words: Iterable[Word], tolerances: Tolerances) -> tuple[list[Held], list[Word]]:
    """Make positions of what was filled; returns them and the words that got nothing, both in order."""
    held: list[Held] = []
    unheard: list[Word] = []
    left = 0.0
    for word in words:
        if word.side and not word.filled:
            unheard.append(word)
        elif word.side == "buy" and left <= 0.0:
            held.append(Held(word))
            left = word.filled
        elif word.side == "buy":
            left += word.filled
        elif word.side and held and not held[-1].is_closed:
            held[-1].exits.append(word)
            left -= word.filled
            # Fees and lots leave a little; what was wanted and not sold is still held, however little it is.
            is_all = word.filled >= word.wanted * (1 - tolerances.exact)
            if is_all and left <= tolerances.amount * held[-1].entry.filled:
                held[-1].is_closed, left = True, 0.0
    return held, unheard


class Pair:
    """See the module; trades and words are in the order of time."""

    def __init__(
        self, pair: str, trades: list[Trade], words: list[Word], faults: Sequence[Fault], terms: Terms
    ) -> None:
        self.pair, self.trades, self.terms = pair, trades, terms
        self.held, self.unheard = positions(words, terms.tolerances)
        self.told: set[int] = set()  # words of which something was said, by identity
        self._blind = [word for word in words if not word.side]
        self._faults = [each for each in faults if each.pair in ("", pair)]
        self.partners = self._matched()
        taken = {id(held) for held in self.partners.values()}
        self.surplus = [held for held in self.held if id(held) not in taken]

    def _matched(self) -> dict[int, Held]:
        by_candle: dict[int, Held] = {}
        for held in self.held:
            by_candle.setdefault(self.terms.candle(held.entry.t_ms), held)
        found = {
            k: by_candle[each.opened_ms] for k, each in enumerate(self.trades) if each.opened_ms in by_candle
        }
        taken = {id(held) for held in found.values()}
        for k, trade in enumerate(self.trades):
            late = (
                h for h in self.held if id(h) not in taken and self.terms.is_late(h.entry, trade.opened_ms)
            )
            held_late = next(late, None) if k not in found else None
            if held_late is not None:
                found[k] = held_late
                taken.add(id(held_late))
        return found

    def draft(self, t: int, cause: str, what: str, sentence: str, **figures: Figure) -> Draft:
        """Begin a divergence of this pair."""
        return Draft(
            Divergence(
                pair=self.pair, t_ms=t, cause=cause, what=what, sentence=sentence, figures=dict(figures)
            )
        )

    def fault(self, t: int, *, is_entry: bool) -> Fault | None:
        """What kept the strategy from speaking at a candle, if known; entries are said as it opens."""
        for fault in self._faults:
            opens = not is_entry or fault.cause == CODE
            end = t + (self.terms.timeframe_ms if opens else self.terms.tolerances.boundary_ms)
            if fault.t_ms < end and max(fault.until_ms, fault.t_ms) >= t:
                return fault
        return None

    def faulted(self, t: int, what: str, fault: Fault) -> Draft:
        """Begin a divergence for what was not said because of a fault; one that lasts is one for all."""
        does = "enters" if what == "entry" else "leaves"
        text = f"the backtest {does} at {at(t)}, the run says nothing: {fault.text}"
        draft = self.draft(t, fault.cause, what, text)
        draft.shared = fault.text if fault.until_ms > fault.t_ms else ""
        return draft

    def unasked(self, t: int) -> Word | None:
        """The analysis at a candle for which the desk opened no round, or in which it was not answered."""
        at_it = (w for w in self._blind if t in (w.due_ms, self.terms.candle(w.t_ms)))
        return next(at_it, None)

    def is_held(self, t: int) -> bool:
        """Whether the run holds a position at a time that was opened before it."""
        return any(h.entry.t_ms < t and (h.closed_ms is None or t < h.closed_ms) for h in self.held)

    def is_in_trade(self, t: int) -> bool:
        """Whether the simulation enters a candle with a trade; it leaves after it enters."""
        return any(each.opened_ms < t and (not each.is_closed or t <= each.closed_ms) for each in self.trades)

    def leaves(self, t: int) -> bool:
        """Whether the simulation leaves a trade in a candle."""
        return any(each.is_closed and each.closed_ms == t for each in self.trades)
