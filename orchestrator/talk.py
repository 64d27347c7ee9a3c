"""What has been said in one round so far, and the decision written from it.

Not here: who is asked and what follows from the answers (`negotiation`).

Invariant: a decision says everything that led to it: reasons, votes, bounds, plan.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from parley.messages import Bound, Cfp, Counter, Decision, PlanLeg, Proposal, Ranking, Trigger, Verdict, Vote
from parley.view import FirmView

from .round import Event, Round

ZERO = Decimal(0)


@dataclass(slots=True)
class Talk:
    """What has been said in one round so far."""

    round: Round
    trigger: Trigger
    seq: int
    view: FirmView
    cfp: Cfp
    bids: list[Proposal] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    reasons: list[tuple[str, str, str]] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    advice: list[Counter] = field(default_factory=list)
    ranking: Ranking | None = None
    chosen: Proposal | None = None
    waiting: list[Proposal] = field(default_factory=list)
    yielded: list[Proposal] = field(default_factory=list)  # exits that let an opening go first (`crossing`)
    given: frozenset[bytes] = frozenset()  # proposals that were made in a round before
    unasked: list[Proposal] = field(default_factory=list)  # of them those that have to wait once more
    guarded: list[Proposal] = field(default_factory=list)  # exits of what a stop at the venue ties up
    score: float = 0.0
    size: float = 1.0
    wanted: Decimal = ZERO
    qty: Decimal = ZERO
    verdict: Verdict | None = None

    def end(self, event: Event, who: str, code: str, detail: str = "") -> None:
        self.round.on(event)
        self.reasons.insert(0, (who, code, detail))


def decision(
    talk: Talk, action: str, weights_version: int, now: int, plan: tuple[PlanLeg, ...] = ()
) -> Decision:
    """Write down how a round ended, with everything that led there."""
    bid = talk.chosen
    ranking = talk.ranking
    return Decision(
        round=talk.round.id,
        symbol=talk.round.symbol,
        pid=bid.pid if bid else b"",
        agent=bid.agent if bid else "",
        action=action,
        qty=talk.qty if action == "accept" else ZERO,
        px=plan[0].px if plan else None,
        score=talk.score,
        margin_of_win=ranking.margin_of_win if ranking else 0.0,
        weights_version=weights_version,
        quorum=ranking.quorum if ranking else 0.0,
        reasons=tuple(talk.reasons),
        dissent=ranking.dissent if ranking else (),
        votes=tuple([(v.agent, v.pid, v.score, v.conf) for v in talk.votes if not v.abstain]),
        bounds=tuple(talk.bounds),
        plan=plan,
        proposals=len(talk.bids),
        t=now,
        qty_wanted=talk.wanted,
    )
