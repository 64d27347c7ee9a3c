"""What may be asked of several venues at once, and what failed at any of them.

Problem: each venue counts for itself and bans for itself. What goes to all of them waits for the one that has
the least room; an order waits for its own venue alone and asks that one's meter (`of`).

Room for an order is lacking as soon as one of the venues has none. Its desk opens no round then: which venue
an order will go to is known only when the round ends, a holding may need its other leg at the venue that is
closed, and of the two mistakes waiting is the one that costs no money. What leaves a holding is no round that
opens, and goes to the others as ever.

Not here: counting (`meter`), who asks. Invariant: what goes to all is paid for at all of them or at none, and
nothing is paid for longer before it is asked than it takes to ask.
"""

from collections.abc import Mapping

from parley.budget import Lack, Rank
from parley.instruments import exchange_of
from venues.faults import Failed, Failing
from venues.limits import Request
from venues.meter import Asked


class SeveralMeters:
    """The meters of several venues, by name; the first one's symbols are plain."""

    def __init__(self, meters: Mapping[str, Asked]) -> None:
        self._meters = dict(meters)
        self._first = next(iter(meters))
        self.faults = SeveralFaults({name: meter.faults for name, meter in meters.items()})

    def of(self, symbol: str) -> Asked:
        """Give the meter of the venue that trades a symbol; of what belongs nowhere this one."""
        # that is refused by who is asked; what it may cost nobody knows better
        return self._meters.get(exchange_of(symbol) or self._first, self)

    def take(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """Pay for a request at every venue; the longest lack of any when it may not be made at one."""
        if (lack := self.lack(request, rank)) is None:
            for meter in self._meters.values():
                meter.take(request, rank)
        return lack

    def lack(self, request: Request, rank: Rank | None = None) -> Lack | None:
        """Say what a request lacks where it lacks it longest, and pay nothing."""
        found = ((name, meter.lack(request, rank)) for name, meter in self._meters.items())
        lacks = [_at(name, lack) for name, lack in found if lack is not None]
        return max(lacks, key=lambda lack: lack.wait, default=None)

    async def turn(self, request: Request, until: int | None = None) -> Lack | None:
        """Wait until a request may be made at every venue and pay for it; as `Meter.turn`."""
        while self.take(request) is not None:
            if (lack := await self.opens(request, until)) is not None:
                return lack
        return None

    async def opens(self, request: Request, until: int | None = None) -> Lack | None:
        """Wait until a request may be made at every venue and pay nothing; as `Meter.opens`."""
        for name, meter in self._meters.items():
            if (lack := await meter.opens(request, until)) is not None:
                return _at(name, lack)
        return None


class SeveralFaults:
    """What failed at several venues, by name."""

    def __init__(self, faults: Mapping[str, Failing]) -> None:
        self._faults = dict(faults)

    def take(self) -> Failed | None:
        """Give what failed at any of them, and begin anew; None when nothing did."""
        taken = [(name, failed) for name, each in self._faults.items() if (failed := each.take()) is not None]
        if not taken:
            return None
        name, last = taken[-1]
        return Failed(sum(failed.n for _, failed in taken), last.call, f"{name}: {last.why}")


def _at(name: str, lack: Lack) -> Lack:
    return lack._replace(limit=f"{lack.limit} of {name}")
