"""A bracket never has two orders out, never more than is held, and never moves a stop the wrong way.

A small venue stands around it: it accepts, refuses or loses orders, fills in parts, cancels or fails
to, and tells all of it late. The truth is what the venue could still fill.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite, nan

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from parley.execution.bracket import Action, Bracket, Cancel, Leave, PlaceStop, Rules, bracket
from tests.kit.builders import T0, make_instrument
from tests.kit.effort import examples

D = Decimal
GRID = make_instrument()


class Working(RuleBasedStateMachine):
    """One holding from its opening to its end."""

    @initialize(
        direction=st.sampled_from([1, -1]), lots=st.integers(100, 100_000),
        trail=st.sampled_from([0.0, 30.0]), on_venue=st.booleans(), take=st.booleans(),
    )  # fmt: skip
    def open(self, direction: int, lots: int, trail: float, on_venue: bool, take: bool) -> None:
        rules = Rules(
            stop=60_000.0 * (1 - direction * 0.005), take=60_000.0 * (1 + direction * 0.006) if take else nan,
            trail_bps=trail, on_venue=on_venue,
        )  # fmt: skip
        self.qty = lots * D("0.00001")
        self.bracket = bracket(rules, direction, self.qty, T0)
        self.direction = direction
        self.alive: dict[int, Decimal] = {}  # what the venue may still fill
        self.total: dict[int, Decimal] = {}
        self.filled: dict[int, Decimal] = {}
        self.known_gone: set[int] = set()
        self.doubtful = -1
        self.triggers: list[Decimal] = []
        self.wire: list[tuple[str, int, Decimal]] = []

    @rule(move=st.floats(-600, 600), broken=st.booleans())
    def price(self, move: float, broken: bool) -> None:
        px = nan if broken and abs(move) < 60 else 60_000 + move
        self.carry_out(self.bracket.step(px, GRID))

    def carry_out(self, action: Action | None) -> None:
        if action is None:
            return
        assert self.doubtful < 0
        if isinstance(action, Cancel):
            assert action.n in self.total
            self.cancelled(action.n)
            return
        assert action.n not in self.total
        assert not self.alive
        assert action.side == ("sell" if self.direction > 0 else "buy")
        assert GRID.qty(action.qty) == action.qty > 0
        if isinstance(action, PlaceStop):
            self.triggers.append(action.trigger)
            assert (action.trigger - action.limit) * self.direction > 0
        self.alive[action.n] = self.total[action.n] = action.qty
        self.filled[action.n] = D(0)
        self.wire.append(("accepted", action.n, D(0)))

    def cancelled(self, n: int) -> None:
        if n in self.alive:
            del self.alive[n]
            self.wire.append(("ended", n, self.filled[n]))
        else:
            self.wire.append(("cancel_failed", n, D(0)))

    @precondition(lambda self: self.alive)
    @rule(part=st.sampled_from(["1", "0.5", "0.1"]))
    def fill(self, part: str) -> None:
        ((n, left),) = self.alive.items()
        qty = GRID.qty(left * D(part))
        if qty > 0:
            self.filled[n] += qty
            self.alive[n] -= qty
            self.wire.append(("filled", n, qty))
            if self.alive[n] == 0:
                del self.alive[n]
                self.wire.append(("ended", n, self.filled[n]))

    @precondition(lambda self: self.alive)
    @rule(how=st.sampled_from(["refused", "reached", "expired", "lost"]))
    def end(self, how: str) -> None:
        ((n, _),) = self.alive.items()
        if how in ("refused", "reached") and self.filled[n] == 0:
            self.wire = [fact for fact in self.wire if fact[1] != n]
            del self.alive[n]
            self.wire.append((how, n, D(0)))
        elif how == "expired":
            del self.alive[n]
            self.wire.append(("ended", n, self.filled[n]))
        elif how == "lost" and self.doubtful < 0 and self.bracket.order is not None:
            self.bracket.doubted(n)
            self.doubtful = n

    @precondition(lambda self: self.wire)
    @rule(which=st.integers(0, 30))
    def deliver(self, which: int) -> None:
        what, n, qty = self.wire.pop(which % len(self.wire))
        match what:
            case "accepted":
                self.bracket.accepted(n)
            case "filled":
                self.bracket.filled(n, qty)
            case "ended":
                self.bracket.ended(n, qty)
            case "cancel_failed":
                self.bracket.cancel_failed(n)
            case _:
                self.bracket.refused(n, reached=what == "reached")
        if n == self.doubtful:
            order = self.bracket.order
            if order is None or order.n != n or order.state != "unknown":
                self.doubtful = -1

    @rule()
    def restart(self) -> None:
        self.bracket = msgspec.msgpack.decode(msgspec.msgpack.encode(self.bracket), type=Bracket)

    @invariant()
    def what_filled_and_what_may_still_fill_is_within_what_is_held(self) -> None:
        if hasattr(self, "alive"):
            assert len(self.alive) <= 1
            assert sum(self.filled.values(), D(0)) + sum(self.alive.values(), D(0)) <= self.qty
            assert self.bracket.done <= sum(self.filled.values(), D(0))

    @invariant()
    def a_stop_only_ever_moves_in_the_holdings_favour(self) -> None:
        if hasattr(self, "triggers"):
            moved = [(b - a) * self.direction for a, b in zip(self.triggers, self.triggers[1:], strict=False)]
            assert all(step >= 0 for step in moved)


TestWorking = Working.TestCase
TestWorking.settings = settings(max_examples=examples(80), stateful_step_count=40)


def guarded(**over: float | bool) -> Bracket:
    return bracket(Rules(stop=59_000.0, **over), 1, D("0.5"), T0)  # type: ignore[arg-type]


def test_a_stop_rests_at_the_venue_and_the_venue_is_left_alone_when_it_is_reached() -> None:
    held = guarded()

    assert held.step(60_000.0, GRID) == PlaceStop(1, "sell", D("0.5"), D(59_000), D(58_410))
    held.accepted(1)
    assert held.held_by == "venue"
    assert held.step(58_900.0, GRID) is None
    # through the limit of the stop: it would rest there unfilled
    assert held.step(58_300.0, GRID) == Cancel(1, "through_limit")
    held.ended(1, D(0))
    assert held.step(58_300.0, GRID) == Leave(2, "sell", D("0.5"), D(57_717), "stop_loss")


def test_a_take_cancels_the_stop_before_it_leaves() -> None:
    held = guarded(take=61_000.0)
    held.step(60_000.0, GRID)
    held.accepted(1)

    assert held.step(61_000.0, GRID) == Cancel(1, "take_profit")
    assert held.step(61_000.0, GRID) is None
    # the stop traded in part while it was being cancelled
    held.filled(1, D("0.2"))
    held.ended(1, D("0.2"))
    assert held.step(61_010.0, GRID) == Leave(2, "sell", D("0.3"), D("60399.9"), "take_profit")


def test_a_trailing_stop_follows_in_steps_and_never_back() -> None:
    held = bracket(Rules(trail_bps=100.0, step_bps=10.0), 1, D("0.5"), T0)

    assert isinstance(held.step(60_000.0, GRID), PlaceStop)
    held.accepted(1)
    assert held.step(60_030.0, GRID) is None  # 5 bps better: not worth a move
    assert held.step(60_120.0, GRID) == Cancel(1, "trail")
    held.ended(1, D(0))
    assert held.step(60_010.0, GRID) == PlaceStop(2, "sell", D("0.5"), D("59518.8"), D("58923.61"))


def test_where_the_venue_holds_no_stop_it_is_watched_and_said_so() -> None:
    held = guarded()
    held.step(60_000.0, GRID)
    held.refused(1, reached=False)

    assert held.held_by == "parley"
    assert held.step(59_500.0, GRID) is None
    assert held.step(58_990.0, GRID) == Leave(2, "sell", D("0.5"), D("58400.1"), "stop_loss")


@pytest.mark.parametrize("px", [60_000.0, 58_000.0, 62_000.0])
def test_nothing_is_sent_while_an_order_is_in_doubt(px: float) -> None:
    held = guarded(take=61_000.0)
    held.step(60_000.0, GRID)
    held.doubted(1)

    assert held.held_by == "nobody"
    assert held.step(px, GRID) is None
    held.accepted(1)
    assert held.held_by == "venue"
    assert isfinite(held.guard.stop)
