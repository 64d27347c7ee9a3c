"""What each decided order cost against its decision, read from a journal's messages.

A parent order is a decided leg of which at least one child was sent. Its decision price is the
mid the desk saw when it decided; mid and best opposite price of a child are those of the book the
desk saw when it sent it; what never traded is valued at the mid when the proposal's horizon
ended, or at the last mid seen where the run ended before.

Not here: the arithmetic (`parley.execution.shortfall`), how it looks (`commands.costs`).

Invariant: messages are taken in journal order; a fill counts once, a void order not at all.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from parley.depth import is_usable, side_levels
from parley.execution.shortfall import Shortfall, Trade, shortfall, together
from parley.ids import show_round
from parley.instruments import Instrument
from parley.messages import (
    Book,
    CounterReply,
    Decision,
    Fill,
    Intent,
    MarketBatch,
    Message,
    Proposal,
    Void,
)
from parley.money import decimal
from runtime.history import kinds

ZERO = Decimal(0)
BPS: Final = Decimal(10_000)
COST_KINDS: Final = kinds("MarketBatch", "Proposal", "CounterReply", "Decision", "Intent", "Fill", "Void")


class OrderCost(msgspec.Struct, kw_only=True):
    """One parent order and its shortfall; money in ``quote``, ``t`` market ns of the decision.

    ``fees_elsewhere``: fees in an asset that is neither side of the pair, which are in no sum.
    """

    round: str
    leg: int
    t: int
    agent: str
    symbol: str
    side: str
    style: str
    children: int
    qty: Decimal
    filled: Decimal
    avg_px: Decimal | None
    decided_px: Decimal
    ended_px: Decimal
    quote: str
    cost: Shortfall
    fees_elsewhere: dict[str, Decimal] = {}

    @property
    def wanted(self) -> Decimal:
        """The order's value at its decision price."""
        return self.qty * self.decided_px


class GroupCost(msgspec.Struct, kw_only=True):
    """Parent orders together; ``filled`` is the share of ``wanted`` that traded."""

    name: str
    quote: str
    orders: int
    children: int
    wanted: Decimal
    filled: Decimal
    cost: Shortfall
    bps: Decimal


class _Parent:
    def __init__(self, round_: bytes, pid: bytes, leg: int, agent: str, t: int, until: int, style: str,
                 first: Intent, decided: Decimal) -> None:  # fmt: skip
        self.key = (round_, pid, leg)
        self.agent, self.t, self.until, self.style = agent, t, until, style
        self.symbol, self.side = first.symbol, first.side
        self.decided = decided
        self.qty = first.qty
        self.ended: Decimal | None = None
        self.sent: dict[bytes, tuple[Decimal, Decimal]] = {}
        self.trades: list[Trade] = []
        self.elsewhere: dict[str, Decimal] = {}


