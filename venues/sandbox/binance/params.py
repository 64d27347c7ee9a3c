"""Read a request's parameters with Binance's rules and Binance's complaints.

Everything a client sends is text of unknown quality. Each reader here either returns a usable
value or raises the venue's own error, so no handler needs to think about malformed input. Not
here: signatures and what the values mean. Invariant: a returned number is finite and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from venues.sandbox.binance import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_NUMBER_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER = re.compile(r"[0-9]{1,18}")
_INTEGER_RANGE = r"^[0-9]{1,20}$"
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,50}")
_SYMBOL_RANGE = r"^[A-Z0-9-_.]{1,50}$"


class Params:
    """Parameters of one request."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Whether it was sent with a value."""
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """A mandatory text."""
        value = self._values.get(name)
        if not value:
            raise errors.missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """A text that may be absent; sent empty is an error, as at Binance."""
        value = self._values.get(name)
        if value == "":
            raise errors.VenueError(-1105, f"Parameter '{name}' was empty.")
        return value

    def choice(
        self, name: str, allowed: Mapping[str, object] | tuple[str, ...], error: errors.VenueError
    ) -> str:
        """A mandatory text out of a fixed set."""
        value = self.text(name)
        if value not in allowed:
            raise error
        return value

    def units(self, name: str) -> int:
        """A mandatory positive decimal number, as a count of 1e-8."""
        text = self.text(name)
        if not _NUMBER.fullmatch(text):
            raise errors.illegal(name, _NUMBER_RANGE)
        whole, _, part = text.partition(".")
        part = part.rstrip("0")
        if len(part) > DECIMALS:
            raise errors.too_precise(name)
        value = int(whole) * ONE + int(part.ljust(DECIMALS, "0"))
        if value == 0:
            raise errors.VenueError(-1013, f"Invalid {name}.")
        return value

    def integer(self, name: str, low: int = 0, high: int = 2**62) -> int | None:
        """An optional whole number within bounds."""
        text = self.optional(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise errors.illegal(name, _INTEGER_RANGE)
        value = int(text)
        if not low <= value <= high:
            raise errors.illegal(name, f"{low}..{high}")
        return value

    def limit(self, default: int, most: int) -> int:
        """The `limit` parameter; above the maximum means the maximum, as at Binance."""
        value = self.integer("limit", 1)
        return default if value is None else min(value, most)

    def symbol(self) -> str:
        """The mandatory `symbol`, well formed but not necessarily listed."""
        return _checked_symbol(self.text("symbol"))

    def optional_symbol(self) -> str | None:
        """The `symbol` where it may be absent."""
        text = self.optional("symbol")
        return None if text is None else _checked_symbol(text)

    def symbols(self) -> list[str] | None:
        """The `symbols` parameter, a JSON list of texts."""
        text = self.optional("symbols")
        if text is None:
            return None
        try:
            return [_checked_symbol(one) for one in msgspec.json.decode(text, type=list[str])]
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise errors.illegal("symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$') from error


def _checked_symbol(text: str) -> str:
    if not _SYMBOL.fullmatch(text):
        raise errors.illegal("symbol", _SYMBOL_RANGE)
    return text
