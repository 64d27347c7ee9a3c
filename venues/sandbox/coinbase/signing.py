"""Who sends a request, and is it fresh: a token (JWT, ES256) that names key, request and expiry.

The account's secret is the private half of a key pair of P-256; the exchange uses its public half alone. A
request's token names its method and address, a socket's does not. Not here: what the request wants.
Invariant: no private handler runs before key, signature, address and both times passed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from venues.sandbox.accounts import Account
from venues.sandbox.config_values import ConfigError

_BEARER = "Bearer "
_LONGEST_S = 120
_HALF = 32
_ALGORITHM = ec.ECDSA(SHA256())


class Keyring:
    """The public keys of the exchange's accounts."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._keys = {name: _public(account) for name, account in accounts.items()}

    def account_of(self, token: str, wanted: str | None, now_ms: int) -> tuple[Account, int] | None:
        """The account that signed a token, and the expiry in s; None for a token that is not good.

        ``wanted`` is the method with the address behind the host, None on sockets.
        """
        try:
            head, body, sign = token.split(".")
            header, claims = _object(head), _object(body)
            key = self._keys[header["kid"]]
            if (header["alg"], claims["sub"]) != ("ES256", header["kid"]) or not header["nonce"]:
                return None
            raw = _bytes(sign)
            if len(raw) != 2 * _HALF:
                return None
            halves = int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:])
            key.verify(encode_dss_signature(*halves), f"{head}.{body}".encode(), _ALGORITHM)
            begins, ends = claims["nbf"], claims["exp"]
            if not (type(begins) is int and type(ends) is int and ends - begins <= _LONGEST_S):
                return None
            if not begins * 1000 <= now_ms < ends * 1000 or not _names(claims.get("uri"), wanted):
                return None
        except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError, UnicodeError):
            return None
        return self._accounts[header["kid"]], ends


def token_of(headers: Mapping[str, str]) -> str:
    """The token of a request, empty if it has none."""
    said = headers.get("Authorization", "")
    return said.removeprefix(_BEARER) if said.startswith(_BEARER) else ""


def _names(uri: object, wanted: str | None) -> bool:
    """Whether a token is of this request: method, host, path without query; ccxt leaves `http://` in."""
    if wanted is None or not isinstance(uri, str):
        return wanted is None and uri is None
    method, _, address = uri.partition(" ")
    host, slash, path = address.removeprefix("http://").partition("/")
    return bool(host) and f"{method} {slash}{path}" == wanted


def _public(account: Account) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_private_key(account.secret.encode(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"accounts: expected a private key of P-256 as PEM text as secret of {account.name!r}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"accounts: expected a key of P-256 as secret of {account.name!r}")
    return key.public_key()


def _object(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_bytes(part))
    except msgspec.DecodeError as error:
        raise ValueError(part) from error
    if not isinstance(found, dict):
        raise TypeError(part)
    return found


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(part) from error
