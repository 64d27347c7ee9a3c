"""The execution agent: advises how to work a proposal, then works what was decided.

Its review, of the final numbers, is advice (`parley.tactics`). After the decision the desk sends child 0; the
agent sends the children of a twap when they are due, re-quotes a post-only order that
the market left behind (cancel first, then the rest anew), in the end crosses with a
limit or gives up, and says `ScheduleDone`. All its prices stay within the proposal's own
limits, all its quantities within what `Work.room` leaves.

Not here: sending (only the desk, after the gate, makes an order of a request).

Invariant: at most one new order of a leg is asked for per message, and only while no
other of it is alive.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.depth import is_usable, side_levels
from parley.messages import (
    Book,
    CancelRequest,
    Counter,
    Decision,
    Fill,
    MarketBatch,
    Message,
    OrderEvent,
    OrderRequest,
    PlanLeg,
    Review,
    ScheduleDone,
    VenueReject,
)
from parley.schedule import Work
from parley.tactics import Tactics, Task, advise, reach_price, reaches, tighter, touch_price

ZERO = Decimal(0)
MS = 1_000_000
KEPT_REVIEWS = 256
KEPT_DONE = 512


class Params(Tactics, frozen=True, kw_only=True):
    """How long to be patient, in batches (candles).

    A post-only order behind the market is re-quoted after ``requote_after``, where its limit
    allows a better price, at most ``max_requotes`` times; no order rests longer than
    ``rest_after``; a cancel is repeated after ``cancel_again``; a twap has ``catch_up``
    batches for what its children missed.
    """

    requote_after: Annotated[int, Meta(ge=1)] = 1
    max_requotes: Annotated[int, Meta(ge=0)] = 3
    rest_after: Annotated[int, Meta(ge=1)] = 8
    cancel_again: Annotated[int, Meta(ge=1)] = 3
    catch_up: Annotated[int, Meta(ge=0)] = 2


class Reviewed(msgspec.Struct, array_like=True):
    """What a review saw: the worst price allowed, the edge, the mid and the slippage."""

    limit: Decimal | None
    edge_bps: float
    mid: float
    slippage_bps: float


class State(msgspec.Struct, kw_only=True):
    """All the agent knows; its snapshot."""

    books: dict[str, Book] = {}
    volume: dict[str, float] = {}
    reviews: dict[bytes, Reviewed] = {}
    works: list[Work] = []
    done: list[tuple[bytes, bytes, int]] = []


class Execution:
    """Advises and works orders; one per desk."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._params = params_of(spec, Params)
        self._instruments = env.instruments
        self._tf_ms = env.tf_ns / MS
        self._state = State()
        self._of_iid: dict[bytes, Work] = {}

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer one message; see the module's text for which."""
        match msg:
            case MarketBatch():
                return self._batch(msg, ctx)
            case Review(stage="execution"):
                return (self._review(msg),)
            case Decision(action="accept"):
                self._decided(msg, ctx)
            case Fill() | OrderEvent() | VenueReject():
                work = self._of_iid.get(msg.iid)
                if work is not None:
                    work.hear(msg)
                    return self._advance(work, ctx, fresh=False)
        return ()

    def snapshot(self) -> bytes:
        """Give the whole state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Take up a snapshot."""
        self._state = msgspec.msgpack.decode(blob, type=State)
        self._of_iid = {w.iid(s.child): w for w in self._state.works for s in w.sent}

    # advice

    def _review(self, review: Review) -> Counter:
        bid = review.proposal
        leg = bid.legs[0]
        instrument = self._instruments.get(leg.symbol)
        book = self._state.books.get(leg.symbol)
        if bid.coupled or instrument is None or book is None or not is_usable(book):
            code = "own_limits" if bid.coupled else "no_book"
            return Counter(pid=review.pid, agent=self.spec.id, code=code, binding=False)
        task = Task(
            leg, leg.qty, bid.urgency, bid.max_slippage_bps, bid.horizon_ms,
            self._state.volume.get(leg.symbol, 0.0), self._tf_ms,
        )  # fmt: skip
        advice = advise(task, book, instrument, self._params)
        worst = reach_price(book, leg.side, bid.max_slippage_bps, instrument)
        reviews = self._state.reviews
        reviews[bid.pid] = Reviewed(
            tighter(leg.side, leg.limit_px, worst), bid.edge_bps, book.mid, bid.max_slippage_bps
        )
        while len(reviews) > KEPT_REVIEWS:
            del reviews[next(iter(reviews))]
        return Counter(
            pid=review.pid, agent=self.spec.id, code=advice.code, binding=False, px_limit=advice.px,
            tif=advice.tif, style=advice.style, split=advice.split,
            detail=f"cost={advice.cost_bps:.2f}bps {advice.detail}",
        )  # fmt: skip

    # work

    def _decided(self, decision: Decision, ctx: Context) -> None:
        """Take up what the desk leaves to this agent: twaps and orders that rest."""
        state = self._state
        if len(decision.plan) != 1:
            return  # coupled legs are immediate, and the desk sends one after the other
        plan = decision.plan[0]
        managed = plan.style in ("post_only", "twap") or (plan.style == "limit" and plan.tif == "GTC")
        key = (decision.round, decision.pid, 0)
        known = key in state.done or any(w.key == key for w in state.works)
        if not managed or known or plan.qty <= 0 or plan.symbol not in self._instruments:
            return
        work = self._take_up(decision, plan, ctx)
        state.works.append(work)
        self._of_iid[work.iid(0)] = work

    def _take_up(self, decision: Decision, plan: PlanLeg, ctx: Context) -> Work:
        seen = self._state.reviews.get(decision.pid)
        children = [(c.qty, decision.t + c.delay_ms * MS) for c in plan.children]
        # a twap is reserved at its plan's price; a post-only order may be followed up to the proposal's limit
        limit = seen.limit if seen is not None and plan.style == "post_only" else plan.px
        work = Work(
            round=decision.round, pid=decision.pid, leg=0, symbol=plan.symbol, side=plan.side,
            style=plan.style, qty=plan.qty, px=plan.px, tif=plan.tif, reduce_only=plan.reduce_only,
            plan=children or [(plan.qty, decision.t)], version=ctx.view.version, limit=limit,
            edge_bps=seen.edge_bps if seen else 0.0, ref_px=seen.mid if seen else 0.0,
            sent=[], trades=[],
        )  # fmt: skip
        work.send(work.plan[0][0], plan.px, "limit" if plan.style == "twap" else plan.style, ctx.view.version)
        return work

    def _batch(self, batch: MarketBatch, ctx: Context) -> Sequence[Message]:
        state = self._state
        for book in batch.books:
            state.books[book.symbol] = book
        for bar in batch.bars:
            if isfinite(bar.volume) and bar.volume >= 0:
                before = state.volume.get(bar.symbol, bar.volume)
                state.volume[bar.symbol] = 0.9 * before + 0.1 * bar.volume
        out: list[Message] = []
        for work in tuple(state.works):
            if work.is_closed(ctx.view):
                self._forget(work)
                continue
            work.sync(ctx.view)
            work.waiting = False
            for s in work.live:
                s.age += 1
            out.extend(self._tend(work) or self._advance(work, ctx, fresh=True))
        return out

    def _tend(self, work: Work) -> list[Message]:
        """Ask to cancel orders the market left behind, or that rested long enough."""
        p = self._params
        book = self._state.books.get(work.symbol)
        out: list[Message] = []
        for s in work.live:
            if s.canceled_at >= 0 and s.age - s.canceled_at < p.cancel_again:
                continue
            why = ""
            if s.age >= p.rest_after:
                why = "rested"
            elif work.style == "post_only" and s.style == "post_only" and s.age >= p.requote_after:
                why = "behind" if self._is_behind(s.px, work, book) else ""
            if why:
                s.canceled_at = s.age
                out.append(CancelRequest(agent=self.spec.id, iid=work.iid(s.child), why=why))
        return out

    def _is_behind(self, px: Decimal | None, work: Work, book: Book | None) -> bool:
        """Whether the order could be quoted nearer to the market: a buy below the best bid and its limit."""
        if px is None or book is None or not is_usable(book):
            return False
        now = tighter(work.side, touch_price(book, work.side, self._instruments[work.symbol]), work.limit)
        return now is not None and (now > px if work.side == "buy" else now < px)

    def _advance(self, work: Work, ctx: Context, *, fresh: bool) -> list[Message]:
        """Do what comes next for a leg of which no order is alive; ``fresh``: on a new batch."""
        if work.live:
            return []
        if work.done >= work.qty:
            return self._finish(work, "filled")
        if work.waiting:
            return []  # just refused by the venue: the next batch brings a newer book
        book = self._state.books.get(work.symbol)
        if book is None or not is_usable(book):
            return []
        match work.style:
            case "post_only":
                return self._follow(work, book, ctx)
            case "twap":
                # never twice against the same book: what it had to give is taken
                return self._slice(work, book, ctx) if fresh else []
        return self._finish(work, "rested")

    def _follow(self, work: Work, book: Book, ctx: Context) -> list[Message]:
        """Quote the rest at the best price of the own side, or after enough tries take what is there."""
        instrument = self._instruments[work.symbol]
        if work.crossed:
            return self._finish(work, "unfilled")
        if work.tries < self._params.max_requotes:
            px = tighter(work.side, touch_price(book, work.side, instrument), work.limit)
            work.tries += 1
            return self._request(work, px, "post_only", "GTC", f"requote {work.tries}", ctx)
        moved = (side_levels(book, work.side)[0][0] / work.ref_px - 1) * 1e4 if work.ref_px > 0 else 0.0
        adverse = moved if work.side == "buy" else -moved
        if not work.reduce_only and work.edge_bps > 0 and adverse >= work.edge_bps:
            return self._finish(work, "edge_gone")
        work.crossed = True
        px = tighter(work.side, reach_price(book, work.side, self._params.buffer_bps, instrument), work.limit)
        if not reaches(px, book, work.side):
            return self._finish(work, "beyond_limit")
        return self._request(work, px, "limit", "IOC", "cross", ctx)

    def _slice(self, work: Work, book: Book, ctx: Context) -> list[Message]:
        """Send what is due of a twap and not yet taken, while its limit reaches the market."""
        due = sum((qty for qty, at in work.plan if at <= ctx.now), ZERO)
        over = all(at <= ctx.now for _, at in work.plan)
        instrument = self._instruments[work.symbol]
        if over:
            work.late += 1
        px = tighter(work.side, reach_price(book, work.side, self._params.buffer_bps, instrument), work.limit)
        want = min(due - work.used, work.room(ctx.view, px, instrument))
        qty = instrument.qty(max(want, ZERO))
        if px is not None and reaches(px, book, work.side) and not instrument.tradable(qty, px):
            if work.late > self._params.catch_up + 1:
                return self._finish(work, "unfilled")
            return self._request(work, px, "limit", "IOC", "slice", ctx, qty)
        if over and (work.late > self._params.catch_up or work.used >= work.qty):
            return self._finish(work, "unfilled")
        return []

    def _request(
        self, work: Work, px: Decimal | None, style: str, tif: str, why: str, ctx: Context,
        most: Decimal | None = None,
    ) -> list[Message]:  # fmt: skip
        instrument = self._instruments[work.symbol]
        qty = work.room(ctx.view, px, instrument)
        qty = qty if most is None else min(qty, most)
        if px is None or instrument.tradable(qty, px):
            return self._finish(work, "rest_too_small")
        sent = work.send(qty, px, style, ctx.view.version)
        self._of_iid[work.iid(sent.child)] = work
        request = OrderRequest(
            agent=self.spec.id, round=work.round, pid=work.pid, leg=work.leg, child=sent.child, qty=qty,
            style=style, px=px, tif=tif, why=why,
        )  # fmt: skip
        return [request]

    def _finish(self, work: Work, why: str) -> list[Message]:
        self._forget(work)
        return [ScheduleDone(agent=self.spec.id, round=work.round, pid=work.pid, leg=work.leg, why=why)]

    def _forget(self, work: Work) -> None:
        state = self._state
        state.works = [w for w in state.works if w.key != work.key]
        state.done.append(work.key)
        del state.done[:-KEPT_DONE]
        for s in work.sent:
            self._of_iid.pop(work.iid(s.child), None)


def make(spec: AgentSpec, env: AgentEnv) -> Execution:
    """Build the execution agent of a spec."""
    return Execution(spec, env)
