"""Answers a list: run, cursor, page, links, position in the stream.

Not here: which list (`routers`), its SQL (`queries`).

Invariant: rows, count and stream position are of one moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from urllib.parse import quote

from fastapi import Request, Response

from api.pages import ListQuery, link_next
from api.problems import ApiError
from api.queries.listing import Condition, Listing, Slice, count, estimate, page
from api.queries.runs import find_run
from api.services import Services
from api.wire import ns


@dataclass(frozen=True)
class Resource:
    """A list of the API: its name, its table, how a row is shown, its channel in the stream."""

    name: str
    listing: Listing
    show: Callable[[dict[str, Any], str], dict[str, Any]]
    channel: str = ""


async def answer_list(
    services: Services, request: Request, response: Response, resource: Resource, query: ListQuery,
    conditions: Sequence[Condition],
) -> dict[str, Any]:  # fmt: skip
    """Return the page a query asks for.

    Raises
    ------
    ApiError
        When its cursor is wrong, or there is no such run.
    """
    behind = services.cursors.read(query, resource.name)
    named = query.run if behind is None else behind[0]
    async with services.read() as reading:
        run = await find_run(reading, named)
        if run is None:
            if named is not None:
                raise ApiError("not-found", f"there is no run {named!r}")
            return {"items": [], "next_cursor": None, "total": 0 if query.count else None}
        part = Slice(
            run.id, conditions, () if behind is None else behind[1],
            str(getattr(query, "sort", "")).startswith("-"), query.limit,
        )  # fmt: skip
        rows = await page(reading, resource.listing, part)
        total = None
        if query.count is not None:
            counting = count if query.count == "exact" else estimate
            total = await counting(reading, resource.listing, part)
    cursor = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        place = [last[column] for column in resource.listing.key]
        cursor = services.cursors.write(run.id, place, query, resource.name)
    link_next(request, response, cursor)
    if resource.channel:
        response.headers["X-Stream-Position"] = position(resource.channel, run.id, run.seq)
    items = [resource.show(row, run.id) for row in rows[: query.limit]]
    return {"items": items, "next_cursor": cursor, "total": total}


def position(channel: str, run: str, seq: int) -> str:
    """Say where in a channel's events an answer stands, so that a client can go on from there."""
    return f"{channel};epoch={quote(run, safe='-._:')};off={seq}"


def between(since: datetime | None, until: datetime | None) -> list[Condition]:
    """Return the conditions of a range of market time."""
    found: list[Condition] = []
    if since is not None:
        found.append(("t >= %s", ns(since)))
    if until is not None:
        found.append(("t < %s", ns(until)))
    return found


def given(conditions: Mapping[LiteralString, object]) -> list[Condition]:
    """Return the conditions of a query whose values were given."""
    return [(text, value) for text, value in conditions.items() if value is not None]