class Costs:
    """The fold; `take` messages of `COST_KINDS`, then ask for `orders`."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments
        self._books: dict[str, Book] = {}
        self._horizons: dict[bytes, int] = {}
        self._decided: dict[tuple[bytes, bytes], tuple[Decision, int, dict[str, Decimal]]] = {}
        self._parents: dict[tuple[bytes, bytes, int], _Parent] = {}
        self._waiting: list[_Parent] = []
        self._of_iid: dict[bytes, _Parent] = {}
        self._seen: set[tuple[str, str, str, str]] = set()

    def take(self, message: Message) -> None:
        """Fold one message; others than `COST_KINDS` change nothing."""
        match message:
            case MarketBatch():
                self._market(message)
            case Proposal():
                self._horizons[message.pid] = message.horizon_ms
            case CounterReply(proposal=Proposal() as revised):
                self._horizons[revised.pid] = revised.horizon_ms
            case Decision():
                self._decision(message)
            case Intent():
                self._intent(message)
            case Fill():
                self._fill(message)
            case Void():
                for iid in message.iids:
                    parent = self._of_iid.pop(iid, None)
                    if parent is not None:
                        del parent.sent[iid]
            case _:
                pass

    def orders(self) -> list[OrderCost]:
        """Give every parent order of which a child was sent, in the order of their decisions."""
        return [self._cost(parent) for parent in self._parents.values() if parent.sent]

    def of_round(self, round_: bytes) -> list[OrderCost]:
        """Give the parent orders of one round."""
        return [self._cost(p) for p in self._parents.values() if p.key[0] == round_ and p.sent]

    def _mid(self, symbol: str) -> Decimal | None:
        book = self._books.get(symbol)
        return decimal(book.mid) if book is not None and is_usable(book) else None

    def _market(self, batch: MarketBatch) -> None:
        for book in batch.books:
            self._books[book.symbol] = book
        if any(p.until <= batch.t for p in self._waiting):
            for parent in self._waiting:
                if parent.until <= batch.t:
                    parent.ended = self._mid(parent.symbol)
            self._waiting = [p for p in self._waiting if p.ended is None]

    def _decision(self, decision: Decision) -> None:
        horizon = self._horizons.get(decision.pid, 0)
        self._horizons.clear()
        if decision.action != "accept":
            return
        mids = {leg.symbol: mid for leg in decision.plan if (mid := self._mid(leg.symbol)) is not None}
        self._decided[decision.round, decision.pid] = (decision, decision.t + horizon * 1_000_000, mids)

    def _intent(self, intent: Intent) -> None:
        if intent.trigger is not None:
            return  # what a stop sells at was decided when it was placed, by no proposal of that moment
        key = (intent.round, intent.pid, intent.leg)
        mid = intent.ref_px or self._mid(intent.symbol)
        if mid is None:
            return
        parent = self._parents.get(key)
        if parent is None:
            parent = self._parent(intent, mid)
        book = self._books.get(intent.symbol)
        usable = book is not None and is_usable(book)
        touch = decimal(side_levels(book, intent.side)[0][0]) if book is not None and usable else mid
        parent.sent[intent.iid] = (mid, touch)
        self._of_iid[intent.iid] = parent

    def _parent(self, intent: Intent, mid: Decimal) -> _Parent:
        decision, until, mids = self._decided.get((intent.round, intent.pid), (None, 0, {}))
        plan = decision.plan[intent.leg] if decision is not None and intent.leg < len(decision.plan) else None
        agent, t = (decision.agent, decision.t) if decision is not None else ("", 0)
        parent = _Parent(
            intent.round, intent.pid, intent.leg, agent, t, until,
            plan.style if plan is not None else intent.style, intent, mids.get(intent.symbol, mid),
        )  # fmt: skip
        if plan is not None and intent.leg == 0:
            parent.qty = plan.qty  # a later leg of a cycle is for what the one before delivered
        self._parents[parent.key] = parent
        self._waiting.append(parent)
        return parent

    def _fill(self, fill: Fill) -> None:
        name = (fill.venue, fill.account, fill.symbol, fill.trade_id)
        parent = self._of_iid.get(fill.iid)
        if parent is None or name in self._seen:
            return
        self._seen.add(name)
        instrument = self._instruments.get(fill.symbol)
        fee = ZERO
        if instrument is not None and fill.fee_asset == instrument.quote:
            fee = fill.fee
        elif instrument is not None and fill.fee_asset == instrument.base:
            fee = fill.fee * fill.px
        elif fill.fee:
            parent.elsewhere[fill.fee_asset] = parent.elsewhere.get(fill.fee_asset, ZERO) + fill.fee
        mid, touch = parent.sent[fill.iid]
        parent.trades.append(
            Trade(qty=fill.qty, px=fill.px, fee=fee, mid=mid, touch=touch, took=fill.liquidity != "maker")
        )

    def _cost(self, p: _Parent) -> OrderCost:
        ended = p.ended or self._mid(p.symbol) or p.decided
        filled = sum((t.qty for t in p.trades), ZERO)
        paid = sum((t.qty * t.px for t in p.trades), ZERO)
        instrument = self._instruments.get(p.symbol)
        return OrderCost(
            round=show_round(p.key[0]), leg=p.key[2], t=p.t, agent=p.agent, symbol=p.symbol, side=p.side,
            style=p.style, children=len(p.sent), qty=p.qty, filled=filled,
            avg_px=paid / filled if filled else None, decided_px=p.decided, ended_px=ended,
            quote=instrument.quote if instrument is not None else "",
            cost=shortfall(p.side, p.qty, p.decided, ended, p.trades), fees_elsewhere=p.elsewhere,
        )  # fmt: skip


def grouped(orders: Iterable[OrderCost], by: str) -> list[GroupCost]:
    """Put parent orders together by ``style``, ``agent`` or ``symbol``; the dearest first."""
    groups: dict[tuple[str, str], list[OrderCost]] = {}
    for order in orders:
        groups.setdefault((str(getattr(order, by)), order.quote), []).append(order)
    found = []
    for (name, quote), members in groups.items():
        wanted = sum((o.wanted for o in members), ZERO)
        filled = sum((o.filled * o.decided_px for o in members), ZERO)
        cost = together(o.cost for o in members)
        found.append(
            GroupCost(
                name=name, quote=quote, orders=len(members), children=sum(o.children for o in members),
                wanted=wanted, filled=filled / wanted if wanted else ZERO, cost=cost,
                bps=cost.total / wanted * BPS if wanted else ZERO,
            )
        )  # fmt: skip
    return sorted(found, key=lambda g: (g.quote, -g.cost.total, g.name))
