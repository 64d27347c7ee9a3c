"""Read a request's parameters with KuCoin's rules and its complaints.

A GET or DELETE has them in its query, a POST as a JSON object. Each reader here either returns a usable value
or raises the venue's own error, so no handler needs to think about malformed input. Not here: signatures and
what the values mean. Invariant: a returned number is finite and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from venues.sandbox.kucoin import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_MAX_FIELDS = 200


class Params:
    """Parameters of one request; what was sent empty counts as not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value}

    def get(self, name: str) -> str | None:
        """A text, None if absent."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """A mandatory text."""
        value = self._values.get(name)
        if value is None:
            raise errors.empty(name)
        return value

    def one_of(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """A text out of a list; without a default it is mandatory."""
        value = self.text(name) if default is None else self._values.get(name, default)
        if value not in known:
            raise errors.bad_parameter(name)
        return value

    def units(self, name: str, too_long: errors.VenueError) -> int:
        """A mandatory decimal number as a count of 1e-8; `too_long` is raised for too many decimals."""
        text = self.text(name)
        if not _NUMBER.fullmatch(text):
            raise errors.bad_parameter(name)
        whole, _, part = text.partition(".")
        part = part.rstrip("0")
        if len(part) > DECIMALS:
            raise too_long
        return int(whole) * ONE + int(part.ljust(DECIMALS, "0"))

    def integer(self, name: str) -> int | None:
        """An optional whole number."""
        text = self._values.get(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise errors.bad_parameter(name)
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for; above the maximum means the maximum."""
        value = self.integer("limit")
        if value == 0:
            raise errors.bad_parameter("limit")
        return min(default if value is None else value, most)


def of_query(text: str) -> dict[str, str]:
    """Parameters of a query; of a name sent twice the first counts."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise errors.bad_parameter("query") from error
    return dict(reversed(pairs))


def of_body(body: bytes) -> dict[str, str]:
    """Parameters of a JSON object; nothing at all is an empty one."""
    try:
        values: object = msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.not_json() from error
    if not isinstance(values, dict) or len(values) > _MAX_FIELDS:
        raise errors.not_json()
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
                raise errors.bad_parameter(str(name)[:40])
    return texts
