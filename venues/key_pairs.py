"""Keys for an account of a sandbox exchange, of the kind that its protocol signs with.

Problem: most venues share a secret with their client; Coinbase gives it the private half of a key pair
(P-256) and a name in place of the key. Not here: who signs what. Invariant: every call makes another key.
"""

import os
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_PAIRED: Final = frozenset({"coinbase"})


class KeyPair(NamedTuple):
    """What a client signs in with: ``api_key`` is its name, ``secret`` signs."""

    api_key: str
    secret: str


def made_for(venue: str) -> KeyPair:
    """Make a key for an account at a sandbox that speaks like `venue`."""
    name = os.urandom(20).hex()
    if venue in _PAIRED:
        return KeyPair(f"organizations/sandbox/apiKeys/{name}", made_pem())
    return KeyPair(name, os.urandom(32).hex())  # where keys are an address and a private key, too


def made_pem() -> str:
    """Make a private key of P-256, as PEM text of the form that Coinbase hands out (SEC 1)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
