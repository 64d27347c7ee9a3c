"""The risk agent: the last word on every proposal, and the breakers.

It answers each review of stage risk with a `Verdict` on the view it holds, resizing where a limit leaves room
and refusing where none does, and it asks the desk by `Breaker` to pause, flatten or cancel: F239-F244, and
for stale data, a venue that turns orders away and leaps of the account's worth (`parley.risk.watches`). A
breaker only ever tightens.

An error of the venue (F242) is an order it refused or left in doubt, and each other call to it that failed;
what the gateway refused by itself, or found out later of an order in doubt, says nothing of the venue.

An opening of contracts that would pay more funding before its horizon than its edge leaves after fees is
refused (`parley.risk.funding`); a rate that is not known refuses nothing.

Not here: the limits' arithmetic (`parley.risk.assess`, which the desk shares), the
gate, and obeying a breaker (the desk).

Invariant: an opening proposal gets ``ok`` only if no breaker of this agent runs;
reductions pass every breaker.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.instruments import assets_of, symbol_of
from parley.messages import (
    LAST_LOOK,
    UNACCEPTED,
    UNGUARDED,
    Bar,
    Breach,
    Breaker,
    Halt,
    LimitsSet,
    Mark,
    MarketBatch,
    Message,
    Proposal,
    Review,
    Stale,
    Unknown,
    VenueFault,
    VenueReject,
    Verdict,
)
from parley.risk import watches
from parley.risk.assess import assess
from parley.risk.changes import changed_all, is_tighter, tightest, value_of
from parley.risk.correlation import Correlations, CorrelationState
from parley.risk.exposure import all_usable, usable
from parley.risk.funding import BPS, left_after_funding
from parley.risk.limits import MINUTE_NS, Limits, limits_of
from parley.risk.spikes import Price, last_minute, spike
from parley.view import FirmView

ZERO = Decimal(0)
FOREVER = 2**62  # market ns: until a person resumes
OWN = (LAST_LOOK, UNACCEPTED)  # what a gateway says by itself


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """``limits`` as `limits_of` reads them; ``verdict_ms`` of market time, ``decay`` a bar (correlations)."""

    limits: dict[str, object] = {}
    verdict_ms: int = 10_000
    decay: float = 0.985
    warm_bars: int = 30


class Memory(msgspec.Struct, kw_only=True):
    """All that the agent remembers; its snapshot is this struct."""

    marks: dict[str, float] = {}
    correlation: CorrelationState = msgspec.field(default_factory=CorrelationState)
    window: dict[str, list[tuple[int, float]]] = {}  # per symbol, the last minute's prices
    spiked: dict[str, int] = {}
    pauses: dict[str, int] = {}  # breaker -> until, market ns
    errors: list[int] = []
    epoch: int = 0
    peak: Decimal = ZERO  # since the drawdown breaker was last armed
    stopped: bool = False
    realised: Decimal = ZERO
    open_symbols: tuple[str, ...] = ()
    trade: Decimal = ZERO  # result of the trades being closed
    trades: list[Decimal] = []  # results of the last closed trades, oldest first
    streak: int = 0
    seen: dict[str, watches.Seen] = {}
    fares: watches.Fares = msgspec.field(default_factory=watches.Fares)
    equity: Decimal = ZERO
    top: Decimal = ZERO  # since a person resumed: what the last stop is measured from
    changed: dict[str, str] = {}  # limits set while the desk ran, in their order
    contracts: dict[str, Mark] = {}
    tighter: dict[str, str] = {}  # of those what the own parameters said tighter than the desk began with


class RiskAgent:
    """Folds market, account and venue faults; one verdict per review."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._env = env
        self._params = params_of(spec, Params)
        self._limits: Limits = limits_of(self._params.limits)
        self._quoted = "/" + env.quote
        self._memory = Memory()
        self._correlations = self._fold()

    def _fold(self) -> Correlations:
        return Correlations(self._params.decay, self._params.warm_bars, self._memory.correlation)

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer reviews with verdicts, and market or venue events with breakers."""
        match msg:
            case MarketBatch():
                return self._market(msg, ctx)
            case Review(stage="risk"):
                return (self._review(msg, ctx),)
            case Unknown():
                return self._fault(ctx.now)
            case VenueFault():
                return self._fault(ctx.now, msg.n)
            case VenueReject(cancel=cancel, definitive=definitive) if not (cancel and definitive):
                # a cancel that found its order gone is no error of the venue
                found = () if msg.code.startswith(OWN) else self._fault(ctx.now)
                # nothing was wrong with one that waits for the exchange's dead man's switch
                is_refused = definitive and msg.code != UNGUARDED
                return (*found, *(self._refused(ctx) if is_refused else ()))
            case Halt(mode="RESUME"):
                self._rearm(ctx.view)
            case LimitsSet(refused=""):
                self._follow(msg)
        return ()

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._memory)

    def restore(self, blob: bytes) -> None:
        self._memory = msgspec.msgpack.decode(blob, type=Memory)
        self._correlations = self._fold()
        self._limits = self._in_force()

    def _follow(self, said: LimitsSet) -> None:
        key, own = said.key, value_of(self._limits, said.key)
        memory = self._memory
        if key not in memory.changed and is_tighter(key, own, said.before):
            memory.tighter[key] = own
        # what this agent's own parameters say tighter than the desk's limits is not loosened with them
        if (least := memory.tighter.get(key)) is not None:
            memory.changed[key] = tightest(key, [least, said.value])
        elif own == said.before or is_tighter(key, said.value, own):
            memory.changed[key] = said.value
        self._limits = self._in_force()

    def _in_force(self) -> Limits:
        own = limits_of(self._params.limits)
        return changed_all(own, self._memory.changed) if self._memory.changed else own

    # market and account

    def _market(self, batch: MarketBatch, ctx: Context) -> Sequence[Message]:
        memory = self._memory
        closes: dict[str, float] = {}
        for bar in batch.bars:
            memory.marks[bar.symbol] = bar.close
            if bar.symbol.endswith(self._quoted):
                closes[bar.symbol] = bar.close
        for book in batch.books:
            if book.bids and book.asks:
                memory.marks[book.symbol] = book.mid
        for mark in batch.marks:
            memory.contracts[mark.symbol] = mark
        if closes:
            self._correlations.see(closes)
        found = self._spikes(batch)
        found += self._stale(batch)
        found += self._account(ctx)
        return found

    def _spikes(self, batch: MarketBatch) -> list[Breaker]:
        found: list[Breaker] = []
        cap = self._limits.breakers.spike_per_min
        for symbol, value in sorted(self._moves(batch).items()):
            if value > float(cap) and self._memory.spiked.get(symbol, 0) <= batch.t:
                self._memory.spiked[symbol] = batch.t + MINUTE_NS
                found.append(self._trip("price_spike", "cancel", batch.t, value, cap, symbol))
        return found

    def _moves(self, batch: MarketBatch) -> dict[str, float]:
        """Give by symbol the largest move within a minute, as a fraction; a batch may hold hours (F243)."""
        worst: dict[str, float] = {}
        prints: dict[str, list[Price]] = {}
        for bar in batch.bars:
            if bar.tf_ns > MINUTE_NS:  # it does not say how fast it moved; its prints do
                prints[bar.symbol] = []
                continue
            at = bar.t_open + bar.tf_ns
            move = self._move(bar.symbol, [(at, bar.low), (at, bar.high), (at, bar.close)], [(at, bar.close)])
            worst[bar.symbol] = max(worst.get(bar.symbol, 0.0), move)
        for each in batch.prints:
            if each.symbol in prints or self._env.tf_ns > MINUTE_NS:
                prints.setdefault(each.symbol, []).append((each.t, each.px))
        for symbol, told in prints.items():
            if told:
                worst[symbol] = self._move(symbol, told, told)
        return worst

    def _move(self, symbol: str, fresh: Sequence[Price], kept: Sequence[Price]) -> float:
        """Give the largest move, and remember for the next minute's what is ``kept`` of the prices."""
        seen = self._memory.window.get(symbol, [])
        self._memory.window[symbol] = last_minute(seen, kept)
        return spike(seen, fresh)

    def _stale(self, batch: MarketBatch) -> list[Breaker]:
        limits = self._limits.breakers
        came = {book.symbol: 0 for book in batch.books} | {bar.symbol: bar.tf_ns for bar in batch.bars}
        return [
            self._trip("stale_data", "cancel", batch.t, age, Decimal(limits.stale_bars), symbol)
            for symbol, age in watches.stale_symbols(self._memory.seen, came, batch.t, limits)
        ]

    def _refused(self, ctx: Context) -> Sequence[Message]:
        limits, fares = self._limits.breakers, self._memory.fares
        watches.filled(fares, ctx.view.state.trades_today, ctx.now, limits)
        share = watches.rejected(fares, ctx.now, limits)
        if share is None:
            return ()
        until = ctx.now + limits.reject_pause_min * MINUTE_NS
        return (self._pause("reject_rate", "pause", until, share, limits.reject_share),)

    def _account(self, ctx: Context) -> list[Breaker]:
        state, memory, now = ctx.view.state, self._memory, ctx.now
        if not all_usable((state.equity, state.peak, state.day_open)) or state.peak <= ZERO:
            return []
        if memory.pauses.get("drawdown", FOREVER) <= now:
            # the pause is over: the next fall is measured from here (F240), the stop still from the peak
            del memory.pauses["drawdown"]
            memory.peak = state.equity
        memory.peak = max(memory.peak or state.peak, state.equity)
        memory.top = max(memory.top or state.peak, state.equity)
        limits, found = self._limits.breakers, self._leap(state.equity, now)
        watches.filled(memory.fares, state.trades_today, now, limits)
        fall = (memory.peak - state.equity) / memory.peak
        cap = min(limits.drawdown, self._limits.max_drawdown)
        stop = (memory.top - state.equity) / memory.top
        if stop > limits.flatten_drawdown and not memory.stopped:
            memory.stopped = True
            found.append(self._pause("drawdown_stop", "flatten", FOREVER, stop, limits.flatten_drawdown))
        if fall > cap and "drawdown" not in memory.pauses:
            until = now + limits.drawdown_pause_min * MINUTE_NS
            found.append(self._pause("drawdown", "pause", until, fall, cap))
        loss = ctx.view.day_loss
        if loss > limits.daily_loss and memory.pauses.get("daily_loss", 0) <= now:
            until = now + limits.daily_pause_min * MINUTE_NS
            found.append(self._pause("daily_loss", "pause", until, loss, limits.daily_loss))
        found += self._trades(ctx.view, now)
        return found

    def _leap(self, equity: Decimal, now: int) -> list[Breaker]:
        memory, limits = self._memory, self._limits.breakers
        leap, memory.equity = watches.jump(memory.equity, equity), equity
        if leap <= limits.pnl_jump:
            return []
        until = now + limits.pnl_jump_pause_min * MINUTE_NS
        return [self._pause("pnl_jump", "pause", until, leap, limits.pnl_jump)]

    def _trades(self, view: FirmView, now: int) -> list[Breaker]:
        """Watch the results of closed trades: a streak of losses, or a fall over the last ones (F244)."""
        state, memory, limits = view.state, self._memory, self._limits.breakers
        if not usable(state.realised):
            return []
        memory.trade += state.realised - memory.realised
        memory.realised = state.realised
        symbols = tuple(sorted([p.symbol for p in state.positions if p.qty != 0]))
        closed = symbols != memory.open_symbols and not set(memory.open_symbols) <= set(symbols)
        memory.open_symbols = symbols
        if not closed:
            return []
        memory.trades = [*memory.trades, memory.trade][-limits.lookback_trades :]
        memory.streak = memory.streak + 1 if memory.trade < 0 else 0
        memory.trade = ZERO
        found = []
        if memory.streak >= limits.loss_streak:
            until = now + limits.loss_streak_pause_min * MINUTE_NS
            streak, memory.streak = Decimal(memory.streak), 0
            found.append(self._pause("loss_streak", "pause", until, streak, Decimal(limits.loss_streak)))
        fall = lookback_fall(memory.trades, state.equity)
        if fall > limits.flatten_drawdown and not memory.stopped:
            memory.stopped = True
            found.append(self._pause("lookback_stop", "flatten", FOREVER, fall, limits.flatten_drawdown))
        return found

    def _fault(self, now: int, n: int = 1) -> Sequence[Message]:
        memory, limits = self._memory, self._limits.breakers
        fresh = [now] * min(n, limits.api_errors_per_min + 1)  # more than these change nothing
        memory.errors = [*(t for t in memory.errors if t > now - MINUTE_NS), *fresh]
        if len(memory.errors) <= limits.api_errors_per_min:
            return ()
        count, memory.errors = Decimal(len(memory.errors)), []
        until = now + limits.api_pause_min * MINUTE_NS
        return (self._pause("api_errors", "pause", until, count, Decimal(limits.api_errors_per_min)),)

    def _rearm(self, view: FirmView) -> None:
        # a person looked: falls count from here on, and the last trades are forgiven
        memory = self._memory
        memory.pauses, memory.stopped, memory.streak, memory.trades = {}, False, 0, []
        memory.peak = memory.top = view.state.equity if usable(view.state.equity) else ZERO

    def _pause(self, name: str, action: str, until: int, value: Decimal, cap: Decimal) -> Breaker:
        self._memory.pauses[name] = until
        return self._trip(name, action, until, value, cap)

    def _trip(
        self, name: str, action: str, until: int, value: Decimal | float, cap: Decimal, symbol: str = ""
    ) -> Breaker:
        self._memory.epoch += 1
        return Breaker(
            agent=self.spec.id, name=name, action=action, until=until, value=f"{value:.6f}", cap=str(cap),
            symbol=symbol,
        )  # fmt: skip

    # reviews

    def _review(self, review: Review, ctx: Context) -> Message:
        view = ctx.view
        if review.state_version != view.version:
            return Stale(agent=self.spec.id, have=view.version)
        proposal = review.proposal
        # what only reduces passes every breaker, and whatever it moves with
        opens = not proposal.reduce_only
        running = self._running(ctx.now, [leg.symbol for leg in proposal.legs]) if opens else []
        running += self._dear(proposal, ctx.now) if opens else []
        near = self._near(proposal.legs[0].symbol) if opens else {}
        result = assess(
            proposal, review.size, view, self._limits, self._env.instruments, self._memory.marks, near,
            ctx.now,
        )  # fmt: skip
        ok = result.ok and not running
        return Verdict(
            pid=review.pid, agent=self.spec.id, ok=ok, max_qty=result.max_qty if ok else ZERO,
            breached=(*running, *result.breached), state_version=view.version, risk_epoch=self._memory.epoch,
            valid_until=ctx.now + self._params.verdict_ms * 1_000_000,
        )  # fmt: skip

    def _running(self, now: int, symbols: Sequence[str]) -> list[Breach]:
        running = [(name, until) for name, until in sorted(self._memory.pauses.items()) if until > now]
        stale = watches.is_stale(self._memory.seen, symbols, now)
        if stale is not None:
            running.append(("stale_data", stale[1]))
        return [Breach(limit=f"breaker_{name}", value=str(until), cap=str(now)) for name, until in running]

    def _dear(self, proposal: Proposal, now: int) -> list[Breach]:
        """Say if the next funding payment takes more than is left of the edge."""
        found = [instrument for leg in proposal.legs if (instrument := self._env.instruments.get(leg.symbol))]
        # what is coupled is traded once, what is held also has to be sold
        fees = (1.0 if proposal.coupled else 2.0) * sum([float(each.taker_fee) for each in found]) * BPS
        held_to = left_after_funding(proposal, self._memory.contracts, now, fees)
        if held_to is None or held_to[0] <= held_to[1]:
            return []
        paid, left = held_to
        return [Breach(limit="funding", value=f"{paid:.4f}", cap=f"{left:.4f}")]

    def _near(self, symbol: str) -> Mapping[tuple[str, str], float]:
        base, _ = assets_of(symbol)
        return self._correlations.with_symbol(symbol_of(base, self._env.quote))


def _symbol(bar: Bar) -> str:
    return bar.symbol


def lookback_fall(results: Sequence[Decimal], equity: Decimal) -> Decimal:
    """Give the largest fall of the summed results below their maximum, as a share of the equity before it."""
    total = top = fall = ZERO
    for result in results:
        total += result
        top = max(top, total)
        fall = max(fall, top - total)
    start = equity + fall
    return fall / start if start > 0 else ZERO


def make(spec: AgentSpec, env: AgentEnv) -> RiskAgent:
    """Make the risk agent of a desk.

    Raises
    ------
    ConfigError
        On an unknown parameter or an impossible limit.
    """
    return RiskAgent(spec, env)


__all__ = ["Params", "RiskAgent", "lookback_fall", "make"]
