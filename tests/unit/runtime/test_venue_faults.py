"""A storm of failures is one message a heartbeat, with all of them counted and none of them twice."""

from __future__ import annotations

from parley.messages import VenueFault
from runtime.venue_faults import VenueFaults
from tests.kit.firm_kit import T0
from venues.faults import Faults


def test_what_failed_since_the_last_time_is_told_once_with_its_last_cause() -> None:
    faults, told = Faults(), list[VenueFault]()
    telling = VenueFaults(faults, told.append, lambda: T0 + len(told))

    telling.tell()
    assert told == [], "nothing failed: nothing to say"
    for n in range(1000):
        faults.failed("look_up", TimeoutError(f"{n}"))
    faults.failed("time", "x" * 10_000)
    telling.tell()
    telling.tell()
    faults.failed("balances", "gone")
    telling.tell()
    assert told == [
        VenueFault(n=1001, call="time", why="x" * 200, t=T0),
        VenueFault(n=1, call="balances", why="gone", t=T0 + 1),
    ]
