"""The arbitrage agent: finds cycles of three trades, proposes them whole, and checks prices across pairs.

With every batch it keeps the edge of all cycles through the quote currency. When the
best one is worth it, it asks for a round (`AnalysisReady`) and answers that round's call
with three coupled legs: immediate-or-cancel limits at which the cycle still pays, each
leg selling no more than the one before delivers after fees. As a reviewer it confirms
coupled proposals by recomputing them, and tells when a pair could be traded cheaper
through two others. What an incomplete cycle left behind it asks to sell (code unwind).

Not here: the maths (`arbitrage.triangular`), and sending the legs one after the other.

Invariant: it never bids without a book of every leg, and never against its own limits.
"""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2s
from typing import Annotated

import msgspec
from msgspec import Meta

from arbitrage import Costs, Cycle, Layout, Scanner, implied_price, size
from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.depth import is_usable, side_levels
from parley.ids import proposal_id
from parley.messages import (
    AnalysisReady,
    Book,
    Cfp,
    Counter,
    CounterReply,
    Holding,
    Leg,
    MarketBatch,
    Message,
    Proposal,
    Refuse,
    Review,
)

ZERO = Decimal(0)
VERSION = "1"
KEPT = 64


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """When a cycle is worth a round.

    ``min_edge_bps`` must be left after three taker fees and ``slippage_bps`` per leg, half
    of it still at the review; ``max_notional`` bounds a cycle in quote (0: the call's hint).
    ``cross_bps`` is how much worse than through two other pairs a price may be.
    """

    min_edge_bps: Annotated[float, Meta(ge=0)] = 3.0
    slippage_bps: Annotated[float, Meta(ge=0, le=100)] = 0.5
    max_notional: Annotated[float, Meta(ge=0)] = 0.0
    cooldown_ms: Annotated[int, Meta(ge=0)] = 1_000
    horizon_ms: Annotated[int, Meta(ge=1)] = 1_000
    conf: Annotated[float, Meta(ge=0, le=1)] = 0.9
    cross_bps: Annotated[float, Meta(ge=0)] = 2.0
    unwind_slippage_bps: Annotated[float, Meta(ge=0, le=500)] = 30.0


class State(msgspec.Struct, kw_only=True):
    """What survives a restart: the books, when which cycle was asked for, own open proposals."""

    books: dict[str, Book] = {}
    asked: dict[str, int] = {}
    bids: dict[bytes, Proposal] = {}


