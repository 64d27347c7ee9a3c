"""The kill file of a home: what is stopped, by whom and why; a journal that is its own flag.

Problem: a kill has to work when database, desk and gateway do not, and has to outlive all of them. So it is
one file beside the runs. Each line is a kill or a release and carries a hash of itself and all before it;
what stands is the fold of all lines. A gateway looks at the file before every send, which costs one `stat`
while nothing changes.

Not here: what is done about working orders (`kill_switch`), the command (`commands.kill`).

Invariant: doubt stops. A file that cannot be read, is empty, has a line that is none, a hash that does not
fit, or is gone after it was there, stops everything, until a release of everything is written behind the
damage."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from parley.instruments import AT, plain

NAME: Final = "kill.jsonl"
PLATFORM: Final = "platform"
ASK: Final = "ask"  # for a release; the token stands in the place of the mode
MODES: Final = ("block", "cancel", "flatten")  # each does what the ones before it do
LEVELS: Final = (PLATFORM, "tenant", "firm", "symbol", "bot")
PARTS: Final = ("symbol:", "bot:")  # scopes that are only a part of an account
_HASH: Final = 16


class Kill(msgspec.Struct, frozen=True):
    """A stop that stands: ``scope`` as `scope_of` writes it, since ``t`` (wall ns)."""

    scope: str
    mode: str
    reason: str
    by: str
    t: int


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    do: str
    scope: str
    mode: str
    reason: str
    by: str
    t: int
    hash: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A release somebody asked for and another has to confirm under the ``token``; since ``t`` (wall ns)."""

    token: str
    scope: str
    reason: str
    by: str
    t: int


class Standing(msgspec.Struct, frozen=True):
    """What is stopped; ``seen`` counts the file's lines, ``damage`` says why nothing in it counts.

    ``asked`` are releases that wait for a second key.
    ``released`` are the last releases of whole accounts: (scope, number of its line, by whom, why).
    """

    kills: tuple[Kill, ...] = ()
    seen: int = 0
    damage: str = ""
    released: tuple[tuple[str, int, str, str], ...] = ()
    asked: tuple[Asked, ...] = ()

    def over(self, tenant: str, account: str) -> tuple[Kill, ...]:
        """The kills that concern an account, whole or in part; a damaged file stops all of it."""
        own = _whole(tenant, account)
        found = [each for each in self.kills if each.scope in own or each.scope.startswith(PARTS)]
        if self.damage:
            found.append(Kill(PLATFORM, "block", f"the kill file is damaged: {self.damage}", "", 0))
        return tuple(found)

    def released_of(self, tenant: str, account: str) -> tuple[int, str, str]:
        """The last release of an account as a whole: (number of its line, by whom, why)."""
        own = _whole(tenant, account)
        found = [each[1:] for each in self.released if each[0] in own]
        return max(found, default=(0, "", ""))


def _whole(tenant: str, account: str) -> set[str]:
    return {PLATFORM, f"tenant:{tenant}", "firm", f"firm:{account}"}


def hits(kill: Kill, symbol: str, bot: str = "") -> bool:
    """Whether a kill that concerns an account stops what a bot does in a symbol; nobody's is every bot's.

    One of a pair stops it at every exchange.
    """
    if kill.scope.startswith("bot:"):
        return not bot or kill.scope == f"bot:{bot}"
    return not kill.scope.startswith("symbol:") or kill.scope == f"symbol:{plain(symbol)}"


def scope_of(text: str) -> str:
    """Return the scope a text names.

    Raises
    ------
    UserError
        When it names none.
    """
    level, _, name = text.partition(":")
    if level in ("tenant", "symbol", "bot") and not name:
        raise UserError(f"scope {text!r} must say which: {level}:NAME")
    if level == "symbol" and AT in name:
        raise UserError(
            f"a kill of a pair holds at every exchange: expected symbol:{plain(name)}, was {text!r}"
        )
    if level not in LEVELS or (level == PLATFORM and name) or text.endswith(":"):
        expected = "platform, tenant:NAME, firm, firm:ACCOUNT, bot:NAME or symbol:A/B"
        raise UserError(f"a scope is {expected}, was {text!r}")
    return text


