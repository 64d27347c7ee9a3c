"""The execution agent never asks for more than was decided, whatever the venue and the wire do.

A small desk and venue stand around the agent: orders fill in parts, expire, are canceled
or refused; facts about them reach desk and agent late, in any order and twice; some
requests the desk refuses without a word. The truth is what the venue could still fill.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agents.execution import Execution, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.execution.styles import SLICED, STYLES, TAKING
from parley.ids import intent_id
from parley.messages import (
    Book,
    CancelRequest,
    Child,
    Fill,
    MarketBatch,
    Message,
    OrderEvent,
    OrderRequest,
    PlanLeg,
    Reservation,
    Review,
    ScheduleDone,
    StateView,
    VenueReject,
    WorkingOrder,
)
from parley.view import FirmView
from tests.kit.builders import (
    T0,
    make_bar,
    make_book,
    make_decision,
    make_fill,
    make_instrument,
    make_leg,
    make_proposal,
    make_state,
)
from tests.kit.effort import examples

MINUTE = 60_000_000_000
ROUND, PID = b"r" * 16, b"p" * 16
LOT = Decimal("0.00001")


class Order:
    """An order at the venue, and what the desk has heard of it."""

    def __init__(self, child: int, qty: Decimal) -> None:
        self.child, self.qty = child, qty
        self.filled = self.heard = self.cum = Decimal(0)
        self.alive = self.known_alive = True
        self.gone = False
        self.trades: set[str] = set()
        self.count = 0

    @property
    def iid(self) -> bytes:
        return intent_id(ROUND, PID, 0, self.child)

    def hear(self, fact: Message) -> None:
        match fact:
            case Fill() if fact.trade_id not in self.trades:
                self.trades.add(fact.trade_id)
                self.heard += fact.qty
            case OrderEvent():
                self.cum = max(self.cum, fact.cum_qty)
                self.gone = self.gone or fact.status in ("canceled", "expired")
            case VenueReject(cancel=False):
                self.known_alive = False
        if self.heard >= self.qty or (self.gone and self.heard >= self.cum):
            self.known_alive = False


class Working(RuleBasedStateMachine):
    """One decided leg between its decision and its end."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[bytes, Order] = {}
        self.refused: set[bytes] = set()
        self.wire: list[Message] = []
        self.minute = 0
        self.version = 1
        self.done = 0
        self.sent_after_done = False

    @initialize(
        style=st.sampled_from(sorted(STYLES.keys() - {"market"})),
        lots=st.integers(30, 90_000),
        side=st.sampled_from(["buy", "sell"]),
        told=st.booleans(),
    )
    def decide(self, style: str, lots: int, side: str, told: bool) -> None:
        env = AgentEnv(
            tenant="t",
            account="main",
            quote="USDT",
            symbols=("BTC/USDT",),
            instruments={"BTC/USDT": make_instrument()},
            tf_ns=MINUTE,
        )
        spec = AgentSpec(
            id="execution/x", role="execution", factory="", params={"requote_after": 1, "rest_after": 4}
        )
        self.agent: Execution = make(spec, env)
        self.side, self.told = side, told  # told: the account's view reaches the agent
        self.qty = lots * LOT
        self.ask(MarketBatch(step=0, t=T0, books=(self.book(60_000.0, 5.0),)))
        legs = (make_leg(side=side, qty=self.qty),)
        bid = make_proposal(pid=PID, legs=legs, max_slippage_bps=100.0, edge_bps=80.0, urgency="patient")
        self.ask(
            Review(round=ROUND, pid=PID, stage="execution", proposal=bid, size=1.0, state_version=1, t=T0)
        )
        first = self.qty if style not in SLICED else (lots // 3) * LOT
        later = (60_000, 120_000) if style in TAKING else (0, 0)
        children = ((first, 0), (first, later[0]), (self.qty - 2 * first, later[1]))
        if style not in SLICED:
            children = ()
        plan = PlanLeg(
            symbol="BTC/USDT",
            side=side,
            qty=self.qty,
            style=style,
            px=Decimal(60_300 if side == "buy" else 59_700),
            tif="IOC" if style in TAKING else "GTC",
            reduce_only=False,
            children=tuple(Child(qty=q, delay_ms=d) for q, d in children),
        )
        self.orders[intent_id(ROUND, PID, 0, 0)] = Order(0, first)
        self.decision = make_decision(round=ROUND, pid=PID, plan=(plan,), t=T0)
        self.ask(self.decision)

    def book(self, bid: float, qty: float) -> Book:
        return make_book(bids=((bid, qty),), asks=((bid + 1, qty),))

    def view(self) -> StateView:
        if not self.told:
            return make_state(state_version=0)
        live = [o for o in self.orders.values() if o.known_alive]
        left = self.qty - sum((o.heard for o in self.orders.values()), Decimal(0))
        reservation = Reservation(
            rid=b"x",
            round=ROUND,
            pid=PID,
            agent="strategy/ema",
            symbol="BTC/USDT",
            side=self.side,
            asset="USDT",
            amount=left * 60_300,
            qty_left=left,
        )
        working = tuple(
            WorkingOrder(
                iid=o.iid,
                cid="c",
                round=ROUND,
                pid=PID,
                agent="strategy/ema",
                leg=0,
                child=o.child,
                symbol="BTC/USDT",
                side=self.side,
                qty=o.qty,
                filled=o.heard,
                px=Decimal(60_000),
                state="OPEN",
                t=T0,
            )
            for o in live
        )
        return make_state(state_version=self.version, reservations=(reservation,), orders=working)

    def ask(self, message: Message, accept: bool = True) -> None:
        self.version += 1
        now = T0 + self.minute * MINUTE
        ctx = Context(now=now, view=FirmView(self.view()), seq=self.version, seed=1, agent="execution/x")
        answers = self.agent.handle(message, ctx)
        assert sum(isinstance(m, OrderRequest) for m in answers) <= 1
        for answer in answers:
            match answer:
                case OrderRequest():
                    self.sent_after_done = self.sent_after_done or self.done > 0
                    assert answer.qty > 0
                    assert answer.qty % LOT == 0
                    assert answer.px is not None
                    iid = intent_id(ROUND, PID, 0, answer.child)
                    assert iid not in self.orders
                    assert iid not in self.refused
                    if accept:
                        self.orders[iid] = Order(answer.child, answer.qty)
                    else:
                        self.refused.add(iid)
                case CancelRequest() if answer.iid not in self.orders:
                    # the desk has no such order and says nothing, which the agent only learns from its view
                    assert answer.iid in self.refused
                case CancelRequest():
                    order = self.orders[answer.iid]
                    if order.alive and accept:
                        order.alive = False
                        self.say(order, "canceled")
                    else:
                        self.wire.append(
                            VenueReject(iid=answer.iid, code="unknown", definitive=True, cancel=True)
                        )
                case ScheduleDone():
                    self.done += 1

    def say(self, order: Order, status: str) -> None:
        self.wire.append(
            OrderEvent(
                iid=order.iid,
                venue_id="v",
                symbol="BTC/USDT",
                status=status,
                cum_qty=order.filled,
                avg_px=Decimal(60_000),
                t=T0,
            )
        )

    @rule(
        move=st.floats(-400, 400), qty=st.floats(0.0001, 3), accept=st.integers(0, 4),
        printed=st.floats(0, 20),
    )  # fmt: skip
    def market(self, move: float, qty: float, accept: int, printed: float) -> None:
        self.minute += 1
        batch = MarketBatch(
            step=self.minute, t=T0 + self.minute * MINUTE, books=(self.book(round(60_000 + move, 2), qty),),
            bars=(make_bar(volume=printed),),
        )  # fmt: skip
        self.ask(batch, accept > 0)

    @rule(which=st.integers(0, 50), part=st.sampled_from(["1", "0.5", "0.1"]))
    def fill(self, which: int, part: str) -> None:
        alive = [o for o in self.orders.values() if o.alive]
        if alive:
            order = alive[which % len(alive)]
            qty = make_instrument().qty((order.qty - order.filled) * Decimal(part))
            if qty > 0:
                order.filled += qty
                order.count += 1
                order.alive = order.filled < order.qty
                self.wire.append(
                    make_fill(iid=order.iid, qty=qty, trade_id=f"{order.child}/{order.count}", side=self.side)
                )
                self.say(order, "open" if order.alive else "closed")

    @rule(which=st.integers(0, 50), how=st.sampled_from(["expired", "rejected"]))
    def end(self, which: int, how: str) -> None:
        alive = [o for o in self.orders.values() if o.alive]
        if alive:
            order = alive[which % len(alive)]
            order.alive = False
            if how == "rejected" and order.filled == 0:
                self.wire.append(VenueReject(iid=order.iid, code="would_cross", definitive=True))
            else:
                self.say(order, "expired")

    @rule(which=st.integers(0, 50), again=st.booleans())
    def deliver(self, which: int, again: bool) -> None:
        if self.wire:
            fact = self.wire[which % len(self.wire)]
            if not again:
                self.wire.remove(fact)
            self.orders[fact.iid].hear(fact)  # type: ignore[union-attr]
            self.ask(fact)

    @rule()
    def repeat_the_decision(self) -> None:
        self.ask(self.decision)

    @rule()
    def restart(self) -> None:
        spec, blob = self.agent.spec, self.agent.snapshot()
        env = AgentEnv(
            tenant="t",
            account="main",
            quote="USDT",
            symbols=("BTC/USDT",),
            instruments={"BTC/USDT": make_instrument()},
            tf_ns=MINUTE,
        )
        self.agent = make(spec, env)
        self.agent.restore(blob)

    @invariant()
    def what_filled_and_what_may_still_fill_is_within_what_was_decided(self) -> None:
        if self.orders:
            worst = sum((o.qty if o.alive else o.filled for o in self.orders.values()), Decimal(0))
            assert worst <= self.qty

    @invariant()
    def a_schedule_ends_at_most_once_and_for_good(self) -> None:
        assert self.done <= 1
        assert not self.sent_after_done


TestWorking = Working.TestCase
TestWorking.settings = settings(max_examples=examples(60), stateful_step_count=40)
