"""Who may be asked: strikes, sleep after misses, and rest while the desk is overloaded.

Problem: an agent that talks nonsense must not be asked again, and one that keeps everybody waiting must
not be waited for in every round. Strikes are for ever; three and the agent is quarantined. An agent that
missed five of its last hundred answers sleeps; then it is asked again (half-open), and one more miss makes
it sleep twice as long. Whoever sleeps or rests still hears everything that is told.

Only misses that cost time count: an agent whose process is gone answers nothing at once, and comes back
by itself. Pattern: M. Nygard, Release It!, circuit breaker.

Not here: what a fault is (`table`), which agents should rest (the desk's process).

Invariant: times are stamps of the journal, so a replay finds the same agents awake.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from parley.agent import AgentSpec

SECOND_NS = 1_000_000_000
WINDOW = 100
MOST_MISSES = 5
FIRST_SLEEP_NS = SECOND_NS
LONGEST_SLEEP_NS = 64 * SECOND_NS


class _Record:
    """What one agent did lately; ``until`` is steady ns, 0 awake."""

    __slots__ = ("answers", "is_probed", "misses", "sleep_ns", "strikes", "until")

    def __init__(self) -> None:
        self.strikes = 0
        self.answers: deque[bool] = deque(maxlen=WINDOW)
        self.misses = 0
        self.until = 0
        self.sleep_ns = FIRST_SLEEP_NS
        self.is_probed = False


class Attendance:
    """Keeps the books of who may be asked; mutable, owned by the table. ``now`` is steady time, ns."""

    def __init__(self, specs: Sequence[AgentSpec], max_strikes: int) -> None:
        self._most = max_strikes
        self._of = {spec.id: _Record() for spec in specs}
        self._of_role: dict[str, list[str]] = {}
        for spec in specs:
            self._of_role.setdefault(spec.role, []).append(spec.id)
        self._resting: frozenset[str] = frozenset()
        self._asleep = 0

    def awake(self, role: str, now: int) -> tuple[str, ...]:
        """Agents of a role that may be asked, in the order of the specs."""
        agents = self._of_role.get(role, ())
        if not self._asleep and not self._resting:
            return tuple([a for a in agents if self._of[a].strikes < self._most])
        return tuple([a for a in agents if self.is_awake(a, now)])

    def is_awake(self, agent: str, now: int) -> bool:
        record = self._of.get(agent)
        if record is None or record.strikes >= self._most or agent in self._resting:
            return False
        if record.until > now:
            return False
        if record.until:
            record.until, record.is_probed = 0, True
            self._asleep -= 1
        return True

    def is_quarantined(self, agent: str) -> bool:
        record = self._of.get(agent)
        return record is None or record.strikes >= self._most

    @property
    def quarantined(self) -> frozenset[str]:
        """Agents that will not be asked any more."""
        return frozenset([agent for agent, record in self._of.items() if record.strikes >= self._most])

    def strikes(self, agent: str) -> int:
        return self._of[agent].strikes

    def strike(self, agent: str) -> int:
        """Count a fault and return how many there are now."""
        self._of[agent].strikes += 1
        return self._of[agent].strikes

    def rest(self, agents: Iterable[str]) -> None:
        """Do not ask these agents until told otherwise; names that are no agents are nobody."""
        self._resting = frozenset(agents) & self._of.keys()

    def answered(self, agent: str) -> None:
        """Note an answer in time."""
        record = self._of[agent]
        if record.is_probed:
            record.is_probed, record.sleep_ns = False, FIRST_SLEEP_NS
        if record.misses:  # without misses there is nothing that a full window would push out
            self._note(record, missed=False)

    def missed(self, agent: str, now: int) -> int:
        """Note an answer that was waited for in vain; return for how long the agent sleeps now, ns, or 0."""
        record = self._of[agent]
        self._note(record, missed=True)
        if record.until or not (record.is_probed or record.misses >= MOST_MISSES):
            return 0
        if record.is_probed:
            record.sleep_ns = min(2 * record.sleep_ns, LONGEST_SLEEP_NS)
        record.until, record.is_probed = now + record.sleep_ns, False
        record.answers.clear()
        record.misses = 0
        self._asleep += 1
        return record.sleep_ns

    def _note(self, record: _Record, *, missed: bool) -> None:
        if len(record.answers) == WINDOW and record.answers[0]:
            record.misses -= 1
        record.answers.append(missed)
        record.misses += missed
