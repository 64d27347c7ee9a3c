"""The agent that trades one strategy: bids in rounds, guards what it holds, answers counters.

The idea itself is an injected `StrategySource`; here are money, costs, stops and the
protocol. Every `Cfp` gets exactly one `Proposal` or `Refuse`, from memory. Leaving comes
before entering, nothing is proposed while something of ours works on the symbol, and a
stop never loosens. Not here: the binding size (capital) and how an order is worked.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from parley.agent import Agent, AgentEnv, AgentSpec, Context, params_of
from parley.errors import ConfigError
from parley.execution.protective import is_nearer
from parley.ids import proposal_id
from parley.indicators import spread_bps, usable_bar, usable_book
from parley.instruments import Instrument
from parley.messages import (
    Bar,
    Book,
    Cfp,
    Counter,
    CounterReply,
    Holding,
    Leg,
    MarketBatch,
    Message,
    Opinion,
    Proposal,
    Protect,
    Refuse,
)
from parley.money import decimal
from parley.stops import Guard, exit_side
from parley.strategy_source import Entry, Held, Leave, SourceFactory, StrategySource

MS = 1_000_000
BPS = 10_000.0
NOTE = 256
# An exit is a rule and no forecast: it claims neither an edge nor a probability.
EXIT_CONF = 0.5


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``source`` is "module:callable", resolved by the host; ``source_params`` are what it takes.

    ``risk`` is the part of the budget hint that a stop may cost, ``share`` the part a
    position may use. Slippage bounds are in bps from the best price: entering, leaving
    as planned, leaving on a stop. ``cooldown_ms`` of market time follow every exit.
    """

    source: str = ""
    source_params: dict[str, object] = {}
    risk: Annotated[float, Meta(gt=0, le=0.1)] = 0.01
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    entry_slippage_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    exit_slippage_bps: Annotated[float, Meta(ge=0, le=300)] = 20.0
    stop_slippage_bps: Annotated[float, Meta(ge=0, le=900)] = 150.0
    cooldown_ms: Annotated[int, Meta(ge=0)] = 900_000
    ttl_ms: Annotated[int, Meta(ge=1)] = 60_000


class State(msgspec.Struct):
    """Everything the agent remembers; ``opinions`` by symbol and agent, the others by symbol."""

    bars: dict[str, Bar] = {}
    books: dict[str, Book] = {}
    opinions: dict[str, dict[str, Opinion]] = {}
    guards: dict[str, Guard] = {}
    planned: dict[str, tuple[float, float]] = {}  # stop and take of the last entry proposed
    offers: dict[str, Proposal] = {}
    rest_until: dict[str, int] = {}
    source: bytes = b""


