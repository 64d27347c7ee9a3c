"""Tokens with which a socket is opened, and whose they are.

Not here: who may have one. Invariant: a token of an account was only ever given to who signed for it.
"""

from __future__ import annotations

import secrets

from venues.sandbox.accounts import Account
from venues.sandbox.kucoin.bodies import Body

_PING_MS, _PONG_MS = 18_000, 10_000


class Tokens:
    """All tokens that were given; they are good as long as the exchange runs."""

    def __init__(self) -> None:
        self._owners: dict[str, Account | None] = {}

    def give(self, owner: Account | None, endpoint: str) -> Body:
        """POST /api/v1/bullet-public and bullet-private: a new token and the address it is for."""
        token = secrets.token_urlsafe(32)
        self._owners[token] = owner
        server = {
            "endpoint": endpoint,
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": _PING_MS,
            "pingTimeout": _PONG_MS,
        }
        return {"token": token, "instanceServers": [server]}

    def is_known(self, token: str) -> bool:
        """Whether somebody was given it."""
        return token in self._owners

    def owner(self, token: str) -> Account | None:
        """The account that a token speaks for, None if it is a public one."""
        return self._owners[token]
