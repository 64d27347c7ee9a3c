"""One round, from the call to the settled numbers: the protocol of negotiation 3.2 as it reads.

Each stage asks a wave of agents and moves the `Round` by the event that followed.
Silence of capital or meta refuses an opening, never a reduction. What capital says
binds, what arbitrage says advises. What risk and execution say of the final numbers
is in `final_review`; what is decided is not sent here: gate and commit follow in
`dispatch`.
"""

from collections.abc import Callable, Generator, Sequence
from decimal import Decimal

from parley.bus import Answer, Wave
from parley.messages import (
    Allocation,
    Ballot,
    Bound,
    Counter,
    CounterReply,
    Opinion,
    Proposal,
    Ranking,
    Refuse,
    Verdict,
    Vote,
)
from parley.risk.limits import Limits
from parley.view import FirmView

from . import validate
from .account import Account
from .final_review import FinalReview, asking
from .market import Market
from .plan import better
from .policy import GroupOut
from .round import Event, State
from .table import DESK, Said, Table
from .talk import Talk

ZERO = Decimal(0)
NO_FAULT = frozenset({"no_book"})  # the market's doing, not the agent's
Flow = Generator[Wave | GroupOut, Sequence[Answer], None]


class Negotiation:
    """Runs rounds at a table; between them it keeps the standing opinions and the weights only."""

    def __init__(
        self, table: Table, account: Account, market: Market, limits: Limits,
        first: Callable[[Talk, list[Proposal]], list[Proposal]],
    ) -> None:  # fmt: skip
        """Negotiate by ``limits``; ``first`` may put an opening before the exits of its round."""
        self._table = table
        self._account = account
        self._market = market
        self._budgets = table.config.budgets
        self._first = first
        self._final = FinalReview(table, market, limits)
        self.opinions: dict[tuple[str, str], Opinion] = {}
        self.weights_version = 0
        self.weights: dict[str, float] = {}

    def follow(self, limits: Limits) -> None:
        """Judge by another table of limits from now on."""
        self._final.follow(limits)

    def regime(self, symbol: str) -> str:
        """Name the market regime of the freshest valid opinion on a symbol, or the empty string."""
        found = ""
        freshest: tuple[int, str] | None = None
        for (agent, about), o in self.opinions.items():
            if about == symbol and o.regime and self._valid(o):
                # of equally fresh ones that of the first agent
                at = (-o.valid_from, agent)
                if freshest is None or at < freshest:
                    found, freshest = o.regime, at
        return found

    def _valid(self, opinion: Opinion) -> bool:
        return opinion.valid_from <= self._table.now < opinion.valid_to

    def run(self, talk: Talk, bidders: Sequence[str], given: Sequence[Proposal] = ()) -> Flow:
        """Negotiate until a decision can be written; the result is in ``talk``."""
        yield from self._call(talk, bidders, given)
        if talk.round.is_at(State.SCORED):
            yield from self._vote(talk)
            yield from self._rank(talk)
        if talk.round.is_at(State.COUNTER):
            yield from self._settle(talk)
        if talk.round.is_at(State.RISK):
            yield from self._final.judge(talk)

    def verdict(
        self, round_: bytes, bid: Proposal, size: float, view: FirmView, cause: int
    ) -> Generator[Wave | GroupOut, Sequence[Answer], tuple[Verdict | None, bool]]:
        """Get risk's verdict on a later order; the second value: only an outdated one came."""
        return (yield from self._final.verdict(round_, bid, size, view, cause))

    # call and bids

    def _call(self, talk: Talk, bidders: Sequence[str], given: Sequence[Proposal]) -> Flow:
        table, kills = self._table, self._account.kills
        for agent in bidders:
            if kills.bars(agent):
                talk.reasons.append((agent, "killed", ""))
        bidders = [agent for agent in bidders if not kills.bars(agent)]
        said = yield from table.ask(
            "bids",
            [(tuple(bidders), talk.cfp)],
            round_=talk.round.id,
            cause=talk.seq,
            budget=self._budgets.bids,
        )
        talk.round.on(Event.CALLED)
        heard: set[str] = set()
        for item in said:
            match item.message:
                case Refuse(code=code, detail=detail) if item.agent not in heard:
                    talk.reasons.append((item.agent, code, detail))
                case Proposal() as bid if item.agent not in heard:
                    self._admit(talk, item, bid)
                case _:
                    code = "second_answer" if item.agent in heard else "not_a_bid"
                    table.reject(item.agent, item.seq, code, talk.round.id)
            heard.add(item.agent)
        for agent in bidders:
            if agent not in heard:
                talk.reasons.append((agent, "silent", ""))
        for bid in given:
            if bid.agent_version != DESK:  # what the desk proposes itself is on record as its trigger
                table.emit(bid, cause=talk.seq, round_=talk.round.id)
        talk.given = frozenset([bid.pid for bid in given])
        talk.bids.extend(given)
        talk.bids.sort(key=lambda p: p.agent)
        self._hold_back(talk)
        if talk.bids:
            talk.round.on(Event.BIDS_IN)
        else:
            talk.end(Event.NO_BIDS, DESK, "guarded" if talk.guarded else "no_bids")

    def _hold_back(self, talk: Talk) -> None:
        """Take out exits of what a stop at the venue ties up: they are decided when it is gone."""
        guards = {(o.agent, o.intent.symbol): o.intent.cid for o in self._account.orders.guards()}
        for bid in talk.bids if guards else ():
            for leg in bid.legs:
                cid = guards.get((bid.agent, leg.symbol))
                if leg.reduce_only and cid and bid not in talk.guarded:
                    talk.guarded.append(bid)
                    talk.reasons.append((bid.agent, "guarded", f"its stop {cid} is taken back first"))
        if talk.guarded:
            talk.bids = [bid for bid in talk.bids if bid not in talk.guarded]

    def _admit(self, talk: Talk, item: Said, bid: Proposal) -> None:
        table = self._table
        code = validate.proposal(bid, table.env, talk.view, self._market.books)
        if not code and talk.cfp.reduce_only and not bid.reduce_only:
            code = "not_reduce_only"
        if not code and not {leg.symbol for leg in bid.legs}.issubset(talk.cfp.symbols):
            code = "not_asked"
        if not code and bid.pid in [b.pid for b in talk.bids]:
            code = "pid_taken"
        if code:
            if code in NO_FAULT:
                table.dismiss(item.agent, item.seq, code, talk.round.id, "Proposal")
            else:
                table.reject(item.agent, item.seq, code, talk.round.id, "Proposal")
            talk.reasons.append((item.agent, code, "proposal"))
        else:
            talk.bids.append(bid)

    # votes and ranking

    def _vote(self, talk: Talk) -> Flow:
        table = self._table
        pids = frozenset(p.pid for p in talk.bids)
        asked: list[str] = []
        # an opinion is about where a price goes; a coupled cycle does not depend on that
        directional = [bid for bid in talk.bids if not bid.coupled]
        for agent in table.awake("signal") if directional else ():
            votes: list[Vote] = []
            for bid in directional:
                leg = bid.legs[0]
                opinion = self.opinions.get((agent, leg.symbol))
                if opinion is None or not self._valid(opinion):
                    asked.append(agent)
                    break
                score = opinion.direction * (1 if leg.side == "buy" else -1)
                votes.append(Vote(pid=bid.pid, agent=agent, score=score, conf=opinion.conf))
            else:
                talk.votes.extend(votes)
        if asked:
            ballot = self._ballot(talk, "vote", ())
            said = yield from table.ask(
                "votes",
                [(asked, ballot)],
                round_=talk.round.id,
                cause=talk.seq,
                budget=self._budgets.votes,
            )
            seen: set[tuple[str, bytes]] = set()
            for item in said:
                if isinstance(item.message, Vote) and (item.agent, item.message.pid) not in seen:
                    code = validate.vote(item.message, pids)
                    if not code:
                        seen.add((item.agent, item.message.pid))
                        talk.votes.append(item.message)
                        continue
                else:
                    code = "second_answer"
                table.reject(item.agent, item.seq, code, talk.round.id)
        talk.votes.extend([Vote(pid=p.pid, agent=p.agent, score=1.0, conf=p.conf) for p in talk.bids])

    def _ballot(self, talk: Talk, stage: str, votes: Sequence[Vote]) -> Ballot:
        return Ballot(
            round=talk.round.id,
            stage=stage,
            proposals=tuple(talk.bids),
            votes=tuple(votes),
            weights_version=self.weights_version,
            t=self._table.now,
            regime=self.regime(talk.round.symbol),
        )

    def _rank(self, talk: Talk) -> Flow:
        table = self._table
        metas = table.awake("meta")
        said = yield from table.ask(
            "scoring",
            [(metas, self._ballot(talk, "rank", talk.votes))],
            round_=talk.round.id,
            cause=talk.seq,
            budget=self._budgets.scoring,
        )
        by_pid = {p.pid: p for p in talk.bids}
        for item in said:
            code = "second_answer"
            if isinstance(item.message, Ranking) and talk.ranking is None:
                code = validate.ranking(item.message, talk.round.id, frozenset(by_pid))
                if not code:
                    talk.ranking = item.message
                    continue
            table.reject(item.agent, item.seq, code, talk.round.id)
        reducing = [p for p in talk.bids if p.reduce_only]
        ranking = talk.ranking
        if ranking is None:
            if not reducing:
                return talk.end(Event.META_SILENT, "meta", "silent")
            return self._choose(talk, reducing)
        talk.reasons += [(by_pid[p].agent, code, "ranking") for p, code in ranking.dropped if p in by_pid]
        if not reducing and ranking.quorum < table.config.min_quorum:
            return talk.end(Event.NO_QUORUM, "meta", "no_quorum", f"{ranking.quorum:.3f}")
        ranked = [by_pid[r.pid] for r in ranking.ranked]
        order = reducing + [p for p in ranked if p not in reducing] if reducing else ranked
        if not order:
            return talk.end(Event.NONE_RANKED, "meta", "none_ranked")
        return self._choose(talk, self._first(talk, order))

    def _choose(self, talk: Talk, order: list[Proposal]) -> None:
        talk.round.on(Event.RANKED)
        talk.chosen = order[0]
        waiting = [p for p in order[1:] if p.reduce_only]
        if order[0].reduce_only:  # who has said what it wants is not asked for it again
            talk.waiting = [p for p in waiting if p.pid not in talk.given]
            talk.unasked = [p for p in waiting if p.pid in talk.given]
        else:
            talk.yielded = waiting
        for r in talk.ranking.ranked if talk.ranking else ():
            if r.pid == order[0].pid:
                talk.score, talk.size = r.score, r.size
        talk.reasons += [(p.agent, "gave_way" if p in talk.yielded else "outranked", "") for p in order[1:]]
        talk.wanted = talk.qty = order[0].legs[0].qty

    # counters

    def _settle(self, talk: Talk) -> Flow:
        """Review with capital and arbitrage; let the proposer answer changes, at most twice."""
        while talk.round.is_at(State.COUNTER):
            bid = talk.chosen
            if bid is None:
                raise AssertionError("a round in COUNTER has a chosen proposal")
            reviews = yield from self._review(talk, bid)
            limit = self._bind(talk, bid, reviews)
            if not talk.round.is_at(State.COUNTER):
                return
            leg = bid.legs[0]
            px = better(leg.side, leg.limit_px, *(c.px_limit for c in talk.advice))
            if limit >= leg.qty and (bid.coupled or px == leg.limit_px or bid.reduce_only):
                talk.qty = leg.qty
                talk.round.on(Event.SETTLED)
                return
            qty = min(limit, leg.qty)
            answer = yield from self._counter(talk, bid, qty, px)
            if answer is None:
                return
            if answer.pid == bid.pid or talk.round.counters >= 2:
                talk.qty = min(qty, answer.legs[0].qty)
                talk.chosen = answer
                talk.round.on(Event.SETTLED)
                return
            talk.chosen = answer

    def _review(self, talk: Talk, bid: Proposal) -> Generator[Wave | GroupOut, Sequence[Answer], list[Said]]:
        table = self._table
        requests = [
            (agents, asking(talk.round.id, bid, stage, talk.size, talk.view, table.now))
            for stage in ("capital", "arbitrage")
            if (agents := table.awake(stage))
        ]
        return (
            yield from table.ask(
                "counters", requests, round_=talk.round.id, cause=talk.seq, budget=self._budgets.counters
            )
        )

    def _bind(self, talk: Talk, bid: Proposal, reviews: list[Said]) -> Decimal:
        """Take the reviews: capital's bound, arbitrage's advice; give the binding quantity."""
        talk.advice = []
        limit: Decimal | None = None
        coupled = False
        heard: set[str] = set()
        for item in reviews:
            code = "not_a_review"
            match item.message:
                case Allocation() as a:
                    code = validate.allocation(a, bid.pid)
                    if not code:
                        heard.add(item.agent)
                        limit = a.max_qty if limit is None else min(limit, a.max_qty)
                        every = sorted([*talk.bounds, *a.bounds], key=_tightness)
                        talk.bounds = [b for b, last in zip(every, [None, *every], strict=False) if b != last]
                        if a.max_qty <= 0:
                            talk.reasons.append((item.agent, a.code, ""))
                case Counter() as c:
                    code = validate.counter(c, bid.pid)
                    if not code and c.reject and bid.coupled:
                        talk.end(Event.COUPLING_REFUSED, item.agent, c.code, c.detail)
                        return ZERO
                    if not code:
                        coupled = coupled or c.code == "coupled_ok"
                        talk.advice.append(c)
            if code:
                self._table.reject(item.agent, item.seq, code, talk.round.id)
        if bid.coupled and not bid.reduce_only and not coupled:
            talk.end(Event.COUPLING_REFUSED, "arbitrage", "silent")
            return ZERO
        if bid.reduce_only:
            return bid.legs[0].qty
        if limit is None or not heard.issuperset(self._table.awake("capital")):
            talk.end(Event.CAPITAL_SILENT, "capital", "silent")
            return ZERO
        limit = self._table.env.instruments[bid.legs[0].symbol].qty(limit)
        if limit <= 0:
            binding = talk.bounds[0] if talk.bounds else None
            who, code = (binding.agent, binding.code) if binding else ("capital", "no_allocation")
            talk.end(Event.BOUND_TO_ZERO, who, code)
        return limit

    def _counter(
        self, talk: Talk, bid: Proposal, qty: Decimal, px: Decimal | None
    ) -> Generator[Wave | GroupOut, Sequence[Answer], Proposal | None]:
        """Put the changed numbers to the proposer; None when that ended the round."""
        table = self._table
        talk.round.on(Event.COUNTERED)
        counter = Counter(
            pid=bid.pid,
            agent=DESK,
            code=talk.bounds[0].code if talk.bounds else "advice",
            binding=True,
            qty_max=qty,
            px_limit=px,
        )
        said = yield from table.ask(
            "counter_reply",
            [((bid.agent,), counter)],
            round_=talk.round.id,
            cause=talk.seq,
            budget=self._budgets.counters,
        )
        for item in said:
            reply = item.message
            if not isinstance(reply, CounterReply) or reply.pid != bid.pid:
                table.reject(item.agent, item.seq, "not_a_reply", talk.round.id)
                continue
            if reply.action == "accept":
                return bid
            if reply.action == "revise" and reply.proposal is not None:
                revised = reply.proposal
                code = validate.proposal(revised, table.env, talk.view, self._market.books)
                code = code or validate.revision(revised, bid, qty)
                if not code:
                    return revised
                table.reject(item.agent, item.seq, code, talk.round.id)
            elif reply.action == "withdraw":
                talk.end(Event.WITHDRAWN, item.agent, "withdrawn")
                return None
        talk.end(Event.WITHDRAWN, bid.agent, "silent_is_withdrawal")
        return None


def _tightness(bound: Bound) -> tuple[Decimal, str, str]:
    return (bound.qty_max, bound.agent, bound.code)
