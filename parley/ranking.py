"""Which proposals a desk should follow, in which order and how far: the pure scoring of a ballot.

Score = weighted mean over the awake voters of calibrated confidence times score, less
the trade's cost in units of twice the expected move over its horizon. A proposal passes
above ``theta``; of two opposite ones on a symbol the stronger keeps what it leads by and
must lead by ``margin``. Passing ones are ordered by score per unit of risk, ties by a
hash. What only reduces comes first and is never held back.

Not here: how weights are learned (`experts`), the binding bounds (capital and risk).

Invariant: the result does not depend on the order of proposals or votes; every
proposal is either ranked or dropped with a code.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2s
from math import fsum, isfinite
from typing import NamedTuple

import msgspec

from parley.messages import Ballot, Dissent, Proposal, Ranked, Ranking, Vote


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds and scales of a ranking.

    A score of ``full_score`` and above gets size 1, one at ``theta`` gets ``size_floor``; risks
    below ``risk_floor_bps`` count as that; at most ``max_ranked`` openings are ranked.
    A vote whose score times confidence is below ``min_conviction`` counts as an abstention:
    who always says next to nothing would else outlive everybody who dares to be wrong.
    """

    theta: float = 0.15
    margin: float = 0.05
    cost_weight: float = 0.25
    full_score: float = 0.45
    size_floor: float = 0.25
    risk_floor_bps: float = 20.0
    max_ranked: int = 4
    min_conviction: float = 0.01


class Terms(NamedTuple):
    """What a trade costs and risks, in bps: its costs, expected move over its horizon, loss at its stop."""

    cost_bps: float
    sigma_bps: float
    risk_bps: float


class Scored(NamedTuple):
    """A proposal with its score, before netting and after, and its key for ordering."""

    proposal: Proposal
    score: float
    per_risk: float
    tie: bytes


Calibrate = Callable[[str, float], float]
Judge = Callable[[Proposal], Terms]


def rank(
    ballot: Ballot,
    weights: Mapping[str, float],
    electorate: Sequence[str],
    calibrate: Calibrate,
    judge: Judge,
    policy: Policy,
) -> Ranking:
    """Rank a ballot's proposals under given weights.

    Parameters
    ----------
    weights
        Of all agents; absent ones count 0. Not necessarily normalised.
    electorate
        Who was to vote; the quorum is the weight of those of them and of the proposers who answered.
    calibrate
        Maps an agent's stated confidence to a calibrated one.
    judge
        Gives a proposal's `Terms`.
    """
    votes = _votes(ballot, policy)
    scored = [
        _score(p, ballot.round, votes.get(p.pid, []), weights, calibrate, judge, policy)
        for p in ballot.proposals
    ]
    exits: list[Scored] = []
    openings: list[Scored] = []
    for s in scored:
        (exits if s.proposal.reduce_only else openings).append(s)
    if len(exits) > 1:
        exits.sort(key=lambda s: (_urgency(s), *_order(s)))
    passing, dropped = _net(openings, policy) if openings else ([], [])
    passing.sort(key=_order)
    dropped.extend((s.proposal.pid, "outranked") for s in passing[policy.max_ranked :])
    passing = passing[: policy.max_ranked]
    ranked = [Ranked(pid=s.proposal.pid, score=s.score, size=1.0) for s in exits]
    ranked += [Ranked(pid=s.proposal.pid, score=s.score, size=_size(s.score, policy)) for s in passing]
    return Ranking(
        round=ballot.round, ranked=tuple(ranked), margin_of_win=_lead(ranked, scored, policy),
        weights_version=ballot.weights_version, quorum=_quorum(ballot, weights, electorate),
        dissent=_dissent(ranked, votes, weights), dropped=tuple(sorted(dropped)),
    )  # fmt: skip


def _votes(ballot: Ballot, policy: Policy) -> dict[bytes, list[Vote]]:
    """Group usable votes by proposal; of several by one agent the first in canonical order counts."""
    by_pid: dict[bytes, dict[str, Vote]] = {}
    for v in sorted(ballot.votes, key=_canonical):
        if not v.abstain and isfinite(v.score) and abs(v.score) * v.conf >= policy.min_conviction:
            by_pid.setdefault(v.pid, {}).setdefault(v.agent, v)
    return {pid: list(votes.values()) for pid, votes in by_pid.items()}


