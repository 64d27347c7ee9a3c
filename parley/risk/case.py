"""The facts the gate judges an order by, and the numbers derived from them.

`GateFacts` is everything the desk knows; `Case` is one order under these facts with
each number worked out once, so that every rule is one comparison and every evaluated
value can be stored with the order. Not here: the comparisons (`rules`).

Invariant: a number that cannot be worked out safely is None, never a guess; nothing
here raises for bad data.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from parley.instruments import Instrument, Tier, assets_of
from parley.messages import Book, Intent, Reservation, StateView, Verdict, WorkingOrder
from parley.view import FirmView

from .exposure import (
    Exposure,
    Prices,
    all_gridlike,
    all_usable,
    exposure,
    to_decimal,
)
from .limits import Limits
from .loads import BotUse
from .states import FLATTENING

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)


class Recent(msgspec.Struct, frozen=True):
    """An order sent lately; ``t`` on the same clock as `GateFacts.now`, ns; ``px`` None: market.

    ``is_stop``: a stop for the venue to hold; the exit that follows it is no repetition of it.
    """

    symbol: str
    side: str
    qty: Decimal
    px: Decimal | None
    t: int
    is_stop: bool = False
    pid: bytes = b""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Folds of the journal: orders sent in the last second and ten, today's trades, the recent orders.

    ``repeats`` counts executions of the same agent, symbol and side in the last ten
    minutes. The order being judged is in none of them.
    """

    orders_1s: int
    orders_10s: int
    trades_today: int
    recent: tuple[Recent, ...] = ()
    repeats: int = 0


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the desk knows when an order asks to pass; None is "not known" and refuses.

    ``now`` market ns; ``data_age_ms`` by the venue's event time; ``trading`` the
    desk's own trading state, the stricter of it and the view's counts;
    ``risk_epoch`` the lowest epoch a verdict may come from; ``marks`` mids by
    symbol, for assets that are neither held nor the order's own; ``contracts`` the
    maintenance tiers of all contracts, by their base asset; ``bot`` what the agent whose
    order it is came to itself; ``correlations`` of the order's symbol by sorted pair, as
    the desk saw the market itself: a pair that is missing moves as one; ``beside`` is the base
    quantity of the same decision's parts for other exchanges, None of what is no such part.
    """

    view: FirmView | None
    instrument: Instrument | None
    book: Book | None
    now: int
    data_age_ms: float | None
    clock_offset_ms: float | None
    gateway_alive: bool
    verdict: Verdict | None
    reservation: Reservation | None
    counters: Counters | None
    trading: str
    risk_epoch: int = 0
    marks: Mapping[str, float] = {}
    contracts: Mapping[str, tuple[Tier, ...]] = {}
    bot: BotUse | None = None
    correlations: Mapping[tuple[str, str], float] = {}
    beside: Decimal | None = None


class Case:
    """One order under its facts and limits; all attributes are worked out on construction.

    ``mid``, ``worst_px`` in the instrument's quote; ``notional`` and ``equity`` in the
    account's. ``held`` is the signed base quantity of the order's symbol, ``leaving``
    what other decisions on the same side may still trade, ``other_working`` what live
    orders of the same leg may. ``own`` is the order's
    reservation, ``standing`` the same where the view has it already. ``gap_bps`` is how far
    the worst price is above ``start``, the mid or, of a stop, its trigger. ``guards`` are the stops that
    venues hold on the order's side. ``book_ok``: complete, sorted, uncrossed.
    """

    __slots__ = (
        "book_ok", "buys", "day_loss", "depth", "drawdown", "equity", "exposure", "facts", "gap_bps",
        "grid_ok", "guards", "held", "intent", "leaving", "limits", "mid", "notional", "numbers_ok",
        "other_working", "own", "prices", "same_leg", "spread_bps", "standing", "start", "state", "worst_px",
    )  # fmt: skip

    def __init__(self, intent: Intent, facts: GateFacts, limits: Limits) -> None:
        self.intent, self.facts, self.limits = intent, facts, limits
        self.buys = intent.side == "buy"
        self.state: StateView | None = facts.view.state if facts.view is not None else None
        self.mid: Decimal | None = None
        self.start: Decimal | None = None
        self.worst_px: Decimal | None = None
        self.depth = 0.0
        self.spread_bps: float | None = None
        self.gap_bps = self.equity = self.notional = None  # type: Decimal | None
        self.day_loss = self.drawdown = None  # type: Decimal | None
        self.held = self.leaving = self.other_working = ZERO
        self.same_leg: tuple[WorkingOrder, ...] = ()
        self.guards: tuple[WorkingOrder, ...] = ()
        self.own: Reservation | None = None
        self.standing: Reservation | None = None
        self.exposure: Exposure | None = None
        self.prices: Prices | None = None
        self.numbers_ok = _numbers_ok(intent, facts)
        self.grid_ok = self.numbers_ok and _on_grid(intent, facts.instrument)
        self.book_ok = _book_ok(facts.book, intent.symbol, limits.book_levels)
        if self.book_ok and facts.book is not None:
            self._read_book(facts.book)
        if self.numbers_ok and facts.view is not None:
            self._read_account(facts.view)

    @property
    def is_blind_exit(self) -> bool:
        """Whether a firm that leaves everything, by the desk's state and the view's, does so on old data."""
        return self._leaves and (self.is_book_old or self._is_data_old)

    @property
    def is_without_market(self) -> bool:
        """Whether such an exit is one while no market comes at all, so that market time stands still."""
        return self._leaves and self._is_data_old

    @property
    def _leaves(self) -> bool:
        state = self.state.trading if self.state is not None else ""
        return self.intent.reduce_only and self.facts.trading == state == FLATTENING

    @property
    def _is_data_old(self) -> bool:
        age = self.facts.data_age_ms
        return age is not None and age > self.limits.max_data_age_ms

    @property
    def is_book_old(self) -> bool:
        """Whether the symbol's own book stands still, whatever other streams do; never without a limit."""
        book, most = self.facts.book, self.limits.max_book_age_ms
        return most > 0 and book is not None and self.facts.now - book.t > most * 1e6

    def _read_book(self, book: Book) -> None:
        bid, ask = book.bids[0][0], book.asks[0][0]
        middle = (bid + ask) / 2
        self.mid = to_decimal(middle)
        self.spread_bps = (ask - bid) / middle * 1e4
        levels = (book.asks if self.buys else book.bids)[: self.limits.book_levels]
        self.depth = sum([qty for _, qty in levels])
        px = self.intent.px
        if px is not None:
            self.worst_px = px
        elif self.numbers_ok:
            # a market order may trade down to the level that completes it; a book too thin has no such level
            wanted = float(self.intent.qty)
            for level, qty in levels:
                wanted -= qty
                if wanted <= 0:
                    self.worst_px = to_decimal(level)
                    break
        # what a stop may lose counts from where it wakes up, however far that is from the market
        self.start = self.mid if self.intent.trigger is None else self.intent.trigger
        usable = self.numbers_ok or self.intent.trigger is None
        if self.start is not None and self.worst_px is not None and usable:
            self.gap_bps = (self.worst_px - self.start) / self.start * BPS

    def _read_account(self, view: FirmView) -> None:
        state, intent, facts = view.state, self.intent, self.facts
        if state.equity > ZERO:
            self.equity = state.equity
        self.day_loss, self.drawdown = view.day_loss, view.drawdown
        position = view.position(intent.symbol)
        if position is not None:
            self.held = position.qty
        self._read_orders(state)
        prices = Prices(view, facts.marks)
        base, quote = assets_of(intent.symbol)
        unit = prices.of(quote)
        if self.mid is not None and unit is not None:
            prices.set(base, self.mid * unit)
        self.prices = prices
        if self.worst_px is not None and unit is not None:
            self.notional = intent.qty * self.worst_px * unit
        self.exposure = exposure(view, prices, self.own if self.standing is None else None)

    def _read_orders(self, state: StateView) -> None:
        intent, given = self.intent, self.facts.reservation
        same, working, others, guarded = [], ZERO, ZERO, ZERO
        guards = []
        for o in state.orders:
            if o.symbol != intent.symbol or o.side != intent.side or o.iid == intent.iid:
                continue
            if o.trigger is not None:  # it lies within no reservation
                guards.append(o)
                guarded += o.qty - o.filled
                continue
            if o.pid == intent.pid and o.leg == intent.leg:
                same.append(o)
                working += o.qty - o.filled
            else:
                others += o.qty - o.filled
        self.same_leg, self.other_working, self.guards = tuple(same), working, tuple(guards)
        reserved = ZERO
        for r in state.reservations:
            if r.symbol == intent.symbol and r.side == intent.side:
                if r.rid == intent.reservation_id and r.pid == intent.pid:
                    self.standing = r
                else:
                    reserved += r.qty_left
        # every live order lies within a reservation; where a view says otherwise, the larger number counts
        self.leaving = max(reserved, others) + guarded
        standing = self.standing
        shrunk = given is not None and standing is not None and standing.qty_left < given.qty_left
        self.own = standing if shrunk else given

    def share(self, value: Decimal | None) -> Decimal | None:
        """Give an amount of quote money as a share of equity; None where either is unknown."""
        return None if value is None or self.equity is None else value / self.equity


