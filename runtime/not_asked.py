"""Which strategies a round passed over, and why: their absence is a fact of the round like a refusal.

Problem: a call for proposals names who was asked. Whoever is missing in it neither bid nor refused, and a
reader cannot tell a strategy that rests from one that does not exist. The desk decides by what is in its
journal: a strain that names who rests, faults that send an agent to sleep or end its say.

Not here: rounds that are somebody's own, in which by design nobody else is asked.

Invariant: every strategy of the run that a candle's round did not ask is told, with the desk's own reason.
"""

from collections.abc import Iterable, Sequence

from parley.agent import AgentSpec
from parley.messages import AgentFaulted, Message, Strain, Trigger
from runtime.load import SOURCE as LOAD
from runtime.story import Said

ASLEEP = "asleep for "  # how the desk begins a fault that is no strike but a pause


class Attended:
    """What the journal said of who may be asked, message by message up to a round's opening."""

    def __init__(self) -> None:
        self._strain = Strain(source=LOAD, level=0)
        self._quarantined: dict[str, AgentFaulted] = {}
        self._asleep: dict[str, AgentFaulted] = {}

    def take(self, message: Message) -> None:
        """Take the next message; most say nothing about it."""
        match message:
            case Strain(source=source) if source == LOAD:
                self._strain = message
            case AgentFaulted(quarantined=True):
                self._quarantined.setdefault(message.agent, message)
            case AgentFaulted() if message.error.startswith(ASLEEP):
                self._asleep[message.agent] = message
            case _:
                pass

    def why(self, agent: str) -> Said:
        """Say why an agent was not asked, which is known."""
        strain = self._strain
        if fault := self._quarantined.get(agent):
            detail = f"since its {fault.strikes} strikes, the last for: {fault.error}"
            return Said(agent=agent, code="quarantined", detail=detail)
        if agent in strain.resting:
            detail = f"while the desk is overloaded, level {strain.level}: {strain.why}"
            return Said(agent=agent, code="resting", detail=detail)
        if fault := self._asleep.get(agent):
            return Said(agent=agent, code="asleep", detail=fault.error.removeprefix("asleep "))
        return Said(agent=agent, code="not_asked", detail="the journal does not say why")


def not_asked(
    specs: Iterable[AgentSpec], trigger: Trigger, asked: Sequence[str], attended: Attended
) -> list[Said]:
    """Return the strategies that the round of a closed candle passed over."""
    if trigger.kind != "bar" or trigger.nth:
        return []
    due = sorted(spec.id for spec in specs if spec.role == "strategy" and not spec.own_rounds)
    return [attended.why(agent) for agent in due if agent not in asked]
