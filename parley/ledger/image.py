"""The ledger's state as bytes: what a snapshot holds, and in which order.

Not here: what the state means.

Invariant: amounts are written in their one tidy spelling and names sorted, so that
equal states are equal bytes.
"""

from decimal import Decimal

import msgspec

from parley.errors import StateError

from .postings import Transaction

Amounts = tuple[tuple[str, Decimal], ...]
LotImage = tuple[str, str, Decimal, Decimal, int, bytes, bytes]  # asset, owner, qty, cost, opened, round, pid


class Image(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """``money`` is (opening, realised, fees); ``seen`` in order of booking."""

    account: str
    quote: str
    money: tuple[Decimal, Decimal, Decimal]
    marks: Amounts
    cash: Amounts
    cost: Amounts
    lots: tuple[LotImage, ...]
    earned: Amounts
    gained: Amounts
    seen: tuple[tuple[str, bytes], ...]
    last: Transaction | None


pack = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Image] = msgspec.msgpack.Decoder(Image)


def unpack(blob: bytes) -> Image:
    """Read a snapshot; StateError when it is none."""
    try:
        return _decoder.decode(blob)
    except msgspec.DecodeError as err:
        raise StateError(f"not a snapshot of a ledger: {err}") from err