def _canonical(v: Vote) -> tuple[str, bytes, bool, float, float]:
    return (v.agent, v.pid, v.abstain, -v.conf, -v.score)


def _score(
    p: Proposal, round_: bytes, votes: Sequence[Vote], weights: Mapping[str, float], calibrate: Calibrate,
    judge: Judge, policy: Policy,
) -> Scored:  # fmt: skip
    # nobody else can judge a cycle: its proposer need not have a record for being heard on it
    least = 1e-9 if p.coupled else 0.0
    heard = [(v, max(weights.get(v.agent, 0.0), least)) for v in votes]
    awake = fsum([w for _, w in heard])
    support = fsum([w * calibrate(v.agent, v.conf) * min(1.0, max(-1.0, v.score)) for v, w in heard])
    terms = judge(p)
    cost = min(1.0, terms.cost_bps / (2 * terms.sigma_bps)) if terms.sigma_bps > 0 else 1.0
    score = (support / awake if awake > 0 else 0.0) - policy.cost_weight * cost
    risk = max(policy.risk_floor_bps, terms.risk_bps)
    return Scored(p, score, score / risk, blake2s(p.pid + round_, digest_size=8).digest())


def _order(s: Scored) -> tuple[float, bytes]:
    return (-s.per_risk, s.tie)


def _urgency(s: Scored) -> int:
    return {"urgent": 0, "normal": 1}.get(s.proposal.urgency, 2)


def _net(scored: Sequence[Scored], policy: Policy) -> tuple[list[Scored], list[tuple[bytes, str]]]:
    passing: list[Scored] = []
    dropped: list[tuple[bytes, str]] = []
    best: dict[tuple[str, str], float] = {}
    for s in scored:
        if not s.proposal.coupled:
            leg = s.proposal.legs[0]
            best[leg.symbol, leg.side] = max(s.score, best.get((leg.symbol, leg.side), 0.0))
    for s in scored:
        leg = s.proposal.legs[0]
        against = 0.0
        if not s.proposal.coupled:
            against = best.get((leg.symbol, "sell" if leg.side == "buy" else "buy"), 0.0)
        if s.score <= policy.theta:
            dropped.append((s.proposal.pid, "below_threshold"))
        elif against > 0 and s.score - against <= max(policy.margin, policy.theta):
            dropped.append((s.proposal.pid, "opposed"))
        else:
            keep = 1 - against / s.score
            passing.append(s._replace(score=s.score - against, per_risk=s.per_risk * keep))
    return passing, dropped


def _size(score: float, policy: Policy) -> float:
    reach = (score - policy.theta) / max(1e-9, policy.full_score - policy.theta)
    return policy.size_floor + (1 - policy.size_floor) * min(1.0, max(0.0, reach))


def _lead(ranked: Sequence[Ranked], scored: Sequence[Scored], policy: Policy) -> float:
    if not ranked:
        return 0.0
    others = [s.score for s in scored if s.proposal.pid != ranked[0].pid]
    return ranked[0].score - (max(others) if others else policy.theta)


def _quorum(ballot: Ballot, weights: Mapping[str, float], electorate: Sequence[str]) -> float:
    """Weigh who answered (an abstention is an answer) against who was to; cycles need nobody's opinion."""
    bidders = {p.agent for p in ballot.proposals}
    present = {v.agent for v in ballot.votes} | bidders
    asked = () if ballot.proposals and all(p.coupled for p in ballot.proposals) else electorate
    everyone = sorted(bidders.union(asked))
    total = fsum([weights.get(a, 0.0) for a in everyone])
    if total <= 0:
        return sum(a in present for a in everyone) / len(everyone) if everyone else 0.0
    return min(1.0, fsum([weights.get(a, 0.0) for a in everyone if a in present]) / total)


def _dissent(
    ranked: Sequence[Ranked], votes: Mapping[bytes, Sequence[Vote]], weights: Mapping[str, float]
) -> tuple[Dissent, ...]:
    return tuple(
        [
            Dissent(agent=v.agent, pid=v.pid, score=v.score, conf=v.conf, weight=weights.get(v.agent, 0.0))
            for r in ranked
            for v in votes.get(r.pid, ())
            if v.score < 0
        ]
    )
