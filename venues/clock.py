"""How far a venue's clock is off, or the clocks of several, as far as they may be asked now.

Problem: one of several clocks may not be known, because its venue does not answer or may not be asked. What
hangs on the clock of another venue must not wait for it.

Not here: what an error of a clock means (`runtime.resolution`).
"""

import asyncio
import time
from collections.abc import Callable

from venues.limits import Request
from venues.port import Venue, VenueError
from venues.several import places_of


async def compare_clocks(venue: Venue, measured: Callable[[int, str], None]) -> float:
    """Return the size of the offset in ms, of several the largest; -1: not every clock is known.

    ``measured`` gets, as soon as it is known, by how many ns a time of a venue may be misjudged, and the
    exchange that the symbols of that venue name. The sign of an offset is dropped, because -1 ms says that
    nothing was measured: no answer, or no room to ask.
    """

    async def compared(exchange: str, place: Venue) -> float:
        offset_ms, error_ns = await _offset(place)
        if offset_ms >= 0:
            measured(error_ns, exchange)
        return offset_ms

    found = await asyncio.gather(*(compared(*each) for each in places_of(venue).items()))
    return max(found) if min(found) >= 0 else -1.0


async def _offset(venue: Venue) -> tuple[float, int]:
    began = time.monotonic_ns()
    try:
        offset_ms = abs(await venue.clock_offset_ms()) if venue.meter.take(Request.TIME) is None else -1.0
    except VenueError:
        offset_ms = -1.0
    took = time.monotonic_ns() - began
    return offset_ms, int(max(offset_ms, 0.0) * 1_000_000) + took // 2
