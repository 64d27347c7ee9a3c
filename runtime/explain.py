"""One round, told in full: who wanted what on which evidence, who changed it and why, and what came of it.

Problem: "why did it (not) trade?" must have an answer for every round, also for the thousands in which nobody
bid. Everything is read from the journal; nothing is inferred that nobody said.

Not here: how it looks on a terminal (`commands.explain`).

Invariant: every refusal, bound and counter of the round is in the story, the binding bound first.
"""

from decimal import Decimal

from orchestrator.orders import Order
from parley.errors import DataError
from parley.ids import show_round
from parley.messages import (
    Ack,
    AgentFaulted,
    Allocation,
    Cfp,
    Counter,
    CounterReply,
    Crossed,
    Decision,
    Fill,
    GateRefusal,
    Intent,
    Late,
    NotUnderstood,
    Opinion,
    OrderRequest,
    Outcome,
    Proposal,
    Ranking,
    Refuse,
    Review,
    ScheduleDone,
    Silence,
    Trigger,
    Verdict,
    Void,
    Vote,
    WeightUpdate,
)
from runtime import open_trades
from runtime.books import MONEY_KINDS, ORDER_KINDS, Books
from runtime.by_exchange import exchanges
from runtime.history import Entry, config_of, entries, kinds
from runtime.journal import JournalReader
from runtime.not_asked import Attended, not_asked
from runtime.parts import parts_of
from runtime.shortfall import Costs
from runtime.story import Advice, Bid, Evidence, Judgement, Met, OrderStory, Reply, Said, Story, VoteCast


def explain(reader: JournalReader, round_: bytes) -> Story:
    """Collect everything the journal holds about a round.

    Raises
    ------
    DataError
        When the journal cannot be read or holds no decision of the round.
    """
    run = config_of(reader)
    teller = Teller(round_, run.desk.quote)
    own = list(entries(reader, round_=round_))
    cited = {oid for entry in own if isinstance(entry.message, Proposal) for oid in entry.message.evidence}
    decided = next((entry.seq for entry in own if isinstance(entry.message, Decision)), None)
    if decided is None:
        raise DataError(f"{str(reader.path)!r} holds no decision of {show_round(round_)}")
    said = kinds("Opinion", "WeightUpdate", "Strain", "AgentFaulted")
    background = [e for e in entries(reader, said) if e.seq < decided]
    teller.learn(background, cited)
    attended, opened = Attended(), own[0]
    for entry in background:
        if entry.seq < opened.seq:
            attended.take(entry.message)
    for entry in own:
        teller.take(entry)
    if isinstance(opened.message, Trigger):
        teller.story.not_asked = not_asked(run.agents, opened.message, teller.story.asked, attended)
    for entry in entries(reader, kinds("OrderRequest", "ScheduleDone"), after=decided):
        teller.schedule(entry)
    if any(isinstance(entry.message, Intent | Crossed) for entry in own):
        books, costs = Books(run), Costs(run.instruments)
        for entry in entries(reader, (*ORDER_KINDS, *MONEY_KINDS)):
            books.take(entry.message)
            costs.take(entry.message)
        teller.settle(books)
        teller.story.costs = costs.of_round(round_)
        teller.story.parts = parts_of(teller.story.plan, teller.story.orders, exchanges(run))
    if open_trades.CODES & _codes(teller.story):
        teller.story.open_trades = open_trades.binding(run)
    return teller.story


def _codes(story: Story) -> set[str]:
    """Collect everything that was said against a trade."""
    breached = {breach.limit for verdict in story.verdicts for breach in verdict.breached}
    said = {each.code for each in (*story.reasons, *story.gate)}
    return breached | said | {bound.code for bound in story.bounds}


