"""Which open orders of an account are ours: those with a client id that begins with the tenant's tag.

Problem: a journal that is lost takes along what we know of our orders; the venue still has them, under the
ids that we gave them (`parley.ids.client_order_id`). Most venues repeat an id as it was sent, some have a
word of their own before it, and two take the hash in it and not the tag (`kraken_ids`, `hyperliquid_cloids`).

Not here: asking a venue (its words), what no journal knows (`runtime.orphans`).

Invariant: where ids carry the tag an order without it is never ours, and one with it always is.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from venues.port import Resting

CidOf = Callable[[str, str], str | None]
"""Returns our client order id of an order that the venue calls so, by the tag; None: it is not ours."""
_CID_LEN: Final = 31


class Row(NamedTuple):
    """An open order in the venue's own texts; ``trigger`` is where it begins to work, if it is a stop."""

    client_id: object
    venue_id: object
    side: object
    qty: object
    px: object
    trigger: object = ""


def own_cid(client_id: str, tag: str) -> str | None:
    """Read the id of a venue that repeats ours."""
    return client_id if tag and client_id.startswith(tag) else None


def own_cid_behind(client_id: str, tag: str) -> str | None:
    """Read the id of a venue that may put a word of its own before ours."""
    return own_cid(client_id[-_CID_LEN:], tag)


def own(symbol: str, rows: Iterable[Row], tag: str, cid_of: CidOf = own_cid) -> list[Resting]:
    """Return those of a symbol's open orders that are ours."""
    found = []
    for row in rows:
        # an order of a person has no client id, and venues write that as null or as nothing
        cid = cid_of(str(row.client_id), tag) if row.client_id else None
        if cid is not None:
            terms = f"{str(row.side).lower()} {row.qty} at {row.px}"
            if row.trigger and str(row.trigger).strip("0."):
                terms += f" once {row.trigger} is paid"
            found.append(Resting(symbol=symbol, cid=cid, venue_id=str(row.venue_id), terms=terms))
    return found
