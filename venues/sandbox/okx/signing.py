"""Who sends a signed request, and is it fresh: OKX's headers, and its signed `login` on sockets.

The signature covers time, method, path with query, and the body exactly as sent, so it is checked before
anything is decoded. Not here: what the request wants. Invariant: no signed handler runs before key, time,
passphrase and signature passed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from venues.sandbox.accounts import Account
from venues.sandbox.okx import errors

_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?", re.ASCII)
_WINDOW_MS = 30_000
_NEEDED = (
    ("OK-ACCESS-KEY", 50103),
    ("OK-ACCESS-PASSPHRASE", 50104),
    ("OK-ACCESS-SIGN", 50106),
    ("OK-ACCESS-TIMESTAMP", 50107),
)


def account_of(
    headers: Mapping[str, str], method: str, address: str, body: bytes, accounts: Mapping[str, Account],
    now_ms: int,
) -> Account:  # fmt: skip
    """The account that signed this request; `address` is the path with its query."""
    for name, code in _NEEDED:
        if not headers.get(name):
            raise errors.unauthorized(code, f'Request header "{name}" can not be empty.')
    stamp = headers["OK-ACCESS-TIMESTAMP"]
    check_stamp(stamp, now_ms)
    account = accounts.get(headers["OK-ACCESS-KEY"])
    if account is None:
        raise errors.unauthorized(50111, "Invalid OK-ACCESS-KEY")
    if not _is_same(account.passphrase, headers["OK-ACCESS-PASSPHRASE"]):
        raise errors.unauthorized(50105, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.')
    signed = f"{stamp}{method}{address}".encode("utf-8", "surrogateescape") + body
    if not is_signed(account.secret, signed, headers["OK-ACCESS-SIGN"]):
        raise errors.unauthorized(50113, "Invalid Sign")
    return account


def check_stamp(stamp: str, now_ms: int) -> None:
    """Refuse a request that is not of now."""
    if abs(now_ms - _ms_of(stamp)) > _WINDOW_MS:
        raise errors.unauthorized(errors.EXPIRED, "Timestamp request expired")


def check_deadline(deadline: str | None, now_ms: int) -> None:
    """Refuse an order that comes after the moment up to which its sender wanted it (`expTime`)."""
    if not deadline:
        return
    if not _NUMBER.fullmatch(deadline) or "." in deadline:
        raise errors.bad_parameter("expTime")
    if now_ms > int(deadline):
        raise errors.unauthorized(errors.EXPIRED, "Timestamp request expired")


def socket_account(
    arguments: object, accounts: Mapping[str, Account], now_ms: int
) -> Account | tuple[int, str]:
    """The account of a socket's `login`, or code and text of the refusal."""
    first = arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else None
    if not isinstance(first, dict):
        return 60013, "Invalid args"
    key, passphrase, stamp, sign = (first.get(name) for name in ("apiKey", "passphrase", "timestamp", "sign"))
    if not (isinstance(key, str) and isinstance(passphrase, str) and isinstance(sign, str)):
        return 60013, "Invalid args"
    if not isinstance(stamp, str) or not _NUMBER.fullmatch(stamp):
        return 60004, "Invalid timestamp"
    if abs(now_ms - int(float(stamp) * 1000)) > _WINDOW_MS:
        return 60006, "Timestamp request expired"
    account = accounts.get(key)
    if account is None:
        return 60005, "Invalid apiKey"
    if not _is_same(account.passphrase, passphrase):
        return 60024, "Wrong passphrase"
    if not is_signed(account.secret, f"{stamp}GET/users/self/verify".encode(), sign):
        return 60007, "Invalid sign"
    return account


def is_signed(secret: str, payload: bytes, signature: str) -> bool:
    """Whether the signature is the HMAC-SHA256 of the payload, in base 64."""
    digest = hmac.new(secret.encode(), payload, hashlib.sha256).digest()
    return _is_same(base64.b64encode(digest).decode(), signature)


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def _ms_of(stamp: str) -> int:
    try:
        if not _STAMP.fullmatch(stamp):
            raise ValueError(stamp)
        moment = datetime.fromisoformat(stamp.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError as error:
        raise errors.unauthorized(50112, "Invalid OK-ACCESS-TIMESTAMP") from error
    return int(moment.timestamp() * 1000)
