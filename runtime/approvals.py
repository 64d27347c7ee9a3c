"""What one person asked for and another has to confirm: loosening a limit, ending a kill.

Not here: whose keys there are (`operators`), what is done once it is confirmed.

Invariant: nobody confirms what he asked for himself; what is confirmed is exactly what was asked, before its
time is over, once.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from parley.errors import UserError

PATIENCE_NS: Final = 15 * 60 * 1_000_000_000


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Something asked for; ``content`` is all that must not change until it is confirmed. Times: wall ns.

    ``asked_as`` says in full who ``by`` was.
    """

    token: str
    content: tuple[str, ...]
    by: str
    why: str
    t: int
    until: int
    asked_as: str = ""


class Approvals:
    """What waits for a second key in this process; it ends with it."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._asked: dict[str, Ask] = {}

    def ask(self, content: tuple[str, ...], by: str, why: str, asked_as: str) -> Ask:
        """Note that somebody asks."""
        now = self._now()
        ask = new_ask(content, by, why, now, asked_as)
        self._asked = {token: each for token, each in self._asked.items() if each.until > now}
        self._asked[ask.token] = ask
        return ask

    def confirm(self, token: str, content: tuple[str, ...], by: str) -> Ask:
        """Return what was asked, now that another confirms it.

        Raises
        ------
        UserError
            When nothing waits under the token, it is over, it was something else, or the same person asked.
        """
        ask = self._asked.get(token)
        refuse_wrong(ask, token, content, by, self._now())
        assert ask is not None
        del self._asked[token]
        return ask

    def waiting(self) -> tuple[Ask, ...]:
        """Return what may still be confirmed, the oldest first."""
        now = self._now()
        return tuple(sorted((each for each in self._asked.values() if each.until > now), key=lambda a: a.t))


def new_ask(content: tuple[str, ...], by: str, why: str, now: int, asked_as: str) -> Ask:
    """Return an ask under a token of its own."""
    return Ask(
        token=secrets.token_hex(4), content=content, by=by, why=why, t=now, until=now + PATIENCE_NS,
        asked_as=asked_as,
    )  # fmt: skip


def refuse_wrong(ask: Ask | None, token: str, content: tuple[str, ...], by: str, now: int) -> None:
    """Refuse a confirmation that is none.

    Raises
    ------
    UserError
        See `Approvals.confirm`.
    """
    if ask is None:
        raise UserError(f"nothing waits for a second key under {token!r}: ask again")
    if now >= ask.until:
        raise UserError(f"what was asked for under {token!r} was not confirmed in time: ask again")
    if ask.by == by:
        raise UserError(f"{by!r} asked for this, so another operator must confirm it")
    if ask.content != content:
        raise UserError(f"{' '.join(ask.content)!r} was asked for, {' '.join(content)!r} is something else")
