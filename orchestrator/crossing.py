"""Lets opposite wishes of one round meet inside the firm, at the mid, with no order and no fee.

Problem: one agent leaves what another wants to buy, and both would go to the exchange: each pays the spread
and a fee, and the account ends where it began. What both want alike can change hands here instead: the
leaver's sub-ledger gives, the buyer's takes, and the account holds what it held.

An exit goes before every opening of its round. Where an opening could meet one it is judged first, and as
ever: capital, risk and the gate, for its whole quantity. If it then meets no exit it is refused, for nothing
of it may stand at the exchange in the way of an exit; the exits it was put before are decided next, without
asking anybody again, less what was taken of them.

Not here: how sub-ledgers book it (`parley.ledger`), rounds and follow-ups (`firm`).

Invariant: whatever is missing, stale, stopped, tied up or being worked crosses nothing. An urgent exit lets
nobody go first, nor does one whose last order came too late or was refused; one opening of a batch goes first
at most, and none where an exit of another round may still wait for it: all orders of a batch have one
`send_by`. An order leaves for an opening only when no exit of its round is left to decide.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from parley.instruments import Instrument, assets_of, plain
from parley.ledger import EXTERNAL, OPENING, UNASSIGNED
from parley.messages import Book, Crossed, GateRefusal, PlanLeg, Proposal, VenueReject
from parley.money import decimal, on_grid

from .account import Account
from .attribution import Attribution
from .dispatch import Dispatch, Opened
from .market import Market
from .orders import Order, VenueFact
from .plan import plan_legs
from .round import Event
from .standings import whole_of
from .table import DESK, Table
from .talk import Talk

ZERO = Decimal(0)
_NOBODY = frozenset({"", EXTERNAL, OPENING, UNASSIGNED})  # who holds and asks for nothing


class Deal(NamedTuple):
    """What becomes of an opening that passed: what it meets inside, and the orders for what is left of it."""

    plan: tuple[PlanLeg, ...]
    opened: tuple[Opened, ...]
    crossed: tuple[Crossed, ...] = ()


class Crossing:
    """Finds exits that an opening can meet, and books what changes hands; owned by the firm."""

    def __init__(self, table: Table, account: Account, market: Market) -> None:
        self._table = table
        self._account = account
        self._market = market
        self._first_at = -1  # the batch in which an opening went first last
        self._failed: set[tuple[str, str]] = set()  # agents and pairs whose last exit was too late or refused

    def late(self, iids: Sequence[bytes]) -> None:
        """Take note of orders that were never sent: whose exit is among them waits for nobody next time."""
        for order in map(self._account.orders.get, iids):
            if order is not None and _is_exit(order):
                self._failed.add((order.agent, plain(order.intent.symbol)))

    def heard(self, order: Order | None, fact: VenueFact) -> None:
        """Take note of what was told of an order: an exit that was refused waits for nobody next time either.

        Whether the gateway refused it as too late or the venue did; anything else says that it was sent.
        """
        if order is None or not _is_exit(order):
            return
        key = (order.agent, plain(order.intent.symbol))
        if isinstance(fact, VenueReject):
            if not fact.cancel:
                self._failed.add(key)
        else:
            self._failed.discard(key)

    def order(self, talk: Talk, order: list[Proposal]) -> list[Proposal]:
        """Give the order in which a round's proposals are decided: an opening first that can meet an exit."""
        exits = [p for p in order if p.reduce_only]
        opening = next((p for p in order if not p.reduce_only), None)
        if opening is None or not exits or not self._table.config.crossing:
            return order
        if talk.ranking is None or talk.ranking.quorum < self._table.config.min_quorum:
            return order
        if not self._may_wait(talk, exits) or opening.urgency == "patient":
            return order
        leg, px = opening.legs[0], self._mid(opening.symbol)
        if opening.coupled or len(opening.legs) != 1 or leg.symbol != opening.symbol or px is None:
            return order
        instrument = self._table.env.instruments.get(leg.symbol)
        if instrument is None or leg.side != "buy" or leg.post_only:
            return order
        if leg.limit_px is not None and leg.limit_px < px:
            return order
        if not self._may_open(opening.agent, leg.symbol, instrument, talk):
            return order
        if not self._matches(talk, exits, opening, leg.qty, px):
            return order
        self._first_at = talk.trigger.md_seq
        return [opening, *exits, *[p for p in order if p is not opening and not p.reduce_only]]

    def deal(
        self, talk: Talk, plan: tuple[PlanLeg, ...], opened: tuple[Opened, ...], by: Dispatch
    ) -> Deal | None:
        """Let an opening that passed meet the exits it was put before; None: it cannot, and is refused."""
        if not talk.yielded:
            return Deal(plan, opened)
        deal = self._met(talk, plan, opened, by)
        if deal is None:
            talk.end(Event.GATE_REFUSED, DESK, "not_crossed", "it met no exit inside, and those go first")
        return deal

    def _met(
        self, talk: Talk, plan: tuple[PlanLeg, ...], opened: tuple[Opened, ...], by: Dispatch
    ) -> Deal | None:
        first, bid = opened[0][1], talk.chosen
        if bid is None or talk.verdict is None or len(plan) != 1 or len(opened) != 1:
            return None
        symbol = bid.symbol
        instrument, book, px = self._table.env.instruments[symbol], self._book(symbol), self._mid(symbol)
        if book is None or px is None or plan[0].symbol != symbol or first.worst_px < px:
            return None  # another exchange, or dearer than it may be bought at
        if not by.would_pass(first, talk.verdict, talk.view):
            return None
        met = self._matches(talk, talk.yielded, bid, plan[0].qty, px)
        sum_met = sum((qty for _, qty in met), ZERO)
        if not met or (plan[0].tif == "FOK" and sum_met < plan[0].qty):
            return None  # nobody, or a part of what is wanted whole or not at all
        crossed = tuple(
            Crossed(
                round=talk.round.id, symbol=symbol, seller=wish.agent, buyer=bid.agent, qty=qty, px=px,
                saved=_saved(qty, px, book, instrument), pid=bid.pid, seller_pid=wish.pid,
                t=self._table.now,
            )
            for wish, qty in met
        )  # fmt: skip
        talk.yielded = _left_of(talk.yielded, met)
        rest, orders, why = self._rest(talk, bid, plan[0].qty - sum_met, px, by)
        talk.qty = sum_met + sum((leg.qty for leg in rest), ZERO)
        if why:
            talk.reasons.insert(0, (DESK, "rest_not_ordered", why))
        return Deal(rest, orders, crossed)

    def book(self, deal: Deal, bid: Proposal, attribution: Attribution, cause: int) -> None:
        """Say and book what changed hands; whoever bought has the stop and take of its proposal."""
        if not deal.crossed:
            return
        account, table = self._account, self._table
        account.protect(bid.agent, bid.symbol, bid.stop, bid.take)
        for crossed in deal.crossed:
            seq = table.emit(crossed, cause=cause, round_=crossed.round)
            account.cross(crossed)
            if account.ledger.last is not None:
                attribution.on_transaction(account.ledger.last)
            table.tell_later(crossed, seq=seq, round_=crossed.round)

    # what may

    def _may_wait(self, talk: Talk, exits: Sequence[Proposal]) -> bool:
        """Whether exits may let an opening go first: none in a hurry, nobody's else in this batch behind."""
        if talk.trigger.md_seq == self._first_at:
            return False
        if any(p.urgency == "urgent" or p.coupled or len(p.legs) != 1 for p in exits):
            return False
        if any((p.agent, p.symbol) in self._failed for p in exits):
            return False
        return not self._is_exit_to_come(talk)

    def _is_exit_to_come(self, talk: Talk) -> bool:
        """Whether what somebody holds may have its round behind this one, in the same batch."""
        symbols, instruments, trigger = self._table.config.symbols, self._table.env.instruments, talk.trigger
        decided = {trigger.symbol}
        if trigger.kind == "bar" and trigger.symbol in symbols:
            decided.update(symbols[: symbols.index(trigger.symbol)])
        for held in self._account.holdings():
            instrument = instruments.get(held.symbol)
            if held.agent in _NOBODY or (instrument is not None and abs(held.qty) < instrument.lot):
                continue
            # who is not asked at candles has rounds of its own, behind those
            if plain(held.symbol) not in decided or held.agent not in talk.cfp.to_agents:
                return True
        return False

    def _may_open(self, agent: str, symbol: str, instrument: Instrument, talk: Talk) -> bool:
        account = self._account
        if instrument.is_contract or instrument.quote != account.config.quote:
            return False
        if account.trading != "ACTIVE" or symbol in talk.view.state.blocked:
            return False
        return not self._is_stopped(agent)

    def _is_stopped(self, agent: str) -> bool:
        return self._account.kills.bars(agent) or self._table.attendance.is_quarantined(agent)

    def _may_give(self, wish: Proposal, buyer: str, px: Decimal, instrument: Instrument) -> bool:
        """Whether an exit could be met: its agent holds it all, works no order in it, and asks no more."""
        account, leg, agent = self._account, wish.legs[0], wish.agent
        if agent == buyer or leg.symbol != instrument.symbol or leg.side != "sell":
            return False
        if leg.limit_px is not None and leg.limit_px > px:
            return False
        if self._is_stopped(agent):
            return False
        if self._is_tied_up(agent, instrument.base):
            return False
        held = account.ledger.holding(agent, instrument.base)
        return held is not None and held.qty >= leg.qty

    def _is_tied_up(self, agent: str, asset: str) -> bool:
        """Whether an order or a leg of an agent may take of an asset: a stop at the venue too (ADR 40)."""
        account = self._account
        worked = [x for x in account.legs.all() if x.agent == agent]
        symbols = {o.intent.symbol for o in account.orders.live() if o.agent == agent}
        symbols.update(x.plan.symbol for x in worked)
        symbols.update(each.symbol for x in worked for each in x.proposal.legs)
        return any(plain(asset) in map(plain, assets_of(symbol)) for symbol in symbols)

    def _matches(
        self, talk: Talk, exits: Sequence[Proposal], bid: Proposal, wanted: Decimal, px: Decimal
    ) -> list[tuple[Proposal, Decimal]]:
        """Say how much each exit gives: nothing too small to be an order, and no such rest of an exit."""
        instrument = self._table.env.instruments[bid.symbol]
        free = whole_of(talk.view).free(instrument.base)
        met: list[tuple[Proposal, Decimal]] = []
        for wish in exits:
            if not self._may_give(wish, bid.agent, px, instrument):
                continue
            qty = instrument.qty(min(wanted, wish.legs[0].qty))
            rest = wish.legs[0].qty - qty
            if qty > free or instrument.tradable(qty, px) or (rest and instrument.tradable(rest, px)):
                continue
            met.append((wish, qty))
            wanted -= qty
            free -= qty
        return met

    def _rest(
        self, talk: Talk, bid: Proposal, left: Decimal, px: Decimal, by: Dispatch
    ) -> tuple[tuple[PlanLeg, ...], tuple[Opened, ...], str]:
        """Plan what is left to buy outside, or say why not: too little, or an exit is left to go there."""
        instruments, books = self._table.env.instruments, self._market.books
        if left <= 0 or talk.verdict is None:
            return (), (), ""
        if why := "an exit is left" if talk.yielded else instruments[bid.symbol].tradable(left, px):
            return (), (), why
        plan = plan_legs(bid, left, talk.advice, instruments, books)
        opened = by.open(talk.round.id, bid, plan, talk.verdict, talk.view, talk.seq)
        return ((), (), opened.code) if isinstance(opened, GateRefusal) else (plan, opened, "")

    # the book

    def _book(self, symbol: str) -> Book | None:
        book = self._market.books.get(symbol)
        if book is None or not book.bids or not book.asks or book.bids[0][0] >= book.asks[0][0]:
            return None
        return book

    def _mid(self, symbol: str) -> Decimal | None:
        """Give what the account values the symbol at, so that no result moves by what changes hands."""
        book = self._book(symbol)
        return decimal(book.mid) if book is not None else None


def _is_exit(order: Order) -> bool:
    return order.intent.reduce_only and order.intent.trigger is None  # a guard leaves nothing yet


def _saved(qty: Decimal, px: Decimal, book: Book, instrument: Instrument) -> Decimal:
    spread = decimal(book.asks[0][0]) - decimal(book.bids[0][0])
    return on_grid(qty * (spread + 2 * px * max(instrument.taker_fee, ZERO)))


def _left_of(exits: Sequence[Proposal], met: Sequence[tuple[Proposal, Decimal]]) -> list[Proposal]:
    taken = {wish.pid: qty for wish, qty in met}
    left: list[Proposal] = []
    for wish in exits:
        rest = wish.legs[0].qty - taken.get(wish.pid, ZERO)
        if rest > 0:
            left.append(replace(wish, legs=(replace(wish.legs[0], qty=rest), *wish.legs[1:])))
    return left
