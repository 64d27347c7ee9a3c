"""Who sends a signed request, and is it fresh: KuCoin's headers.

The signature covers time, method, path with query, and the body exactly as sent, so it is checked before
anything is decoded; keys of version 2 sign their passphrase too. Not here: what the request wants, tokens of
sockets. Invariant: no signed handler runs before key, time, passphrase and signature passed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.kucoin import errors

_STAMP = re.compile(r"[0-9]{1,15}", re.ASCII)
_WINDOW_MS = 5_000
_NEEDED = ("KC-API-KEY", "KC-API-SIGN", "KC-API-TIMESTAMP", "KC-API-PASSPHRASE")


def account_of(
    headers: Mapping[str, str], method: str, address: str, body: bytes, accounts: Mapping[str, Account],
    now_ms: int,
) -> Account:  # fmt: skip
    """The account that signed this request; `address` is the path with its query."""
    for name in _NEEDED:
        if not headers.get(name):
            raise errors.unauthorized(400001, f"Please check the header of your request for {name}")
    stamp = headers["KC-API-TIMESTAMP"]
    if not _STAMP.fullmatch(stamp) or abs(now_ms - int(stamp)) > _WINDOW_MS:
        raise errors.unauthorized(400002, "Invalid KC-API-TIMESTAMP")
    account = accounts.get(headers["KC-API-KEY"])
    if account is None:
        raise errors.unauthorized(400003, "KC-API-KEY not exists")
    if headers.get("KC-API-KEY-VERSION") != "2" or not _is_signed(
        account.secret, account.passphrase.encode(), headers["KC-API-PASSPHRASE"]
    ):
        raise errors.unauthorized(400004, "Invalid KC-API-PASSPHRASE")
    signed = f"{stamp}{method}{address}".encode("utf-8", "surrogateescape") + body
    if not _is_signed(account.secret, signed, headers["KC-API-SIGN"]):
        raise errors.unauthorized(400005, "Invalid KC-API-SIGN")
    return account


def _is_signed(secret: str, payload: bytes, signature: str) -> bool:
    digest = base64.b64encode(hmac.new(secret.encode(), payload, hashlib.sha256).digest())
    return hmac.compare_digest(digest, signature.encode("utf-8", "surrogateescape"))
