"""Lists in pages: cursors that stay right while rows are added.

Problem: a page counted by offset skips or repeats rows as soon as somebody writes. So a page begins behind
the last row of the one before, named by its sort key; the cursor also holds the run it was begun on and a
hash of filters and order, and is signed, so that a client can do nothing with it but hand it back.

Not here: the SQL of a list (`queries`).

Invariant: following cursors shows every row that was there at the start exactly once.
"""

import hmac
import json
from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import urlencode

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.problems import ApiError
from api.wire import Name, Wire, decode_token, encode_token

LIMIT: Final = 50
MOST: Final = 200
_SIGNATURE: Final = 16
Item = TypeVar("Item", bound=BaseModel)


class ListQuery(BaseModel):
    """Parameters of every list; an unknown parameter is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    limit: int = Field(default=LIMIT, ge=1, le=MOST, description="Rows of a page.")
    cursor: str | None = Field(
        default=None, max_length=1000, description="`next_cursor` of the page before, same filters."
    )
    count: Literal["exact", "estimate"] | None = Field(
        default=None, description="Also answer `total`, counted or as the database guesses."
    )
    run: Name | None = Field(default=None, description="Which run; the newest one by default.")


class Page(Wire, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="Where the next page begins; null at the end.")
    total: int | None = Field(default=None, description="Only with `count`.")


class Cursors:
    """Signs and reads cursors."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, run: str, place: Sequence[object], query: ListQuery, resource: str) -> str:
        """Return the cursor behind a row."""
        body = json.dumps([run, list(place), _fingerprint(query, resource)], separators=(",", ":")).encode()
        return encode_token(self._sign(body) + body)

    def read(self, query: ListQuery, resource: str) -> tuple[str, list[Any]] | None:
        """Return the run and the place a query's cursor holds, None when it has none.

        Raises
        ------
        ApiError
            When it is not one of ours, or was given for another list.
        """
        if query.cursor is None:
            return None
        try:
            raw = decode_token(query.cursor)
        except ValueError:
            raw = b""
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not body or not hmac.compare_digest(signature, self._sign(body)):
            raise ApiError("invalid-cursor", "the cursor is none of this API's")
        run, place, fingerprint = json.loads(body)
        if fingerprint != _fingerprint(query, resource):
            raise ApiError("invalid-cursor", "the cursor was given for other filters or another order")
        return run, place

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SIGNATURE]


def _fingerprint(query: ListQuery, resource: str) -> str:
    filters = query.model_dump(mode="json", exclude={"cursor", "limit", "count"}, exclude_none=True)
    told = json.dumps([resource, sorted(filters.items())]).encode()
    return blake2s(told, digest_size=8).hexdigest()


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Name the next page in the header Link (RFC 8288)."""
    if cursor is None:
        return
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    query = urlencode([*kept, ("cursor", cursor)])
    response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
