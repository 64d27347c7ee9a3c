"""The execution agent: advises how to work a proposal, then works what was decided.

Its review, of the final numbers, is advice (`parley.tactics`). After the decision the desk sends child 0; the
agent sends the children of a schedule (twap, vwap, pov) when they are due, shows the next
slice of an iceberg when one is filled, chases the market with a resting order (cancel
first, then the rest anew), in the end crosses with a limit or gives up, and says
`ScheduleDone`. All its prices stay within the proposal's own limits, all its quantities
within what `Work.room` leaves.

Not here: the arithmetic of quotes and slices (`parley.execution`), sending (only the desk,
after the gate, makes an order of a request).

Invariant: at most one new order of a leg is asked for per message, and only while no
other of it is alive: an order of which nobody knows what became of it counts as alive, so
the leg sends nothing more.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta

from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.depth import depth, is_usable, side_levels
from parley.execution.chase import ChasePolicy, Quote, Then, follow, furthest, is_behind
from parley.execution.iceberg import visible
from parley.execution.pricing import reach_price, reaches, tighter, touch_price
from parley.execution.slicing import due, participation
from parley.execution.styles import FOLLOWING, TAKING, is_worked, venue_style
from parley.execution.volume_curve import Curve, expected, learn
from parley.instruments import Instrument
from parley.messages import (
    UNGUARDED,
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
from parley.tactics import Tactics, Task, advise

ZERO = Decimal(0)
MS = 1_000_000
KEPT_REVIEWS = 256
KEPT_DONE = 512


class Params(Tactics, frozen=True, kw_only=True):
    """How long to be patient, in batches (candles).

    A resting order behind the market is re-quoted after ``requote_after``, where its limit
    allows a better price, at most ``max_requotes`` times and no further than
    ``max_chase_bps`` from its first quote (None: than its limit); ``after_chase`` it crosses
    or gives up, an iceberg always gives up. No order rests longer than ``rest_after``; a
    cancel is repeated after ``cancel_again``; a schedule has ``catch_up`` batches for what its
    children missed, and a pov takes at most ``max_burst`` times its share of a candle at once.
    """

    requote_after: Annotated[int, Meta(ge=1)] = 1
    max_requotes: Annotated[int, Meta(ge=0)] = 3
    rest_after: Annotated[int, Meta(ge=1)] = 8
    cancel_again: Annotated[int, Meta(ge=1)] = 3
    catch_up: Annotated[int, Meta(ge=0)] = 2
    max_chase_bps: Annotated[float, Meta(ge=0, le=1000)] | None = None
    after_chase: Then = "cross"
    max_burst: Annotated[float, Meta(ge=1, le=10)] = 2.0


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
    printed: dict[str, float] = {}
    curves: dict[str, Curve] = {}
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
        self._tf_ns = env.tf_ns
        self._chase = ChasePolicy(
            moves=self._params.max_requotes, distance_bps=self._params.max_chase_bps,
            then=self._params.after_chase,
        )  # fmt: skip
        self._state = State()
        self._of_iid: dict[bytes, Work] = {}

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        """Answer one message; see the module's text for which."""
        match msg:
            case MarketBatch():
                return self._batch(msg, ctx)
            case Review(stage="execution"):
                return (self._review(msg, ctx),)
            case Decision(action="accept"):
                self._decided(msg, ctx)
            case Fill() | OrderEvent() | VenueReject():
                work = self._of_iid.get(msg.iid)
                if work is not None:
                    work.hear(msg)
                    if isinstance(msg, VenueReject) and msg.code == UNGUARDED and not work.live:
                        # to take instead, or to ask again with each book, is not what was decided
                        return self._finish(work, "unguarded")
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

    def _review(self, review: Review, ctx: Context) -> Counter:
        bid = review.proposal
        leg = bid.legs[0]
        instrument = self._instruments.get(leg.symbol)
        book = self._state.books.get(leg.symbol)
        if bid.coupled or instrument is None or book is None or not is_usable(book):
            code = "own_limits" if bid.coupled else "no_book"
            return Counter(pid=review.pid, agent=self.spec.id, code=code, binding=False)
        task = Task(
            leg, leg.qty, bid.urgency, bid.max_slippage_bps, bid.horizon_ms,
            self._state.volume.get(leg.symbol, 0.0), self._tf_ms, self._state.printed.get(leg.symbol, 0.0),
            lambda steps: expected(self._state.curves, leg.symbol, ctx.now, self._tf_ns, steps),
            lambda: ctx.rng,
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
        """Take up what the desk leaves to this agent: schedules and orders that rest."""
        state = self._state
        if len(decision.plan) != 1:
            return  # coupled legs are immediate, and the desk sends one after the other
        plan = decision.plan[0]
        key = (decision.round, decision.pid, 0)
        known = key in state.done or any(w.key == key for w in state.works)
        if (
            not is_worked(plan.style, plan.tif)
            or known
            or plan.qty <= 0
            or plan.symbol not in self._instruments
        ):
            return
        work = self._take_up(decision, plan, ctx)
        state.works.append(work)
        self._of_iid[work.iid(0)] = work

    def _take_up(self, decision: Decision, plan: PlanLeg, ctx: Context) -> Work:
        seen = self._state.reviews.get(decision.pid)
        children = [(c.qty, decision.t + c.delay_ms * MS) for c in plan.children]
        # a schedule is reserved at its plan's price; an order that follows may go up to the proposal's limit
        limit = seen.limit if seen is not None and plan.style in FOLLOWING else plan.px
        # child 0 of a pov rests on the last candle's volume: its window begins there
        printed = self._state.printed.get(plan.symbol, 0.0)
        work = Work(
            round=decision.round, pid=decision.pid, leg=0, symbol=plan.symbol, side=plan.side,
            style=plan.style, qty=plan.qty, px=plan.px, tif=plan.tif, reduce_only=plan.reduce_only,
            plan=children or [(plan.qty, decision.t)], version=ctx.view.version, limit=limit,
            edge_bps=seen.edge_bps if seen else 0.0, ref_px=seen.mid if seen else 0.0,
            sent=[], trades=[], printed=printed, last=printed,
        )  # fmt: skip
        work.send(work.plan[0][0], plan.px, venue_style(plan.style), ctx.view.version)
        return work

    def _batch(self, batch: MarketBatch, ctx: Context) -> Sequence[Message]:
        state = self._state
        for book in batch.books:
            state.books[book.symbol] = book
        for bar in batch.bars:
            if isfinite(bar.volume) and bar.volume >= 0:
                before = state.volume.get(bar.symbol, bar.volume)
                state.volume[bar.symbol] = 0.9 * before + 0.1 * bar.volume
                state.printed[bar.symbol] = bar.volume
                for work in state.works:
                    if work.symbol == bar.symbol:
                        work.printed, work.last = work.printed + bar.volume, bar.volume
        if self._params.large == "vwap":
            learn(state.curves, batch.bars)
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
            elif work.style in FOLLOWING and not work.crossed and s.age >= p.requote_after:
                why = self._why_anew(s.px, work, book)
            if why:
                s.canceled_at = s.age
                out.append(CancelRequest(agent=self.spec.id, iid=work.iid(s.child), why=why))
        return out

    def _why_anew(self, px: Decimal | None, work: Work, book: Book | None) -> str:
        """Name why an order is to be quoted anew: the market left it, or it is time for its next step."""
        if px is None or book is None or not is_usable(book):
            return ""
        instrument = self._instruments[work.symbol]
        worst = self._worst(work, instrument)
        quote = _quote(work, book, instrument)
        if work.style == "requote":
            now = follow(self._chase, work.tries, quote, worst, instrument, stepping=True)
            return "" if now == px else "step"
        return "behind" if is_behind(px, quote, worst) else ""

    def _worst(self, work: Work, instrument: Instrument) -> Decimal | None:
        return furthest(self._chase, work.side, work.px, work.limit, instrument)

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
        if work.style in TAKING:
            # never twice against the same book: what it had to give is taken
            return self._slice(work, book, ctx) if fresh else []
        if work.style in FOLLOWING:
            return self._follow(work, book, ctx)
        return self._finish(work, "rested")

    def _follow(self, work: Work, book: Book, ctx: Context) -> list[Message]:
        """Quote the rest anew, show an iceberg's next slice, or after enough moves take what is there."""
        instrument = self._instruments[work.symbol]
        if work.crossed:
            return self._finish(work, "unfilled")
        quote, most, why = _quote(work, book, instrument), None, ""
        if work.style == "iceberg":
            taken = sum(1 for s in work.sent if s.done >= s.qty)
            most = work.plan[min(taken, len(work.plan) - 1)][0]
            why = f"slice {taken + 1}" if work.sent[-1].done >= work.sent[-1].qty else ""
        if why or work.tries < self._chase.moves:
            stepping = work.style == "requote"
            # showing the next slice is no move: it is quoted where the last one was
            moves = min(work.tries, self._chase.moves - 1)
            worst = self._worst(work, instrument)
            px = follow(self._chase, moves, quote, worst, instrument, stepping=stepping)
            px = px if px is not None else tighter(work.side, quote.touch, worst)
            work.tries += not why
            style = venue_style(work.style)
            if most is not None and px is not None:
                most = visible(work.room(ctx.view, px, instrument), most, px, instrument)
            return self._request(work, px, style, "GTC", why or f"requote {work.tries}", ctx, most)
        if work.style == "iceberg" or self._chase.then == "give_up":
            return self._finish(work, "chase_over")
        return self._cross(work, book, ctx)

    def _cross(self, work: Work, book: Book, ctx: Context) -> list[Message]:
        """Take what is there with the rest, once, unless the move ate what was expected of the trade."""
        instrument = self._instruments[work.symbol]
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
        """Send what a schedule has due, while its limit reaches the market and the book holds enough."""
        over = all(at <= ctx.now for _, at in work.plan)
        instrument, p = self._instruments[work.symbol], self._params
        if over:
            work.late += 1
        px = tighter(work.side, reach_price(book, work.side, p.buffer_bps, instrument), work.limit)
        if work.style == "pov":
            want = participation(p.participation, work.printed, work.last, work.used, p.max_burst, instrument)
        else:
            want = due(work.plan, ctx.now, work.used, instrument)
        # a book that has thinned since the plan was made gives less: the gate would refuse the rest
        want = min(want, instrument.qty(p.large_share * depth(side_levels(book, work.side))))
        qty = instrument.qty(max(min(want, work.room(ctx.view, px, instrument)), ZERO))
        if px is not None and reaches(px, book, work.side) and not instrument.tradable(qty, px):
            if work.late > p.catch_up + 1:
                return self._finish(work, "unfilled")
            return self._request(work, px, "limit", "IOC", "slice", ctx, qty)
        if over and (work.late > p.catch_up or work.used >= work.qty):
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


def _quote(work: Work, book: Book, instrument: Instrument) -> Quote:
    best = side_levels(book, work.side)[0][0]
    opposite = instrument.crossing_price(best, work.side)
    return Quote(work.side, touch_price(book, work.side, instrument), opposite)


def make(spec: AgentSpec, env: AgentEnv) -> Execution:
    """Build the execution agent of a spec."""
    return Execution(spec, env)
