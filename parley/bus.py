"""How messages reach agents: waves of asks, and the transport that answers them.

A cascade is worked off breadth first. Whoever leads it (the firm) collects all
messages that are addressed to agents right now into a `Wave` and yields it; a
`Transport` delivers them and gives one `Answer` per ask, in the order of the asks.
`InProc` calls the agents of this process; a transport over sockets sends the same
wave as frames and waits for its deadline. The firm cannot tell them apart, which
is what makes placements equal.

The bus is the one place where an agent's exception is caught: it becomes an
`Answer` with a fault, and the agent counts as silent.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from .agent import Agent, Context
from .messages import KINDS, Message, StateView, decode, encode
from .view import FirmView

ZERO = Decimal(0)
EMPTY_STATE = StateView(
    account="",
    state_version=0,
    t=0,
    quote="",
    equity=ZERO,
    peak=ZERO,
    day_open=ZERO,
    trading="HALTED",
)


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One message for one agent; ``seq`` is its place in the journal, ``now`` market time.

    ``nth`` is its place with heartbeats left out: they come by the wall clock, and two
    equal runs agree on it.
    """

    agent: str
    seq: int
    now: int
    message: Message
    nth: int = 0


class Wave(msgspec.Struct, frozen=True, gc=False):
    """All asks of one stage. ``budget_ns`` bounds each answer; 0: no bound."""

    stage: str
    asks: Sequence[Ask]
    budget_ns: int


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What an agent said to one ask. ``late_ns`` > 0: after the stage's budget, by so much.

    ``missed``: nothing was heard within the budget, or nobody was there to hear the ask; then ``late_ns`` is
    how long it was waited for in vain.
    """

    agent: str
    messages: Sequence[Message]
    fault: str = ""
    late_ns: int = 0
    missed: bool = False


# What `InProc`'s ``late`` says of an ask that was not answered at all; less than that by the ns of waiting.
MISSED = -1


class Watch(Protocol):
    """Is told which agent computes, so that one that never returns can be named."""

    def enter(self, agent: str, seq: int) -> None: ...

    def leave(self) -> None: ...


class Transport(Protocol):
    """Carries a wave to the agents and brings one answer per ask, in the asks' order."""

    def exchange(self, wave: Wave) -> Sequence[Answer]: ...

    def rest(self) -> None:
        """The cascade is over: what may wait for an idle moment can be done now."""

    def close(self) -> None:
        """No wave will come any more."""


class AgentHost:
    """Runs one agent: keeps its view of the `StateView`s it gets, builds its context, contains its faults."""

    def __init__(self, agent: Agent, seed: int) -> None:
        self.agent = agent
        self._seed = seed
        self._view = FirmView(EMPTY_STATE)
        self._id = agent.spec.id
        self.hears_state = "StateView" in agent.spec.subscriptions

    @property
    def view(self) -> FirmView:
        """The account's state that its agent sees."""
        return self._view

    def see(self, view: FirmView) -> None:
        """Take the account's new state; hosts of one process may share the view."""
        self._view = view

    def follow(self, ask: Ask) -> tuple[Sequence[Message], str]:
        """Hand on a message nobody wants the answer to; an agent may have a shorter way through these."""
        follow = getattr(self.agent, "follow", None)
        if follow is None:
            return self.deliver(ask)
        try:
            follow(ask.message, Context(ask.now, self._view, ask.seq, self._seed, self._id, ask.nth))
        except (Exception, SystemExit) as err:  # noqa: BLE001 - an agent's bug must become a message
            return (), f"{type(err).__name__}: {err}"
        return (), ""

    def deliver(self, ask: Ask) -> tuple[Sequence[Message], str]:
        """Hand one message to the agent; give its answers, or none and the text of its fault."""
        context = Context(ask.now, self._view, ask.seq, self._seed, self._id, ask.nth)
        try:
            answers = tuple(self.agent.handle(ask.message, context))
            if not answers:
                return (), ""
            for answer in answers:
                if type(answer) not in KINDS:
                    return (), f"TypeError: an answer must be a message, was {type(answer).__name__}"
            # Structs are not checked when they are made. What the journal could not be read with, or what
            # only looks like a yes, must not get past this line. Nor could another process send it.
            return tuple([decode(encode(answer)) for answer in answers]), ""
        except (Exception, SystemExit) as err:  # noqa: BLE001 - an agent's bug must become a message
            return (), f"{type(err).__name__}: {err}"


class InProc:
    """The transport of one process: an ask is a function call.

    ``clock`` (monotonic ns) measures answers against the wave's budget; without one
    nothing is ever late. ``late`` overrules it with what a journal recorded (`MISSED` or less, or
    ns), so that a replay repeats lateness exactly. ``watch`` hears of every call.
    """

    def __init__(
        self,
        hosts: Mapping[str, AgentHost],
        clock: Callable[[], int] | None = None,
        late: Callable[[Ask], int] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._hosts = hosts
        self._clock = clock
        self._late = late
        self._watch = watch
        # most asks get no answer; they share one
        self._nothing = {agent: Answer(agent, ()) for agent in hosts}

    def rest(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is open here."""

    def exchange(self, wave: Wave) -> Sequence[Answer]:
        answers = []
        hosts, clock, recorded, budget = self._hosts, self._clock, self._late, wave.budget_ns
        watch = self._watch
        view: FirmView | None = None
        for ask in wave.asks:
            agent, message = ask.agent, ask.message
            host = hosts[agent]
            if type(message) is StateView:
                view = FirmView(message) if view is None or view.state is not message else view
                host.see(view)
                if not host.hears_state:
                    answers.append(self._nothing[agent])
                    continue
            started = clock() if clock else 0
            if watch is not None:
                watch.enter(agent, ask.seq)
            messages, fault = host.deliver(ask)
            if watch is not None:
                watch.leave()
            late = 0
            if recorded is not None:
                late = recorded(ask)
                if late <= MISSED:
                    answers.append(Answer(agent, (), "", MISSED - late, True))
                    continue
            elif clock and budget:
                late = max(0, clock() - started - budget)
            if messages or fault or late:
                answers.append(Answer(agent, messages, fault, late))
            else:
                answers.append(self._nothing[agent])
        return answers