class Teller:
    def __init__(self, round_: bytes, quote: str) -> None:
        self.story = Story(round=show_round(round_), symbol="", quote=quote)
        self._round = round_
        self._opinions: dict[bytes, Opinion] = {}
        self._weights: dict[int, dict[str, float]] = {}
        self._votes: dict[tuple[str, bytes], Vote] = {}
        self._fills: dict[bytes, list[Fill]] = {}
        self._iids: list[bytes] = []

    def learn(self, background: list[Entry], cited: set[bytes]) -> None:
        for entry in background:
            match entry.message:
                case Opinion() as opinion if opinion.oid in cited:
                    self._opinions[opinion.oid] = opinion
                case WeightUpdate() as update:
                    self._weights[update.version] = dict(update.weights)
                case _:
                    pass

    def take(self, entry: Entry) -> None:
        story = self.story
        match entry.message:
            case Trigger() as trigger:
                story.symbol, story.t = trigger.symbol, trigger.t
                story.trigger = f"{trigger.kind} of {trigger.source}" + (
                    f" #{trigger.nth}" if trigger.nth else ""
                )
            case Cfp() as cfp:
                story.asked, story.reduce_only = cfp.to_agents, cfp.reduce_only
            case Proposal() as proposal:
                story.bids.append(self._bid(proposal))
            case Vote() as vote:
                self._votes[vote.agent, vote.pid] = vote
            case Ranking() as ranking:
                self._ranking(ranking)
            case GateRefusal() as refusal:
                story.gate.append(
                    Said(agent="gate", code=refusal.code, detail=f"{refusal.value} > {refusal.cap}")
                )
            case Decision() as decision:
                self._decision(decision)
            case Intent() as intent:
                self._iids.append(intent.iid)
            case Crossed() as c:
                story.crossed.append(
                    Met(seller=c.seller, buyer=c.buyer, symbol=c.symbol, qty=c.qty, px=c.px, saved=c.saved)
                )
            case Fill() as fill:
                self._fills.setdefault(fill.iid, []).append(fill)
            case Outcome() as outcome:
                story.outcomes.append(outcome)
            case _:
                self._word(entry)

    def _word(self, entry: Entry) -> None:
        """Take what an agent said to others' numbers, or failed to say."""
        story = self.story
        match entry.message:
            case Refuse(agent=agent, code=code, detail=detail):
                story.refusals.append(Said(agent=agent, code=code, detail=detail))
            case Allocation() as allocation:
                found = sorted(allocation.bounds, key=lambda b: (b.qty_max, b.agent, b.code))
                story.bounds = found or story.bounds
            case Counter() as counter:
                story.counters.append(
                    Advice(
                        agent=counter.agent, code=counter.code, binding=counter.binding,
                        reject=counter.reject,
                        qty_max=counter.qty_max, px_limit=counter.px_limit, style=counter.style,
                        tif=counter.tif,
                        split=counter.split, detail=counter.detail,
                    )
                )  # fmt: skip
            case CounterReply() as reply:
                story.replies.append(
                    Reply(
                        agent=reply.agent, action=reply.action, pid=reply.pid.hex(),
                        code=reply.code, detail=reply.detail,
                    )
                )  # fmt: skip
                if reply.proposal is not None:
                    story.bids.append(self._bid(reply.proposal))
            case Verdict() as verdict:
                story.verdicts.append(
                    Judgement(
                        agent=verdict.agent, ok=verdict.ok, max_qty=verdict.max_qty, breached=verdict.breached
                    )
                )
            case Silence(agent=agent, stage=stage):
                story.faults.append(Said(agent=agent, code="silent", detail=stage))
            case Late(agent=agent, stage=stage, by_ns=by_ns):
                story.faults.append(Said(agent=agent, code="late", detail=f"{stage}, {by_ns / 1e6:.1f} ms"))
            case NotUnderstood(agent=agent, code=code, detail=detail):
                story.faults.append(Said(agent=agent, code=code, detail=detail))
            case AgentFaulted(agent=agent, error=error):
                story.faults.append(Said(agent=agent, code="faulted", detail=error))
            case Void(why=why):
                if not story.crossed:  # what changed hands inside stands
                    story.outcome = "void"
                story.faults.append(Said(agent="desk", code="void", detail=why))
            case Review() | Ack():
                pass
            case _:
                pass

    def schedule(self, entry: Entry) -> None:
        """Take the execution agent's later requests for this round."""
        match entry.message:
            case OrderRequest() as r if r.round == self._round:
                detail = f"leg {r.leg} child {r.child}: {r.style} {r.qty} at {r.px or 'market'}"
                self.story.requests.append(Said(agent=r.agent, code=r.why, detail=detail))
            case ScheduleDone() as r if r.round == self._round:
                self.story.requests.append(Said(agent=r.agent, code="done", detail=f"leg {r.leg}: {r.why}"))
            case _:
                pass

    def settle(self, books: Books) -> None:
        """Add what became of the orders."""
        story = self.story
        for iid in self._iids:
            order = books.orders.get(iid)
            if order is not None:
                story.orders.append(_order(order, self._fills.get(iid, [])))
        for told in story.orders:
            for asset, fee in told.fees.items():
                story.fees[asset] = story.fees.get(asset, Decimal(0)) + fee
        story.pnl = books.pnl_of_round(self._round)

    def _bid(self, p: Proposal) -> Bid:
        evidence = [
            Evidence(
                oid=oid.hex(), agent=o.agent, symbol=o.symbol, direction=o.direction, conf=o.conf,
                regime=o.regime,
                why=o.why,
            )
            for oid in p.evidence
            if (o := self._opinions.get(oid)) is not None
        ]  # fmt: skip
        return Bid(
            pid=p.pid.hex(), agent=p.agent, why=p.why, urgency=p.urgency, edge_bps=p.edge_bps, conf=p.conf,
            stop=p.stop, take=p.take, legs=p.legs, coupled=p.coupled, reduce_only=p.reduce_only,
            evidence=evidence,
            revises=p.parent_pid.hex(),
        )  # fmt: skip

    def _ranking(self, ranking: Ranking) -> None:
        places = {each.pid.hex(): each for each in ranking.ranked}
        dropped = {pid.hex(): code for pid, code in ranking.dropped}
        for bid in self.story.bids:
            if bid.pid in places:
                bid.score, bid.size = places[bid.pid].score, places[bid.pid].size
            bid.dropped = dropped.get(bid.pid, "")
        self.story.weights_version = ranking.weights_version

    def _decision(self, d: Decision) -> None:
        story = self.story
        story.symbol, story.t = d.symbol, d.t or story.t
        story.outcome = story.outcome or d.action
        story.reasons = [Said(agent=who, code=code, detail=detail) for who, code, detail in d.reasons]
        if d.action != "accept" and d.reasons:
            who, code, detail = d.reasons[0]
            story.reason = f"{who}: {code}" + (f" ({detail})" if detail else "")
        story.quorum, story.margin_of_win = d.quorum, d.margin_of_win
        story.weights_version = d.weights_version
        story.bounds = list(d.bounds) or story.bounds
        story.dissent = list(d.dissent)
        story.qty_wanted, story.qty, story.plan = d.qty_wanted, d.qty, list(d.plan)
        weights = self._weights.get(d.weights_version, {})
        for agent, pid, score, conf in d.votes:
            said = self._votes.pop((agent, pid), None)
            story.votes.append(
                VoteCast(
                    agent=agent, pid=pid.hex(), score=score, conf=conf, weight=weights.get(agent),
                    why=said.why if said else "",
                )
            )  # fmt: skip
        for (agent, pid), vote in sorted(self._votes.items()):
            if vote.abstain:
                story.votes.append(
                    VoteCast(agent=agent, pid=pid.hex(), score=0.0, conf=0.0, abstain=True, why=vote.why)
                )
        for bid in story.bids:
            bid.chosen = bid.pid == d.pid.hex()


def _order(order: Order, fills: list[Fill]) -> OrderStory:
    i = order.intent
    fees: dict[str, Decimal] = {}
    for fill in fills:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, Decimal(0)) + fill.fee
    return OrderStory(
        cid=i.cid, leg=i.leg, child=i.child, symbol=i.symbol, side=i.side, style=i.style, tif=i.tif,
        qty=i.qty,
        px=i.px, ref_px=i.ref_px, state=order.state.name, venue_id=order.venue_id, cause=order.cause,
        filled=order.filled, avg_px=order.quote / order.filled if order.filled else None, fees=fees,
        fills=fills, trigger=i.trigger,
    )  # fmt: skip
