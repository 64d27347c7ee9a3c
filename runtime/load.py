"""How strained a desk's process is: the overload ladder over loop lag and commit wait.

Problem: a desk that cannot keep up decides on old news. It must do less before it does wrong, and every step
of that must be in the journal, because a replay has to find the same agents asked and the same rounds shed.

Once a second the higher of the two p99 is laid against the ladder of negotiation 11: 2, 5, 20 and 200 ms in
the hot profile, ten times that in the candle profile, where three seconds in a row are needed (settled 22).
A level is left the same way it was entered; in lock-step nobody is in a hurry and nothing is measured.

Not here: what a level means (`Strain`), how it is admitted (`desk`).
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from orchestrator.firm import Firm
from orchestrator.leaving import to_leave
from parley.agent import AgentSpec
from parley.messages import Strain

SOURCE: Final = "load"
LADDER_MS: Final[Mapping[str, tuple[float, ...]]] = {
    "hot": (2.0, 5.0, 20.0, 200.0),
    "spread": (2.0, 5.0, 20.0, 200.0),
    "candle": (20.0, 50.0, 200.0, 2000.0),
}
SECONDS_IN_A_ROW: Final[Mapping[str, int]] = {"hot": 1, "spread": 1, "candle": 3}
# Without these a round has no direction or no say; the others decide whether it may trade at all.
OPTIONAL: Final = frozenset({"signal", "strategy", "arbitrage"})
_TICK_S: Final = 0.01
_NS: Final = 1_000_000_000


class Ladder:
    """Turns measurements into levels; ``look`` is called with monotonic ns."""

    def __init__(self, profile: str) -> None:
        self._steps = LADDER_MS[profile]
        self._patience = SECONDS_IN_A_ROW[profile]
        self._measured: list[int] = []
        self._second_from = 0
        self._last: list[int] = []
        self.level = 0
        self.p99_ms = 0.0

    def note(self, ns: int) -> None:
        """Take one lag or wait."""
        self._measured.append(ns)

    def look(self, now: int) -> bool:
        """Close the second if it is over; True when the level changed."""
        if not self._second_from:
            self._second_from = now
        if now - self._second_from < _NS:
            return False
        self._second_from = now
        self.p99_ms = _p99(self._measured) / 1e6
        self._measured.clear()
        self._last = [*self._last, sum(self.p99_ms > step for step in self._steps)][-self._patience :]
        if len(self._last) < self._patience:
            return False
        # Up to what all of them reached, down to what none of them exceeded.
        before, low, high = self.level, min(self._last), max(self._last)
        self.level = low if low > self.level else high if high < self.level else self.level
        return self.level != before


def _p99(values: Sequence[int]) -> int:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))] if values else 0


def who_rests(
    specs: Sequence[AgentSpec], weights: Mapping[str, float], needed: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the half of the optional agents, role by role, that weighs least; one of each role stays.

    Parameters
    ----------
    weights : by agent id as meta-decision last said; who is not in it weighs one
    needed : agents that never rest: nobody else would leave what they hold, at their stop or at all
    """
    resting: list[str] = []
    for role in sorted(OPTIONAL):
        agents = sorted(
            (spec.id for spec in specs if spec.role == role), key=lambda a: (weights.get(a, 1.0), a)
        )
        resting += [agent for agent in agents if agent not in needed][: len(agents) // 2]
    return tuple(sorted(resting))


def resting_of(firm: Firm, specs: Sequence[AgentSpec]) -> tuple[str, ...]:
    """Return who of a firm's agents rests: nobody who holds what could be sold, or has an order out."""
    holders = {holding.agent for _, holding, _ in to_leave(firm.table, firm.account, firm.market)}
    traders = {leg.agent for leg in firm.account.legs.all()}
    return who_rests(specs, firm.negotiation.weights, holders | traders)


class LoadMeter:
    """Measures the running loop; ``on_strain`` hears of every change of the level."""

    def __init__(
        self, profile: str, resting: Callable[[], tuple[str, ...]], on_strain: Callable[[Strain], None]
    ) -> None:
        self._ladder = Ladder(profile)
        self._resting = resting
        self._on_strain = on_strain
        self._loop = asyncio.get_running_loop()
        self._due = 0
        self._tick = self._next()

    def waited(self, ns: int) -> None:
        """Take the time from handing over a group to knowing that it is durable."""
        self._ladder.note(ns)

    def stop(self) -> None:
        """Measure no more."""
        self._tick.cancel()

    def _next(self) -> asyncio.TimerHandle:
        self._due = time.monotonic_ns() + int(_TICK_S * _NS)  # uvloop's own time has whole ms only
        return self._loop.call_later(_TICK_S, self._look)

    def _look(self) -> None:
        now = time.monotonic_ns()
        self._ladder.note(max(0, now - self._due))
        if self._ladder.look(now):
            level = self._ladder.level
            why = f"p99 of lag and commit wait {self._ladder.p99_ms:.1f} ms"
            resting = self._resting() if level else ()
            self._on_strain(Strain(source=SOURCE, level=level, why=why, resting=resting))
        self._tick = self._next()


def meter_of(firm: Firm, specs: Sequence[AgentSpec], say: Callable[[Strain], None]) -> LoadMeter | None:
    """Measure how strained a desk's process is; None in lock-step, where nobody is in a hurry."""
    profile = firm.config.profile
    return LoadMeter(profile, lambda: resting_of(firm, specs), say) if profile in LADDER_MS else None
