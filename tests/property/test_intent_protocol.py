"""Every interleaving of two orders, one death of the desk and one of the gateway: none is doubled or lost."""

from __future__ import annotations

import pytest

from orchestrator.orders import OrderState
from tests.kit.intent_model import (
    BURYING,
    DOUBT,
    FENCED,
    HELD,
    IN_PLAY,
    OVER,
    SENT,
    WRITING,
    Policy,
    state_of,
)
from tests.kit.intent_search import walk

TWICE = "one intent has two orders at the venue"
FREED = "its reservation is released while the order may exist"


def test_no_interleaving_doubles_or_loses_an_order_or_frees_money_too_early() -> None:
    found = walk(FENCED)

    assert found.fault == "", " > ".join(found.way)
    print(f"{found.states} states of two orders, {len(found.orders)} of one, {found.steps} steps")
    # it went where it matters
    assert found.states > 400_000
    assert {one.gateway for one in found.orders} >= {WRITING, HELD, SENT, DOUBT, BURYING, OVER}
    assert {one.desk for one in found.orders} >= set(IN_PLAY)
    ends = {(state_of(one), len(one.orders), "no" in one.told) for one in found.orders if one.gateway == OVER}
    assert (OrderState.OPEN, 1, False) in ends
    assert (OrderState.FAILED, 0, True) in ends


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (Policy("sends again under the same id", retries=True), TWICE),
        (Policy("three look-ups, then a no", looks=3), FREED),
        (Policy("records after sending", records_first=False), FREED),
        (Policy("thinks that lists do not lag", lag=0), FREED),
        (Policy("thinks that clocks agree", clock_error=0), FREED),
    ],
    ids=lambda each: each.name if isinstance(each, Policy) else "",
)
def test_broken_protocol_is_caught(policy: Policy, fault: str) -> None:
    found = walk(policy, stop_at=fault)

    assert found.fault == fault
    print(f"{policy.name}: after {found.states} states: {' > '.join(found.way)}")
