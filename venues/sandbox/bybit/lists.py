"""Lists that come in pages: newest first, within a span of time, with a cursor to what is older.

Not here: what is listed. Invariant: following the cursors of unchanged data gives every entry exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from venues.sandbox.bybit import errors
from venues.sandbox.bybit.params import Params

_WEEK_MS = 7 * 86_400_000
Entry = TypeVar("Entry")


def span_of(params: Params, now: int) -> tuple[int, int]:
    """The first and last time that is asked for; at most a week, the last one unless said otherwise."""
    start, end = params.integer("startTime"), params.integer("endTime")
    if start is None:
        end = now if end is None else end
        return end - _WEEK_MS, end
    if end is None:
        return start, start + _WEEK_MS
    if not 0 <= end - start <= _WEEK_MS:
        raise errors.bad_parameter("The time range between startTime and endTime cannot exceed 7 days.")
    return start, end


def page_of(
    params: Params, newest_first: Sequence[Entry], number_of: Callable[[Entry], int], default: int, most: int
) -> tuple[list[Entry], str]:
    """(entries of the page, cursor of the next one or empty); numbers fall from entry to entry."""
    limit, cursor = params.limit(default, most), params.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise errors.bad_parameter("cursor invalid")
    left = [one for one in newest_first if cursor is None or number_of(one) < int(cursor)]
    page = list(left[:limit])
    return page, str(number_of(page[-1])) if len(left) > limit else ""
