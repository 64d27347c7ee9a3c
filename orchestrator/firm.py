"""The firm: everything a desk decides, as one deterministic fold over what it is told.

`admit` takes one external message and is a generator: it yields waves of asks for
the agents (whoever drives it sends back their answers) and groups of records to
commit (the orders in a group may be sent once it is durable). It reads no clock:
the admission stamps come with the message. The same messages with the same stamps
give the same waves, groups and orders, bit for bit; that is what `parley replay`
checks. At most one round is open at a time, and a cascade ends before the next
message is admitted.
"""

from collections.abc import Generator, Sequence
from decimal import Decimal
from hashlib import blake2b

from msgspec.structs import replace

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Wave
from parley.ids import proposal_id, round_id
from parley.instruments import has_contracts
from parley.ledger import EXTERNAL
from parley.messages import (
    Ack,
    Alarm,
    Analysed,
    ApprovalAsked,
    Balance,
    Breaker,
    Cfp,
    Compared,
    Fill,
    FundingPaid,
    Gap,
    GateRefusal,
    Halt,
    Heartbeat,
    Killed,
    LimitChange,
    MarketBatch,
    Message,
    OrderEvent,
    Proposal,
    Shutdown,
    Started,
    Strain,
    Trigger,
    Unknown,
    VenueFault,
    VenueReject,
    Void,
    encode,
)
from parley.risk.limits import Limits
from parley.risk.states import FLATTENING
from parley.view import FirmView

from .account import HALT_LEVEL, Account
from .admission import Admission
from .attribution import Attribution
from .cascade import Cascade
from .crossing import Crossing
from .dispatch import Dispatch, Opened
from .exits import Exits
from .gatekeeper import Gatekeeper
from .guarding import Guarding
from .hearing import Hearing
from .limit_keeper import LimitKeeper
from .market import Market
from .negotiation import Negotiation
from .orders import OrderState, VenueFact
from .outcomes import Outcomes
from .plan import plan_legs
from .policy import MS, DeskConfig, GroupOut
from .remembering import remember
from .round import Event, Round, State
from .routing import Routing, without_refused
from .table import DESK, Table
from .talk import Talk, decision
from .venue_faults import VenueFaults

ZERO = Decimal(0)
MAX_FOLLOW_UPS = 4  # exits of further holders on the same bar
LOAD = "load"  # the source of strain that also says which agents rest
FACTS = (Ack, VenueReject, Unknown, OrderEvent, Fill)


