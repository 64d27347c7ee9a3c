"""A wall clock that is set stops a desk for as long as it is wrong, and neither longer nor not at all."""

from __future__ import annotations

import pytest

from parley.messages import Fill, GateRefusal, Intent
from tests.kit.desk_cases import StepDesk, ack
from tests.kit.firm_kit import D

HOUR = 3_600_000_000_000


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_nothing_opens_while_the_clock_is_wrong_and_everything_when_it_is_right_again(ahead: int) -> None:
    desk = StepDesk()
    desk.set_ahead = ahead
    assert desk.close() == []
    assert {g.code for g in desk.said(GateRefusal)} == {"stale_data"}

    desk.set_ahead = 0
    (order,) = desk.close()
    assert isinstance(order, Intent)
    desk.tell(desk.filled(order), ack(order))
    assert sum(f.qty for f in desk.said(Fill)) > D(0)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_silence_of_the_gateway_is_as_long_as_it_lasts_whatever_the_clock_was_set_to(ahead: int) -> None:
    desk = StepDesk()
    (order,) = desk.close()
    assert isinstance(order, Intent)
    desk.tell(ack(order))

    desk.set_ahead = ahead
    assert desk.firm.gatekeeper.is_gateway_alive
    desk.mono += 11_000_000_000
    desk.firm.table.stamped(desk.mono, desk.firm.table.wall)
    assert not desk.firm.gatekeeper.is_gateway_alive