def fold(raw: bytes) -> Standing:
    """Fold the bytes of a kill file."""
    if not raw:
        return Standing(damage="it is empty")
    kills: dict[str, Kill] = {}
    asked: dict[str, Asked] = {}  # by scope: the last one counts, until the scope is killed anew or released
    damage = ""
    released: dict[str, tuple[str, int, str, str]] = {}
    start = seen = 0
    while start < len(raw):
        end = raw.find(b"\n", start)
        line = raw[start:] if end < 0 else raw[start:end]
        entry = _line(line, raw[:start])
        seen += 1
        if end < 0 or entry is None:
            damage = damage or f"line {seen} is torn or was changed"
        elif entry.do == ASK:
            asked[entry.scope] = Asked(entry.mode, entry.scope, entry.reason, entry.by, entry.t)
        elif entry.do == "kill":
            asked.pop(entry.scope, None)
            asked.pop(PLATFORM, None)  # its release would end this one too, which nobody looked at
            kills[entry.scope] = Kill(entry.scope, entry.mode, entry.reason, entry.by, entry.t)
        else:
            asked.pop(entry.scope, None)
            if entry.scope == PLATFORM:
                kills, damage = {}, ""
            kills.pop(entry.scope, None)
            if not entry.scope.startswith(PARTS):
                released[entry.scope] = (entry.scope, seen, entry.by, entry.reason)
        start = len(raw) if end < 0 else end + 1
    return Standing(
        tuple(kills[scope] for scope in sorted(kills)), seen, damage,
        tuple(released[scope] for scope in sorted(released)),
        tuple(asked[scope] for scope in sorted(asked)),
    )  # fmt: skip


def _line(line: bytes, before: bytes) -> _Line | None:
    try:
        entry = msgspec.json.decode(line, type=_Line)
        scope_of(entry.scope)
    except (msgspec.MsgspecError, UnicodeDecodeError, UserError):
        return None
    known = entry.do in ("release", ASK) or (entry.do == "kill" and entry.mode in MODES)
    return entry if known and line == _sealed(entry, before) else None


def _sealed(entry: _Line, before: bytes) -> bytes:
    bare = msgspec.json.encode(msgspec.structs.replace(entry, hash=""))
    seal = blake2b(before + bare, digest_size=_HASH).hexdigest()
    return msgspec.json.encode(msgspec.structs.replace(entry, hash=seal))


def write(
    path: Path, do: str, scopes: Sequence[str], *, mode: str = "", reason: str = "", by: str = "",
    said: Callable[[Standing], tuple[str, str]] | None = None,
) -> Standing:  # fmt: skip
    """Write one line for each scope, durably, and return what stands then.

    ``said`` looks at what stands before, while nobody else can write, and says (reason, by whom); what it
    raises keeps the lines from being written.

    Raises
    ------
    UserError
        When a scope or mode is none.
    OSError
        When the file cannot be written.
    """
    if do == "kill" and mode not in MODES:
        raise UserError(f"a mode is {', '.join(MODES)}, was {mode!r}")
    for scope in scopes:
        scope_of(scope)
    with _locked(path) as handle:
        raw = _all(handle)
        if said is not None:
            reason, by = said(fold(raw) if raw else Standing())
        added = b"" if not raw or raw.endswith(b"\n") else b"\n"
        for scope in scopes:
            entry = _Line(do, scope, mode, reason, by, time.time_ns())
            added += _sealed(entry, raw + added) + b"\n"
        os.write(handle, added)
        os.fsync(handle)
        _sync_folder(path.parent)
        return fold(raw + added)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _all(handle: int) -> bytes:
    size = os.fstat(handle).st_size
    return os.pread(handle, size, 0)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> Standing:
    """Return what stands; a file that is not there stops nothing, one that cannot be read everything."""
    try:
        return fold(path.read_bytes())
    except FileNotFoundError:
        return Standing()
    except OSError as error:
        return Standing(damage=f"it cannot be read: {error.strerror}")


class KillFile:
    """A kill file as a running process sees it: read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._look: tuple[int, ...] | None = None
        self._standing = Standing()

    def standing(self) -> Standing:
        """Return what stands now."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            # One that was there has not been released by being removed.
            if self._look is not None:
                self._look, self._standing = (), Standing(seen=self._standing.seen, damage="it is gone")
            return self._standing
        except OSError as error:
            self._look = ()
            self._standing = Standing(damage=f"it cannot be read: {error.strerror}")
            return self._standing
        look = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if look != self._look:
            self._look, self._standing = look, read(self._path)
        return self._standing
