"""Coinbase's lists of orders and executions, read whole.

Not here: what their rows mean (`coinbase_orders`). Invariant: what was not read whole is a `VenueError`;
nothing here changes anything at the venue.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from parley.instruments import ZERO
from venues.ccxt_client import asked, exact
from venues.port import VenueError

_PAGE: Final = 1000
# More pages than any account of ours fills; a list that never ends is not an answer.
_MOST_PAGES: Final = 50
Raw = Mapping[str, Any]


async def order_of_client(client: Any, cid: str, market: str) -> Raw | None:
    """Find an order of a product by our id: among the open ones, then among all; no list can be asked by it.

    The list of open ones leaves out those that are on their way into the book or out of it, so only the other
    shows that there is none. Raises `VenueError`.
    """
    for what, query in (("open orders", {"order_status": ["OPEN"]}), ("orders", {})):
        ask = client.v3PrivateGetBrokerageOrdersHistoricalBatch
        async for row in _rows(what, ask, {"product_ids": [market], **query}, "orders"):
            if row["client_order_id"] == cid:
                return row
    return None


async def open_orders_of(client: Any, market: str) -> list[Raw]:
    """Return the open orders of a product; not those on their way into the book or out of it.

    Raises
    ------
    VenueError
        When the list could not be read whole.
    """
    ask = client.v3PrivateGetBrokerageOrdersHistoricalBatch
    query = {"product_ids": [market], "order_status": ["OPEN"]}
    return [row async for row in _rows("open orders", ask, query, "orders")]


async def order_of(client: Any, number: str) -> Raw:
    """Return an order by the venue's id; raises `VenueError`."""
    ask = client.v3PrivateGetBrokerageOrdersHistoricalOrderId({"order_id": number})
    found: Raw = (await asked(f"order {number}", ask))["order"]
    return found


async def executions_of(client: Any, number: str) -> list[Raw]:
    """Return the executions of an order by the venue's id, oldest first; raises `VenueError`."""
    ask = client.v3PrivateGetBrokerageOrdersHistoricalFills
    rows = [row async for row in _rows("executions", ask, {"order_ids": [number]}, "fills")]
    for row in rows:
        if row["trade_type"] != "FILL" or row.get("size_in_quote"):
            raise VenueError(
                f"executions: expected trades in the base asset, was {row['trade_type']!r}, size_in_quote "
                f"{row.get('size_in_quote')!r}, of order {number}"
            )
    return sorted(rows, key=lambda row: (str(row["trade_time"]), str(row["trade_id"])))


def sum_of(rows: list[Raw]) -> Decimal:
    """Return the quantity of executions."""
    return sum((exact(row["size"]) for row in rows), ZERO)


async def _rows(what: str, ask: Callable[[Raw], Awaitable[Any]], query: Raw, name: str) -> AsyncIterator[Raw]:
    cursor: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        page = await asked(what, ask({**query, **cursor, "limit": _PAGE}))
        for row in page[name]:
            yield row
        # a list of executions has no `has_next`, and both end without a cursor
        if not page.get("cursor") or page.get("has_next") is False:
            return
        cursor = {"cursor": page["cursor"]}
    raise VenueError(f"{what}: more than {_MOST_PAGES} pages")
