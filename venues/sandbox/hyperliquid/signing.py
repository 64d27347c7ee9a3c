"""Who signed an action: the address is recovered from the signature, no header and no field names it.

The venue hashes the action as it understood it, packed with msgpack in its own order of fields, with the
nonce and the deadline behind it; that hash is signed as typed data (EIP-712) of a "phantom agent". Whoever
signs other bytes is therefore taken for somebody else. Source: …/for-developers/api/signing and the venue's
SDK.

Not here: what the action wants. Invariant: an action is carried out only for an account whose key made the
signature, with a nonce that its key never used, before its deadline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import coincurve
import msgspec

from venues.sandbox.accounts import Account
from venues.sandbox.hyperliquid import errors
from venues.sandbox.hyperliquid.keccak import keccak256

_WORD = re.compile(r"0x[0-9a-fA-F]{1,64}")
_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_CHAIN = 1337
_NONCES = 100
_DAY_MS = 86_400_000


class Signers:
    """The keys that may sign for each account, and the nonces that they used.

    An account's `api_key` is its address, its `secret` the private key of the account or of its API wallet;
    an account whose secret is no key has nobody who signs.
    """

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts: dict[str, Account] = {}
        self._by_address: dict[str, Account] = {}
        self._nonces: dict[str, list[int]] = {}
        for account in accounts:
            self._by_address[_address(account.api_key)] = account
            if _KEY.fullmatch(account.secret):
                key = coincurve.PrivateKey(bytes.fromhex(account.secret.removeprefix("0x")))
                self._accounts[_address_of(key.public_key)] = account

    def account_at(self, address: str) -> Account | None:
        """The account at an address; there is none at that of an API wallet."""
        return self._by_address.get(address.lower())

    def role(self, address: str) -> dict[str, object]:
        """What an address is: a user, an API wallet of one, or nobody."""
        address = address.lower()
        if address in self._by_address:
            return {"role": "user"}
        account = self._accounts.get(address)
        if account is None:
            return {"role": "missing"}
        return {"role": "agent", "data": {"user": _address(account.api_key)}}

    def signed(
        self, action: object, nonce: int, expires: int | None, signature: dict[str, Any], now_ms: int
    ) -> Account:
        """The account for which this action is signed; its nonce is used with that."""
        signer = recovered(action, nonce, expires, signature)
        account = self._accounts.get(signer)
        if account is None:
            raise errors.no_such_signer(signer)
        self._use(signer, nonce, now_ms)
        check_fresh(expires, now_ms)
        return account

    def _use(self, signer: str, nonce: int, now_ms: int) -> None:
        if not now_ms - 2 * _DAY_MS < nonce < now_ms + _DAY_MS:
            raise errors.ActionError(
                f"Invalid nonce: {nonce} is not within two days before and one after now"
            )
        used = self._nonces.setdefault(signer, [])
        if nonce in used:
            raise errors.ActionError(f"Invalid nonce: duplicate nonce {nonce}")
        if len(used) == _NONCES and nonce < used[0]:
            raise errors.ActionError(f"Invalid nonce: {nonce} is too low")
        used.append(nonce)
        used.sort()
        del used[:-_NONCES]


def check_fresh(expires: int | None, now_ms: int) -> None:
    """Refuse an action that comes after the moment up to which its sender wanted it (`expiresAfter`)."""
    if expires is not None and now_ms > expires:
        raise errors.ActionError(f"Action expired: expiresAfter {expires} is before {now_ms}")


def recovered(action: object, nonce: int, expires: int | None, signature: dict[str, Any]) -> str:
    """The address whose key made the signature."""
    r, s, v = signature.get("r"), signature.get("s"), signature.get("v")
    if not (isinstance(r, str) and isinstance(s, str) and _WORD.fullmatch(r) and _WORD.fullmatch(s)):
        raise errors.Malformed
    if v not in (27, 28):
        raise errors.Malformed
    raw = bytes.fromhex(r[2:].zfill(64)) + bytes.fromhex(s[2:].zfill(64)) + bytes([v - 27])
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            raw, _digest(action, nonce, expires), hasher=None
        )
    except Exception as error:  # coincurve raises a bare one for what is no signature
        raise errors.Malformed from error
    return _address_of(key)


def _digest(action: object, nonce: int, expires: int | None) -> bytes:
    packed = msgspec.msgpack.encode(action) + nonce.to_bytes(8, "big") + b"\x00"  # for no vault
    if expires is not None:
        packed += b"\x00" + expires.to_bytes(8, "big")
    agent = _constant("Agent(string source,bytes32 connectionId)") + _constant("a") + keccak256(packed)
    return keccak256(b"\x19\x01" + _domain() + keccak256(agent))


@lru_cache(maxsize=1)
def _domain() -> bytes:
    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = [_constant(kind), _constant("Exchange"), _constant("1"), _CHAIN.to_bytes(32, "big"), bytes(32)]
    return keccak256(b"".join(words))


@lru_cache(maxsize=16)
def _constant(text: str) -> bytes:
    return keccak256(text.encode())


def _address_of(key: coincurve.PublicKey) -> str:
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()


def _address(text: str) -> str:
    return "0x" + text.lower().removeprefix("0x")
