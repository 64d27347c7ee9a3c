"""Stops that the venue holds: which of them stand, and which exits wait until one of them is gone.

Problem: a stop that only an agent watches is nobody's when Parley dies. So each holding with a stop has one
order at the venue that leaves it there, by itself. That order ties up the holding: nothing else can sell it
before the venue has said that the order is gone, and until then nothing knows how much is left to sell. An
exit therefore waits as a wish: the order is taken back, and what is still held then is decided anew. Of a
contract a venue would let both stand, because both only reduce; whoever leaves would still not know how much.

Here is a fold over the account: what stands is the orders' own belief (`orders`), so that a desk that comes
back has it from its journal. A holding gets its order when nothing of it is being worked or in doubt, another
one when its quantity changed or its stop came nearer, and none while it is to be left.

Not here: the rounds in which something is left (`leaving`), what an order may be (`parley.risk`), the numbers
of a stop (`parley.execution.protective`).

Invariant: of one holding at most one order is alive or in doubt; its trigger never moves away from the price
while the holding is the same (trap T4).
"""

from collections.abc import Generator, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from parley.bus import Answer, Wave
from parley.execution.protective import REACHED, Stop, is_nearer, is_reached, stop_for
from parley.messages import Alarm, Holding, OrderEvent, Proposal, Unknown, VenueReject
from parley.money import decimal
from parley.risk.states import HALTED
from parley.risk.stop_rules import reaches
from parley.stops import exit_side

from .account import Account
from .dispatch import Dispatch
from .leaving import exit_of
from .market import Market
from .orders import Order, VenueFact
from .policy import GroupOut
from .table import Table

VENUES = "venue:"  # the gateway's own codes, and an order that never arrived, say nothing of the venue
FIRST_PAUSE_NS = 10_000_000_000  # of market time after a refusal, twice as long after each further one
EXIT_PAUSE_NS = 1_000_000_000  # between two exits whose stop could not be placed any more
MAX_DOUBLINGS = 8
STUCK = frozenset({10, 100, 1000})  # cancels of one stop; a person has to hear that nothing else can leave
Key = tuple[str, str]  # agent, symbol
Which = tuple[int, bytes, bytes]


class Due(NamedTuple):
    """An exit that may be decided now: ``why`` stop_lifted or stop_reached."""

    why: str
    n: int
    proposal: Proposal