class Arbitrageur:
    """Scans, bids, reviews; one per desk."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._params = params_of(spec, Params)
        self._env = env
        self._instruments = env.instruments
        self._costs = Costs(slippage_bps=self._params.slippage_bps)
        self._keeps = {s: self._costs.keep_of_fee(i) for s, i in env.instruments.items()}
        self._state = State()
        self._scanner = Scanner(env.instruments, env.quote, self._costs)
        self._routes: dict[str, tuple[Cycle, ...]] = {
            s: tuple(c for c in self._scanner.cycles if s in c.symbols) for s in sorted(env.instruments)
        }

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer one message; see the module's text for which."""
        match msg:
            case MarketBatch():
                return self._batch(msg, ctx)
            case Cfp():
                return (self._call(msg, ctx),)
            case Review(stage="arbitrage"):
                return (self._review(msg),)
            case Counter():
                return (self._counter(msg),)
        return ()

    def snapshot(self) -> bytes:
        """Give the whole state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Take up a snapshot; the edges are recomputed from its books."""
        self._state = msgspec.msgpack.decode(blob, type=State)
        self._scanner = Scanner(self._instruments, self._env.quote, self._costs)
        self._scanner.update(self._state.books.values())

    # scanning

    def _batch(self, batch: MarketBatch, ctx: Context) -> Sequence[Message]:
        changed = [b for b in batch.books if b.symbol in self._instruments]
        for book in changed:
            self._state.books[book.symbol] = book
        self._scanner.update(changed)
        left = self._leftover(ctx)
        if left is not None:
            return self._ask(f"unwind {left.symbol}", left.symbol, (left.symbol,), batch.t)
        if ctx.view.state.trading not in ("ACTIVE", ""):
            return ()
        best = self._scanner.best()
        if best is None or best.edge_bps <= self._params.min_edge_bps:
            return ()
        symbols = best.cycle.symbols
        return self._ask(best.cycle.key, symbols[1], symbols, batch.t)

    def _ask(self, key: str, symbol: str, symbols: tuple[str, ...], t: int) -> Sequence[Message]:
        asked = self._state.asked
        before = asked.get(key)
        if before is not None and t - before < self._params.cooldown_ms * 1_000_000:
            return ()
        asked.pop(key, None)
        asked[key] = t
        while len(asked) > KEPT:
            del asked[next(iter(asked))]
        digest = blake2s(f"{key} {t}".encode(), digest_size=16).digest()
        ready = AnalysisReady(
            agent=self.spec.id,
            symbol=symbol,
            tf_ns=self._env.tf_ns,
            t_candle=t,
            result_hash=digest,
            symbols=symbols,
        )
        return (ready,)

    def _leftover(self, ctx: Context) -> Holding | None:
        """Find what an incomplete cycle left, once nothing of it is being worked any more."""
        state = ctx.view.state
        me = self.spec.id
        for r in state.reservations:
            if r.agent == me:
                return None
        for holding in state.holdings:
            if holding.agent == me and self._exit_leg(holding) is not None:
                return holding
        return None

    def _exit_leg(self, holding: Holding) -> Leg | None:
        instrument = self._instruments.get(holding.symbol)
        book = self._state.books.get(holding.symbol)
        if instrument is None or book is None or not is_usable(book) or not holding.qty.is_finite():
            return None
        # trap T1: a long is left by selling at the bid, a short by buying at the ask
        side = "sell" if holding.qty > 0 else "buy"
        slip = (-1 if side == "sell" else 1) * self._params.unwind_slippage_bps / 1e4
        touch = side_levels(book, side)[0][0]
        px = instrument.price(touch * (1 + slip), side)
        qty = instrument.qty(abs(holding.qty))
        if instrument.tradable(qty, Decimal(repr(touch))) or px <= 0:
            return None
        return Leg(symbol=holding.symbol, side=side, qty=qty, limit_px=px, tif="IOC", reduce_only=True)

    # bidding

    def _call(self, cfp: Cfp, ctx: Context) -> Message:
        me = self.spec.id
        if me not in cfp.to_agents:
            return Refuse(agent=me, code="not_asked")
        for symbol in cfp.symbols if len(cfp.symbols) == 1 else ():
            holding = ctx.view.holding(me, symbol)
            leg = self._exit_leg(holding) if holding is not None else None
            if leg is not None:
                return self._remember(self._proposal(_stem(cfp, ctx), (leg,), 0.0, "unwind"))
        if cfp.reduce_only:
            return Refuse(agent=me, code="reduce_only")
        wanted = set(cfp.symbols)
        cycles = [e for e in self._scanner.edges_of(sorted(wanted)) if set(e.cycle.symbols) == wanted]
        if not cycles:
            return Refuse(agent=me, code="no_cycle")
        budget = min(cfp.budget_hint, ctx.view.free(self._env.quote))
        if self._params.max_notional > 0:
            budget = min(budget, Decimal(repr(self._params.max_notional)))
        if not budget.is_finite() or budget <= 0:
            return Refuse(agent=me, code="no_money", detail=str(budget))
        laid = self._size(cycles[0].cycle, budget, self._params.min_edge_bps)
        if isinstance(laid, str):
            code = laid if laid in ("edge_gone", "no_book") else "too_small"
            return Refuse(
                agent=me, code=code, detail=f"{laid} edge={cycles[0].edge_bps:.2f}bps budget={budget}"
            )
        return self._remember(
            self._proposal(_stem(cfp, ctx), _legs(laid), self._gross(laid), f"cycle {laid.edge_bps:.2f}bps")
        )

    def _size(self, cycle: Cycle, budget: Decimal, min_edge_bps: float) -> Layout | str:
        return size(
            cycle,
            self._state.books,
            self._instruments,
            budget=budget,
            min_edge_bps=min_edge_bps,
            costs=self._costs,
        )

    def _gross(self, laid: Layout) -> float:
        """Edge before fees, as a `Proposal` states it."""
        keep = 1.0
        for symbol in laid.cycle.symbols:
            keep *= self._keeps[symbol]
        return ((1 + laid.edge_bps / 1e4) / keep - 1) * 1e4

    def _proposal(
        self, stem: bytes, legs: tuple[Leg, ...], edge_bps: float, why: str, n: int = 0
    ) -> Proposal:
        p = self._params
        coupled = len(legs) > 1
        return Proposal(
            pid=proposal_id(stem, self.spec.id, n), agent=self.spec.id,
            agent_version=VERSION, symbol=legs[1].symbol if coupled else legs[0].symbol, legs=legs,
            edge_bps=edge_bps, conf=p.conf, horizon_ms=p.horizon_ms, stop=None, take=None,
            max_slippage_bps=0.0 if coupled else p.unwind_slippage_bps, ttl_ns=p.horizon_ms * 1_000_000,
            why=why, coupled=coupled, urgency="urgent",
        )  # fmt: skip

    def _remember(self, bid: Proposal) -> Proposal:
        bids = self._state.bids
        bids[bid.pid] = bid
        while len(bids) > KEPT:
            del bids[next(iter(bids))]
        return bid

    def _counter(self, counter: Counter) -> Message:
        """Lay the cycle out anew within what capital leaves; scaled legs would not fit each other."""
        bid = self._state.bids.get(counter.pid)
        me = self.spec.id
        if bid is None:
            return CounterReply(pid=counter.pid, agent=me, action="withdraw")
        first = bid.legs[0]
        limit = counter.qty_max if counter.qty_max is not None else first.qty
        if not bid.coupled or limit >= first.qty:
            return CounterReply(pid=bid.pid, agent=me, action="accept")
        cycle = _cycle(bid, self._env.quote)
        price = first.limit_px or ZERO
        laid = self._size(cycle, limit * price if first.side == "buy" else limit, self._params.min_edge_bps)
        if isinstance(laid, str) or laid.legs[0].qty > limit:
            return CounterReply(pid=bid.pid, agent=me, action="withdraw")
        revised = self._proposal(bid.pid, _legs(laid), self._gross(laid), f"cycle {laid.edge_bps:.2f}bps", 1)
        revised = self._remember(msgspec.structs.replace(revised, parent_pid=bid.pid))
        return CounterReply(pid=bid.pid, agent=me, action="revise", proposal=revised)

    # reviewing

    def _review(self, review: Review) -> Counter:
        bid = review.proposal
        if bid.coupled:
            code, detail = self._judge_cycle(bid)
            ok = code == "coupled_ok"
            return Counter(
                pid=review.pid, agent=self.spec.id, code=code, binding=False, reject=not ok, detail=detail
            )
        code, px, detail = self._cross(bid)
        return Counter(
            pid=review.pid, agent=self.spec.id, code=code, binding=False, px_limit=px, detail=detail
        )

    def _judge_cycle(self, bid: Proposal) -> tuple[str, str]:
        """Recompute a coupled proposal: prices reachable, legs covered, and still worth it."""
        cycle = _cycle(bid, self._env.quote) if len(bid.legs) == 3 else None
        if cycle is None or cycle not in self._routes.get(bid.legs[0].symbol, ()):
            return "no_cycle", ""
        have: Decimal | None = None
        for leg in bid.legs:
            book = self._state.books.get(leg.symbol)
            if book is None or not is_usable(book) or leg.limit_px is None:
                return "no_book", leg.symbol
            touch = Decimal(repr(side_levels(book, leg.side)[0][0]))
            if leg.limit_px < touch if leg.side == "buy" else leg.limit_px > touch:
                return "edge_gone", f"{leg.symbol} {touch}"
            spent = leg.qty * leg.limit_px if leg.side == "buy" else leg.qty
            if have is not None and spent > have:
                return "uncovered_leg", leg.symbol
            got = leg.qty if leg.side == "buy" else leg.qty * leg.limit_px
            have = got * (1 - self._instruments[leg.symbol].taker_fee)
        edges = [e for e in self._scanner.edges_of(cycle.symbols) if e.cycle == cycle]
        edge = edges[0].edge_bps if edges else float("-inf")
        detail = f"edge={edge:.2f}bps"
        return ("coupled_ok" if edge >= self._params.min_edge_bps / 2 else "edge_gone"), detail

    def _cross(self, bid: Proposal) -> tuple[str, Decimal | None, str]:
        """Compare a price with the one through two other pairs; an exit is never held up."""
        leg = bid.legs[0]
        instrument = self._instruments.get(leg.symbol)
        if instrument is None or bid.reduce_only or bid.urgency == "urgent":
            return "ok", None, ""
        book = self._state.books.get(leg.symbol)
        implied = implied_price(
            leg.symbol, leg.side, self._state.books, self._routes[leg.symbol], self._keeps
        )
        if implied <= 0 or book is None or not is_usable(book):
            return "no_cross", None, ""
        buys = leg.side == "buy"
        keep = self._keeps[leg.symbol]
        fair = implied * keep if buys else implied / keep  # the price here that costs as much, fee included
        px = float(leg.limit_px) if leg.limit_px is not None else side_levels(book, leg.side)[0][0]
        worse = ((px / fair - 1) if buys else (fair / px - 1)) * 1e4 if px > 0 else 0.0
        detail = f"fair={fair:.8g} worse={worse:.2f}bps"
        if worse <= self._params.cross_bps:
            return "ok", None, detail
        limit = instrument.price(fair, leg.side)
        return ("cross_price", limit, detail) if limit > 0 else ("no_cross", None, detail)


def _stem(cfp: Cfp, ctx: Context) -> bytes:
    # the round names its proposals: journal numbers differ between runs that decide the same
    return cfp.round or b"seq/%d" % ctx.seq


def _legs(laid: Layout) -> tuple[Leg, ...]:
    return tuple(Leg(symbol=x.symbol, side=x.side, qty=x.qty, limit_px=x.px, tif="IOC") for x in laid.legs)


def _cycle(bid: Proposal, start: str) -> Cycle:
    a, b, c = bid.legs[:3]
    return Cycle(start, (a.symbol, b.symbol, c.symbol), (a.side, b.side, c.side))


def make(spec: AgentSpec, env: AgentEnv) -> Arbitrageur:
    """Build the arbitrage agent of a spec."""
    return Arbitrageur(spec, env)