def _numbers_ok(intent: Intent, facts: GateFacts) -> bool:
    i, r, v, px = facts.instrument, facts.reservation, facts.verdict, intent.px
    if intent.ref_px is None:
        return False
    order = [intent.qty, intent.ref_px] if px is None else [intent.qty, intent.ref_px, px]
    if intent.trigger is not None:
        order.append(intent.trigger)
    amounts = [] if v is None else [v.max_qty]
    if r is not None:
        amounts += (r.amount, r.qty_left)
    if i is not None:
        order += (i.tick, i.lot, i.max_qty)
        amounts += (i.min_qty, i.min_notional)
        if not all_usable((i.maker_fee, i.taker_fee)) or abs(i.maker_fee) >= ONE or abs(i.taker_fee) >= ONE:
            return False
    if not all_gridlike(order) or not all_usable(amounts) or (amounts and min(amounts) < ZERO):
        return False
    if facts.counters is not None and not _counters_ok(facts.counters):
        return False
    return facts.view is None or _state_ok(facts.view.state)


def _counters_ok(c: Counters) -> bool:
    if min(c.orders_1s, c.orders_10s, c.trades_today, c.repeats) < 0 or c.orders_10s < c.orders_1s:
        return False
    numbers: list[Decimal] = []
    for r in c.recent:
        numbers += (r.qty,) if r.px is None else (r.qty, r.px)
    return all_gridlike(numbers)


