"""How far a venue's clock is off, as far as it may be asked now."""

import time

from venues.limits import Request
from venues.port import Venue, VenueError


async def clock_offset(venue: Venue) -> tuple[float, int]:
    """Return the size of the offset in ms, and by how many ns a time of the venue may be misjudged.

    The sign is dropped, because -1 ms says that nothing was measured: no answer, or no room to ask.
    """
    began = time.monotonic_ns()
    try:
        offset_ms = abs(await venue.clock_offset_ms()) if venue.meter.take(Request.TIME) is None else -1.0
    except VenueError:
        offset_ms = -1.0
    took = time.monotonic_ns() - began
    return offset_ms, int(max(offset_ms, 0.0) * 1_000_000) + took // 2
