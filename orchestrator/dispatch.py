"""From a decision to orders, and from the venue's facts back to the account.

Child 0 of every decided leg is made here; later children are asked for by the
execution agent and bounded by the leg's room and worst price. Coupled legs go one
after the other, each with what the one before delivered. Every order passes the gate,
and an opening one needs a fresh verdict of the risk agent; a later child of an exit
rests on its decision's. What leaves here is only emitted: it is sent after its group
is durable.
"""

from collections.abc import Generator, Sequence
from decimal import Decimal

from msgspec.structs import replace

from parley.bus import Answer, Wave
from parley.execution.protective import GUARD_LEG, STOP_LIMIT, Stop
from parley.execution.styles import SLICED
from parley.ids import account_key
from parley.instruments import plain
from parley.messages import (
    CancelIntent,
    CancelRequest,
    GateRefusal,
    Holding,
    Intent,
    OrderRequest,
    PlanLeg,
    Proposal,
    Reservation,
    ScheduleDone,
    Verdict,
)
from parley.money import decimal
from parley.risk.gate import Approved, Refused, check
from parley.view import FirmView

from .account import Account
from .gatekeeper import Gatekeeper
from .legs import Leg
from .market import Market
from .negotiation import Negotiation
from .orders import Order, OrderState
from .plan import better, intent, order_style, worst_price
from .policy import GroupOut
from .standings import whole_of
from .table import Said, Table
from .validate import number

ZERO = Decimal(0)
Opened = tuple[Approved, Leg]
Flow = Generator[Wave | GroupOut, Sequence[Answer], None]


