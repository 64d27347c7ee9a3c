"""The people whose keys count in a home: who they are, and whether somebody has the key of one.

Problem: until Parley knows users, whoever may loosen a limit or end a kill is whoever runs commands in the
home. Two people who share one can still keep each other from doing so alone: each enrols, keeps the key that
is shown once, and the home keeps only what it takes to recognise it (docs/adr/0037).

Not here: what needs two of them (`approvals`).

Invariant: no key is kept; what cannot be read is nobody's.
"""

import hmac
import os
import re
import secrets
import time
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ConfigError, UserError

FOLDER: Final = "operators"
OPERATOR_KEY: Final = "PARLEY_OPERATOR_KEY"  # of the environment
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_KEY_BYTES: Final = 24


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    digest: str
    since: int


class Operators:
    """Those of one folder, which is read anew each time: an enrolment counts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._most = 0
        self.names()  # who was there at the start counts, also when the files go before anybody asks

    def names(self) -> tuple[str, ...]:
        """Return who is enrolled, sorted."""
        found = sorted(file.stem for file in self._folder.glob("*.json")) if self._folder.is_dir() else []
        self._most = max(self._most, len(found))
        return tuple(found)

    @property
    def need_two(self) -> bool:
        """Whether two keys are needed: as soon as anybody is enrolled, or was since this process began."""
        return bool(self.names()) or self._most > 0

    def check(self, name: str, key: str) -> str:
        """Return the name of whoever has this key.

        Raises
        ------
        UserError
            When nobody is enrolled under the name, or the key is another one.
        """
        if name not in self.names():
            raise UserError(
                f"nobody is enrolled as {name!r}: this home needs the key of one of"
                f" {', '.join(self.names()) or 'nobody'} (--as NAME, key in PARLEY_OPERATOR_KEY)"
            )
        try:
            kept = msgspec.json.decode((self._folder / f"{name}.json").read_bytes(), type=_Kept)
            salt = bytes.fromhex(kept.salt)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ConfigError(f"the operator {name!r} cannot be recognised: {error}") from error
        if not hmac.compare_digest(_digest(key, salt), kept.digest):
            raise UserError(f"this is not the key of the operator {name!r}")
        return name

    def enrol(self, name: str) -> str:
        """Enrol somebody and return the key, which is kept nowhere.

        Raises
        ------
        UserError
            When the name is none, or taken.
        """
        if not _NAME.fullmatch(name):
            raise UserError(
                f"an operator's name is lower-case letters, digits, - and _, at most 32, was {name!r}"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, salt = secrets.token_urlsafe(_KEY_BYTES), secrets.token_bytes(16)
        kept = _Kept(salt.hex(), _digest(key, salt), time.time_ns())
        try:
            handle = os.open(self._folder / f"{name}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UserError(f"the operator {name!r} is enrolled already") from None
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(kept))
        return key


def operators_folder(home: Path) -> Path:
    """Return where a home keeps what it takes to recognise its operators."""
    return home.expanduser().resolve() / "keys" / FOLDER


def operators_of(home: Path) -> Operators:
    """Return the operators of a home."""
    return Operators(operators_folder(home))


def _digest(key: str, salt: bytes) -> str:
    # the key is 24 random bytes, not a word somebody chose: nothing has to make guessing slow
    return blake2b(key.encode(), key=salt, digest_size=32).hexdigest()
