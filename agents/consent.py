"""Agents that consent to everything: a desk that executes what its strategies want.

Problem: a strategy must be comparable with itself: alone at a desk where nobody objects it has to trade as it
does without one. It is also what somebody wants who trusts a strategy and wants the journal, the gate and the
execution, not the opinions.

Not here: the gate and its limits, which no agent can bypass; with these agents they are all that protects.

Invariant: nobody here opens anything, changes a price or lets a quantity grow.
"""

from collections.abc import Sequence

from parley.agent import AgentEnv, AgentSpec, Context
from parley.errors import ConfigError
from parley.messages import (
    Allocation,
    Ballot,
    Bound,
    Counter,
    Message,
    Ranked,
    Ranking,
    Review,
    Verdict,
)

VALID_NS = 60_000_000_000
ROLES = ("capital", "risk", "execution", "meta")


class Consent:
    """Says yes in one of the `ROLES`."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case Ballot(stage="rank") if self.spec.role == "meta":
                return (self._rank(msg),)
            case Review(stage="capital") if self.spec.role == "capital":
                return (self._allow(msg),)
            case Review(stage="risk") if self.spec.role == "risk":
                return (self._pass(msg, ctx),)
            case Review(stage="execution") if self.spec.role == "execution":
                return (Counter(pid=msg.pid, agent=self.spec.id, code="as_proposed", binding=False),)
            case _:
                return ()

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None

    def _rank(self, ballot: Ballot) -> Ranking:
        ranked = tuple(Ranked(pid=bid.pid, score=bid.conf, size=1.0) for bid in ballot.proposals)
        return Ranking(
            round=ballot.round, ranked=ranked, margin_of_win=0.0, weights_version=ballot.weights_version,
            quorum=1.0,
        )  # fmt: skip

    def _allow(self, review: Review) -> Allocation:
        wanted = review.proposal.legs[0].qty
        bound = Bound(agent=self.spec.id, code="wanted", qty_max=wanted)
        return Allocation(
            pid=review.pid, agent=self.spec.id, max_qty=wanted, margin_reserved=wanted,
            reservation_id=review.pid, version=1, bounds=(bound,), code="consent",
        )  # fmt: skip

    def _pass(self, review: Review, ctx: Context) -> Verdict:
        return Verdict(
            pid=review.pid, agent=self.spec.id, ok=True, max_qty=review.proposal.legs[0].qty, breached=(),
            state_version=review.state_version, risk_epoch=1, valid_until=ctx.now + VALID_NS,
        )  # fmt: skip


def make(spec: AgentSpec, env: AgentEnv) -> Consent:
    """Build the agent.

    Raises
    ------
    ConfigError
        For a role that has more to say than yes.
    """
    if spec.role not in ROLES:
        raise ConfigError(f"agent {spec.id!r}: only {', '.join(ROLES)} can consent, not {spec.role!r}")
    return Consent(spec)
