"""A holding between its stop and its take: one order at the venue, the other watched, never both alive.

Where the venue can hold a stop, it holds it, because it also holds while Parley is down; the
take, and a stop that a venue refuses, are watched here and left by an immediate order once the
order at the venue is known to be gone. A trailing stop is moved by cancelling it and placing it
anew, in steps, and only ever in the holding's favour (`parley.stops`).

Not here: sending. The caller carries out each action and tells what the venue said of it.

Invariant: what has filled plus what may still fill never exceeds the holding; while it is not
known what became of an order, nothing else is sent.
"""

from decimal import Decimal
from math import isfinite, nan
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from parley.instruments import Instrument
from parley.money import decimal
from parley.stops import Guard, exit_side

ZERO = Decimal(0)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What guards a holding; prices in quote, NaN: none.

    ``trail_bps`` keeps the stop so far behind the best price seen (0: it stays);
    ``step_bps`` is how much better it must have become before the venue's order is moved;
    ``reach_bps`` how far beyond its trigger, or the market, an order that leaves may trade.
    """

    stop: float = nan
    take: float = nan
    trail_bps: Annotated[float, Meta(ge=0, lt=10_000)] = 0.0
    step_bps: Annotated[float, Meta(ge=0)] = 5.0
    reach_bps: Annotated[float, Meta(gt=0, lt=10_000)] = 100.0
    on_venue: bool = True


class PlaceStop(NamedTuple):
    """Have the venue hold a stop-limit order."""

    n: int
    side: str
    qty: Decimal
    trigger: Decimal
    limit: Decimal


class Leave(NamedTuple):
    """Send an immediate-or-cancel limit; ``why`` is stop_loss, trailing_stop or take_profit."""

    n: int
    side: str
    qty: Decimal
    limit: Decimal
    why: str


class Cancel(NamedTuple):
    """Cancel order ``n``."""

    n: int
    why: str


Action = PlaceStop | Leave | Cancel
State = Literal["sent", "open", "leaving", "unknown"]


class Held(msgspec.Struct):
    """The one order that may be alive; ``trigger`` None: it is an immediate one."""

    n: int
    qty: Decimal
    trigger: Decimal | None
    limit: Decimal
    state: State = "sent"
    filled: Decimal = ZERO


class Bracket(msgspec.Struct):
    """The guard of one holding of ``qty`` base; ``direction`` 1 long, -1 short; mutable."""

    rules: Rules
    direction: int
    qty: Decimal
    guard: Guard
    on_venue: bool
    best: float = nan
    done: Decimal = ZERO
    order: Held | None = None
    sent: int = 0

    @property
    def left(self) -> Decimal:
        return self.qty - self.done

    @property
    def held_by(self) -> str:
        """Who leaves if the stop is reached now: venue, parley, or nobody while an order is in doubt."""
        if self.order is not None and self.order.state == "unknown":
            return "nobody"
        rests = self.order is not None and self.order.trigger is not None and self.order.state == "open"
        return "venue" if rests else "parley"

    # what the venue says

    def accepted(self, n: int) -> None:
        """Note that an order exists."""
        if self.order is not None and self.order.n == n and self.order.state in ("sent", "unknown"):
            self.order.state = "open"

    def refused(self, n: int, *, reached: bool) -> None:
        """Note that an order cannot exist; ``reached``: because the market is beyond its trigger."""
        order = self.order
        if order is None or order.n != n:
            return
        self.order = None
        if order.trigger is None:
            return
        if reached:
            self.guard.leaving = self.guard.leaving or "stop_loss"
        else:
            self.on_venue = False  # this venue does not hold it: it is watched from here

    def doubted(self, n: int) -> None:
        """Note that nobody knows what became of an order."""
        if self.order is not None and self.order.n == n:
            self.order.state = "unknown"

    def filled(self, n: int, qty: Decimal) -> None:
        """Count a fill; each is to be told once."""
        self.done += qty
        order = self.order
        if order is not None and order.n == n:
            order.filled += qty
            if order.filled >= order.qty:
                self.order = None

    def ended(self, n: int, cum: Decimal) -> None:
        """Note that an order is gone having filled ``cum``: before its fills are told it stays in doubt."""
        order = self.order
        if order is not None and order.n == n:
            if order.filled >= cum:
                self.order = None
            else:
                order.state, order.qty = "leaving", cum

    def cancel_failed(self, n: int) -> None:
        """Note that a cancel changed nothing: the order may be asked to go again."""
        if self.order is not None and self.order.n == n and self.order.state == "leaving":
            self.order.state = "open"

    # what to do

    def step(self, px: float, instrument: Instrument) -> Action | None:
        """Give what to do at an executable price (a long is left at the bid), or None."""
        if not (isfinite(px) and px > 0):
            return None
        self._trail(px)
        why = self.guard.hit(px)
        order = self.order
        if order is not None:
            return self._mind(order, px, why)
        qty = instrument.qty(self.left)
        if instrument.tradable(qty, decimal(px)):
            return None  # what is left could never be sold
        if why:
            limit = self._beyond(decimal(px), instrument)
            return self._place(Held(self.sent + 1, qty, None, limit), why)
        if not self.on_venue or not isfinite(self.guard.stop):
            return None
        trigger = instrument.price(self.guard.stop, "near")
        return self._place(Held(self.sent + 1, qty, trigger, self._beyond(trigger, instrument)), "")

    def _trail(self, px: float) -> None:
        if not self.rules.trail_bps:
            return
        if not isfinite(self.best) or (px - self.best) * self.direction > 0:
            self.best = px
        self.guard.tighten(self.best * (1 - self.direction * self.rules.trail_bps / 1e4))

    def _mind(self, order: Held, px: float, why: str) -> Action | None:
        """Cancel the stop at the venue where something better is known; never touch an order in doubt."""
        if order.state != "open" or order.trigger is None:
            return None
        better = (decimal(self.guard.stop) - order.trigger) * self.direction
        if why == "take_profit":
            return self._cancel(order, why)
        if why:
            # the venue leaves by itself, unless the market went through its limit
            missed = (order.limit - decimal(px)) * self.direction > 0
            return self._cancel(order, "through_limit") if missed else None
        if better * 10_000 > order.trigger * decimal(self.rules.step_bps):
            return self._cancel(order, "trail")
        return None

    def _cancel(self, order: Held, why: str) -> Cancel:
        order.state = "leaving"
        return Cancel(order.n, why)

    def _place(self, order: Held, why: str) -> Action:
        self.order, self.sent = order, order.n
        side = exit_side(self.direction)
        if order.trigger is None:
            return Leave(order.n, side, order.qty, order.limit, why)
        return PlaceStop(order.n, side, order.qty, order.trigger, order.limit)

    def _beyond(self, px: Decimal, instrument: Instrument) -> Decimal:
        reach = px * (1 - self.direction * decimal(self.rules.reach_bps) / 10_000)
        return instrument.crossing_price(reach, exit_side(self.direction))


def bracket(rules: Rules, direction: int, qty: Decimal, opened: int) -> Bracket:
    """Guard a holding opened at market ns ``opened``."""
    guard = Guard(direction, opened, rules.stop, rules.take)
    return Bracket(rules, direction, qty, guard, rules.on_venue)
