"""Read a request's parameters with Coinbase's complaints.

Each reader here either returns a usable value or raises the venue's own error, so no handler needs to think
about malformed input. Not here: tokens and what the values mean. Invariant: a returned number is finite and
bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from venues.sandbox.coinbase import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,15}", re.ASCII)
_MAX_FIELDS = 200


class Query:
    """The query of a GET."""

    def __init__(self, text: str) -> None:
        try:
            self._values = parse_qs(text, errors="replace", max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise errors.invalid("query") from error

    def get(self, name: str) -> str | None:
        """A text, None if absent."""
        return self._values[name][0] if name in self._values else None

    def every(self, name: str) -> list[str]:
        """All values of a name that may come again."""
        return self._values.get(name, [])

    def integer(self, name: str) -> int | None:
        """An optional whole number."""
        text = self.get(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise errors.invalid(name)
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for; above the maximum means the maximum."""
        value = self.integer("limit")
        return min(value or default, most)


def of_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a POST."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.invalid("body") from error
    if not isinstance(found, dict):
        raise errors.invalid("body")
    return found


def text(values: Mapping[str, Any], name: str) -> str:
    """A mandatory text."""
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise errors.invalid(name)
    return value


def units(values: Mapping[str, Any], name: str, too_long: errors.OrderError) -> int:
    """A mandatory decimal number above 0 as a count of 1e-8; `too_long` is raised for too many decimals."""
    found = text(values, name)
    if not _NUMBER.fullmatch(found):
        raise errors.invalid(name)
    whole, _, part = found.partition(".")
    part = part.rstrip("0")
    if len(part) > DECIMALS:
        raise too_long
    count = int(whole) * ONE + int(part.ljust(DECIMALS, "0"))
    if not count:
        raise errors.invalid(name)
    return count
