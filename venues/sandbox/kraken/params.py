"""Read a request's parameters with Kraken's complaints; they come as a form, in the query or in the body.

Each reader here either returns a usable value or raises the venue's own error, so no handler needs to think
about malformed input. Not here: signatures and what the values mean. Invariant: a returned number is finite
and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from venues.sandbox.kraken import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|\+00:00)", re.ASCII
)
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
            raise errors.bad_arguments(name)
        return value

    def one_of(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """A text out of a list; without a default it is mandatory."""
        value = self.text(name) if default is None else self._values.get(name, default)
        if value not in known:
            raise errors.bad_arguments(name)
        return value

    def units(self, name: str) -> int:
        """A mandatory decimal number above 0 as a count of 1e-8."""
        text = self.text(name)
        whole, _, part = text.partition(".")
        part = part.rstrip("0")
        if not _NUMBER.fullmatch(text) or len(part) > DECIMALS:
            raise errors.bad_arguments(name)
        found = int(whole) * ONE + int(part.ljust(DECIMALS, "0"))
        if not found:
            raise errors.bad_arguments(name)
        return found

    def integer(self, name: str, default: int) -> int:
        """An optional whole number."""
        text = self._values.get(name)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            raise errors.bad_arguments(name)
        return int(text)

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no."""
        return self.one_of(name, ("true", "false"), "true" if default else "false") == "true"

    def moment_ms(self, name: str) -> int | None:
        """An optional time as RFC 3339, ms since 1970."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            if not _MOMENT.fullmatch(text):
                raise ValueError(text)
            moment = datetime.fromisoformat(text.removesuffix("Z").removesuffix("+00:00"))
        except ValueError as error:
            raise errors.bad_arguments(name) from error
        return round(moment.replace(tzinfo=UTC).timestamp() * 1000)


def of_form(text: str) -> dict[str, str]:
    """Parameters of a form; of a name sent twice the first counts."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise errors.bad_arguments() from error
    return dict(reversed(pairs))
