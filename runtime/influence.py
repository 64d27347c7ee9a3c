"""How often each role changed something: counted from what the agents said and what was decided.

Problem: a role that could be removed without anyone noticing is decoration. Counts here are of rounds in
which the role's word made a difference to what others put on the table, not of messages. A cut is credited to
whoever caused it, not to who spoke it: capital also applies the size factor of the meta-decision.

Not here: whether the difference was a good one (mark-outs and PnL say that).

Invariant: a fold in journal order; a round counts once per column.
"""

from decimal import Decimal
from typing import Final

import msgspec

from parley.agent import AgentSpec
from parley.messages import (
    Allocation,
    AnalysisReady,
    Breaker,
    Counter,
    CounterReply,
    Decision,
    Message,
    Proposal,
    Ranking,
    Verdict,
    WeightUpdate,
)
from runtime.history import kinds

KINDS = kinds(
    "Allocation", "AnalysisReady", "Breaker", "Counter", "CounterReply", "Decision", "Proposal", "Ranking",
    "Verdict", "WeightUpdate",
)  # fmt: skip

# Codes of capital's bounds that are not of its own making.
_META_BOUND: Final = "meta_size"
_WISH: Final = "wanted"
_TOO_LITTLE: Final = "below_exchange_min"  # a consequence of the other bounds, no cause

# Which counts are changes: in such a round the desk did something it would not have done without the role.
CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "signal": ("votes_weighed",),
    "strategy": ("proposals",),
    "capital": ("cut", "zero"),
    "risk": ("refused", "capped"),
    "execution": ("chose_order",),
    "arbitrage": ("cycles_proposed", "counters"),
    "meta": ("ranked_nonuniform", "dropped", "cut", "zero"),
}
_CHANGED_BY: Final = {f"{role}_{what}": role for role, counts in CHANGES.items() for what in counts}


class Influence(msgspec.Struct, kw_only=True):
    """Counts by role; rounds where not said otherwise. ``rounds_changed``: with any of the role's `CHANGES`.

    ``cut`` and ``zero``: less, or nothing, was allowed of what was wanted.
    """

    signal_rounds_changed: int = 0
    signal_votes_counted: int = 0
    signal_votes_weighed: int = 0  # neither zero nor without confidence, so that the score moved
    strategy_rounds_changed: int = 0
    strategy_proposals: int = 0
    capital_rounds_changed: int = 0
    capital_cut: int = 0
    capital_zero: int = 0
    risk_rounds_changed: int = 0
    risk_refused: int = 0
    risk_capped: int = 0
    risk_breakers: int = 0  # messages
    execution_rounds_changed: int = 0
    execution_chose_order: int = 0
    arbitrage_rounds_changed: int = 0
    arbitrage_cycles_asked: int = 0  # messages
    arbitrage_cycles_proposed: int = 0
    arbitrage_counters: int = 0
    meta_rounds_changed: int = 0
    meta_ranked: int = 0
    meta_ranked_nonuniform: int = 0
    meta_dropped: int = 0
    meta_resized: int = 0
    meta_cut: int = 0
    meta_zero: int = 0
    meta_weight_updates: int = 0  # messages


def by_role(counts: Influence) -> dict[str, dict[str, int]]:
    """Arrange the counts as role -> name -> count."""
    arranged: dict[str, dict[str, int]] = {}
    for name, count in msgspec.structs.asdict(counts).items():
        role, _, what = name.partition("_")
        arranged.setdefault(role, {})[what] = count
    return arranged


