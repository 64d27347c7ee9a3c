"""What a run's journal says of its freqtrade strategies: candles seen, words said, orders filled.

Problem: a strategy's word, the desk's answer and the venue's fills are a dozen records of three processes. To
be laid beside a backtest, they become one `Word` for each thing a strategy wanted.

Not here: what is compared with it (`runtime.shadow`), which strategy runs how (its `AgentSpec`).

Invariant: records are taken in journal order, each once; nothing is inferred that nobody said.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from backtest.divergence import CODE, DESK, FILL, LATENCY, NOWHERE, Fault, Word
from parley.agent import AgentSpec
from parley.messages import (
    AgentFaulted,
    Analysed,
    AnalysisReady,
    Cfp,
    CounterReply,
    Decision,
    Fill,
    GateRefusal,
    Intent,
    Late,
    MarketBatch,
    Message,
    NotUnderstood,
    Proposal,
    Shed,
    Shutdown,
    Silence,
    Trigger,
    VenueReject,
    Void,
)
from runtime.history import Entry, kinds
from runtime.shadow_words import SEAT, Heard, Order, add_fill, lose, objection

HOST: Final = "runtime.freqtrade_agent:make"
FACTORIES: Final = frozenset({HOST, SEAT})
HEARD: Final = kinds(
    "MarketBatch", "AnalysisReady", "Analysed", "Trigger", "Shed", "Cfp", "Proposal", "CounterReply",
    "Decision", "Intent", "Fill", "VenueReject", "Void", "GateRefusal", "Silence", "Late", "NotUnderstood",
    "AgentFaulted", "Shutdown",
)  # fmt: skip
_MS: Final = 1_000_000
_UNHEARD: Final = "silent"  # the code of a refusal for want of an answer
_SLEEP: Final = re.compile(r"asleep for ([0-9.e+]+) s")  # as the desk says of one that was late too often
_EVER: Final = 1 << 62
Candle = tuple[float, float, float, float, float]


@dataclass(slots=True)
class _Round:
    """A round that a strategy asked for."""

    agent: str
    symbol: str
    due_ms: int
    order: Order | None = None
    unheard: str = ""
    only_reduces: bool = False
    silent: list[str] = field(default_factory=list)  # agents that were asked and did not answer


class RunHeard:
    """Folds a run's journal; see the module. mute: roles that its settings let never answer."""

    def __init__(self, specs: Iterable[AgentSpec], tf_ns: int, mute: Collection[str] = ()) -> None:
        self.strategies = {spec.id: Heard(spec) for spec in specs if spec.factory in FACTORIES}
        self.candles: dict[str, dict[int, Candle]] = {}
        self.is_over = False
        self.seq = 0
        self._mute = frozenset(mute)
        self._tf_ms, self._tf_ns = tf_ns // _MS, tf_ns
        self._bids: dict[str, dict[int, tuple[float, float]]] = {}
        self._now = 0  # ms
        self._recv = 0  # wall ns
        self._asleep: dict[str, tuple[int, int]] = {}  # until when, wall ns, and the place of its fault
        self._ready: dict[tuple[str, str], int] = {}  # what an analysis rests on, until its round opens
        self._rounds: dict[bytes, _Round] = {}
        self._by_pid: dict[bytes, Order] = {}
        self._by_iid: dict[bytes, Order] = {}

    @property
    def last_ms(self) -> int:
        """Open time of the newest candle seen, ms; `NOWHERE` before the first."""
        return max((max(each) for each in self.candles.values()), default=NOWHERE)

    @property
    def first_ms(self) -> int:
        """Open time of the oldest candle seen."""
        return min((min(each) for each in self.candles.values()), default=NOWHERE)

    def has_enough(self, held_back: int) -> bool:
        """Whether more candles were seen than are held back."""
        return self.last_ms - held_back * self._tf_ms >= self.first_ms != NOWHERE

    def rates(self, pair: str, begin_ms: int, end_ms: int) -> tuple[float, float] | None:
        """Lowest and highest bid of a pair in the candles from one open time until before another."""
        known = self._bids.get(pair, {})
        met = [known[t] for t in range(begin_ms, end_ms, self._tf_ms) if t in known]
        return (min(low for low, _ in met), max(high for _, high in met)) if met else None

    def take(self, entries: Iterable[Entry]) -> None:
        """Fold records, in order."""
        for entry in entries:
            if entry.t_recv or isinstance(entry.message, MarketBatch):
                self._unserved()  # from outside: what opened no round in its own cascade gets none any more
            self.seq, self._recv = entry.seq, max(self._recv, entry.t_recv)
            self._take(entry.message, entry.round)

    def _take(self, message: Message, round_: bytes) -> None:
        match message:
            case MarketBatch():
                self._see(message)
            case AnalysisReady():
                self._analysed((message,))
            case Analysed():
                self._analysed(message.ready)
                self._not_placed(message)
            case AgentFaulted() if message.agent in self.strategies:
                self._fault(message)
            case Shutdown():
                self.is_over = True
            case Shed() if message.kind == "analysis":
                self._shed(message)
            case Trigger():
                due = self._ready.pop((message.source, message.symbol), NOWHERE)
                self._rounds[round_] = _Round(message.source, message.symbol, due)
            case Cfp() if round_ in self._rounds:
                self._rounds[round_].only_reduces = message.reduce_only
            case Proposal() if message.agent in self.strategies:
                self._propose(message, round_)
            case CounterReply(proposal=Proposal() as revised) if revised.pid != revised.parent_pid:
                order = self._by_pid.get(revised.parent_pid) or self._by_pid.get(message.pid)
                if order is not None:
                    self._by_pid[revised.pid] = order
            case Late(stage="tell") if message.agent in self.strategies:
                why = "its process was away when the news came"
                self.strategies[message.agent].faults.append(Fault("", self._now, why, LATENCY))
            case Silence() | Late() if round_ in self._rounds:
                self._unanswered(message, self._rounds[round_])
            case NotUnderstood() if round_ in self._rounds:
                opened = self._rounds[round_]
                if opened.order is not None and message.agent == opened.agent:
                    lose(opened.order, CODE, f"{message.code} {message.detail}")
            case Decision():
                self._decide(message, self._rounds.pop(round_, None))
            case _:
                self._execute(message)

    # the market

    def _see(self, batch: MarketBatch) -> None:
        self._now = batch.t // _MS
        for agent, (until, at) in self._asleep.items():
            if self._recv < until:
                faults = self.strategies[agent].faults
                faults[at] = replace(faults[at], until_ms=self._now)
        for bar in batch.bars:
            if bar.tf_ns == self._tf_ns:
                candle = (bar.open, bar.high, bar.low, bar.close, bar.volume)
                self.candles.setdefault(bar.symbol, {})[bar.t_open // _MS] = candle
        closing = {bar.symbol for bar in batch.bars}
        now = self._now - self._now % self._tf_ms
        for book in batch.books:
            if book.bids:
                known, bid = self._bids.setdefault(book.symbol, {}), book.bids[0][0]
                # What is bid when a candle closes is still what that candle was worth.
                for t in (now - self._tf_ms, now) if book.symbol in closing else (now,):
                    low, high = known.get(t, (bid, bid))
                    known[t] = (min(low, bid), max(high, bid))

    # the strategies' words

    def _analysed(self, ready: Sequence[AnalysisReady]) -> None:
        for each in ready:
            heard = self.strategies.get(each.agent)
            if heard is not None:
                t = each.t_candle // _MS
                due = t - t % self._tf_ms if heard.spec.factory == SEAT else t + self._tf_ms
                self._ready[each.agent, each.symbol] = due

    def _not_placed(self, message: Analysed) -> None:
        """Tell of orders that were too small for the venue, or had no book: nobody was asked about them."""
        for line in message.dropped if message.agent in self.strategies else ():
            symbol = line.partition(" ")[0]
            self._blind(message.agent, symbol, self._now - self._now % self._tf_ms, FILL, line)

    def _fault(self, message: AgentFaulted) -> None:
        until = _EVER if message.quarantined else self._now
        faults = self.strategies[message.agent].faults
        sleep = _SLEEP.match(message.error)
        if sleep:
            self._asleep[message.agent] = (self._recv + int(float(sleep[1]) * 1e9), len(faults))
            faults.append(Fault("", self._now, message.error, LATENCY, self._now))
            return
        for line in message.error.split("; "):
            pair = line.partition(" ")[0]
            about = pair if pair in self.candles else ""
            told = f"{line}, and is not asked any more" if message.quarantined else line
            faults.append(Fault(about, self._now, told, CODE, until))

    def _unserved(self) -> None:
        """Tell of analyses for which no round was opened in their own cascade."""
        for (agent, symbol), due in sorted(self._ready.items()):
            sleeps = self._recv < self._asleep.get(agent, (0, 0))[0]
            why = "it slept, for it had been late too often" if sleeps else "the desk opened no round"
            self._blind(agent, symbol, due, LATENCY if sleeps else DESK, why)
        self._ready.clear()

    def _shed(self, message: Shed) -> None:
        for (agent, symbol), due in sorted(self._ready.items()):
            if symbol == message.symbol:
                del self._ready[agent, symbol]
                said = " ".join(part for part in (message.code, message.detail) if part)
                self._blind(agent, symbol, due, DESK, f"the desk opened no round: {said}")
                return

    def _blind(self, agent: str, symbol: str, due: int, cause: str, why: str) -> None:
        self.strategies[agent].blind.append(
            Word(pair=symbol, side="", t_ms=self._now, due_ms=due, lost=cause, objection=why)
        )

    def _unanswered(self, message: Silence | Late, opened: _Round) -> None:
        if message.agent not in opened.silent:
            opened.silent.append(message.agent)
        if message.agent == opened.agent and opened.order is None:
            by = f", {message.by_ns / 1e6:.0f} ms late" if isinstance(message, Late) else ""
            opened.unheard = f"it did not answer in time ({message.stage}{by})"

    def _propose(self, proposal: Proposal, round_: bytes) -> None:
        opened = self._rounds.setdefault(round_, _Round(proposal.agent, proposal.symbol, NOWHERE))
        order = Order(proposal, opened.due_ms, self._now)
        opened.order = order
        self._by_pid[proposal.pid] = order
        self.strategies[proposal.agent].orders.append(order)

    # the desk and the venue

    def _decide(self, decision: Decision, opened: _Round | None) -> None:
        if opened is None or (opened.agent not in self.strategies and opened.order is None):
            return
        order = opened.order
        if order is None:
            if opened.unheard:
                self._blind(opened.agent, opened.symbol, opened.due_ms, LATENCY, opened.unheard)
            elif self._now - opened.due_ms >= self._tf_ms and opened.due_ms != NOWHERE:
                why = f"it said so {(self._now - opened.due_ms) / 1000:.0f} s after the candle had closed"
                self._blind(opened.agent, opened.symbol, opened.due_ms, LATENCY, why)
            elif opened.only_reduces:
                why = "the desk opened a round for reductions only"
                self._blind(opened.agent, opened.symbol, opened.due_ms, DESK, why)
            return
        order.t_ms = decision.t // _MS or order.t_ms
        accepted = decision.action == "accept" and self._by_pid.get(decision.pid) is order
        order.granted = decision.qty if accepted else Decimal(0)
        if order.granted < order.proposal.legs[0].qty and not order.lost:
            order.lost = LATENCY if decision.action in ("expired", "void") else DESK
            order.objection = objection(decision)
            who, code, _ = decision.reasons[0] if decision.reasons else ("", "", "")
            if decision.action == "reject" and code == _UNHEARD and who not in self._mute:
                # The role's, where nobody of it was asked: it sleeps, for it was late too often.
                agents = [each for each in opened.silent if each.partition("/")[0] == who] or [who]
                order.lost = LATENCY
                order.objection = f"{' and '.join(agents)} did not answer in time"

    def _execute(self, message: Message) -> None:
        match message:
            case Intent() if message.pid in self._by_pid:
                self._by_iid[message.iid] = self._by_pid[message.pid]
            case Fill() if message.iid in self._by_iid:
                add_fill(self._by_iid[message.iid], message)
            case VenueReject(cancel=False) if message.iid in self._by_iid:
                lose(self._by_iid[message.iid], FILL, f"the venue refused: {message.code} {message.detail}")
            case GateRefusal() if message.iid in self._by_iid:
                lose(
                    self._by_iid[message.iid], DESK, f"gate: {message.code}, {message.value} > {message.cap}"
                )
            case Void():
                for iid in message.iids:
                    if iid in self._by_iid:
                        lose(self._by_iid[iid], LATENCY, f"it was decided too late to be sent: {message.why}")
            case _:
                pass
