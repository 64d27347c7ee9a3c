"""What is said about limits on sockets: a command's wish, and a desk's word of what it has durably.

Not here: what the gateway makes of it (`limit_switch`), when it is said (`outbox`).

Invariant: the word is said only of what is on the desk's disk.
"""

from typing import Final

import msgspec

from parley.errors import ProtocolError

SHOW: Final = "limits:show"
SET: Final = "limits:set:"
TOLD: Final = "limits:told:"
WORD: Final = "limits:"  # from the desk


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `parley limits set` asks for; ``operator`` and ``secret`` may be empty, ``token`` confirms."""

    key: str
    value: str
    reason: str
    operator: str = ""
    secret: str = ""
    token: str = ""
    n: int = -1  # of the last change the wish rests on, -1: of any


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The desk has every change up to ``n`` and these values; ``refused``: it could not make the ``n``-th."""

    n: int
    values: dict[str, str]
    refused: bool = False

    def text(self) -> str:
        """Return the control text."""
        return WORD + msgspec.json.encode(self).decode()


def read_word(body: bytes) -> Confirmed | None:
    """Read a control text; None when it is another one.

    Raises
    ------
    ProtocolError
        When it should be one and is not.
    """
    if not body.startswith(WORD.encode()):
        return None
    try:
        return msgspec.json.decode(body[len(WORD) :], type=Confirmed)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{WORD} must hold what the desk has: {error}") from error
