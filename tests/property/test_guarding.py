"""Stops at a venue that answers late, in doubt or not at all: nothing is ever sold twice, no stop loosens.

Around a desk of two holders of one symbol stands a small venue: it accepts, refuses or loses what it is sent,
fills in parts, races cancels with fills, and tells all of it late and interleaved. The truth is what it could
still fill, with what is still on the way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from parley.agent import Context
from parley.execution.protective import REACHED
from parley.messages import (
    Ack,
    CancelIntent,
    Cfp,
    Fill,
    Halt,
    Intent,
    Message,
    OrderEvent,
    Protect,
    Refuse,
    Unknown,
    VenueReject,
)
from tests.kit.desk_cases import BTC, StepDesk
from tests.kit.effort import examples
from tests.kit.firm_kit import T0, D, polite, proposal

ZERO = D(0)
LOT = D("0.00001")
STOP = D(49_000)
HOLDERS = ("strategy/a", "strategy/b")
SHARES = st.sampled_from([D("0.1"), D("0.5"), D(1)])


class Wishes:
    """What a strategy answers next."""

    def __init__(self) -> None:
        self.next = "none"
        self.stop = STOP

    def __call__(self, msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        if not isinstance(msg, Cfp):
            return polite(msg, ctx, me)
        held = ctx.view.holding(me, BTC)
        qty = ZERO if held is None else held.qty // LOT * LOT
        working = ctx.view.reserved(me, BTC)
        if self.next == "buy" and not working and qty < D("0.3") and not msg.reduce_only:
            return (replace(proposal(me, ctx, BTC, "buy", D("0.1")), stop=self.stop),)
        if self.next == "leave" and not working and qty >= D("0.001"):
            return (proposal(me, ctx, BTC, "sell", qty, reduce_only=True),)
        if self.next == "tighten" and held is not None and qty:
            moved = Protect(agent=me, symbol=BTC, opened=held.opened, stop=self.stop)
            return (moved, Refuse(agent=me, code="holding"))
        return (Refuse(agent=me, code="no"),)


class AtVenue:
    """One order as the venue has it."""

    def __init__(self, order: Intent) -> None:
        self.order = order
        self.left = order.qty
        self.alive = False
        self.done = ZERO
        self.told: deque[Message] = deque()

    def fill(self, share: Decimal, trade: int, t: int) -> None:
        qty = max(LOT, self.left * share // LOT * LOT)
        qty = min(qty, self.left)
        self.left -= qty
        self.done += qty
        i = self.order
        self.told.append(
            Fill(
                trade_id=f"t{trade}", venue="binance", account="main", iid=i.iid, venue_id="v",
                symbol=i.symbol, side=i.side, qty=qty, px=i.trigger or D(50_000), fee=ZERO, fee_asset="USDT",
                liquidity="taker", t=t,
            )
        )  # fmt: skip
        if not self.left:
            self.end("closed")

    def end(self, status: str) -> None:
        self.alive = False
        i = self.order
        self.told.append(
            OrderEvent(
                iid=i.iid, venue_id="v", symbol=i.symbol, status=status, cum_qty=self.done, avg_px=D(1), t=T0
            )
        )


class Guarded(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.wishes = {who: Wishes() for who in HOLDERS}
        self.desk = StepDesk(dict(self.wishes), venue_stops=True)  # type: ignore[arg-type]
        self.on_way: deque[Intent | CancelIntent] = deque()
        self.venue: dict[bytes, AtVenue] = {}
        self.held = dict.fromkeys(HOLDERS, ZERO)
        self.trades = 0
        self.counted: dict[bytes, Decimal] = {}
        self.triggers: dict[tuple[str, int, bytes], Decimal] = {}
        for who in HOLDERS:
            self.candle(who, "buy", 0, 0)
            self.quiet()

    def quiet(self) -> None:
        """Let the venue take everything and tell all it knows."""
        while self.on_way or any(at.told for at in self.venue.values()):
            if self.on_way:
                self.arrive("takes", D(1))
            else:
                self.deliver(0, False)
            self.nothing_is_sold_twice()

    # the desk

    def sent(self, orders: Sequence[Intent | CancelIntent]) -> None:
        for order in orders:
            self.on_way.append(order)
            if isinstance(order, Intent):
                assert order.iid not in self.venue
                self.venue[order.iid] = AtVenue(order)
                self.check_trigger(order)

    def check_trigger(self, order: Intent) -> None:
        if order.trigger is None:
            return
        holding = next(h for h in self.desk.firm.account.holdings() if h.agent == order.agent)
        key = (order.agent, holding.opened, holding.round)
        assert order.px is not None
        assert order.px < order.trigger
        assert order.trigger >= self.triggers.get(key, ZERO), "a stop was loosened"
        self.triggers[key] = order.trigger

    @rule(
        who=st.sampled_from(HOLDERS), wish=st.sampled_from(["none", "buy", "leave", "leave", "tighten"]),
        move=st.integers(-1500, 1500), stop=st.integers(-300, 1200),
    )  # fmt: skip
    def candle(self, who: str, wish: str, move: int, stop: int) -> None:
        for wishes in self.wishes.values():
            wishes.next = "none"
        self.wishes[who].next, self.wishes[who].stop = wish, STOP + stop
        self.sent(self.desk.close({BTC: 50_000.0 + move}))

    @rule(mode=st.sampled_from(["FLATTEN", "RESUME", "RESUME", "RESUME", "CANCEL_ONLY", "REDUCE_ONLY"]))
    def command(self, mode: str) -> None:
        self.sent(self.desk.admit(Halt(scope="*", mode=mode, by="me", why=""), "user"))

    @rule()
    def pause(self) -> None:
        self.quiet()

    # the venue

    @precondition(lambda self: self.on_way)
    @rule(fate=st.sampled_from(["takes", "takes", "takes", "refuses", "reached", "busy", "lost", "never"]),
          share=SHARES)  # fmt: skip
    def arrive(self, fate: str, share: Decimal) -> None:
        order = self.on_way.popleft()
        if isinstance(order, CancelIntent):
            self.cancel(order, fate)
            return
        at = self.venue[order.iid]
        if fate in ("refuses", "reached", "busy"):
            code = {"reached": REACHED, "busy": "last_look:rate"}.get(fate, "venue:no")
            at.left = ZERO
            at.told.append(VenueReject(iid=order.iid, code=code, definitive=True))
            return
        if fate in ("lost", "never"):
            at.told.append(Unknown(iid=order.iid, cause="timeout"))
            if fate == "never":
                at.left = ZERO
                at.told.append(VenueReject(iid=order.iid, code="not_accepted", definitive=True))
                return
        at.alive = True
        at.told.append(Ack(iid=order.iid, venue_id="v", t_venue=T0))
        if order.trigger is None:  # immediate or cancelled
            self.trade(at, share)
            if at.alive:
                at.end("canceled")

    def cancel(self, cancel: CancelIntent, fate: str) -> None:
        at = self.venue[cancel.iid]
        took = fate in ("takes", "lost") and at.alive
        if took:
            at.end("canceled")
        if fate in ("lost", "never"):
            at.told.append(Unknown(iid=cancel.iid, cause="timeout", cancel=True))
        elif took:
            at.told.append(Ack(iid=cancel.iid, venue_id="v", t_venue=T0, cancel=True))
        else:
            at.told.append(VenueReject(iid=cancel.iid, code="no", definitive=True, cancel=True))

    def trade(self, at: AtVenue, share: Decimal) -> None:
        self.trades += 1
        at.fill(share, self.trades, self.desk.firm.table.now)

    @precondition(lambda self: any(at.alive for at in self.venue.values()))
    @rule(which=st.integers(0, 3), share=SHARES)
    def trigger(self, which: int, share: Decimal) -> None:
        alive = [at for at in self.venue.values() if at.alive]
        self.trade(alive[which % len(alive)], share)

    @precondition(lambda self: any(at.told for at in self.venue.values()))
    @rule(which=st.integers(0, 5), twice=st.booleans())
    def deliver(self, which: int, twice: bool) -> None:
        waiting = [at for at in self.venue.values() if at.told]
        fact = waiting[which % len(waiting)].told.popleft()
        self.sent(self.desk.tell(fact))
        if twice:
            self.sent(self.desk.tell(fact))

    # what must hold

    @invariant()
    def nothing_is_sold_twice(self) -> None:
        """What may still sell, on its way or there, is no more than what the holder really holds."""
        if not hasattr(self, "venue"):
            return
        arriving = {o.iid for o in self.on_way if isinstance(o, Intent)}
        for who in HOLDERS:
            bought = sold = may_sell = ZERO
            for at in self.venue.values():
                if at.order.agent != who:
                    continue
                if at.order.side == "buy":
                    bought += at.done
                else:
                    sold += at.done
                    may_sell += at.left if at.alive or at.order.iid in arriving else ZERO
            assert sold + may_sell <= bought, (who, sold, may_sell, bought)

    @invariant()
    def one_order_sells_a_holding(self) -> None:
        if not hasattr(self, "venue"):
            return
        arriving = {o.iid for o in self.on_way if isinstance(o, Intent)}
        for who in HOLDERS:
            mine = [at for at in self.venue.values() if (at.order.agent, at.order.side) == (who, "sell")]
            assert sum(at.alive or at.order.iid in arriving for at in mine) <= 1

    def teardown(self) -> None:
        """When the venue answers again everything that is held ends up with its stop."""
        if not hasattr(self, "venue"):
            return
        self.command("RESUME")
        for _ in range(80):
            self.candle("strategy/a", "none", 1400, 0)
            self.quiet()
        for holding in self.desk.firm.account.holdings():
            if holding.qty * D(48_000) < 10 or holding.stop is None or holding.stop > D(51_300):
                continue
            guards = [at for at in self.venue.values() if at.alive and at.order.agent == holding.agent]
            assert [at.left for at in guards] == [holding.qty // LOT * LOT]
            assert guards[0].order.trigger is not None


Guarded.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=50, deadline=None)
TestGuarded = Guarded.TestCase
