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

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Wave
from parley.ids import proposal_id, round_id
from parley.messages import (
    Ack,
    AnalysisReady,
    Balance,
    Breaker,
    Cfp,
    Fill,
    Gap,
    GateRefusal,
    Halt,
    Heartbeat,
    Leg,
    MarketBatch,
    Message,
    Opinion,
    OrderEvent,
    Proposal,
    Shutdown,
    Started,
    Trigger,
    Unknown,
    VenueReject,
    Void,
    WeightUpdate,
    encode,
)
from parley.risk.limits import Limits
from parley.view import FirmView

from . import validate
from .account import Account
from .attribution import Attribution
from .dispatch import Dispatch
from .gatekeeper import Gatekeeper
from .market import Market
from .negotiation import Negotiation, Talk, decision
from .orders import VenueFact
from .outcomes import Outcomes
from .plan import plan_legs
from .policy import DeskConfig, GroupOut
from .round import Event, Round, State
from .table import DESK, Said, Table

ZERO = Decimal(0)
MAX_FOLLOW_UPS = 4  # exits of further holders on the same bar
Cascade = Generator[Wave | GroupOut, Sequence[Answer], None]
FACTS = (Ack, VenueReject, Unknown, OrderEvent, Fill)


class Firm:
    """One firm's desk without any I/O; driven by whoever carries waves and commits groups."""

    def __init__(
        self, config: DeskConfig, env: AgentEnv, specs: Sequence[AgentSpec], limits: Limits, epoch: int = 1
    ) -> None:
        self.config = config
        self.table = Table(config, env, specs, epoch)
        self.account = Account(config, env.instruments)
        self.market = Market(config.tf_ns)
        self.negotiation = Negotiation(self.table, self.account, self.market, limits)
        self.gatekeeper = Gatekeeper(self.table, self.market, limits)
        self.dispatch = Dispatch(self.table, self.account, self.market, self.negotiation, self.gatekeeper)
        self.outcomes = Outcomes()
        self.attribution = Attribution()
        self.rounds: dict[bytes, Round] = {}
        self.stopping = False
        self._ready: list[AnalysisReady] = []

    def is_news(self, message: Message) -> bool:
        """Whether an incoming fact would change anything; what would not is neither journaled nor handled."""
        match message:
            case Fill():
                return not self.account.ledger.knows(message)
            case Ack() | VenueReject() | Unknown() | OrderEvent():
                return self.account.orders.is_news(message)
            case _:
                return True

    def admit(self, message: Message, sender: str, *, t_event: int = 0, t_mono: int = 0, t_recv: int = 0) -> Cascade:
        """Work off one external message: the whole cascade it causes."""
        table = self.table
        table.mono = t_mono
        if isinstance(message, MarketBatch):
            table.now = max(table.now, message.t)
        seq = table.emit(
            message, sender=sender, to=DESK, t_event=t_event, t_mono=t_mono, t_recv=t_recv,
            round_=self._round_of(message),
        )
        match message:
            case MarketBatch():
                yield from self._batch(message, seq, t_event, t_recv)
            case Ack() | VenueReject() | Unknown() | OrderEvent() | Fill():
                yield from self._fact(message, seq)
            case Heartbeat():
                self.gatekeeper.heartbeat(message, t_recv)
            case Balance():
                self.account.open(message.assets, table.now)
                self._booked()
            case Started():
                yield from table.tell(message, seq=seq)
            case Halt():
                self.account.command(message)
                yield from self._state()
            case Void():
                yield from self._void(message, seq)
            case Shutdown():
                self.stopping = True
                self.dispatch.cancel_all("", seq)
            case Gap():
                pass
            case _:
                raise TypeError(f"a firm admits external messages only, was {type(message).__name__}")
        yield table.flush()

    def _round_of(self, message: Message) -> bytes:
        if isinstance(message, FACTS):
            order = self.account.orders.get(message.iid)
            return order.intent.round if order else b""
        return b""

    def _state(self) -> Generator[Wave | GroupOut, Sequence[Answer], FirmView]:
        """Show every agent the account, if it changed since they last saw it."""
        return (yield from self.dispatch.show())

    # market

    def _batch(self, batch: MarketBatch, seq: int, t_event: int, t_recv: int) -> Cascade:
        table = self.table
        self.market.see(batch, t_event, t_recv)
        self.account.mark(self.market.books, table.now)
        yield from self._state()
        for outcome in self.outcomes.mature(self.market.mids(), table.now):
            yield from table.tell(outcome, round_=outcome.round)
        yield from table.tell(batch, seq=seq)
        yield from self._standing(seq)
        if self.account.flattening:
            yield from self._flatten(batch, seq)
        yield from self.dispatch.settle(seq)
        bars = {b.symbol: b for b in batch.bars}
        for symbol in self.config.symbols:
            if symbol in bars and symbol in self.market.books:
                trigger = Trigger(
                    source="feed", symbol=symbol, kind="bar", payload_hash=_hash(bars[symbol]), md_seq=seq, t=batch.t
                )
                yield from self._rounds(trigger, self.table.awake("strategy"), (symbol,))
        yield from self._analyses(seq)

    def _standing(self, cause: int) -> Cascade:
        """Take what agents said on their own account, until nobody adds anything."""
        table = self.table
        while table.inbox:
            inbox, table.inbox = table.inbox, []
            for said in inbox:
                match said.message:
                    case Opinion() as opinion:
                        code = validate.opinion(opinion, table.env)
                        if code:
                            table.reject(said.agent, said.seq, code, b"", "Opinion")
                            continue
                        self.negotiation.opinions[said.agent, opinion.symbol] = opinion
                        self.attribution.on_opinion(opinion)
                        yield from table.tell(opinion, seq=said.seq)
                    case WeightUpdate() as update:
                        self.negotiation.weights_version = update.version
                    case AnalysisReady() as ready:
                        self._ready.append(ready)
                    case Breaker() as breaker:
                        self._break(said, breaker)
                        yield from self._state()
                    case _:
                        pass
            yield from self.dispatch.requests(inbox)

    def _break(self, said: Said, breaker: Breaker) -> None:
        self.account.breaker(breaker)
        if breaker.action in ("cancel", "flatten"):
            self.dispatch.cancel_all(breaker.symbol, said.seq)

    def _analyses(self, seq: int) -> Cascade:
        ready, self._ready = self._ready, []
        for analysis in sorted(ready, key=lambda a: (a.agent, a.symbol)):
            if not self.table.is_awake(analysis.agent):
                continue
            trigger = Trigger(
                source=analysis.agent, symbol=analysis.symbol, kind="analysis", payload_hash=analysis.result_hash,
                md_seq=seq, t=self.table.now,
            )
            yield from self._rounds(trigger, (analysis.agent,), analysis.symbols or (analysis.symbol,))

    def _flatten(self, batch: MarketBatch, seq: int) -> Cascade:
        """Propose to leave every position, on behalf of whoever holds it."""
        for n, holding in enumerate(self.account.holdings()):
            instrument = self.table.env.instruments.get(holding.symbol)
            qty = instrument.qty(abs(holding.qty)) if instrument else ZERO
            busy = any(leg.agent == holding.agent and leg.plan.symbol == holding.symbol for leg in self.account.legs.all())
            if qty <= 0 or busy or holding.symbol not in self.market.books:
                continue
            trigger = Trigger(
                source="flatten", symbol=holding.symbol, kind="cmd", payload_hash=b"", md_seq=seq, t=batch.t, nth=n
            )
            rid = self._rid(trigger)
            exit_ = Proposal(
                pid=proposal_id(rid, holding.agent), agent=holding.agent, agent_version="desk", symbol=holding.symbol,
                legs=(
                    Leg(
                        symbol=holding.symbol, side="sell" if holding.qty > 0 else "buy", qty=qty, tif="IOC",
                        reduce_only=True,
                    ),
                ),
                edge_bps=0.0, conf=1.0, horizon_ms=1000, stop=None, take=None, max_slippage_bps=300.0,
                ttl_ns=self.config.tf_ns, why="flatten", urgency="urgent",
            )
            yield from self._round(trigger, rid, (), (holding.symbol,), (exit_,), False)

    # rounds

    def _rid(self, trigger: Trigger) -> bytes:
        stream = f"{trigger.kind}/{trigger.source}/{trigger.symbol}/{trigger.nth}"
        return round_id(self.config.tenant, self.config.desk, stream, trigger.t, self.config.policy_version)

    def _rounds(self, trigger: Trigger, bidders: Sequence[str], symbols: tuple[str, ...]) -> Cascade:
        """Open the trigger's round, and follow-ups for exits that had to wait for it."""
        waiting = yield from self._round(trigger, self._rid(trigger), bidders, symbols, (), False)
        nth = 0
        while waiting and nth < MAX_FOLLOW_UPS:
            nth += 1
            again = Trigger(
                source=trigger.source, symbol=trigger.symbol, kind=trigger.kind, payload_hash=trigger.payload_hash,
                md_seq=trigger.md_seq, t=trigger.t, nth=nth,
            )
            waiting = yield from self._round(again, self._rid(again), waiting, symbols, (), True)

    def _round(
        self, trigger: Trigger, rid: bytes, bidders: Sequence[str], symbols: tuple[str, ...],
        given: Sequence[Proposal], reduce_only: bool,
    ) -> Generator[Wave | GroupOut, Sequence[Answer], tuple[str, ...]]:
        """Run one round to its decision and commit it; give the agents whose exits had to wait."""
        table = self.table
        view = yield from self._state()
        seq = table.emit(trigger, to=DESK, round_=rid, cause=trigger.md_seq)
        cfp = Cfp(
            symbols=symbols, budget_hint=view.state.equity / self.config.max_open_trades,
            horizon_ms=self.config.tf_ns // 1_000_000, min_edge_bps=0.0, state_version=view.version, t=table.now,
            reduce_only=reduce_only or view.state.trading != "ACTIVE", md_seq=trigger.md_seq,
            to_agents=tuple(bidders), round=rid,
        )
        talk = Talk(Round(rid, trigger.symbol), trigger, seq, view, cfp)
        yield from self.negotiation.run(talk, bidders, given)
        self._remember(talk)
        yield from self._decide(talk)
        yield from self._standing(seq)
        yield table.flush()
        return tuple(sorted({p.agent for p in talk.waiting}))

    def _decide(self, talk: Talk) -> Cascade:
        """Write the decision: through the gate and with its orders, or with the reasons why not."""
        table, rnd = self.table, talk.round
        version = self.negotiation.weights_version
        if rnd.state is not State.DECIDED or talk.chosen is None or talk.verdict is None:
            action = {State.HOLD: "hold", State.EXPIRED: "expired"}.get(rnd.state, "reject")
            yield from table.tell(decision(talk, action, version, table.now), round_=rnd.id, cause=talk.seq)
            return
        plan = plan_legs(talk.chosen, talk.qty, talk.advice, table.env.instruments)
        result = self.dispatch.open(rnd.id, talk.chosen, plan, talk.verdict, talk.view, talk.seq)
        if isinstance(result, GateRefusal):
            talk.end(Event.GATE_REFUSED, "gate", result.code, f"{result.value} > {result.cap}")
            yield from table.tell(decision(talk, "reject", version, table.now), round_=rnd.id, cause=talk.seq)
            return
        approved, leg = result
        accepted = decision(talk, "accept", version, table.now, plan=plan)
        seq = table.emit(accepted, round_=rnd.id, cause=talk.seq)
        self.attribution.on_decision(accepted, talk.chosen)
        self.dispatch.commit(approved, leg, plan, talk.verdict, seq)
        rnd.on(Event.COMMITTED)
        rnd.on(Event.DISPATCHED)
        self.rounds[rnd.id] = rnd
        yield table.flush()  # the order leaves now; who else hears of it can wait
        yield from self._state()
        yield from table.tell(accepted, seq=seq, round_=rnd.id)

    def _remember(self, talk: Talk) -> None:
        """Keep every proposal and vote to be marked against the market later, executed or not."""
        by_pid = {p.pid: p for p in talk.bids}
        regime = self.negotiation.regime(talk.round.symbol)
        for vote in talk.votes:
            bid = by_pid[vote.pid]
            leg = bid.legs[0]
            book = self.market.books.get(leg.symbol)
            if vote.abstain or bid.coupled or book is None or not book.bids or not book.asks:
                continue
            buys = leg.side == "buy"
            self.outcomes.add(
                round=talk.round.id, pid=vote.pid, agent=vote.agent,
                kind="proposal" if vote.agent == bid.agent else "vote", symbol=leg.symbol, regime=regime,
                side=1 if buys else -1, score=vote.score, conf=vote.conf,
                executable_px=book.asks[0][0] if buys else book.bids[0][0], horizon_ms=bid.horizon_ms,
                cost_bps=float(self.table.env.instruments[leg.symbol].taker_fee) * 1e4,
                sigma_bps=self.market.sigma_bps(leg.symbol, bid.horizon_ms), t=self.table.now,
            )

    # the venue

    def _fact(self, fact: VenueFact, seq: int) -> Cascade:
        account, table = self.account, self.table
        order = account.orders.get(fact.iid)
        if isinstance(fact, Fill):
            table.now = max(table.now, fact.t)
            owner = (order.agent, order.intent.pid, order.intent.round) if order else ("external", b"", b"")
            if account.fill(fact, owner[0], owner[1], owner[2]):
                self._booked()
        if account.orders.apply(fact) and not isinstance(fact, Ack):
            account.touch()  # an acknowledgement changes nothing an agent decides on
        if order is not None:
            self._advance(order.intent.round, fact)
        yield from self.dispatch.settle(seq)
        account.mark(self.market.books, table.now)
        yield from self._state()
        yield from table.tell(fact, seq=seq, round_=order.intent.round if order else b"")
        yield from self._standing(seq)

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
            case VenueReject(cancel=False):
                rnd.on(Event.REJECT)
            case Unknown(cancel=False):
                rnd.on(Event.UNKNOWN)
            case _:
                pass
        if rnd.state is not State.DISPATCHED and not any(leg.round == round_ for leg in self.account.legs.all()):
            rnd.on(Event.ALL_FINAL)
            del self.rounds[round_]

    def _void(self, void: Void, seq: int) -> Cascade:
        self.dispatch.void(void.iids)
        rnd = self.rounds.pop(void.round, None)
        if rnd is not None:
            rnd.on(Event.COMMIT_LATE)
        yield from self.dispatch.settle(seq)
        yield from self._state()


def _hash(message: Message) -> bytes:
    return blake2b(encode(message), digest_size=16).digest()
