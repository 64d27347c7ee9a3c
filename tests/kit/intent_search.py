"""Walk through every state of two orders whose desk and gateway may die, each once, at any step.

The orders share a symbol: its lane in the gateway, and its closing while one of them is in doubt; they share
both deaths, both returns and the clock. Not here: what an order can do (`intent_model`).

Invariant: every reachable state is looked at once, and the shortest way to a fault is what is reported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from orchestrator.orders import OrderState
from tests.kit.intent_model import (
    SENT,
    One,
    Policy,
    Steps,
    desk_dies,
    desk_returns,
    faults,
    gateway_dies,
    gateway_returns,
    older,
    state_of,
    wrong_end,
)

World = tuple[int, int, bool, bool, bool, bool]
"""Numbers of both orders; desk and gateway: are they up, may they die."""


class Walk(NamedTuple):
    """What a search found; ``way`` are the steps to the first fault."""

    states: int
    steps: int
    ends: int
    orders: tuple[One, ...]
    fault: str
    way: tuple[str, ...]


class _Orders:
    """Each state of one order gets a number, and its steps are worked out once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = Steps(policy)
        self._numbers: dict[One, int] = {}
        self._steps: dict[tuple[int, bool, bool, bool, bool], tuple[tuple[str, int], ...]] = {}
        self._changes: dict[tuple[Callable[[One], One], int], int] = {}
        self.all: list[One] = []
        self.is_unknown: list[bool] = []
        self.is_sent: list[bool] = []
        self.fault: list[str] = []
        self.end_fault: list[str] = []

    def number(self, one: One) -> int:
        found = self._numbers.get(one)
        if found is None:
            found = self._numbers[one] = len(self.all)
            self.all.append(one)
            self.is_unknown.append(state_of(one) is OrderState.UNKNOWN)
            self.is_sent.append(one.gateway == SENT)
            self.fault.append(next(faults(one), ""))
            self.end_fault.append(next(wrong_end(one), ""))
        return found

    def steps(self, n: int, other: int, desk_up: bool, gateway_up: bool) -> tuple[tuple[str, int], ...]:
        key = (n, desk_up, gateway_up, self.is_unknown[other], self.is_sent[other])
        found = self._steps.get(key)
        if found is None:
            after = [(what, self.number(one)) for what, one in self._policy.of(self.all[n], *key[1:])]
            found = self._steps[key] = tuple(step for step in after if step[1] != n)
        return found

    def changed(self, change: Callable[[One], One], n: int) -> int:
        key = (change, n)
        found = self._changes.get(key)
        if found is None:
            found = self._changes[key] = self.number(change(self.all[n]))
        return found


def _on_disk(one: One) -> One:
    return one._replace(disk=one.disk | one.lazy, lazy=frozenset())


def _both_die(one: One) -> One:
    return gateway_dies(desk_dies(one))


def _after(orders: _Orders, world: World) -> Iterator[tuple[str, World]]:
    a, b, desk_up, gateway_up, desk_may, gateway_may = world
    for what, n in orders.steps(a, b, desk_up, gateway_up):
        yield what, (n, b, desk_up, gateway_up, desk_may, gateway_may)
    for what, n in orders.steps(b, a, desk_up, gateway_up):
        yield what, (a, n, desk_up, gateway_up, desk_may, gateway_may)
    both = partial(_both, orders, a, b)
    aged = both(older)
    if aged != (a, b):
        yield "time passes", (*aged, desk_up, gateway_up, desk_may, gateway_may)
    if not gateway_up:
        yield "gateway returns", (*both(gateway_returns), desk_up, True, desk_may, gateway_may)
    elif not desk_up:
        yield "desk returns", (*both(desk_returns), True, True, desk_may, gateway_may)


def _deaths(orders: _Orders, world: World) -> Iterator[tuple[str, World]]:
    a, b, desk_up, gateway_up, desk_may, gateway_may = world
    both = partial(_both, orders, a, b)
    if desk_may and desk_up:
        yield "desk dies", (*both(desk_dies), False, gateway_up, False, gateway_may)
    if gateway_may and gateway_up:
        # a desk that loses its gateway ends too, and comes back after it
        yield "gateway dies", (*both(_both_die), False, False, desk_may, False)


def _both(orders: _Orders, a: int, b: int, change: Callable[[One], One]) -> tuple[int, int]:
    return orders.changed(change, a), orders.changed(change, b)


def walk(policy: Policy, stop_at: str | None = None) -> Walk:
    """Search all states; stop at the first fault, or at the first of this name."""
    orders = _Orders(policy)
    first = orders.number(One())
    start: World = (first, first, True, True, True, True)
    before: dict[World, tuple[World, str] | None] = {start: None}
    waiting = deque([start])
    steps = ends = 0
    while waiting:
        world = waiting.popleft()
        fault = orders.fault[world[0]] or orders.fault[world[1]]
        after = list(_after(orders, world))
        if not fault and not after:
            ends += 1
            fault = orders.end_fault[world[0]] or orders.end_fault[world[1]]
        if fault and stop_at in (None, fault):
            return Walk(len(before), steps, ends, tuple(orders.all), fault, _way(before, world))
        if fault:
            continue
        for what, (a, b, *rest) in (*after, *_deaths(orders, world)):
            steps += 1
            if not rest[3]:  # with no death of the gateway to come it does not matter what is on its disk
                a, b = orders.changed(_on_disk, a), orders.changed(_on_disk, b)
            found: World = (min(a, b), max(a, b), rest[0], rest[1], rest[2], rest[3])
            if found not in before:
                before[found] = (world, what)
                waiting.append(found)
    return Walk(len(before), steps, ends, tuple(orders.all), "", ())


def _way(before: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    way = []
    while (step := before[world]) is not None:
        world, what = step
        way.append(what)
    return tuple(reversed(way))
