"""Read values out of a decoded JSON configuration: usable, or an error that names the key.

Not here: which keys there are (`config`, `hostility.settings`). Invariant: whatever a file says, a reader
returns a value of its type or raises ConfigError with what was expected and what was there.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_NOW = "now"  # a market that goes with the wall clock, for clients that know no other


class ConfigError(ValueError):
    """The configuration cannot be used; the text says which key and what was expected."""


def refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse keys that nobody reads; names the nearest known one."""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
            raise ConfigError(f"{where} has no key {key!r}; did you mean {near[0]!r}?")


def share_of(values: Mapping[str, Any], key: str, where: str) -> float:
    """A share from 0 to 1; `where` is what its name begins with in errors."""
    value = values.get(key, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ConfigError(f"{where}.{key}: expected a share from 0 to 1, got {value!r}")
    return float(value)


def object_of(raw: object, where: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: expected a JSON object, got {raw!r}")
    return raw


def list_of(raw: object, where: str) -> list[Any]:
    """A JSON list."""
    if not isinstance(raw, list):
        raise ConfigError(f"{where}: expected a JSON list, got {raw!r}")
    return raw


def text_of(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text; without a default it must be there and not empty."""
    value = values.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise ConfigError(f"{key}: expected a text, got {value!r}")
    return value


def texts_of(values: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """A list of different texts."""
    texts = list_of(values.get(key, list(default)), key)
    if not all(isinstance(text, str) and text for text in texts) or len(set(texts)) != len(texts):
        raise ConfigError(f"{key}: expected different texts, got {texts!r}")
    return tuple(texts)


def pairs_of(values: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """A list of pairs such as BTC/USDT."""
    pairs = texts_of(values, key, default)
    for pair in pairs:
        if len(pair.split("/")) != 2 or not all(part.isalnum() for part in pair.split("/")):
            raise ConfigError(f"{key}: expected pairs such as 'BTC/USDT', got {pair!r}")
    return pairs


def count_of(values: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds."""
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{key}: expected a whole number from {low} to {high}, got {value!r}")
    return value


def decimal_of(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A decimal text of at least 0."""
    value = values.get(key, default)
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or number.scaleb(8) % 1 or number > 10**15:
        raise ConfigError(
            f"{key}: expected a decimal text of at least 0 with up to 8 decimals, got {value!r}"
        )
    return format(number, "f")


def rate_of(values: Mapping[str, Any], key: str) -> str:
    """A fee as a decimal text below 1."""
    rate = decimal_of(values, key, "0.001")
    if Decimal(rate) >= 1:
        raise ConfigError(f"{key}: expected a fee below 1, got {rate!r}")
    return rate


def moment_of(values: Mapping[str, Any], key: str) -> str | int | None:
    """A date, an ISO time, ms or the moment it is read; None if absent."""
    value = values.get(key)
    if value is not None and not isinstance(value, str | int):
        raise ConfigError(f"{key}: expected a date such as '2021-05-08', got {value!r}")
    return time.time_ns() // 1_000_000 if value == _NOW else value
