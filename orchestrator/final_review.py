"""The end of a round: risk judges the final numbers, and execution says how to work them.

Both are asked in one wave, because only now is it settled what there is to work, and a
wave of its own would cost every order its time. Silence of risk refuses an opening; a
reduction then rests on the same pure function, which the desk evaluates itself. What
execution says is advice: its silence leaves the proposal's own limits, its price can
only tighten them, so the proposer need not be asked again.

Not here: how the numbers were settled (`negotiation`), the order made of them (`plan`).
"""

from collections.abc import Generator, Sequence
from decimal import Decimal

from msgspec.structs import replace

from parley.bus import Answer, Wave
from parley.messages import Bound, Breach, Counter, Proposal, Review, Verdict
from parley.risk.assess import assess
from parley.risk.limits import Limits
from parley.tactics import can_take
from parley.view import FirmView

from . import validate
from .market import Market
from .plan import better
from .policy import GroupOut
from .round import MAX_RECHECKS, Event
from .table import DESK, Said, Table
from .talk import Talk

OUTDATED = frozenset({"stale_version", "expired_verdict"})
Flow = Generator[Wave | GroupOut, Sequence[Answer], None]


class FinalReview:
    """Asks risk and execution about final numbers; it keeps nothing between rounds."""

    def __init__(self, table: Table, market: Market, limits: Limits) -> None:
        self._table = table
        self._market = market
        self._limits = limits

    def follow(self, limits: Limits) -> None:
        """Judge by another table from now on."""
        self._limits = limits

    def judge(self, talk: Talk) -> Flow:
        """Ask risk about the final numbers, and execution how to work them.

        Risk is asked again, twice at most, when its verdict is about another state.
        """
        table = self._table
        bid = talk.chosen
        if bid is None:
            raise AssertionError("a round in RISK has a chosen proposal")
        final = self._settled(talk, bid)
        advisers = () if bid.coupled else table.awake("execution")
        while True:
            asked = table.awake("risk")
            said = yield from self._ask_last(
                talk.round.id, final, talk.size, talk.view, talk.seq, asked, advisers
            )
            if advisers:
                self._advise(talk, final, [s for s in said if s.agent in advisers])
                said = [s for s in said if s.agent not in advisers]
            verdict, stale = self._weigh(said, asked, talk.round.id, final, talk.view, talk.seq)
            if not stale or talk.round.rechecks >= MAX_RECHECKS:
                break
            advisers = ()  # how to work an order does not hang on the account's state
            talk.round.rechecks += 1
            yield from table.state(talk.view.state)
        if stale:
            return talk.end(Event.STATE_MOVED, "risk", "stale_version")
        if verdict is None:
            return talk.end(Event.RISK_SILENT, "risk", "silent")
        if not verdict.ok or verdict.max_qty <= 0:
            talk.reasons.extend(
                (verdict.agent, b.limit, f"{b.value} > {b.cap}") for b in verdict.breached[1:]
            )
            first = verdict.breached[0] if verdict.breached else Breach(limit="refused", value="", cap="")
            return talk.end(Event.RISK_REFUSED, verdict.agent, first.limit, f"{first.value} > {first.cap}")
        if verdict.max_qty < talk.qty:
            talk.bounds.insert(0, Bound(agent=verdict.agent, code=_code(verdict), qty_max=verdict.max_qty))
            talk.qty = table.env.instruments[final.legs[0].symbol].qty(verdict.max_qty)
            if talk.qty <= 0:
                return talk.end(Event.RISK_REFUSED, verdict.agent, _code(verdict), "less than a lot")
        talk.chosen = final
        talk.verdict = verdict
        talk.round.on(Event.APPROVED)
        return None

    def _settled(self, talk: Talk, bid: Proposal) -> Proposal:
        """Give the proposal with the numbers that were settled: the quantity, and advised price limits."""
        table, leg = self._table, bid.legs[0]
        final = bid if talk.qty == leg.qty else _scale(bid, talk.qty, table)
        px = better(leg.side, leg.limit_px, *(c.px_limit for c in talk.advice))
        if bid.coupled or px is None or px == leg.limit_px:
            return final
        px = table.env.instruments[leg.symbol].price(px, leg.side)  # advice may be off the grid
        return replace(final, legs=(replace(final.legs[0], limit_px=px),)) if px > 0 else final

    def _advise(self, talk: Talk, final: Proposal, said: Sequence[Said]) -> None:
        """Take what execution says, once per agent; a price is bound again where the book is too thin."""
        heard: set[str] = set()
        for item in said:
            code = "second_answer" if item.agent in heard else "not_a_review"
            if isinstance(item.message, Counter) and item.agent not in heard:
                heard.add(item.agent)
                code = validate.counter(item.message, final.pid)
                if not code:
                    talk.advice.append(self._bounded(item.message, final))
                    continue
            self._table.reject(item.agent, item.seq, code, talk.round.id)

    def _bounded(self, advice: Counter, final: Proposal) -> Counter:
        leg = final.legs[0]
        if advice.style != "market" or advice.px_limit is not None or leg.limit_px is None:
            return advice
        book = self._market.books.get(leg.symbol)
        deep = can_take(book, leg.side, leg.qty, leg.limit_px, self._limits.book_levels)
        return advice if deep else replace(advice, px_limit=leg.limit_px)

    def verdict(
        self, round_: bytes, bid: Proposal, size: float, view: FirmView, cause: int
    ) -> Generator[Wave | GroupOut, Sequence[Answer], tuple[Verdict | None, bool]]:
        """Get risk's verdict on a proposal's numbers; the second value: only an outdated one came."""
        asked = self._table.awake("risk")
        said = yield from self._ask_last(round_, bid, size, view, cause, asked, ())
        return self._weigh(said, asked, round_, bid, view, cause)

    def _ask_last(
        self,
        round_: bytes,
        bid: Proposal,
        size: float,
        view: FirmView,
        cause: int,
        risk: Sequence[str],
        execution: Sequence[str],
    ) -> Generator[Wave | GroupOut, Sequence[Answer], list[Said]]:
        requests = [(risk, asking(round_, bid, "risk", size, view, self._table.now))]
        if execution:
            requests.append((execution, asking(round_, bid, "execution", size, view, self._table.now)))
        return (
            yield from self._table.ask(
                "risk", requests, round_=round_, cause=cause, budget=self._table.config.budgets.risk
            )
        )

    def _weigh(
        self,
        said: Sequence[Said],
        asked: Sequence[str],
        round_: bytes,
        bid: Proposal,
        view: FirmView,
        cause: int,
    ) -> tuple[Verdict | None, bool]:
        """Take the strictest verdict of those that were asked, if each of them gave one."""
        table = self._table
        stale = table.is_behind
        found: list[Verdict] = []
        for item in said:
            if not isinstance(item.message, Verdict):
                table.reject(item.agent, item.seq, "not_a_verdict", round_)
                continue
            code = validate.verdict(item.message, bid.pid, view.version, table.now)
            if code in OUTDATED:
                stale = True
                table.dismiss(item.agent, item.seq, code, round_, "Verdict")
            elif code:
                table.reject(item.agent, item.seq, code, round_)
            else:
                found.append(item.message)
        if len({v.agent for v in found}) == len(asked) > 0:
            return min(found, key=lambda v: (v.ok, v.max_qty, v.agent)) if len(found) > 1 else found[0], False
        refused = next((v for v in found if not v.ok), None)
        if bid.reduce_only and refused is None:
            return self._own_verdict(round_, bid, view, cause), False
        return refused, stale and refused is None

    def _own_verdict(self, round_: bytes, bid: Proposal, view: FirmView, cause: int) -> Verdict:
        """Evaluate the risk agent's own pure function: a dead agent must not prevent flattening."""
        result = assess(
            bid,
            1.0,
            view,
            self._limits,
            self._table.env.instruments,
            self._market.mids(),
            {},
            self._table.now,
        )
        own = Verdict(
            pid=bid.pid,
            agent=DESK,
            ok=result.ok,
            max_qty=result.max_qty,
            breached=result.breached,
            state_version=view.version,
            risk_epoch=0,
            valid_until=self._table.now + self._table.config.tf_ns,
        )
        self._table.emit(own, cause=cause, round_=round_)
        return own


def asking(round_: bytes, bid: Proposal, stage: str, size: float, view: FirmView, now: int) -> Review:
    """Put a proposal to a reviewer under a view of the account."""
    return Review(
        round=round_, pid=bid.pid, stage=stage, proposal=bid, size=size, state_version=view.version, t=now
    )


def _code(verdict: Verdict) -> str:
    return verdict.breached[0].limit if verdict.breached else "risk_cap"


def _scale(bid: Proposal, qty: Decimal, table: Table) -> Proposal:
    """Shrink a proposal to a quantity of leg 0; coupled legs keep their proportion."""
    first = bid.legs[0]
    legs = tuple(
        replace(leg, qty=qty if i == 0 else table.env.instruments[leg.symbol].qty(leg.qty * qty / first.qty))
        for i, leg in enumerate(bid.legs)
    )
    return replace(bid, legs=legs)
