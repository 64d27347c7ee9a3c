"""Read a request's parameters with Bybit's rules and Bybit's complaints.

A GET has them in its query, a POST as a JSON object whose values are texts, truths or whole numbers. Each
reader here either returns a usable value or raises the venue's own error, so no handler needs to think
about malformed input. Not here: signatures and what the values mean. Invariant: a returned number is finite
and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from venues.sandbox.bybit import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?")
_INTEGER = re.compile(r"[0-9]{1,18}")
_MAX_FIELDS = 200
FILTERS = ("Order", "tpslOrder", "StopOrder", "OcoOrder", "BidirectionalTpslOrder")
CATEGORIES = ("spot", "linear", "inverse", "option")


class Params:
    """Parameters of one request; what was sent empty counts as not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value}

    def get(self, name: str) -> str | None:
        """A text, None if absent."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """A mandatory text of an order."""
        value = self._values.get(name)
        if value is None:
            raise errors.empty(name)
        return value

    def category(self) -> str:
        """The mandatory product type."""
        value = self._values.get("category")
        if value not in CATEGORIES:
            raise errors.VenueError(181001, "category only support linear or option or spot.")
        return value

    def spot(self) -> None:
        """Refuse every product type but spot."""
        if self.category() != "spot":
            raise errors.bad_parameter("this venue trades category spot only")

    def order_filter(self) -> str | None:
        """The kind of orders that is asked for, None: not said."""
        value = self._values.get("orderFilter")
        if value is not None and value not in FILTERS:
            raise errors.VenueError(170202, "Invalid orderFilter parameter.")
        return value

    def units(self, name: str, too_long: int) -> int:
        """A mandatory decimal number as a count of 1e-8; `too_long` is the code for too many decimals."""
        text = self.text(name)
        if not _NUMBER.fullmatch(text):
            raise errors.invalid(name)
        whole, _, part = text.partition(".")
        part = part.rstrip("0")
        if len(part) > DECIMALS:
            what = "price" if name in ("price", "triggerPrice") else "volume"
            raise errors.VenueError(too_long, f"Order {what} decimal too long.")
        return int(whole) * ONE + int(part.ljust(DECIMALS, "0"))

    def integer(self, name: str) -> int | None:
        """An optional whole number."""
        text = self._values.get(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise errors.bad_parameter(f"{name} invalid")
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """The `limit` parameter; above the maximum means the maximum."""
        value = self.integer("limit")
        if value == 0:
            raise errors.bad_parameter("limit invalid")
        return min(default if value is None else value, most)


def of_query(text: str) -> dict[str, str]:
    """Parameters of a query; of a name sent twice the first counts."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise errors.bad_parameter("too many parameters") from error
    return dict(reversed(pairs))


def of_body(body: bytes) -> dict[str, str]:
    """Parameters of a JSON body."""
    try:
        values = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.bad_parameter("the body is not JSON") from error
    if not isinstance(values, dict) or len(values) > _MAX_FIELDS:
        raise errors.bad_parameter("expected a JSON object")
    texts = {}
    for name, value in values.items():
        match value:
            case None:
                continue
            case bool():
                texts[name] = "true" if value else "false"
            case str() | int():
                texts[name] = str(value) if isinstance(value, str) or abs(value) < 2**63 else "out of range"
            case _:
                raise errors.bad_parameter(f"{name} invalid")
    return texts
