"""One page of a table, in the order of a key that never changes.

Not here: which columns and filters a resource has. Invariant: tenant and run come first in every statement,
and nothing of a request becomes part of its text.
"""

from collections.abc import Sequence
from typing import Final, LiteralString, NamedTuple

from runtime.postgres.reading import Reading, Row

Condition = tuple[LiteralString, object]
_OF_RUN: Final[LiteralString] = " WHERE tenant_id = %s AND run_id = %s"


class Listing(NamedTuple):
    """A table as a list: what is read of it, and the columns of its order."""

    table: LiteralString
    columns: LiteralString
    key: tuple[LiteralString, ...]


class Slice(NamedTuple):
    """Which rows of a list: behind `place`, up or down, at most `limit`, where `conditions` hold."""

    run: str
    conditions: Sequence[Condition]
    place: Sequence[object]
    descending: bool
    limit: int


async def page(reading: Reading, listing: Listing, part: Slice) -> list[Row]:
    """Return the rows of a page and one more if there is a next one."""
    text, values = _where(listing, part.conditions)
    bound: list[object] = [reading.tenant, part.run, *values]
    order: LiteralString = " DESC" if part.descending else ""
    if part.place:
        comparison: LiteralString = " < " if part.descending else " > "
        marks: LiteralString = ", ".join(["%s"] * len(listing.key))
        text += " AND (" + ", ".join(listing.key) + ")" + comparison + "(" + marks + ")"
        bound += part.place
    ordered: LiteralString = ", ".join([column + order for column in listing.key])
    query = "SELECT " + listing.columns + text + " ORDER BY " + ordered + " LIMIT %s"
    return await reading.rows(query, [*bound, part.limit + 1])


async def count(reading: Reading, listing: Listing, part: Slice) -> int:
    """Count the rows that fit."""
    text, values = _where(listing, part.conditions)
    row = await reading.row("SELECT count(*) AS n" + text, [reading.tenant, part.run, *values])
    return int(row["n"]) if row else 0


async def estimate(reading: Reading, listing: Listing, part: Slice) -> int:
    """Return how many rows the database thinks there are."""
    text, values = _where(listing, part.conditions)
    query = "EXPLAIN (FORMAT JSON) SELECT 1" + text
    row = await reading.row(query, [reading.tenant, part.run, *values])
    return int(row["QUERY PLAN"][0]["Plan"]["Plan Rows"]) if row else 0


def _where(listing: Listing, conditions: Sequence[Condition]) -> tuple[LiteralString, list[object]]:
    text: LiteralString = " FROM " + listing.table + _OF_RUN
    for condition, _ in conditions:
        text += " AND " + condition
    return text, [value for _, value in conditions]
