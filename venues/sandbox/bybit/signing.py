"""Who sends a signed request, and is it fresh: Bybit's headers, and its signed `auth` on sockets.

The signature covers time, key, window and the query or body exactly as sent, so it is checked before
anything is decoded. Not here: what the request wants. Invariant: no signed handler runs before key, time
and signature passed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.bybit import errors

_MS = re.compile(r"[0-9]{1,18}")
_DEFAULT_WINDOW_MS = 5_000
_AHEAD_MS = 1_000


def account_of(
    headers: Mapping[str, str], payload: bytes, accounts: Mapping[str, Account], now_ms: int
) -> Account:
    """The account that signed this query or body."""
    key, signature = headers.get("X-BAPI-API-KEY"), headers.get("X-BAPI-SIGN")
    stamp, window = headers.get("X-BAPI-TIMESTAMP"), headers.get("X-BAPI-RECV-WINDOW", "")
    if not key or not signature or not stamp:
        raise errors.missing_credentials()
    account = accounts.get(key)
    if account is None:
        raise errors.unknown_key()
    check_fresh(stamp, window, now_ms)
    signed = f"{stamp}{key}{window}".encode("utf-8", "surrogateescape") + payload
    if not is_signed(account.secret, signed, signature):
        raise errors.bad_signature()
    return account


def check_fresh(stamp: str, window: str, now_ms: int) -> None:
    """The time must lie within the window before now and a second after."""
    if not _MS.fullmatch(stamp) or (window and not _MS.fullmatch(window)):
        raise errors.bad_parameter("X-BAPI-TIMESTAMP or X-BAPI-RECV-WINDOW invalid")
    sent = int(stamp)
    allowed = int(window) if window else _DEFAULT_WINDOW_MS
    if not now_ms - allowed <= sent < now_ms + _AHEAD_MS:
        raise errors.VenueError(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{sent}],server_timestamp[{now_ms}],recv_window[{allowed}]",
        )


def socket_account(arguments: object, accounts: Mapping[str, Account], now_ms: int) -> Account | str:
    """The account of a socket's `auth`, or why it is refused."""
    if not isinstance(arguments, list) or len(arguments) != 3:
        return "Params Error"
    key, expires, signature = arguments
    if not isinstance(key, str) or not isinstance(signature, str) or not _MS.fullmatch(str(expires)):
        return "Params Error"
    if int(str(expires)) <= now_ms:
        return "Params Error: expires is in the past"
    account = accounts.get(key)
    if account is None:
        return "API key is invalid."
    if not is_signed(account.secret, f"GET/realtime{expires}".encode(), signature):
        return "Error sign, please check your signature generation algorithm."
    return account


def is_signed(secret: str, payload: bytes, signature: str) -> bool:
    """Whether the signature is the HMAC-SHA256 of the payload."""
    expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))
