"""Lists that come in pages: newest first, with the number of an entry as the mark to go on from.

OKX gives no cursor: `after` is the last number that was seen, and the end shows in an empty page. Not here:
what is listed. Invariant: going on from the last number of unchanged data gives every entry exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from venues.sandbox.okx.params import Params

Entry = TypeVar("Entry")


def page_of(
    params: Params, newest_first: Sequence[Entry], number_of: Callable[[Entry], int], most: int
) -> list[Entry]:
    """Entries of the page: older than `after`, newer than `before`; numbers fall from entry to entry."""
    limit = params.limit(100, most)
    after, before = params.integer("after"), params.integer("before")
    found = [
        one
        for one in newest_first
        if (after is None or number_of(one) < after) and (before is None or number_of(one) > before)
    ]
    # `before` alone asks for what follows on a number
    return found[-limit:] if before is not None and after is None else found[:limit]


def span_of(params: Params, longest_ms: int, now: int) -> tuple[int, int]:
    """The first and last time that is asked for, not longer ago than the venue keeps."""
    begin, end = params.integer("begin"), params.integer("end")
    return max(begin or 0, now - longest_ms), now if end is None else end
