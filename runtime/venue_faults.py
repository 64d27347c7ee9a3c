"""Tells a desk how many calls to its venue failed: its breaker counts them (F242).

Problem: what fails beside the orders is known to the gateway alone. A storm of failures must become no storm
of messages: it is told with each heartbeat, once a second, and how many there were.

Not here: what counts as failed (`venues.ccxt_venue`), what follows from it (`agents.risk`).

Invariant: no heartbeat leaves before what had failed until then is written down and told: a desk that goes by
the gateway's word has all of it.
"""

import time
from collections.abc import Callable

from parley.messages import VenueFault
from venues.faults import Failing


class VenueFaults:
    """What failed at one venue or at several, told to ``say``."""

    def __init__(
        self, faults: Failing, say: Callable[[VenueFault], object], clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._faults = faults
        self._say = say
        self._clock = clock

    def tell(self) -> None:
        """Say what failed since this was asked last, if anything did."""
        if (failed := self._faults.take()) is not None:
            self._say(VenueFault(n=failed.n, call=failed.call, why=failed.why, t=self._clock()))