class Firm:
    """One firm's desk without any I/O; driven by whoever carries waves and commits groups."""

    def __init__(
        self, config: DeskConfig, env: AgentEnv, specs: Sequence[AgentSpec], limits: Limits, epoch: int = 1
    ) -> None:
        self.config = config
        self.table = Table(config, env, specs, epoch)
        self.account = Account(config, env.instruments)
        self._has_contracts = has_contracts(env.instruments)
        self.market = Market(config.tf_ns)
        self.crossing = Crossing(self.table, self.account, self.market)
        self.negotiation = Negotiation(self.table, self.account, self.market, limits, self.crossing.order)
        self.gatekeeper = Gatekeeper(self.table, self.market, limits)
        self.dispatch = Dispatch(self.table, self.account, self.market, self.negotiation, self.gatekeeper)
        self.outcomes = Outcomes(tf_ms=config.tf_ns // MS, controls_ms=(60_000,))
        self.attribution = Attribution()
        self.hearing = Hearing(self.table, self.account, self.negotiation, self.dispatch, self.attribution)
        self.admission = Admission(self.table, self.account, self.market)
        self.rounds: dict[bytes, Round] = {}
        self._asked_at_bars = frozenset(s.id for s in specs if s.role == "strategy" and not s.own_rounds)
        self._analysed: dict[tuple[str, str], tuple[int, int]] = {}  # by agent and symbol: when, how often
        self.stopping = False
        self.guarding = Guarding(self.table, self.account, self.market, self.dispatch)
        self.exits = Exits(
            self.table, self.account, self.market, self.gatekeeper, self.guarding, self._leave
        )  # fmt: skip
        self.routing = Routing(self.table, self.account, self.market)
        self.faults = VenueFaults()
        self.limits = LimitKeeper(limits, self.table, self.account, self.gatekeeper, self.negotiation)

    def is_news(self, message: Message) -> bool:
        """Whether an incoming fact would change anything; what would not is neither journaled nor handled."""
        if isinstance(message, LimitChange):
            return self.limits.is_news(message)
        if isinstance(message, VenueFault):
            return self.faults.is_news(message)
        return self.account.is_news(message)

    def admit(
        self, message: Message, sender: str, *, t_event: int = 0, t_mono: int = 0, t_recv: int = 0
    ) -> Cascade:
        """Work off one external message: the whole cascade it causes."""
        table = self.table
        table.stamped(t_mono, t_recv)
        if isinstance(message, MarketBatch):
            table.now = max(table.now, message.t)
        seq = table.emit(
            message, sender=sender, to=DESK, t_event=t_event, t_mono=t_mono, t_recv=t_recv,
            round_=self._round_of(message),
        )  # fmt: skip
        match message:
            case MarketBatch():
                yield from self._batch(message, seq, t_event)
            case Ack() | VenueReject() | Unknown() | OrderEvent() | Fill():
                yield from self._fact(message, seq)
            case Analysed():
                table.overhear(message, seq)
                yield from self.hearing.standing()
                if not self.stopping:
                    yield from self._analyses(seq)
            case Heartbeat():
                self.gatekeeper.heartbeat(message)
                if step := self.exits.is_blind():  # go on leaving, on the last prices there were
                    yield from self._settle(seq)
                    yield from self.exits.all("blind", seq, step=step)
            case Balance() | FundingPaid():
                yield from self._money(message)
            case Started():
                self.stopping = False  # a run that was shut down may be gone on with
                if message.epoch > 1:  # an agent's process that met this desk anew holds no state
                    yield from table.state(self.account.view()[0].state)
                yield from table.tell(message, seq=seq)
            case Halt():
                self.account.command(message)
                if message.mode == "CANCEL_ONLY":
                    self.dispatch.cancel_all("", seq)
                yield from self._state()
                yield from table.tell(message, seq=seq)
                yield from self.hearing.standing()
            case Killed():
                yield from self._killed(message, seq)
            case Strain():
                self.account.strain(message)
                if message.source == LOAD:
                    table.attendance.rest(message.resting)
                if message.level >= HALT_LEVEL:
                    self.dispatch.cancel_all("", seq)
                yield from self._state()
            case Void():
                yield from self._void(message, seq)
            case Shutdown():
                self.stopping = True
                self.dispatch.cancel_all("", seq)
                if message.flatten:
                    yield from self.exits.all("shutdown", seq)
            case Gap():
                # fills may be missing until balances are compared with the venue's: nothing opens on a guess
                self.account.doubt(message.stream)
                yield from self._state()
            case Compared():
                self.account.compared(message.streams)
                yield from self._state()
            case LimitChange():
                yield from self.limits.change(message, seq)
                yield from self._state()
            case VenueFault():
                self.faults.take(message)
                yield from table.tell(message, seq=seq)
            case Alarm() | ApprovalAsked():
                pass  # for people, and on record; an order's own doubt is what closes its symbol
            case _:
                raise TypeError(f"a firm admits external messages only, was {type(message).__name__}")
        if not isinstance(message, (*FACTS, Heartbeat)):  # what they leave unsaid is in no hurry
            yield from self.hearing.out()
        yield table.flush()

    def _round_of(self, message: Message) -> bytes:
        if isinstance(message, FACTS):
            order = self.account.orders.get(message.iid)
            return order.intent.round if order else b""
        return message.round if isinstance(message, Void) else b""

    def _state(self) -> Generator[Wave | GroupOut, Sequence[Answer], FirmView]:
        """Show every agent the account, if it changed since they last saw it."""
        return (yield from self.dispatch.show())

    # market

    def _batch(self, batch: MarketBatch, seq: int, t_event: int) -> Cascade:
        table = self.table
        self.market.see(batch, t_event)
        self.account.mark(self.market.books, table.now)
        yield from self._state()
        yield from table.tell(batch, seq=seq, now=self._hears_first(batch))
        yield from self.hearing.standing()
        self.dispatch.stop_forgotten(seq)
        yield from self._settle(seq)
        yield from self.hearing.stop_if_fallen(self.limits.now.breakers.flatten_drawdown, seq)
        flattened = self.account.trading == FLATTENING
        if flattened:
            yield from self.exits.all("flatten", seq)
        else:
            yield from self.exits.parts(seq)
        yield from self._stops(seq, is_market=True)  # what has no stop is served before anything is opened
        if not self.stopping:
            yield from self._bars(batch, seq)
            yield from self.hearing.out()
            if self.account.trading == FLATTENING and not flattened:  # who heard it only now has tripped
                yield from self.exits.all("flatten", seq)
            yield from self._analyses(seq)
            yield from self._stops(seq)
        # what was learned waits for the rounds, as `remember` for its order: neither must wait for a lesson
        for outcome in self.outcomes.mature(self.market.mids(), table.now):
            table.tell_later(outcome, round_=outcome.round)

    def _hears_first(self, batch: MarketBatch) -> tuple[str, ...] | None:
        """Say whom a batch has to reach before its rounds: all, unless a candle closed and a round is near.

        Then the opinions it rests on come first, and who steers open orders; everybody else, risk included,
        hears of the market together with what it is asked, which is before anything is decided.
        """
        if self.stopping or not any(b.symbol in self.market.books for b in batch.bars):
            return None
        steering = self.table.awake("execution") if self.account.legs.all() else ()
        return (*self.table.awake("signal"), *steering)

    def _bars(self, batch: MarketBatch, seq: int) -> Cascade:
        """Open a round for every traded symbol that closed a candle, if anybody is to be asked at candles."""
        if not self._asked_at_bars:
            return
        bars = {b.symbol: b for b in batch.bars}
        for symbol in self.config.symbols:
            if symbol in bars and symbol in self.market.books:
                trigger = Trigger(
                    source="feed", symbol=symbol, kind="bar", payload_hash=_hash(bars[symbol]), md_seq=seq,
                    t=batch.t,
                )  # fmt: skip
                bidders = [a for a in self.table.awake("strategy") if a in self._asked_at_bars]
                yield from self._rounds(trigger, bidders, (symbol,))

    def _analyses(self, seq: int) -> Cascade:
        for analysis in self.hearing.analyses():
            if not self.table.is_awake(analysis.agent):
                continue
            trigger = Trigger(
                source=analysis.agent, symbol=analysis.symbol, kind="analysis", md_seq=seq, t=self.table.now,
                payload_hash=analysis.result_hash, nth=self._again(analysis.agent, analysis.symbol),
            )  # fmt: skip
            yield from self._rounds(trigger, (analysis.agent,), analysis.symbols or (analysis.symbol,))

    def _again(self, agent: str, symbol: str) -> int:
        """Number an analysis among those of one moment: what comes late may meet the next one there."""
        t, nth = self._analysed.get((agent, symbol), (-1, 0))
        nth = nth + 1 + MAX_FOLLOW_UPS if t == self.table.now else 0
        self._analysed[agent, symbol] = (self.table.now, nth)
        return nth

    def _killed(self, killed: Killed, seq: int) -> Cascade:
        self.account.killed(killed)
        yield from self._state()
        yield from self.table.tell(killed, seq=seq)
        yield from self.hearing.standing()
        yield from self._settle(seq)

    def _leave(self, trigger: Trigger, exit_: Proposal) -> Cascade:
        """Decide an exit that nobody at the table proposed, on behalf of whoever holds."""
        rid = self._rid(trigger)
        named = replace(exit_, pid=proposal_id(rid, exit_.agent))
        yield from self._round(trigger, rid, (), (exit_.symbol,), (named,), False)

    def _stops(self, seq: int, *, is_market: bool = False) -> Cascade:
        yield from self.exits.stops(seq, is_market=is_market, stopping=self.stopping)

    # rounds

    def _rid(self, trigger: Trigger) -> bytes:
        stream = f"{trigger.kind}/{trigger.source}/{trigger.symbol}/{trigger.nth}"
        return round_id(self.config.tenant, self.config.desk, stream, trigger.t, self.config.policy_version)

    def _rounds(self, trigger: Trigger, bidders: Sequence[str], symbols: tuple[str, ...]) -> Cascade:
        """Open the trigger's round if it is admitted, and follow-ups for exits that had to wait for it."""
        admitted = self.admission.judge(trigger, symbols)
        if not admitted.is_served:
            return
        waiting, yielded = yield from self._round(
            trigger, self._rid(trigger), bidders, symbols, (), admitted.is_reducing
        )
        nth = trigger.nth
        last = nth + MAX_FOLLOW_UPS + bool(yielded)  # an opening that went first takes no exit its turn
        while (waiting or yielded) and nth < last:
            nth += 1
            again = replace(trigger, nth=nth)
            rid = self._rid(again)
            left = [replace(p, pid=proposal_id(rid, p.agent)) for p in yielded]
            waiting, yielded = yield from self._round(again, rid, waiting, symbols, left, True)

    def _exposable(self, equity: Decimal) -> Decimal:
        """Give what positions may be worth together: equity, with contracts as much more as limits allow."""
        if not self._has_contracts:
            return equity
        limits = self.limits.now
        return equity * max(Decimal(1), min(limits.max_gross, limits.max_leverage))

    def _round(
        self,
        trigger: Trigger,
        rid: bytes,
        bidders: Sequence[str],
        symbols: tuple[str, ...],
        given: Sequence[Proposal],
        reduce_only: bool,
    ) -> Generator[Wave | GroupOut, Sequence[Answer], tuple[tuple[str, ...], list[Proposal]]]:
        """Run one round to its decision and commit it.

        Give the agents whose exits had to wait, and the exits to decide without asking for them again.
        """
        table = self.table
        view = yield from self._state()
        seq = table.emit(trigger, to=DESK, round_=rid, cause=trigger.md_seq)
        cfp = Cfp(
            symbols=symbols,
            budget_hint=self._exposable(view.state.equity) / self.config.max_open_trades,
            horizon_ms=self.config.tf_ns // 1_000_000,
            min_edge_bps=0.0,
            state_version=view.version,
            t=table.now,
            reduce_only=reduce_only or view.state.trading != "ACTIVE",
            md_seq=trigger.md_seq,
            to_agents=tuple(bidders),
            round=rid,
        )
        talk = Talk(Round(rid, trigger.symbol), trigger, seq, view, cfp)
        yield from self.negotiation.run(talk, bidders, given)
        yield from self._decide(talk)
        self.guarding.hold_back(talk.guarded, seq)
        remember(talk, self.outcomes, self.negotiation, self.market, table)
        yield from self.hearing.standing()
        yield table.flush()
        return tuple(sorted({p.agent for p in talk.waiting})), [*talk.yielded, *talk.unasked]

    def _decide(self, talk: Talk) -> Cascade:
        """Write the decision: through the gate and with its orders, or with the reasons why not."""
        table, rnd = self.table, talk.round
        version = self.negotiation.weights_version
        if rnd.state is not State.DECIDED or talk.chosen is None or talk.verdict is None:
            action = {State.HOLD: "hold", State.EXPIRED: "expired"}.get(rnd.state, "reject")
            table.tell_later(decision(talk, action, version, table.now), round_=rnd.id, cause=talk.seq)
            return
        talk.qty = self.routing.affordable(talk.chosen, talk.qty)
        plan = plan_legs(talk.chosen, talk.qty, talk.advice, table.env.instruments, self.market.books)
        if not talk.yielded:  # what exits were put behind is for them first
            plan = self.routing.routed(plan, talk.chosen, self.limits.now)
        tripped = [s.message for s in table.inbox if isinstance(s.message, Breaker)]
        result: tuple[Opened, ...] | GateRefusal | None = None
        if tripped and not talk.chosen.reduce_only:
            talk.end(Event.GATE_REFUSED, tripped[0].agent, "breaker", tripped[0].name)
        elif any(leg.qty <= 0 for leg in plan):
            talk.end(Event.GATE_REFUSED, DESK, "leg_too_small", "less than a lot")
        else:
            result = self.dispatch.open(rnd.id, talk.chosen, plan, talk.verdict, talk.view, talk.seq)
        if isinstance(result, GateRefusal):
            talk.end(Event.GATE_REFUSED, "gate", result.code, f"{result.value} > {result.cap}")
        else:
            plan = without_refused(plan, result or ())
        deal = self.crossing.deal(talk, plan, result, self.dispatch) if isinstance(result, tuple) else None
        if deal is None:
            table.tell_later(decision(talk, "reject", version, table.now), round_=rnd.id, cause=talk.seq)
            return
        accepted = decision(talk, "accept", version, table.now, plan=deal.plan)
        seq = table.emit(accepted, round_=rnd.id, cause=talk.seq)
        self.crossing.book(deal, talk.chosen, self.attribution, seq)
        self.dispatch.commit(deal.opened, deal.plan, seq)
        rnd.on(Event.COMMITTED)
        rnd.on(Event.DISPATCHED)
        if deal.crossed:
            rnd.on(Event.FILL)  # what changed hands is traded, whatever becomes of the rest
        self.rounds[rnd.id] = rnd
        yield table.flush()  # the order leaves now; who else hears of it can wait
        self.attribution.on_decision(accepted, talk.chosen)
        yield from self._state()
        table.tell_later(accepted, seq=seq, round_=rnd.id)

    # the venue

    def _fact(self, fact: VenueFact, seq: int) -> Cascade:
        account, table = self.account, self.table
        order = account.orders.get(fact.iid)
        if isinstance(fact, Fill):
            table.now = max(table.now, fact.t)
            owner = (order.agent, order.intent.pid, order.intent.round) if order else (EXTERNAL, b"", b"")
            if not account.fill(fact, owner[0], owner[1], owner[2]):
                return
            self._booked()
        doubted = order is not None and order.state is OrderState.UNKNOWN
        if account.orders.apply(fact) and (doubted or not isinstance(fact, Ack)):
            account.touch()  # an acknowledgement changes nothing an agent decides on, unless it ends a doubt
        if order is not None and order.intent.trigger is None:  # a stop is of no open round
            self._advance(order.intent.round, fact)
        self.guarding.heard(order, fact, seq)
        self.crossing.heard(order, fact)
        yield from self._settle(seq)
        account.mark(self.market.books, table.now)
        yield from self.hearing.stop_if_fallen(self.limits.now.breakers.flatten_drawdown, seq)
        yield from self._state()
        # where nothing is left to steer nobody is in a hurry: it is heard before the next question
        is_over = isinstance(fact, Ack | Fill | OrderEvent) and not account.legs.all()
        round_ = order.intent.round if order else b""
        yield from table.tell(fact, seq=seq, round_=round_, now=() if is_over else None)
        yield from self.hearing.standing()
        yield from self._settle(seq)
        yield from self._stops(seq)

    def _settle(self, seq: int) -> Cascade:
        """Close the legs that are over, and the rounds of which no leg is left."""
        yield from self.dispatch.settle(seq)
        if self.rounds:
            worked = {leg.round for leg in self.account.legs.all()}
            for rnd in [r for r in self.rounds.values() if r.id not in worked]:
                rnd.on(Event.ALL_FINAL)
                del self.rounds[rnd.id]

    def _money(self, moved: Balance | FundingPaid) -> Cascade:
        match moved:
            case Balance():
                self.account.open(moved.assets, self.table.now)
                self._booked()
            case FundingPaid():
                self.account.ledger.funding(moved.symbol, moved.amount, moved.asset, moved.t, moved.ref)
                self._booked()
                yield from self._state()

    def _booked(self) -> None:
        """Attribute what the ledger just booked."""
        if self.account.ledger.last is not None:
            self.attribution.on_transaction(self.account.ledger.last)

    def _advance(self, round_: bytes, fact: VenueFact) -> None:
        rnd = self.rounds.get(round_)
        if rnd is None:
            return
        match fact:
            case Ack(cancel=False):
                rnd.on(Event.ACK)
            case Fill():
                rnd.on(Event.FILL)
            case VenueReject(cancel=False) | OrderEvent(status="rejected"):
                rnd.on(Event.REJECT)
            case Unknown(cancel=False):
                rnd.on(Event.UNKNOWN)
            case OrderEvent():
                rnd.on(Event.ACK)  # whoever speaks of an order has it
            case _:
                pass

    def _void(self, void: Void, seq: int) -> Cascade:
        self.crossing.late(void.iids)
        self.dispatch.void(void.iids)
        rnd = self.rounds.get(void.round)
        if rnd is not None and rnd.state is State.DISPATCHED:
            rnd.on(Event.COMMIT_LATE)  # a later child's delay ends its leg, not a round that has traded
            del self.rounds[void.round]
        yield from self._settle(seq)
        yield from self._state()
        yield from self.table.tell(void, seq=seq, round_=void.round)
        yield from self.hearing.standing()


def _hash(message: Message) -> bytes:
    return blake2b(encode(message), digest_size=16).digest()