class Dispatch:
    """Opens legs, sends their children, cancels, and follows coupled legs; one per desk."""

    def __init__(
        self, table: Table, account: Account, market: Market, negotiation: Negotiation, gatekeeper: Gatekeeper
    ) -> None:
        self._table = table
        self._account = account
        self._market = market
        self._negotiation = negotiation
        self._gatekeeper = gatekeeper
        self._key = account_key(table.config.tenant, table.config.account)
        self._following: dict[tuple[bytes, bytes], tuple[PlanLeg, ...]] = {}

    def open(
        self,
        round_: bytes,
        proposal: Proposal,
        plan: tuple[PlanLeg, ...],
        verdict: Verdict,
        view: FirmView,
        cause: int,
    ) -> tuple[Opened, ...] | GateRefusal:
        """Pass the decision's first order through the gate, or the part of each exchange.

        What the gate refuses is left out; nothing is opened when it refuses all.
        """
        refused: GateRefusal | None = None
        opened: list[Opened] = []
        beside: tuple[Reservation, ...] = ()
        is_divided = len(plan) > 1 and len(proposal.legs) == 1
        for index, part in enumerate(plan if len(proposal.legs) == 1 else plan[:1]):
            leg = self._leg(round_, proposal, index, part, verdict)
            first = self._account.legs.first_child(leg)
            draft = self._draft(leg, 0, first, part.px, order_style(part), part.tif)
            result = self._gate(draft, leg, verdict, view, cause, beside if is_divided else None)
            if isinstance(result, GateRefusal):
                refused = refused or result
                continue
            opened.append(result)
            instrument = self._table.env.instruments[part.symbol]
            beside = (*beside, self._account.legs.reservation(leg, instrument))
        return tuple(opened) if opened or refused is None else refused

    def would_pass(self, leg: Leg, verdict: Verdict, view: FirmView) -> bool:
        """Whether the gate lets all of a leg pass as one order; nothing is said, and nothing follows."""
        plan, instrument = leg.plan, self._table.env.instruments[leg.plan.symbol]
        draft = self._draft(leg, 0, plan.qty, plan.px, order_style(plan), plan.tif)
        reservation = self._account.legs.reservation(leg, instrument)
        facts = self._gatekeeper.facts(draft, leg.agent, view, verdict, reservation)
        return not isinstance(check(draft, facts, self._gatekeeper.limits), Refused)

    def commit(self, opened: Sequence[Opened], plan: tuple[PlanLeg, ...], cause: int) -> None:
        """Open the legs of approved orders and emit the orders."""
        if not opened:
            return  # all of it changed hands inside
        leg = opened[0][1]
        proposal = leg.proposal
        if proposal.coupled and len(plan) > 1:
            self._following[leg.round, proposal.pid] = plan
        for approved, each in opened:
            self._open(approved, each, cause)
        if not leg.plan.reduce_only:
            self._account.protect(leg.agent, leg.symbol, proposal.stop, proposal.take)

    def _open(self, approved: Approved, leg: Leg, cause: int) -> None:
        self._account.legs.open(leg)
        self._send(approved, leg, cause)

    def _send(self, approved: Approved, leg: Leg, cause: int) -> None:
        order = self._account.orders.open(approved.intent, leg.agent, self._table.now)
        self._account.legs.attach(leg, order)
        leg.last_word = self._table.now
        self._account.touch()
        self._gatekeeper.sent(approved.intent, leg.agent, self._table.now)
        self._table.order(approved, cause)

    def _leg(self, round_: bytes, proposal: Proposal, index: int, plan: PlanLeg, verdict: Verdict) -> Leg:
        book = self._market.books[plan.symbol]
        instrument = self._table.env.instruments[plan.symbol]
        own = proposal.legs[min(index, len(proposal.legs) - 1)].limit_px
        worst = worst_price(plan, own, book, proposal.max_slippage_bps, instrument)
        return Leg(
            round=round_,
            proposal=proposal,
            agent=proposal.agent,
            index=index,
            plan=plan,
            worst_px=worst,
            reservation_id=proposal.pid[:12] + index.to_bytes(4, "big"),
            verdict=verdict,
            last_word=self._table.now,
        )

    def _draft(self, leg: Leg, child: int, qty: Decimal, px: Decimal | None, style: str, tif: str) -> Intent:
        return self._intent(
            symbol=leg.plan.symbol, side=leg.plan.side, qty=qty, px=px, style=style, tif=tif,
            round_=leg.round, pid=leg.proposal.pid, leg=leg.index, child=child,
            reduce_only=leg.plan.reduce_only, reservation_id=leg.reservation_id, agent=leg.agent,
            trigger=None,
        )  # fmt: skip

    def _intent(
        self, *, symbol: str, side: str, qty: Decimal, px: Decimal | None, style: str, tif: str,
        round_: bytes, pid: bytes, leg: int, child: int, reduce_only: bool, reservation_id: bytes, agent: str,
        trigger: Decimal | None,
    ) -> Intent:  # fmt: skip
        table, book = self._table, self._market.books.get(symbol)
        mid = decimal(book.mid) if book is not None and book.bids and book.asks else None
        return intent(
            table.config, self._key, epoch=table.epoch, round_=round_, pid=pid, leg=leg, child=child,
            symbol=symbol, side=side, qty=qty, px=px, style=style, tif=tif, reduce_only=reduce_only,
            send_by=table.mono + table.config.budgets.send_by, reservation_id=reservation_id, ref_px=mid,
            agent=agent, trigger=trigger,
        )  # fmt: skip

    def _gate(
        self, draft: Intent, leg: Leg, verdict: Verdict, view: FirmView, cause: int,
        beside: tuple[Reservation, ...] | None = None,
    ) -> Opened | GateRefusal:  # fmt: skip
        if self._account.orders.get(draft.iid) is not None:
            # an agent named two proposals alike, or a trigger came twice: an intent exists once
            return self._refuse(draft, "intent_exists", draft.cid, "once", cause)
        if self._account.kills.bars(leg.agent, reduces=draft.reduce_only):
            return self._refuse(draft, "killed", leg.agent, "released", cause)
        instrument = self._table.env.instruments[leg.plan.symbol]
        reservation = self._account.legs.reservation(leg, instrument)
        facts = self._gatekeeper.facts(draft, leg.agent, view, verdict, reservation, beside)
        result = check(draft, facts, self._gatekeeper.limits)
        if isinstance(result, Refused):
            return self._refuse(draft, result.code, result.value, result.cap, cause)
        return result, leg

    def _refuse(self, draft: Intent, code: str, value: str, cap: str, cause: int) -> GateRefusal:
        refusal = GateRefusal(iid=draft.iid, round=draft.round, code=code, value=value, cap=cap)
        self._table.emit(refusal, cause=cause, round_=draft.round)
        return refusal

    def show(self) -> Generator[Wave | GroupOut, Sequence[Answer], FirmView]:
        """Show every agent the account, if it changed since they last saw it."""
        view, fresh = self._account.view()
        if fresh or self._table.is_behind:
            yield from self._table.state(view.state)
        return view

    # later children

    def requests(self, inbox: Sequence[Said]) -> Flow:
        """Work off what the execution agent asked for: children, cancels, the end of a schedule."""
        for said in inbox:
            match said.message:
                case OrderRequest() as request:
                    yield from self._child(said, request)
                case CancelRequest() as request:
                    self.cancel(request.iid, said.seq)
                case ScheduleDone() as done:
                    leg = self._account.legs.find(done.round, done.pid, done.leg)
                    if leg is not None:
                        leg.closed = True
                        leg.last_word = self._table.now
                case _:
                    pass

    def _child(self, said: Said, request: OrderRequest) -> Flow:
        account, table = self._account, self._table
        leg = account.legs.find(request.round, request.pid, request.leg)
        if leg is None or leg.closed:
            return  # the leg ended in the meantime: nothing to send, nobody to blame
        code = self._unfit(leg, request)
        if code:
            table.reject(said.agent, said.seq, code, leg.round, "OrderRequest")
            return
        leg.next_child = request.child + 1
        view = yield from self.show()
        plan = leg.plan
        rest = replace(
            leg.proposal,
            legs=(replace(leg.wish, qty=request.qty, limit_px=request.px),),
            coupled=False,
        )
        verdict: Verdict | None = leg.verdict
        if not plan.reduce_only:
            verdict, _ = yield from self._negotiation.verdict(leg.round, rest, 1.0, view, said.seq)
        if verdict is None or not verdict.ok or verdict.max_qty < request.qty:
            leg.closed = True  # what risk no longer wants is not tried again
            return
        draft = self._draft(leg, request.child, request.qty, request.px, request.style, request.tif)
        result = self._gate(draft, leg, verdict, view, said.seq)
        if isinstance(result, GateRefusal):
            leg.closed = plan.style not in SLICED
            return
        self._send(result[0], leg, said.seq)

    def _unfit(self, leg: Leg, request: OrderRequest) -> str:
        """Name what a child asked for must not have, or give the empty string."""
        instrument = self._table.env.instruments[leg.plan.symbol]
        qty, px = request.qty, request.px
        if request.child < leg.next_child:
            return "child_reused"
        if not number(qty) or instrument.qty(qty) != qty:
            return "bad_quantity"
        if request.style not in ("market", "limit", "post_only"):
            return "unknown_style"
        if qty > self._account.legs.room(leg):
            return "more_than_decided"
        if px is None:
            return "beyond_limit" if leg.plan.px is not None else ""
        if not number(px) or instrument.price(px, "near") != px:
            return "bad_price"
        return "beyond_limit" if better(leg.plan.side, px, leg.worst_px) != px else ""

    # what guards a holding

    def guard(
        self, holding: Holding, stop: Stop, n: int, cause: int
    ) -> Generator[Wave | GroupOut, Sequence[Answer], GateRefusal | None]:
        """Have the venue hold a stop, if the gate lets it pass; ``n`` tells it from all others."""
        account, table = self._account, self._table
        view = yield from self.show()
        draft = self._intent(
            symbol=holding.symbol, side=stop.side, qty=stop.qty, px=stop.limit, style=STOP_LIMIT, tif="GTC",
            round_=holding.round, pid=holding.pid, leg=GUARD_LEG, child=n, reduce_only=True,
            reservation_id=b"", agent=holding.agent, trigger=stop.trigger,
        )  # fmt: skip
        if account.orders.get(draft.iid) is not None:
            return self._refuse(draft, "intent_exists", draft.cid, "once", cause)
        facts = self._gatekeeper.facts(draft, holding.agent, view, None, None)
        result = check(draft, facts, self._gatekeeper.limits)
        if isinstance(result, Refused):
            return self._refuse(draft, result.code, result.value, result.cap, cause)
        account.orders.open(result.intent, holding.agent, table.now)
        account.touch()
        self._gatekeeper.sent(result.intent, holding.agent, table.now)
        table.order(result, cause)
        return None

    def cancel(self, iid: bytes, cause: int) -> None:
        """Emit a cancel of a live order; a second one only after the first was answered.

        One in doubt is asked to go once: whether there is anything to cancel is being looked up.
        """
        order = self._account.orders.get(iid)
        if order is None or order.is_final or order.cancelling:
            return
        if order.state is OrderState.UNKNOWN and order.cancels:
            return
        n = self._account.orders.ask_cancel(iid)
        self._account.touch()
        i = order.intent
        self._table.cancel(
            CancelIntent(
                iid=iid,
                cid=i.cid,
                round=i.round,
                account=i.account,
                venue=i.venue,
                symbol=i.symbol,
                send_by=self._table.mono + self._table.config.budgets.send_by,
                epoch=self._table.epoch,
                n=n,
            ),
            cause,
        )

    def cancel_all(self, symbol: str, cause: int) -> None:
        """Cancel every live order (of a symbol, or all when it is empty) and end their schedules.

        What guards a holding stays until somebody leaves in its place.
        """
        for leg in self._account.legs.all():
            if not symbol or leg.symbol == symbol:
                leg.closed = True
        for order in self._account.orders.live():
            if order.intent.trigger is None and (not symbol or plain(order.intent.symbol) == symbol):
                self.cancel(order.intent.iid, cause)

    def stop_forgotten(self, cause: int) -> None:
        """End legs the execution agent forgot, and cancel what is left of them."""
        account, table = self._account, self._table
        patience = table.config.settle_bars * table.config.tf_ns
        for leg in account.legs.all():
            longest = max((c.delay_ms for c in leg.plan.children), default=0) * 1_000_000
            if table.now - leg.last_word > patience + longest:
                leg.closed = True
                for order in account.legs.live(leg):
                    self.cancel(order.intent.iid, cause)

    def settle(self, cause: int) -> Flow:
        """Close what is over, and follow up coupled legs."""
        for leg, orders in self._account.legs.finish():
            self._account.touch()
            yield from self._follow(leg, orders, cause)

    def _follow(self, leg: Leg, orders: Sequence[Order], cause: int) -> Flow:
        """Send the next leg of a cycle with what the last one delivered, or end the cycle there."""
        key = (leg.round, leg.proposal.pid)
        plan = self._following.pop(key, ())
        index = leg.index + 1
        if index >= len(plan) or not any(o.filled for o in orders):
            return
        view = yield from self.show()
        step = plan[index]
        qty = self._affordable(leg, orders, step, view)
        if qty <= 0:
            return
        bid = replace(leg.proposal, legs=(replace(leg.proposal.legs[index], qty=qty),), coupled=False)
        verdict, _ = yield from self._negotiation.verdict(leg.round, bid, 1.0, view, cause)
        if verdict is None or not verdict.ok or verdict.max_qty < qty:
            return
        following = self._leg(leg.round, leg.proposal, index, replace(step, qty=qty), verdict)
        draft = self._draft(following, 0, qty, step.px, order_style(step), step.tif)
        result = self._gate(draft, following, verdict, view, cause)
        if not isinstance(result, GateRefusal):
            self._following[key] = plan
            self._open(result[0], following, cause)

    def _affordable(self, leg: Leg, orders: Sequence[Order], step: PlanLeg, view: FirmView) -> Decimal:
        """Base quantity of the next leg that the last one pays for, fees taken off; zero without a book."""
        instruments, book = self._table.env.instruments, self._market.books.get(step.symbol)
        done, instrument = instruments[leg.plan.symbol], instruments[step.symbol]
        if book is None or not book.bids or not book.asks:
            return ZERO
        buys = step.side == "buy"
        paying = instrument.quote if buys else instrument.base
        got = done.base if leg.plan.side == "buy" else done.quote
        have = whole_of(view).free(paying)
        if paying == got:
            delivered = sum((o.filled if leg.plan.side == "buy" else o.quote for o in orders), ZERO)
            have = min(have, delivered - sum((o.fees.get(got, ZERO) for o in orders), ZERO))
            most = step.qty
        else:
            most = step.qty * sum((o.filled for o in orders), ZERO) / leg.plan.qty
        if buys:
            worst = worst_price(step, None, book, leg.proposal.max_slippage_bps, instrument)
            have /= worst * (1 + max(instrument.taker_fee, ZERO))
        return instrument.qty(min(most, have))

    def void(self, iids: Sequence[bytes]) -> None:
        """Take back orders whose commit came too late, and end their legs: they were never sent."""
        for iid in iids:
            self._account.orders.void(iid)
        gone = frozenset(iids)
        for leg in self._account.legs.all():
            if any(o.intent.iid in gone for o in self._account.legs.orders(leg)):
                leg.closed = True
        self._account.touch()
