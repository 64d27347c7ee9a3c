"""Seals on frames: that a frame comes from whoever was given this link's key, whole, in order and once.

Problem: any process of the same user may open a gateway's socket. The kernel says its number, and a number is
reused; so each life of a desk gets a key of its own, by its standard input and never by its environment, and
every frame it sends carries a code that only the key can make over the frame and its place in the stream.

Not here: frames (`frames`), who gets which key (`supervisor`), who may open the door (`gateway_door`).

Invariant: a frame is opened only if its code fits its bytes and its number; one that was left out, repeated
or put elsewhere fits nothing.
"""

import hmac
import os
import secrets
from hashlib import blake2b
from typing import Final

from parley.errors import ProtocolError, UserError

KEY_SIZE: Final = 32
CODE_SIZE: Final = 16


def new_key() -> bytes:
    """Make a key."""
    return secrets.token_bytes(KEY_SIZE)


def key_for(key: bytes, gateway: int) -> bytes:
    """Return what a desk's key becomes towards the gateway of process number ``gateway``; empty stays empty.

    A desk outlives its gateway: what was sealed for one opens nothing at the next.
    """
    if not key:
        return b""
    return blake2b(gateway.to_bytes(8, "little"), key=key, digest_size=KEY_SIZE, person=b"link").digest()


class Seal:
    """One direction of one link; both ends count alike."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ProtocolError(f"a key has {KEY_SIZE} bytes, was {len(key)}")
        self._keyed = blake2b(key=key, digest_size=CODE_SIZE)
        self._count = 0

    def close(self, raw: bytes) -> bytes:
        """Return a frame's content with its code in front."""
        return self._code(raw) + raw

    def open(self, raw: bytes) -> bytes:
        """Return the content of a frame.

        Raises
        ------
        ProtocolError
            When its code does not fit.
        """
        content = raw[CODE_SIZE:]
        if not hmac.compare_digest(self._code(content), raw[:CODE_SIZE]):
            raise ProtocolError(f"frame {self._count} is not of whoever holds the key of this link")
        return content

    def _code(self, content: bytes) -> bytes:
        self._count += 1
        code = self._keyed.copy()  # the keyed state is made once: half the time of a code
        code.update(self._count.to_bytes(8, "little"))
        code.update(content)
        return code.digest()


def read_key() -> bytes:
    """Read the own key from standard input, and leave nothing of it there.

    Raises
    ------
    UserError
        When there is none.
    """
    key = b""
    while len(key) < KEY_SIZE and (part := os.read(0, KEY_SIZE - len(key))):
        key += part
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    if len(key) != KEY_SIZE:
        raise UserError(f"standard input must hold a key of {KEY_SIZE} bytes, it held {len(key)}")
    return key