class InfluenceFold:
    """Counts while the messages pass."""

    def __init__(self, agents: tuple[AgentSpec, ...]) -> None:
        self.counts = Influence()
        self._roles = {spec.id: spec.role for spec in agents}
        self._uniform: dict[int, bool] = {}
        self._round: bytes | None = None
        self._proposals: dict[bytes, Proposal] = {}
        self._advice: list[Counter] = []
        self._marks: set[str] = set()

    def take(self, message: Message, round_: bytes, sender: str) -> None:
        """Fold one message of a round (empty: of none)."""
        if round_ and round_ != self._round:
            self._round = round_
            self._proposals, self._advice, self._marks = {}, [], set()
        match message:
            case Proposal():
                self._proposals[message.pid] = message
                role = self._roles.get(sender)
                if role == "strategy":
                    self._note("strategy_proposals")
                elif role == "arbitrage":
                    self._note("arbitrage_cycles_proposed")
            case CounterReply() if message.proposal is not None:
                self._proposals[message.proposal.pid] = message.proposal
            case Allocation():
                self._allocation(message)
            case Counter():
                self._counter(message, sender)
            case Ranking():
                self._ranking(message)
            case Verdict() if not message.ok and message.pid in self._proposals:
                # later children of a decision are judged outside their round and do not count
                self._note("risk_refused")
            case Breaker():
                self.counts.risk_breakers += 1
            case AnalysisReady() if self._roles.get(sender) == "arbitrage":
                self.counts.arbitrage_cycles_asked += 1
            case WeightUpdate():
                self.counts.meta_weight_updates += 1
                self._uniform[message.version] = len({weight for _, weight in message.weights}) <= 1
            case Decision():
                self._decision(message)
            case _:
                pass

    def _note(self, name: str) -> None:
        if name not in self._marks:
            self._marks.add(name)
            setattr(self.counts, name, getattr(self.counts, name) + 1)
            if name in _CHANGED_BY:
                self._note(f"{_CHANGED_BY[name]}_rounds_changed")

    def _allocation(self, allocation: Allocation) -> None:
        """Credit the steps down from the wish: to capital its own bounds, to meta what is left below them."""
        proposal = self._proposals.get(allocation.pid)
        if proposal is None or proposal.reduce_only:
            return  # reductions get what they ask for, whatever capital says
        # bounds lie on the lot grid: what the grid takes off the wish nobody cut
        wish = min([b.qty_max for b in allocation.bounds if b.code == _WISH], default=proposal.legs[0].qty)
        others = (_WISH, _META_BOUND, _TOO_LITTLE)
        own = min([b.qty_max for b in allocation.bounds if b.code not in others], default=wish)
        meta = min([b.qty_max for b in allocation.bounds if b.code == _META_BOUND], default=own)
        by_meta = meta < min(wish, own)
        if allocation.max_qty <= 0:
            # nothing, or too little for the venue, is of whoever took the last step
            self._note("meta_zero" if by_meta else "capital_zero")
            return
        if own < wish:
            self._note("capital_cut")
        if by_meta:
            self._note("meta_cut")

    def _counter(self, counter: Counter, sender: str) -> None:
        role = self._roles.get(sender)
        if role == "execution":
            self._advice.append(counter)
        elif role == "arbitrage" and (counter.px_limit is not None or counter.reject):
            self._note("arbitrage_counters")

    def _ranking(self, ranking: Ranking) -> None:
        self._note("meta_ranked")
        if not self._uniform.get(ranking.weights_version, True):
            self._note("meta_ranked_nonuniform")
        if ranking.dropped:
            self._note("meta_dropped")
        if any(each.size < 1.0 for each in ranking.ranked):
            self._note("meta_resized")

    def _decision(self, decision: Decision) -> None:
        if any(self._roles.get(agent) == "signal" for agent, _, _, _ in decision.votes):
            self._note("signal_votes_counted")
        if any(
            self._roles.get(agent) == "signal" and score * conf != 0.0
            for agent, _, score, conf in decision.votes
        ):
            self._note("signal_votes_weighed")
        if decision.action != "accept":
            return
        if decision.bounds and self._roles.get(decision.bounds[0].agent) == "risk":
            self._note("risk_capped")
        if not decision.plan:
            return  # all of it changed hands inside, with no order to choose
        proposal = self._proposals.get(decision.pid)
        while proposal is not None and proposal.parent_pid in self._proposals:
            proposal = self._proposals[proposal.parent_pid]
        if proposal is not None and self._advice:
            plan = decision.plan[0]
            style, px, tif = own_order(proposal)
            advice = self._advice
            if (
                (plan.style != style and any(c.style in (plan.style, "market") for c in advice))
                or (plan.px != px and any(c.px_limit == plan.px for c in advice))
                or (plan.tif != tif and any(c.tif == plan.tif for c in advice))
            ):
                self._note("execution_chose_order")


def own_order(proposal: Proposal) -> tuple[str, Decimal | None, str]:
    """Return style, limit price and time in force of the order a proposal asked for itself."""
    leg = proposal.legs[0]
    if leg.limit_px is None:
        return "market", None, "IOC"
    return "post_only" if leg.post_only else "limit", leg.limit_px, leg.tif