class StrategyAgent:
    """One strategy at the desk; see the module."""

    def __init__(self, spec: AgentSpec, env: AgentEnv, source_factory: SourceFactory) -> None:
        self.spec = spec
        self.env = env
        self.params = params_of(spec, Params)
        self.source: StrategySource = source_factory(self.params.source_params)
        self._version = f"{self.source.name}/{self.source.version}"
        self._symbols = frozenset(env.symbols)
        self._state = State()

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case MarketBatch():
                self._see(msg)
            case Opinion():
                self._hear(msg)
            case Cfp():
                answer = self._bid(msg, ctx)
                return (*self._moved(msg, ctx), answer)
            case Counter():
                return (self._reply(msg),)
            case _:
                pass
        return ()

    def snapshot(self) -> bytes:
        self._state.source = self.source.snapshot()
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        self._state = msgspec.msgpack.decode(blob, type=State)
        self.source.restore(self._state.source)

    # what it hears

    def _see(self, batch: MarketBatch) -> None:
        state, symbols = self._state, self._symbols
        for book in batch.books:
            if book.symbol in symbols:
                state.books[book.symbol] = book
        for bar in batch.bars:
            if bar.symbol in symbols and bar.tf_ns == self.env.tf_ns and usable_bar(bar):
                last = state.bars.get(bar.symbol)
                if last is None or bar.t_open > last.t_open:
                    state.bars[bar.symbol] = bar
                    self.source.on_bar(bar)

    def _hear(self, o: Opinion) -> None:
        if o.symbol in self._symbols and abs(o.direction) <= 1.0 and 0.0 <= o.conf <= 1.0:
            self._state.opinions.setdefault(o.symbol, {})[o.agent] = o

    def _opinions(self, symbol: str, now: int) -> tuple[Opinion, ...]:
        held = self._state.opinions.get(symbol, {})
        return tuple([o for _, o in sorted(held.items()) if o.valid_from <= now < o.valid_to])

    # bids

    def _bid(self, cfp: Cfp, ctx: Context) -> Proposal | Refuse:
        """Answer for the first symbol that has something to do; leaving goes before entering."""
        answer: Proposal | Refuse = self._refuse("unknown_symbol", ",".join(cfp.symbols))
        for symbol in cfp.symbols:
            if symbol not in self._symbols:
                continue
            found = self._on_symbol(symbol, cfp, ctx)
            if isinstance(found, Proposal) and found.reduce_only:
                answer = found
                break
            if isinstance(answer, Refuse):
                answer = found
        if isinstance(answer, Proposal):
            self._state.offers[answer.symbol] = answer
            if answer.stop is not None and answer.take is not None:
                self._state.planned[answer.symbol] = (float(answer.stop), float(answer.take))
        return answer

    def _on_symbol(self, symbol: str, cfp: Cfp, ctx: Context) -> Proposal | Refuse:
        state, view, me = self._state, ctx.view, self.spec.id
        instrument, bar, book = (
            self.env.instruments.get(symbol),
            state.bars.get(symbol),
            state.books.get(symbol),
        )
        if instrument is None:
            return self._refuse("unknown_symbol", symbol)
        if view.version < cfp.state_version:
            return self._refuse("stale_view", f"{view.version}<{cfp.state_version}")
        # a stop at the venue is no order that works: it waits for what an exit would do
        if view.reserved(me, symbol) or me in [o.agent for o in view.orders(symbol) if o.trigger is None]:
            return self._refuse("working", symbol)
        if bar is None:
            return self._refuse("warming_up", "no candle")
        if book is None or not usable_book(book):
            return self._refuse("no_book", symbol)
        holding = view.holding(me, symbol)
        if holding is not None and holding.qty != 0:
            px = book.bids[0][0] if holding.qty > 0 else book.asks[0][0]
            qty = instrument.qty(abs(holding.qty))
            # what the venue would not take back (fees leave dust) counts as not held
            if not instrument.tradable(qty, decimal(px)):
                return self._guard(symbol, holding, qty, px, instrument, bar, cfp, ctx)
        if state.guards.pop(symbol, None) is not None:
            state.rest_until[symbol] = ctx.now + self.params.cooldown_ms * MS
        return self._open(symbol, instrument, bar, book, cfp, ctx)

    def _open(
        self, symbol: str, instrument: Instrument, bar: Bar, book: Book, cfp: Cfp, ctx: Context
    ) -> Proposal | Refuse:
        p, state = self.params, ctx.view.state
        if cfp.reduce_only or state.trading != "ACTIVE":
            return self._refuse("reduce_only", state.trading)
        if symbol in state.blocked:
            return self._refuse("blocked", symbol)
        rest = self._state.rest_until.get(symbol, 0) - ctx.now
        if rest > 0:
            return self._refuse("cooldown", f"{rest // (1000 * MS)}s")
        entry = self.source.entry(symbol, bar, self._opinions(symbol, ctx.now))
        if not isinstance(entry, Entry):
            return self._refuse(entry.code, entry.detail)
        if not _sound(entry):
            return self._refuse("no_setup", "source gave no usable numbers")
        cost = 2.0 * float(instrument.taker_fee) * BPS + spread_bps(book) + p.entry_slippage_bps
        need = max(cost, cfp.min_edge_bps) if isfinite(cfp.min_edge_bps) else cost
        if entry.edge_bps < need:
            return self._refuse("edge_below_cost", f"{entry.edge_bps:.1f}<{need:.1f}bps")
        if entry.direction < 0 and not instrument.is_contract:
            return self._refuse("no_shorts", f"{symbol} is no contract")
        buys = entry.direction > 0
        px = book.asks[0][0] if buys else book.bids[0][0]
        loss = (px - entry.stop) * entry.direction / px
        if loss <= 0.0 or (entry.take - px) * entry.direction <= 0.0:
            return self._refuse("no_setup", "price is past stop or take")
        hint = float(cfp.budget_hint)
        if not (isfinite(hint) and hint > 0.0):
            return self._refuse("no_budget", str(cfp.budget_hint))
        qty = instrument.qty(min(hint * p.share, hint * p.risk / loss) / px)
        if code := instrument.tradable(qty, decimal(px)):
            return self._refuse(code, f"{qty}@{px:.6g}")
        # net of costs, so that conf * reward - (1 - conf) * risk is the edge that is left after them
        conf = max(0.0, entry.conf - cost / BPS * px / abs(entry.take - entry.stop))
        side = "buy" if buys else "sell"
        limit = instrument.price(px * (1.0 + entry.direction * p.entry_slippage_bps / BPS), side)
        stop, take = instrument.price(entry.stop, "near"), instrument.price(entry.take, "near")
        if min(limit, stop, take) <= 0:
            return self._refuse("no_setup", "price below one tick")
        return Proposal(
            pid=self._pid(cfp, ctx),
            agent=self.spec.id,
            agent_version=self._version,
            symbol=symbol,
            legs=(Leg(symbol=symbol, side=side, qty=qty, limit_px=limit),),
            edge_bps=entry.edge_bps,
            conf=round(conf, 4),
            horizon_ms=entry.horizon_ms,
            stop=stop,
            take=take,
            max_slippage_bps=p.entry_slippage_bps,
            ttl_ns=p.ttl_ms * MS,
            why=_note(entry.why),
            evidence=entry.evidence,
            urgency=entry.urgency,
        )

    # what it holds

    def _guard(
        self,
        symbol: str,
        holding: Holding,
        qty: Decimal,
        px: float,
        instrument: Instrument,
        bar: Bar,
        cfp: Cfp,
        ctx: Context,
    ) -> Proposal | Refuse:
        direction = 1 if holding.qty > 0 else -1
        guard = self._state.guards.get(symbol)
        if guard is None or (guard.direction, guard.opened) != (direction, holding.opened):
            guard = self._state.guards[symbol] = self._new_guard(symbol, holding, direction)
        if holding.stop is not None:
            guard.tighten(float(holding.stop))
        held = Held(direction=direction, entry_px=float(holding.avg_px), opened=holding.opened)
        said = self.source.exit(symbol, bar, held, self._opinions(symbol, ctx.now))
        # the executable price decides: a wick that has come back is no reason to leave
        code = guard.hit(px)
        detail, urgency = f"px={px:.8g} stop={guard.stop:.8g} take={guard.take:.8g}", "normal"
        if guard.leaving:
            urgency = "urgent"
        elif not code and isinstance(said, Leave):
            code, detail, urgency = said.code, said.detail, said.urgency
        if not isinstance(said, Leave):
            # after the check: a level drawn from this candle guards from the next one on
            guard.tighten(said.stop)
        if not code:
            return self._refuse("holding", detail)
        return self._leave(symbol, direction, qty, px, f"{code}: {detail}", urgency, instrument, cfp, ctx)

    def _moved(self, cfp: Cfp, ctx: Context) -> Sequence[Protect]:
        """Say of every holding whose stop stands at the venue when it came nearer to the price than that."""
        said = []
        for symbol in cfp.symbols:
            guard, holding = self._state.guards.get(symbol), ctx.view.holding(self.spec.id, symbol)
            if guard is None or holding is None or guard.opened != holding.opened or not isfinite(guard.stop):
                continue
            stop = self.env.instruments[symbol].price(guard.stop, "near")
            for o in ctx.view.orders(symbol):
                is_own = o.agent == self.spec.id and o.trigger is not None
                if is_own and o.trigger is not None and is_nearer(o.side, stop, o.trigger):
                    said.append(Protect(agent=self.spec.id, symbol=symbol, opened=guard.opened, stop=stop))
        return said

    def _new_guard(self, symbol: str, holding: Holding, direction: int) -> Guard:
        stop, take = self._state.planned.get(symbol, (float("nan"), float("nan")))
        if holding.stop is not None:
            stop = float(holding.stop)
        if holding.take is not None:
            take = float(holding.take)
        return Guard(direction, holding.opened, stop, take)

    def _leave(
        self,
        symbol: str,
        direction: int,
        qty: Decimal,
        px: float,
        why: str,
        urgency: str,
        instrument: Instrument,
        cfp: Cfp,
        ctx: Context,
    ) -> Proposal | Refuse:
        p = self.params
        slippage = p.stop_slippage_bps if urgency == "urgent" else p.exit_slippage_bps
        side = exit_side(direction)
        limit = instrument.price(px * (1.0 - direction * slippage / BPS), side)
        if limit <= 0:
            return self._refuse("no_book", "price below one tick")
        tif = "IOC" if urgency == "urgent" else "GTC"
        return Proposal(
            pid=self._pid(cfp, ctx),
            agent=self.spec.id,
            agent_version=self._version,
            symbol=symbol,
            legs=(Leg(symbol=symbol, side=side, qty=qty, limit_px=limit, tif=tif, reduce_only=True),),
            edge_bps=0.0,
            conf=EXIT_CONF,
            horizon_ms=self.env.tf_ns // MS or 1,
            stop=None,
            take=None,
            max_slippage_bps=slippage,
            ttl_ns=p.ttl_ms * MS,
            why=_note(why),
            urgency=urgency,
        )

    # counters

    def _reply(self, c: Counter) -> CounterReply:
        """Accept what is left when it still pays, shrink it onto the lot, or withdraw."""
        offer = next((o for o in self._state.offers.values() if o.pid == c.pid), None)
        if offer is None:
            return self._withdraw(c.pid, "unknown_pid")
        if c.reject:
            return self._withdraw(c.pid, c.code or "rejected")
        leg = offer.legs[0]
        instrument, book = self.env.instruments[leg.symbol], self._state.books.get(leg.symbol)
        if book is None or not usable_book(book):
            return self._withdraw(c.pid, "no_book")
        if c.qty_max is not None and not c.qty_max.is_finite():
            return self._withdraw(c.pid, "bad_number", f"qty_max={c.qty_max}")
        qty = leg.qty if c.qty_max is None else instrument.qty(min(leg.qty, c.qty_max))
        px = leg.limit_px
        if c.px_limit is not None and c.px_limit.is_finite() and c.px_limit > 0:
            # only a limit that is safer than our own is taken over
            pick = min if leg.side == "buy" else max
            px = pick(px, c.px_limit) if px is not None else c.px_limit
        mid = book.mid
        at = Decimal(repr(mid)) if px is None else px
        if code := instrument.tradable(qty, at):
            return self._withdraw(c.pid, code, f"{qty}@{at}")
        if not offer.reduce_only:
            paid = (float(at) / mid - 1.0) * BPS * (1.0 if leg.side == "buy" else -1.0)
            left = offer.edge_bps - max(0.0, paid)
            fees = 2.0 * float(instrument.taker_fee) * BPS
            if left < fees:
                return self._withdraw(c.pid, "edge_below_cost", f"{left:.1f}<{fees:.1f}bps")
        if (c.qty_max is None or c.qty_max >= leg.qty or qty == c.qty_max) and c.px_limit in (None, px):
            return CounterReply(pid=c.pid, agent=self.spec.id, action="accept")
        pid = proposal_id(offer.pid, self.spec.id, 1)
        revised = replace(offer, pid=pid, parent_pid=offer.pid, legs=(replace(leg, qty=qty, limit_px=px),))
        self._state.offers[offer.symbol] = revised
        return CounterReply(pid=c.pid, agent=self.spec.id, action="revise", proposal=revised, code=c.code)

    def _withdraw(self, pid: bytes, code: str, detail: str = "") -> CounterReply:
        return CounterReply(pid=pid, agent=self.spec.id, action="withdraw", code=code, detail=detail)

    def _refuse(self, code: str, detail: str = "") -> Refuse:
        return Refuse(agent=self.spec.id, code=code, detail=detail[:NOTE])

    def _pid(self, cfp: Cfp, ctx: Context) -> bytes:
        return proposal_id(cfp.round or b"seq/%d" % ctx.seq, self.spec.id)


def _note(text: str) -> str:
    return text.encode()[:NOTE].decode(errors="ignore")


def _sound(e: Entry) -> bool:
    numbers = (e.edge_bps, e.conf, e.stop, e.take)
    return (
        all(map(isfinite, numbers))
        and 0.0 <= e.conf <= 1.0
        and min(e.stop, e.take) > 0.0
        and e.direction in (1, -1)
        and e.horizon_ms > 0
    )


def make(spec: AgentSpec, env: AgentEnv, source: SourceFactory | None = None) -> Agent:
    """Build the agent; ``source`` is what the host found under ``params["source"]``.

    Raises
    ------
    ConfigError
        When there is no source, or a parameter is unknown or out of range.
    """
    if source is None:
        raise ConfigError(f"agent {spec.id!r} needs a source, such as 'strategies.trend:make'")
    return StrategyAgent(spec, env, source)
