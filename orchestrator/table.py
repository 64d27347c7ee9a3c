"""The table the agents sit at: who is there, what was said, in which order.

Everything that is said gets its journal number here, before anyone hears it, and
leaves in groups to be committed. Answers are taken in the order of the asks (agents
sorted by id), so arrival order has no influence. What need not be heard at once waits for the agent's next
question and goes before it (`tell_later`): each agent hears everything in the order it was said, and is woken
once instead of twice. An answer out of role, or a fault,
costs a strike (`attendance`). Who raised, was late or said nothing is a record,
because a replay must find it again. Of a late answer only a breaker counts: what
tightens is never too late.
"""

from collections.abc import Collection, Generator, Iterable, Sequence
from hashlib import blake2b

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.bus import Answer, Ask, Wave
from parley.messages import (
    KINDS,
    AgentFaulted,
    Analysed,
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
    Protect,
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
    {Opinion, AnalysisReady, Analysed, Breaker, OrderRequest, CancelRequest, ScheduleDone, WeightUpdate}
) | {Protect}
DESK = "desk"
EVERYONE = "*"
ENVELOPE = 1  # version of the envelope


class Said(msgspec.Struct, frozen=True, gc=False):
    """One understood answer and its journal number."""

    agent: str
    seq: int
    message: Message


Asking = Generator[Wave | GroupOut, Sequence[Answer], list[Said]]
Answering = Generator[Wave | GroupOut, Sequence[Answer], Sequence[Answer]]
Waiting = list[tuple[Ask, bytes]]  # with the round it belongs to


