"""Which look-ups count as failed calls: an answer that is not whole yet is an answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from parley.messages import Intent
from tests.kit.units import make_intent
from venues.capabilities import CAPABILITIES
from venues.ccxt_venue import CcxtVenue
from venues.limits import NoLimits
from venues.port import VenueError


class Words:
    """Speaks for a venue of which every look-up ends with ``error``, caused by ``cause``."""

    def __init__(self, error: Exception, cause: Exception | None) -> None:
        self.error, self.cause = error, cause

    async def look_up(self, intent: Intent) -> None:
        raise self.error from self.cause


@pytest.mark.parametrize(
    ("error", "cause", "n"),
    [
        (VenueError("order x: RequestTimeout"), TimeoutError(), 1),
        (VenueError("own trades: 3 of x were executed, its trades sum to 2"), None, 0),
        (KeyError("orderId"), None, 1),
    ],
)
def test_look_up_counts_when_it_was_not_answered_or_nobody_can_read_it(
    error: Exception, cause: Exception | None, n: int
) -> None:
    client: Any = SimpleNamespace(last_response_headers=None)
    words: Any = Words(error, cause)
    venue = CcxtVenue(client, words, CAPABILITIES["binance"], NoLimits(), recv_window_ms=1, lag_ms=0)
    with pytest.raises(VenueError):
        asyncio.run(venue.look_up(make_intent()))
    failed = venue.meter.faults.take()
    assert (failed.n if failed else 0) == n
