"""The table the agents sit at: who is there, what was said, in which order.

Everything that is said gets its journal number here, before anyone hears it, and
leaves in groups to be committed. Answers are taken in the order of the asks (agents
sorted by id), so arrival order has no influence. An answer out of role, or a fault,
costs a strike (`attendance`). Who raised, was late or said nothing is a record,
because a replay must find it again. Of a late answer only a breaker counts: what
tightens is never too late.
"""

from collections.abc import Generator, Sequence
from hashlib import blake2b

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Ask, Wave
from parley.messages import (
    KINDS,
    AgentFaulted,
    AnalysisReady,
    Breaker,
    CancelIntent,
    CancelRequest,
    Heartbeat,
    Intent,
    Late,
    Message,
    NotUnderstood,
    Opinion,
    OrderRequest,
    ScheduleDone,
    Silence,
    Stale,
    StateView,
    WeightUpdate,
    encode,
)
from parley.risk.gate import Approved

from .attendance import Attendance
from .policy import DeskConfig, GroupOut
from .validate import understood

STANDING = frozenset(
    {Opinion, AnalysisReady, Breaker, OrderRequest, CancelRequest, ScheduleDone, WeightUpdate}
)
DESK = "desk"
EVERYONE = "*"
ENVELOPE = 1  # version of the envelope


class Said(msgspec.Struct, frozen=True, gc=False):
    """One understood answer and its journal number."""

    agent: str
    seq: int
    message: Message


Asking = Generator[Wave | GroupOut, Sequence[Answer], list[Said]]