def _state_ok(s: StateView) -> bool:
    numbers = [s.equity, s.peak, s.day_open]
    for c in s.cash:
        numbers += (c.total, c.reserved)
    for p in s.positions:
        numbers += (p.qty, p.mark, p.avg_px)
    for h in s.holdings:
        numbers.append(h.qty)
    for r in s.reservations:
        numbers += (r.amount, r.qty_left)
    for o in s.orders:
        numbers += (o.qty, o.filled) if o.px is None else (o.qty, o.filled, o.px)
        if o.trigger is not None:
            numbers.append(o.trigger)
    if not all_usable(numbers):
        return False
    # only now is it safe to compare them
    least = [c.reserved for c in s.cash]
    least += [p.mark for p in s.positions]
    for r in s.reservations:
        least += (r.amount, r.qty_left)
    if least and min(least) < ZERO:
        return False
    for o in s.orders:  # noqa: SIM110 - the generator costs twice as much
        if not ZERO <= o.filled <= o.qty or (o.px is not None and o.px <= ZERO):
            return False
    return True


def _on_grid(intent: Intent, instrument: Instrument | None) -> bool:
    if instrument is None or intent.qty % instrument.lot != 0:
        return False
    return all(px is None or px % instrument.tick == 0 for px in (intent.px, intent.trigger))


def _book_ok(book: Book | None, symbol: str, depth: int) -> bool:
    if book is None or book.symbol != symbol or not book.bids or not book.asks:
        return False
    if not book.bids[0][0] < book.asks[0][0]:
        return False
    before = float("inf")
    for px, qty in book.bids[:depth]:
        if not (1e-12 < px < before and 0.0 < qty < 1e14):
            return False
        before = px
    before = 0.0
    for px, qty in book.asks[:depth]:
        if not (before < px < 1e14 and 0.0 < qty < 1e14):
            return False
        before = px
    return True
