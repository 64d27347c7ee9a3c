"""Who sends a signed request, and is it fresh: API key, HMAC-SHA256 signature, timestamp.

The signature covers the parameter text exactly as sent, so it is checked on the raw text before
anything is decoded. Not here: what the request wants. Invariant: no signed handler runs before
both checks passed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params

_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_DEFAULT_WINDOW_MS = 5_000
_MAX_WINDOW_MS = 60_000
_AHEAD_MS = 1_000


def account_of(api_key: str | None, accounts: Mapping[str, Account]) -> Account:
    """The account of a key; VenueError for absent, malformed and unknown keys."""
    if not api_key or not _KEY.fullmatch(api_key):
        raise errors.malformed_key()
    account = accounts.get(api_key)
    if account is None:
        raise errors.unknown_key()
    return account


def check_signature(secret: str, signed_text: str, signature: str | None) -> None:
    """The signature must be the HMAC-SHA256 of the text that was sent."""
    if not signature:
        raise errors.missing("signature")
    expected = hmac.new(
        secret.encode(), signed_text.encode("utf-8", "surrogateescape"), hashlib.sha256
    ).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
        raise errors.bad_signature()


def check_timestamp(params: Params, now_ms: int) -> None:
    """`timestamp` must lie within recvWindow before now and a second after."""
    sent = params.integer("timestamp")
    if sent is None:
        raise errors.missing("timestamp")
    window = params.integer("recvWindow")
    if window is not None and window > _MAX_WINDOW_MS:
        raise errors.VenueError(-1131, "recvWindow must be less than 60000.")
    if sent > now_ms + _AHEAD_MS:
        raise errors.VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - sent > (_DEFAULT_WINDOW_MS if window is None else window):
        raise errors.VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def split_signature(text: str) -> tuple[str, str | None]:
    """A parameter text without its `signature` part, and that part's value."""
    parts = text.split("&") if text else []
    signatures = [part[10:] for part in parts if part.startswith("signature=")]
    kept = "&".join(part for part in parts if not part.startswith("signature="))
    return kept, signatures[-1] if signatures else None