class Table:
    """Emits, asks and keeps the books of who may be asked; one per desk."""

    def __init__(self, config: DeskConfig, env: AgentEnv, specs: Sequence[AgentSpec], epoch: int) -> None:
        self.config = config
        self.env = env
        self.epoch = epoch
        self.seq = 0
        self.now = 0
        self.mono = 0
        self.recv = 0
        self.inbox: list[Said] = []
        self._specs = {s.id: s for s in sorted(specs, key=lambda s: s.id)}
        self._roles = {a: s.role for a, s in self._specs.items()}
        self.attendance = Attendance(list(self._specs.values()), config.max_strikes)
        self._records: list[tuple[int, int, bytes, bytes]] = []
        self._orders: list[Intent | CancelIntent] = []
        self._subscribers: dict[str, tuple[str, ...]] = {}
        self._tell_budget = config.budgets.market
        self._tenant, self._desk = config.tenant, config.desk
        self._behind = False
        self._beats = 0  # heartbeats so far: they come by the wall clock

    # who is there

    def awake(self, role: str) -> tuple[str, ...]:
        """Agents of a role that may be asked, sorted."""
        return self.attendance.awake(role, self.recv)

    def is_awake(self, agent: str) -> bool:
        return self.attendance.is_awake(agent, self.recv)

    def subscribers(self, name: str) -> tuple[str, ...]:
        """Agents that hear broadcasts of a message type, sorted: all that are not quarantined."""
        cached = self._subscribers.get(name)
        if cached is None:
            is_out = self.attendance.is_quarantined
            cached = tuple(a for a, s in self._specs.items() if name in s.subscriptions and not is_out(a))
            self._subscribers[name] = cached
        return cached

    def strike(self, agent: str, cause: int, error: str) -> None:
        """Count a fault against an agent; at the limit it is quarantined."""
        strikes = self.attendance.strike(agent)
        self._subscribers.clear()
        self.emit(
            AgentFaulted(
                agent=agent,
                cause=cause,
                error=error[:400],
                strikes=strikes,
                quarantined=self.attendance.is_quarantined(agent),
            ),
            cause=cause,
        )

    # what is said

    def emit(
        self,
        body: Message,
        *,
        sender: str = DESK,
        to: str = EVERYONE,
        cause: int = 0,
        round_: bytes = b"",
        t_event: int = 0,
        t_mono: int = 0,
        t_recv: int = 0,
    ) -> int:
        """Give a message its place in the journal; it leaves with the next group."""
        self.seq = seq = self.seq + 1
        if type(body) is Heartbeat:
            self._beats += 1
        kind = KINDS[type(body)]
        # an `Envelope` travels as the array of its fields: this gives its bytes at a third of the cost
        envelope = (
            ENVELOPE, kind, self._tenant, self._desk, self.epoch, seq, round_, sender, to, cause,
            t_event, t_mono, 0, encode(body), t_recv,
        )  # fmt: skip
        self._records.append((seq, kind, round_, encode(envelope)))
        return seq

    def order(self, approved: Approved, cause: int) -> None:
        """Emit an order the gate approved; it may be sent once its group is durable."""
        self._to_gateway(approved.intent, cause)

    def cancel(self, cancel: CancelIntent, cause: int) -> None:
        """Emit a cancel, which needs nobody's approval; it may be sent once its group is durable."""
        self._to_gateway(cancel, cause)

    def _to_gateway(self, order: Intent | CancelIntent, cause: int) -> None:
        self.emit(order, to="gateway", cause=cause, round_=order.round)
        self._orders.append(order)

    def flush(self) -> GroupOut:
        """Take everything emitted since the last group."""
        group = GroupOut(records=tuple(self._records), orders=tuple(self._orders))
        self._records, self._orders = [], []
        return group

    # asking

    def ask(
        self,
        stage: str,
        requests: Sequence[tuple[Sequence[str], Message]],
        *,
        round_: bytes = b"",
        cause: int = 0,
        budget: int = 0,
        expect: bool = True,
    ) -> Asking:
        """Put messages to agents and take their answers.

        Standing messages go to the `inbox`; the others are returned. With ``expect``
        an agent without an answer is recorded as silent.
        """
        asks: list[Ask] = []
        for agents, message in requests:
            to = ",".join(agents) if len(agents) < 2 else EVERYONE
            seq = self.emit(message, to=to, cause=cause, round_=round_)
            for agent in agents:
                asks.append(Ask(agent, seq, self.now, message, seq - self._beats))
        if not asks:
            return []
        answers = yield Wave(stage, asks, budget)
        said: list[Said] = []
        for ask, answer in zip(asks, answers, strict=True):
            heard = self._take(ask, answer, stage, round_, said)
            if answer.late_ns:
                self._wait_less(ask.agent, ask.seq)
            elif not answer.missed:
                self.attendance.answered(ask.agent)
            if expect and not heard:
                self.emit(Silence(agent=ask.agent, stage=stage), cause=ask.seq, round_=round_)
        return said

    def tell(self, message: Message, *, cause: int = 0, round_: bytes = b"", seq: int = 0) -> Asking:
        """Broadcast to the subscribers of a message type; ``seq`` when it is in the journal already."""
        if not seq:
            seq = self.emit(message, cause=cause, round_=round_)
        return (yield from self.retell([(seq, message)], round_=round_))

    def retell(self, messages: Sequence[tuple[int, Message]], *, round_: bytes = b"") -> Asking:
        """Broadcast messages that are in the journal already, (seq, message) each, in one wave."""
        asks = [
            Ask(agent, seq, self.now, message, seq - self._beats)
            for seq, message in messages
            for agent in self.subscribers(type(message).__name__)
        ]
        if not asks:
            return []
        answers = yield Wave("tell", asks, self._tell_budget)
        said: list[Said] = []
        for ask, answer in zip(asks, answers, strict=True):
            if answer.messages or answer.fault or answer.missed:
                self._take(ask, answer, "tell", round_, said)
        return said

    @property
    def is_behind(self) -> bool:
        """Whether an agent said that it does not hold the account's last state."""
        return self._behind

    def state(self, message: StateView) -> Asking:
        """Send the account's state to every agent."""
        self._behind = False
        seq = self.emit(message)
        nth = seq - self._beats
        asks = [Ask(agent, seq, self.now, message, nth) for agent in self._specs]
        answers = yield Wave("state", asks, self._tell_budget)
        for answer in answers:
            if answer.fault:
                self.strike(answer.agent, seq, answer.fault)
            elif answer.missed:
                self._miss(answer.agent, seq, "state", b"", answer.late_ns)
        return []

    def _take(self, ask: Ask, answer: Answer, stage: str, round_: bytes, said: list[Said]) -> bool:
        """Keep what is understood of an answer, standing messages in the inbox; whether anything was."""
        agent, cause = answer.agent, ask.seq
        if answer.missed:
            self._miss(agent, cause, stage, round_, answer.late_ns)
            return False
        if answer.fault:
            self.strike(agent, cause, answer.fault)
            return False
        if answer.late_ns and answer.messages:
            digest = blake2b(b"".join(encode(m) for m in answer.messages), digest_size=16).digest()
            self.emit(
                Late(agent=agent, stage=stage, msg_hash=digest, by_ns=answer.late_ns),
                sender=agent,
                to=DESK,
                cause=cause,
                round_=round_,
            )
            for message in answer.messages:
                if type(message) is Breaker and not understood(agent, self._roles[agent], message):
                    seq = self.emit(message, sender=agent, to=DESK, cause=cause, round_=round_)
                    self.inbox.append(Said(agent, seq, message))
            return False
        heard = False
        for message in answer.messages:
            kind = type(message)
            if kind is Stale:  # counts as no answer; the state is sent again
                self._behind = True
                self.emit(message, sender=agent, to=DESK, cause=cause, round_=round_)
                continue
            code = understood(agent, self._roles[agent], message)
            if code:
                self.reject(agent, cause, code, round_, kind.__name__)
                continue
            seq = self.emit(message, sender=agent, to=DESK, cause=cause, round_=round_)
            (self.inbox if kind in STANDING else said).append(Said(agent, seq, message))
            heard = True
        return heard

    def _wait_less(self, agent: str, cause: int) -> None:
        """Count that an agent let everybody wait; one that does so too often sleeps."""
        sleeps = self.attendance.missed(agent, self.recv)
        if sleeps:
            why = f"asleep for {sleeps / 1e9:g} s: it was late or silent too often"
            strikes = self.attendance.strikes(agent)
            self.emit(
                AgentFaulted(agent=agent, cause=cause, error=why, strikes=strikes, quarantined=False),
                cause=cause,
            )

    def _miss(self, agent: str, cause: int, stage: str, round_: bytes, waited: int) -> None:
        """Record that an agent was not heard in time: a replay has to leave its answer out again."""
        missing = Late(agent=agent, stage=stage, msg_hash=b"", by_ns=waited)
        self.emit(missing, sender=agent, to=DESK, cause=cause, round_=round_)

    def dismiss(self, agent: str, cause: int, code: str, round_: bytes, detail: str = "") -> None:
        """Say that an answer cannot be used, through no fault of the agent."""
        self.emit(NotUnderstood(agent=agent, code=code, detail=detail), cause=cause, round_=round_)

    def reject(self, agent: str, cause: int, code: str, round_: bytes, detail: str = "") -> None:
        """Say that an answer was not understood, and count it."""
        self.dismiss(agent, cause, code, round_, detail)
        self.strike(agent, cause, f"not understood: {code} {detail}")