class Table:
    """Emits, asks and keeps the books of who may be asked; one per desk."""

    def __init__(self, config: DeskConfig, env: AgentEnv, specs: Sequence[AgentSpec], epoch: int) -> None:
        self.config = config
        self.env = env
        self.epoch = epoch
        self.seq = 0
        self.now = 0
        self.mono = 0
        self.steady = 0  # ns the desk has lived: durations go by it, because a wall clock may be set
        self.wall = 0
        self.inbox: list[Said] = []
        self._specs = {s.id: s for s in sorted(specs, key=lambda s: s.id)}
        self._roles = {a: s.role for a, s in self._specs.items()}
        self.attendance = Attendance(list(self._specs.values()), config.max_strikes)
        self._records: list[tuple[int, int, bytes, bytes]] = []
        self._orders: list[Intent | CancelIntent] = []
        self._subscribers: dict[str, tuple[str, ...]] = {}
        self._tell_budget = config.budgets.market
        self._tenant, self._desk = config.tenant, config.desk
        self._later: dict[str, Waiting] = {}  # by agent, what it hears before its next question
        self._behind = False
        self._beats = 0  # heartbeats so far: they come by the wall clock

    def stamped(self, t_mono: int, t_recv: int) -> None:
        """Take the stamps of an admitted message; after a new start of the machine it counts on."""
        self.steady += max(0, t_mono - self.mono) if self.mono else 0
        self.mono, self.wall = t_mono, t_recv

    # who is there

    def awake(self, role: str) -> tuple[str, ...]:
        """Agents of a role that may be asked, sorted."""
        return self.attendance.awake(role, self.steady)

    def is_awake(self, agent: str) -> bool:
        return self.attendance.is_awake(agent, self.steady)

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

    def overhear(self, message: Analysed, seq: int) -> None:
        """Take what an agent said when nobody was asking; it is in the journal already."""
        role = self._roles.get(message.agent)
        if role is None or self.attendance.is_quarantined(message.agent):
            self.dismiss(message.agent, seq, "nobody_here", b"", "Analysed")
        elif code := understood(message.agent, role, message):
            self.reject(message.agent, seq, code, b"", "Analysed")
        else:
            self.inbox.append(Said(message.agent, seq, message))

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
        answers = yield from self._put(stage, asks, budget)
        said: list[Said] = []
        for ask, answer in zip(asks, answers, strict=True):
            is_out = self.attendance.is_quarantined(
                ask.agent
            )  # nothing of it is on record, so nothing counts
            heard = self._take(ask, answer, stage, round_, said)
            if answer.late_ns and not is_out:
                self._wait_less(ask.agent, ask.seq)
            elif not answer.missed:
                self.attendance.answered(ask.agent)
            if expect and not heard:
                self.emit(Silence(agent=ask.agent, stage=stage), cause=ask.seq, round_=round_)
        return said

    def tell(
        self,
        message: Message,
        *,
        cause: int = 0,
        round_: bytes = b"",
        seq: int = 0,
        now: Collection[str] | None = None,
    ) -> Asking:
        """Broadcast to the subscribers of a message type; ``seq`` when it is in the journal already.

        ``now``: who hears it at once, the others hear it later; None: everybody does.
        """
        if not seq:
            seq = self.emit(message, cause=cause, round_=round_)
        self._leave(seq, message, round_)
        return (yield from self._tell(self._later if now is None else now))

    def tell_later(self, message: Message, *, cause: int = 0, round_: bytes = b"", seq: int = 0) -> None:
        """Broadcast like `tell`, but let every subscriber hear it before its next question only."""
        self._leave(seq or self.emit(message, cause=cause, round_=round_), message, round_)

    def tell_rest(self) -> Asking:
        """Tell now what was left for later."""
        return (yield from self._tell(self._later))

    @property
    def has_more(self) -> bool:
        """Whether somebody has not heard everything yet."""
        return bool(self._later)

    def _leave(self, seq: int, message: Message, round_: bytes) -> None:
        nth, now = seq - self._beats, self.now
        for agent in self.subscribers(type(message).__name__):
            self._later.setdefault(agent, []).append((Ask(agent, seq, now, message, nth), round_))

    def _early(self, agents: Iterable[str]) -> Waiting:
        """Take what agents have to hear first; of one in quarantine nobody wants to hear anything."""
        early: Waiting = []
        for agent in dict.fromkeys(agents):
            early += self._later.pop(agent, ())
        return [each for each in early if not self.attendance.is_quarantined(each[0].agent)]

    def _tell(self, agents: Collection[str]) -> Asking:
        early = self._early(sorted(agents))
        if not early:
            return []
        answers = yield Wave("tell", [ask for ask, _ in early], self._tell_budget)
        return self._take_told(early, answers)

    def _take_told(self, early: Waiting, answers: Sequence[Answer]) -> list[Said]:
        said: list[Said] = []
        for (ask, round_), answer in zip(early, answers, strict=True):
            if answer.messages or answer.fault or answer.missed:
                self._take(ask, answer, "tell", round_, said)
        return said

    def _put(self, stage: str, asks: Sequence[Ask], budget: int) -> Answering:
        """Put questions, each behind what its agent has to hear first; give the answers to the questions."""
        early = self._early(ask.agent for ask in asks) if self._later else []
        if not early:
            return (yield Wave(stage, asks, budget))
        answers = yield Wave(stage, [*(ask for ask, _ in early), *asks], budget)
        self._take_told(early, answers[: len(early)])
        return answers[len(early) :]

    @property
    def is_behind(self) -> bool:
        """Whether an agent said that it does not hold the account's last state."""
        return self._behind

    def state(self, message: StateView) -> Asking:
        """Send the account's state to every agent."""
        self._behind = False
        seq = self.emit(message)
        nth = seq - self._beats
        asks: list[Ask] = []
        for agent in self._specs:
            ask = Ask(agent, seq, self.now, message, nth)
            waiting = self._later.get(agent)
            if waiting is None:
                asks.append(ask)
            else:
                waiting.append((ask, b""))  # it hears of the state in its place, not before what led to it
        if not asks:
            return []
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
        if self.attendance.is_quarantined(agent):  # by what it said earlier in the same wave
            return False
        if answer.missed:
            self._miss(agent, cause, stage, round_, answer.late_ns)
            return False
        if answer.late_ns:  # also of one that said nothing: it is counted, and a replay must find it
            digest = blake2b(b"".join(encode(m) for m in answer.messages), digest_size=16).digest()
            self.emit(
                Late(agent=agent, stage=stage, msg_hash=digest, by_ns=answer.late_ns),
                sender=agent,
                to=DESK,
                cause=cause,
                round_=round_,
            )
        if answer.fault:
            self.strike(agent, cause, answer.fault)
            return False
        if answer.late_ns:
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
        sleeps = self.attendance.missed(agent, self.steady)
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
