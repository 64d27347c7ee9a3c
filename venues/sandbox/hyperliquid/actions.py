"""Read what is posted to `/exchange`: an action, its nonce, its deadline, its signature.

An action is rebuilt in the venue's own order of fields, as it is signed; a field nobody knows, or a number
with zeros at its end, makes it another action than the one that was signed. Not here: signatures, and what
actions do. Invariant: what is returned has every field in its type, and numbers are finite and bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from venues.sandbox.hyperliquid import errors
from venues.sandbox.units import DECIMALS, ONE

_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_MOST_INT = 2**53
_MOST_IN_BATCH = 100
TIFS = ("Gtc", "Ioc", "Alo")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Posted:
    """A readable body; ``action`` as it is signed."""

    action: Json
    nonce: int
    expires: int | None
    signature: Json


def read_posted(body: bytes) -> Posted:
    """Read a body of `/exchange`."""
    values = read_object(body)
    unknown = values.keys() - {"action", "nonce", "signature", "vaultAddress", "expiresAfter"}
    if unknown or values.get("vaultAddress") is not None:
        raise errors.Malformed
    expires = values.get("expiresAfter")
    return Posted(
        _action(values.get("action")), whole(values.get("nonce")),
        None if expires is None else whole(expires), _object(values.get("signature")),
    )  # fmt: skip


def read_object(body: bytes) -> Json:
    """Read a body that is a JSON object."""
    try:
        return _object(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.Malformed from error


def whole(value: object) -> int:
    """A whole number."""
    if type(value) is not int or not 0 <= value < _MOST_INT:
        raise errors.Malformed
    return value


def units(text: str) -> int:
    """A decimal number as a count of 1e-8; more decimals than that are refused as an invalid size is."""
    number, _, part = text.partition(".")
    part = part.rstrip("0")
    if len(part) > DECIMALS:
        raise errors.OrderError("Order has invalid size.")
    count: int = int(number) * ONE + int(part.ljust(DECIMALS, "0"))
    return count


def _action(value: object) -> Json:
    action = _object(value)
    match action.get("type"):
        case "order":
            rebuilt: Json = {
                "type": "order",
                "orders": [_order(each) for each in _list(action.get("orders"))],
                "grouping": _one_of(action.get("grouping"), ("na",)),
            }
        case "cancelByCloid":
            rebuilt = {
                "type": "cancelByCloid",
                "cancels": [
                    {"asset": whole(_object(each).get("asset")), "cloid": _text(_object(each).get("cloid"))}
                    for each in _list(action.get("cancels"))
                ],
            }
        case str() as kind:
            # signed by whomever, there is nothing behind it here
            raise errors.ActionError(f"Unsupported action: {kind[:40]}")
        case _:
            raise errors.Malformed
    if rebuilt != action:
        raise errors.Malformed
    return rebuilt


def _order(value: object) -> Json:
    order = _object(value)
    kind = _object(_object(order.get("t")).get("limit"))
    if type(order.get("b")) is not bool or type(order.get("r")) is not bool:
        raise errors.Malformed
    rebuilt: Json = {
        "a": whole(order.get("a")),
        "b": order["b"],
        "p": _number(order.get("p")),
        "s": _number(order.get("s")),
        "r": order["r"],
        "t": {"limit": {"tif": _one_of(kind.get("tif"), TIFS)}},
    }
    return rebuilt | ({"c": _text(order["c"])} if "c" in order else {})


def _number(value: object) -> str:
    text = _text(value)
    if not _NUMBER.fullmatch(text):
        raise errors.Malformed
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise errors.Malformed
    return value


def _one_of(value: object, known: tuple[str, ...]) -> str:
    if value not in known:
        raise errors.Malformed
    return str(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_IN_BATCH:
        raise errors.Malformed
    return value


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise errors.Malformed
    return value
