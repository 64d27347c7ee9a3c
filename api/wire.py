"""How values look on the wire: ids, amounts, times.

Problem: an amount that passes through a float is not the amount; a time in nanoseconds is not one a browser
can hold; bytes are no id. So amounts are decimal texts, times RFC 3339 in UTC with milliseconds, ids a prefix
and base 32.

Not here: which values there are (`schemas`).

Invariant: what the journal can hold can be shown: nothing here raises for a value out of the ordinary.
"""

import base64
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import WithJsonSchema

from parley.ids import parse_round, show_round

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_BYTES: Final = 16
_LONGEST_NS: Final = 2**63 - 1


def show_id(prefix: str, raw: bytes) -> str:
    """Render 16 bytes as an id such as ``ord_mfrgg…``."""
    return prefix + show_round(raw).removeprefix("rnd_")


def parse_id(prefix: str, text: str) -> bytes | None:
    """Read an id, None when it is none of this kind."""
    try:
        return bytes(parse_round("rnd_" + text.removeprefix(prefix))) if text.startswith(prefix) else None
    except ValueError:
        return None


def at(t_ns: int) -> str | None:
    """Render a time, ns since 1970; None when no calendar has it, or there was none."""
    if t_ns <= 0:
        return None
    try:
        return show_time(_EPOCH + timedelta(microseconds=t_ns // 1000))
    except OverflowError:
        return None


def show_time(moment: datetime) -> str:
    """Render a time in UTC to the millisecond."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def ns(moment: datetime) -> int:
    """Return a time as ns since 1970, within what the database can compare."""
    found = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return max(-_LONGEST_NS, min(_LONGEST_NS, found))


def decimal_text(value: Decimal) -> str:
    """Render an amount without exponent and without zeros that say nothing."""
    return f"{value.normalize():f}" if value.is_finite() and value else "0" if not value else str(value)


def encode_token(raw: bytes) -> str:
    """Render bytes for a URL."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_token(text: str) -> bytes:
    """Read what `encode_token` wrote; `ValueError` when it is something else."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _amount(value: Any) -> Any:
    return decimal_text(value) if isinstance(value, Decimal) else value


def _time(value: Any) -> Any:
    match value:
        case int():
            return at(value)
        case datetime():
            return show_time(value)
        case _:
            return value


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


_AMOUNT_SCHEMA: Final = {
    "type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["0.125"],
}  # fmt: skip
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time", "examples": ["2021-05-08T00:01:00.000Z"]}

Amount = Annotated[str, BeforeValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
"""An exact amount, in the unit its field says, as a decimal text."""
Time = Annotated[str, BeforeValidator(_time), WithJsonSchema(_TIME_SCHEMA)]
"""A time in UTC."""
# The whole union behind one validator: what becomes None must not be tried as a text.
MaybeTime = Annotated[
    str | None, BeforeValidator(_time), WithJsonSchema({"anyOf": [_TIME_SCHEMA, {"type": "null"}]})
]
"""A time in UTC; null when there was none, or no calendar has it."""
Number = Annotated[
    float | None, BeforeValidator(_number), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]})
]
"""A measure; null when it is not known, or not finite: JSON has no such number."""


def _hex_id(prefix: str) -> BeforeValidator:
    def show(value: Any) -> Any:
        if isinstance(value, bytes):
            return show_id(prefix, value) if len(value) == _ID_BYTES else value.hex()
        if isinstance(value, str) and not value.startswith(prefix):
            raw = bytes.fromhex(value)
            return show_id(prefix, raw) if len(raw) == _ID_BYTES else value
        return value

    return BeforeValidator(show)


def _id_schema(prefix: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [f"{prefix}mfrggzdfmztwq2lknnwg23tpoa"]})


RoundId = Annotated[str, _hex_id("rnd_"), _id_schema("rnd_")]
OrderId = Annotated[str, _hex_id("ord_"), _id_schema("ord_")]
ProposalId = Annotated[str, _hex_id("prp_"), _id_schema("prp_")]
OpinionId = Annotated[str, _hex_id("opn_"), _id_schema("opn_")]
# PostgreSQL's text cannot hold NUL, and no name here is long.
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")]
Moment = AwareDatetime


class Wire(BaseModel):
    """Base of what is answered: values may come from rows or from structs."""

    model_config = ConfigDict(from_attributes=True, serialize_by_alias=True, populate_by_name=True)
