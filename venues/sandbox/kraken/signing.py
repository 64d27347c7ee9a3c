"""Who sends a signed request: Kraken's two headers, the number in the body, and tokens for sockets.

The signature covers the path, and the body with its number by their hash, so it is checked before anything is
decoded. A number that is not above the last one of its key is refused; there is no window. Not here: what the
request wants. Invariant: no signed handler runs before key, signature and number passed, in that order.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.kraken import errors
from venues.sandbox.kraken.params import of_form

TOKEN_S = 900


class Keys:
    """All keys of the venue, the last number of each, and the tokens that were given out."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._numbers: dict[str, int] = {}
        self._tokens: dict[str, tuple[Account, int]] = {}

    def account_of(
        self, headers: Mapping[str, str], path: str, body: bytes
    ) -> tuple[Account, dict[str, str]]:
        """The account that signed this request, and its parameters."""
        key, sign = headers.get("API-Key", ""), headers.get("API-Sign", "")
        account = self._accounts.get(key)
        if account is None:
            raise errors.VenueError("EAPI:Invalid key")
        form = of_form(body.decode("utf-8", "replace"))
        number = form.pop("nonce", "")
        if not _is_signed(account.secret, path, number, body, sign):
            raise errors.VenueError("EAPI:Invalid signature")
        is_number = number.isascii() and number.isdigit() and len(number) < 20
        if not is_number or int(number) <= self._numbers.get(key, -1):
            raise errors.VenueError("EAPI:Invalid nonce")
        self._numbers[key] = int(number)
        return account, form

    def token_of(self, account: Account, now_ms: int) -> str:
        """A new token; it has to be used within `TOKEN_S`."""
        token = secrets.token_urlsafe(24)
        self._tokens[token] = account, now_ms + TOKEN_S * 1000
        return token

    def owner_of(self, token: object, now_ms: int) -> Account | None:
        """Whose token this is, None if it is nobody's any more."""
        account, until_ms = self._tokens.get(str(token), (None, 0))
        return account if now_ms < until_ms else None


def _is_signed(secret: str, path: str, number: str, body: bytes, signature: str) -> bool:
    try:
        key = base64.b64decode(secret, validate=True)
    except binascii.Error:
        return False
    hashed = hashlib.sha256(number.encode("utf-8", "replace") + body).digest()
    digest = hmac.new(key, path.encode() + hashed, hashlib.sha512).digest()
    return hmac.compare_digest(base64.b64encode(digest), signature.encode("utf-8", "surrogateescape"))
