"""Values as PostgreSQL takes them.

Problem: text of agents and venues may hold what a database's text cannot (the character NUL), and one such
message must not stop a journal from being shipped. The record keeps its bytes; only the projection differs.

Invariant: every function here is total on what a journal can hold.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from runtime.output import plain

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUL: Final = "\x00"
_INSTEAD: Final = "\ufffd"
_encode = msgspec.json.Encoder().encode


def clean(text: str) -> str:
    """Return a text without NUL."""
    return text.replace(_NUL, _INSTEAD) if _NUL in text else text


def as_json(value: object) -> str:
    """Return structs, sequences and mappings as JSON text; bytes become hex, Decimals text."""
    return _cleaned(_encode(plain(value)))


def texts_json(values: Sequence[object]) -> str:
    """Return texts, or tuples of them, as JSON text; a tenth of what `as_json` costs."""
    return _cleaned(_encode(values)) if values else "[]"


def list_json(values: Iterable[object]) -> str:
    """Return a sequence as JSON text."""
    values = tuple(values)
    return as_json(values) if values else "[]"


def moment(t_ns: int) -> datetime:
    """Return a wall time, ns, to the microsecond.

    Raises
    ------
    OverflowError
        When no calendar has it.
    """
    return _EPOCH + timedelta(microseconds=t_ns // 1000)


def amounts_json(amounts: dict[str, Decimal]) -> str:
    """Return amounts by asset as JSON text."""
    return as_json(dict(sorted(amounts.items())))


def _cleaned(raw: bytes) -> str:
    return _encode(_clean_deep(msgspec.json.decode(raw))).decode() if b"\\u0000" in raw else raw.decode()


def _clean_deep(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case list():
            return [_clean_deep(each) for each in value]
        case dict():
            return {clean(str(key)): _clean_deep(each) for key, each in value.items()}
        case _:
            return value