class Guarding:
    """Places, moves and takes back the venue's stops; owned by the firm."""

    def __init__(self, table: Table, account: Account, market: Market, dispatch: Dispatch) -> None:
        self._is_on = table.config.venue_stops
        self._table = table
        self._account = account
        self._market = market
        self._dispatch = dispatch
        self._waiting: dict[Key, Proposal] = {}
        self._reached: set[Key] = set()
        self._levels: dict[Key, tuple[Which, Decimal]] = {}
        self._refusals: dict[Key, tuple[int, int]] = {}  # how many in a row, no order again before
        self._exits: dict[Key, int] = {}  # no exit again before
        self._ways: dict[bytes, int] = {}  # orders that rest in a stop's reach: not asked to go again before
        self._placed = 0
        self._left = 0

    def is_guarded(self, agent: str, symbol: str) -> bool:
        """Whether an order at the venue may still sell what an agent holds."""
        return self._account.orders.guard(agent, symbol) is not None

    def is_lifting(self, agent: str, symbol: str) -> bool:
        """Whether that order is being taken back, or an exit waits for it."""
        guard = self._account.orders.guard(agent, symbol)
        return (agent, symbol) in self._waiting or (guard is not None and guard.cancelling)

    def hold_back(self, exits: Sequence[Proposal], cause: int) -> None:
        """Keep exits until the stops that tie up their holdings are gone, and take these back."""
        for wish in exits:
            guard = self._account.orders.guard(wish.agent, wish.symbol)
            if guard is not None and self._may_leave(wish.agent, wish.symbol):
                if len(wish.legs) == 1:  # of a cycle nothing is left by a part
                    self._waiting[wish.agent, wish.symbol] = wish
                self._take_back(guard, cause, again=True)

    def heard(self, order: Order | None, fact: VenueFact, cause: int) -> None:
        """Learn why a stop does not stand."""
        if order is None or (order.intent.trigger is None and order.intent.iid not in self._ways):
            return
        key, is_stop = (order.agent, order.intent.symbol), order.intent.trigger is not None
        match fact:
            case VenueReject(cancel=False, definitive=True, code=code, detail=detail) if is_stop:
                if code == REACHED:
                    self._reached.add(key)
                    return
                if code.startswith(VENUES):
                    # it is watched by its agent, as where no venue holds stops
                    self._alarm(order, f"{code} {detail}", self._pause(key), cause)
            case VenueReject(cancel=True, code=why) | Unknown(cancel=True, cause=why) if (
                order.cancels in STUCK and not order.is_final
            ):
                self._alarm(order, f"it is not taken back: {why}", order.cancels, cause)
            case OrderEvent(status="canceled" | "expired" | "rejected") if is_stop and not order.cancels:
                self._pause(key)  # somebody else ended it, and may do so again
            case _:
                if is_stop and order.exists and not order.is_final:
                    self._refusals.pop(key, None)

    def turn(
        self, cause: int, *, is_market: bool, stopping: bool
    ) -> Generator[Wave | GroupOut, Sequence[Answer], list[Due]]:
        """Look after every stop; give the exits that may be decided now.

        ``is_market``: the market moved, so that a cancel nobody answered may be asked for again.
        ``stopping``: nothing new stands; what stands goes on guarding.
        """
        due: list[Due] = []
        if not self._is_on:
            return due
        guards = {(o.agent, o.intent.symbol): o for o in self._account.orders.guards()}
        worked = {(leg.agent, leg.symbol) for leg in self._account.legs.all()}
        held: set[Key] = set()
        for holding in self._account.holdings():
            key = (holding.agent, holding.symbol)
            held.add(key)
            guard = guards.get(key)
            if guard is not None and guard.intent.side != exit_side(1 if holding.qty > 0 else -1):
                # of a holding that was turned over, which it would not leave but add to
                self._take_back(guard, cause, again=is_market)
            elif guard is not None and (key in self._waiting or not (stopping or key in worked)):
                self._mind(guard, holding, cause, is_market=is_market)
            elif guard is not None or key in worked:
                continue  # what waits does so until what is bought beside it is over
            elif key in self._waiting:
                if self._may_leave(*key) and self._px(holding) is not None:
                    due += self._left_of(self._waiting.pop(key), holding)
            elif not stopping and self._is_kept(holding):
                due += yield from self._protect(holding, cause)
        for key in [*self._levels, *self._waiting, *self._reached, *self._refusals, *self._exits]:
            if key not in held:
                self._forget(key)
        for key, guard in guards.items():
            if key not in held:
                self._take_back(guard, cause, again=is_market)
        self._make_way(cause, again=is_market)
        return due

    # one holding

    def _mind(self, guard: Order, holding: Holding, cause: int, *, is_market: bool) -> None:
        key, intent = (holding.agent, holding.symbol), guard.intent
        if not self._may_leave(*key):
            if not guard.cancels:
                self._waiting.pop(key, None)
        elif key in self._waiting:
            self._take_back(guard, cause, again=is_market)
        elif guard.exists and not guard.cancelling:
            px, stop = self._px(holding), self._stop(holding)
            if px is not None and _is_missed(guard, px):
                self._waiting[key] = exit_of(holding, intent.qty, self._table.config, why="stop_loss")
                self._take_back(guard, cause, again=is_market)
            elif self._is_kept(holding) and _is_outdated(guard, stop):
                self._take_back(guard, cause, again=is_market)

    def _protect(
        self, holding: Holding, cause: int
    ) -> Generator[Wave | GroupOut, Sequence[Answer], list[Due]]:
        key, stop, px = (holding.agent, holding.symbol), self._stop(holding), self._px(holding)
        now = self._table.now
        if stop is None or px is None or now < self._exits.get(key, 0):
            return []
        if key in self._reached or is_reached(stop.side, stop.trigger, px):
            self._reached.discard(key)
            self._exits[key] = now + EXIT_PAUSE_NS
            exit_ = exit_of(holding, stop.qty, self._table.config, why="stop_loss")
            return [self._due("stop_reached", exit_)]
        n, until = self._refusals.get(key, (0, 0))
        if now < until:
            return []
        self._placed += 1
        self._refusals[key] = (n, now + FIRST_PAUSE_NS)  # until it is known to stand: it may never leave
        yield from self._dispatch.guard(holding, stop, self._placed, cause)
        return []

    def _left_of(self, wish: Proposal, holding: Holding) -> list[Due]:
        """Cut an exit that waited down to what is still there."""
        leg, px = wish.legs[0], self._px(holding)
        instrument = self._table.env.instruments[holding.symbol]
        qty = instrument.qty(min(leg.qty, abs(holding.qty)))
        is_same_side = (leg.side == "sell") == (holding.qty > 0)
        if px is None or not is_same_side or instrument.tradable(qty, px):
            return []
        return [self._due("stop_lifted", wish, qty)]

    def _due(self, why: str, wish: Proposal, qty: Decimal | None = None) -> Due:
        self._left += 1
        if qty is not None:
            wish = replace(wish, legs=(replace(wish.legs[0], qty=qty),))
        return Due(why, self._left, wish)

    def _stop(self, holding: Holding) -> Stop | None:
        """Give the order that a holding's stop asks for, which never loosens while it is the same holding."""
        instrument = self._table.env.instruments.get(holding.symbol)
        if instrument is None or not holding.pid:
            return None
        key, which = (holding.agent, holding.symbol), (holding.opened, holding.round, holding.pid)
        before, level = self._levels.get(key, (which, None))
        stop = holding.stop
        if before == which and level is not None:
            pick = max if holding.qty > 0 else min
            stop = level if stop is None else pick(stop, level)
        if stop is None or not (stop.is_finite() and stop > 0):
            self._levels.pop(key, None)
            return None
        self._levels[key] = (which, stop)
        return stop_for(holding.qty, stop, instrument)

    def _px(self, holding: Holding) -> Decimal | None:
        """Give what a holding could be left at now."""
        book = self._market.books.get(holding.symbol)
        if book is None or not book.bids or not book.asks:
            return None
        return decimal(book.bids[0][0] if holding.qty > 0 else book.asks[0][0])

    def _may_leave(self, agent: str, symbol: str) -> bool:
        """Whether an exit could leave now: while none can, its stop is all that a holding has."""
        kills = self._account.kills
        if self._account.trading == HALTED or kills.bars(agent, reduces=True):
            return False
        return symbol not in kills.symbols or symbol in kills.leaving

    def _is_kept(self, holding: Holding) -> bool:
        """Whether a holding is to be kept, and an order for it may leave."""
        agent, kills = holding.agent, self._account.kills
        if holding.symbol in kills.symbols or kills.bars(agent):
            return False
        is_trading = self._account.trading in ("ACTIVE", "REDUCING")
        return is_trading and not self._table.attendance.is_quarantined(agent)

    # what follows

    def _make_way(self, cause: int, *, again: bool) -> None:
        """Take back own orders that rest where a stop would trade: none such passes the gate beside it."""
        guards = [o.intent for o in self._account.orders.guards()]
        ways, now = {}, self._table.now
        for order in self._account.orders.live() if guards else ():
            i = order.intent
            if i.trigger is None and i.px is not None and i.tif == "GTC":
                own = [g for g in guards if g.symbol == i.symbol and g.side != i.side]
                if any(reaches(g.side, g.trigger, g.px, i.px) for g in own):
                    ways[i.iid] = until = self._ways.get(i.iid, 0)
                    if now >= until:
                        ways[i.iid] = now + EXIT_PAUSE_NS
                        self._take_back(order, cause, again=again)
        self._ways = ways

    def _alarm(self, order: Order, detail: str, n: int, cause: int) -> None:
        i = order.intent
        alarm = Alarm(
            about="stop", subject=i.cid, detail=detail[:200], n=n, t=self._table.wall, iid=i.iid,
            symbol=i.symbol,
        )  # fmt: skip
        self._table.emit(alarm, cause=cause)

    def _take_back(self, guard: Order, cause: int, *, again: bool) -> None:
        if again or not guard.cancels:
            self._dispatch.cancel(guard.intent.iid, cause)

    def _pause(self, key: Key) -> int:
        n = self._refusals.get(key, (0, 0))[0] + 1
        self._refusals[key] = (n, self._table.now + (FIRST_PAUSE_NS << min(n - 1, MAX_DOUBLINGS)))
        return n

    def _forget(self, key: Key) -> None:
        self._levels.pop(key, None)
        self._waiting.pop(key, None)
        self._refusals.pop(key, None)
        self._exits.pop(key, None)
        self._reached.discard(key)


def _is_outdated(guard: Order, stop: Stop | None) -> bool:
    """Whether a stop guards another quantity than is held, or waits too far from the price."""
    if stop is None:
        return not guard.filled  # what is left of one that sells already may be too little for another
    if stop.qty != guard.left:
        return True
    i = guard.intent
    return not guard.filled and i.trigger is not None and is_nearer(i.side, stop.trigger, i.trigger)


def _is_missed(guard: Order, px: Decimal) -> bool:
    """Whether the market went through a stop's limit, so that it rests where nobody buys."""
    limit = guard.intent.px
    return limit is not None and (px < limit if guard.intent.side == "sell" else px > limit)
