"""The edges of a unit's process: its configuration, its folder, its ready line, its end.

Problem: every unit (gateway, hub) is started by another process that has to know when it serves, must not
outlive it, and must tell a mistake in its configuration from a crash. A unit reads one JSON file, writes
one JSON line to standard output when it serves, and ends at SIGTERM or with its parent.

Not here: what a unit does.

Invariant: a mistake of the user ends with one line on standard error and exit code 2, before anything was
changed; exit code 1 means that the unit itself broke, 3 that another process took its place.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
import uvloop

from parley.errors import ConfigError, ParleyError, UserError, nearest
from runtime.logs import set_up
from runtime.redaction import OWN, secrets_in

log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=msgspec.Struct)
Result = TypeVar("Result")
_PR_SET_PDEATHSIG: Final = 1
REPLACED: Final = 3  # exit code


class Replaced(ParleyError):
    """Another process took this one's place: it ends, and nobody starts it again."""


class UnitConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of configurations: an unknown key is an error that names the nearest known one."""


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a unit's configuration from a JSON file.

    Raises
    ------
    ConfigError
        When the file cannot be read, is no JSON, or a key is missing, unknown or of the wrong type.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {error.strerror}") from error
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{str(path)!r}: {error}{_hint(raw, kind)}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{str(path)!r} is no JSON: {error}") from error


def _hint(raw: bytes, kind: type[Config]) -> str:
    given = msgspec.json.decode(raw)
    known = list(kind.__struct_fields__)
    unknown = sorted(set(given) - set(known)) if isinstance(given, dict) else []
    return f" ({unknown[0]!r}: {nearest(unknown[0], known)})" if unknown else ""


def path_of(name: str) -> Path:
    """Return the path a configuration names; ``~`` is the user's home."""
    return Path(name).expanduser()


def private_folder(base: Path | None = None) -> Path:
    """Return the short folder for this user's sockets (mode 0700), making it if needed.

    Raises
    ------
    UserError
        When it belongs to somebody else, or others may write to it.
    """
    user = os.getuid()
    session = Path(f"/run/user/{user}")
    folder = base or (session / "parley" if os.access(session, os.W_OK) else Path(f"/tmp/parley-{user}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != user or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise UserError(f"the socket folder {str(folder)!r} must belong to user {user} alone, mode 0700")
    return folder


def read_private(path: Path) -> bytes:
    """Read a file of secrets, which no log of this process shows from then on.

    Raises
    ------
    ConfigError
        When it cannot be read, or group or others may read it.
    """
    try:
        mode = path.stat().st_mode
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the keys in {str(path)!r}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"{str(path)!r} holds keys and must have mode 0600, has {stat.S_IMODE(mode):04o}")
    OWN.learn(*secrets_in(raw))
    return raw


def announce(line: Mapping[str, object]) -> None:
    """Tell the parent that the unit serves now: one JSON line on standard output."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends; Linux only.

    Raises
    ------
    UserError
        When the parent is gone already.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have ended before the request was in force.
    if os.getppid() != parent:
        raise UserError("the parent process ended during the start")


class Begun(Generic[Result]):
    """A coroutine run up to its first suspension at once, to be awaited later, in the same task."""

    def __init__(self, work: Coroutine[object, object, Result]) -> None:
        self._work = work
        self._waits_for: object = None
        self._result: list[Result] = []
        try:
            self._waits_for = work.send(None)
        except StopIteration as end:
            self._result.append(end.value)

    def __await__(self) -> Generator[object, object, Result]:
        while not self._result:
            try:
                try:
                    got = yield self._waits_for
                except GeneratorExit:
                    self._work.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - a cancellation: the work decides
                    self._waits_for = self._work.throw(error)
                else:
                    self._waits_for = self._work.send(got)
            except StopIteration as end:
                self._result.append(end.value)
        return self._result[0]


async def first_of(stop: asyncio.Event, *work: Awaitable[None]) -> None:
    """Run until `stop` is set or one of `work` ends; the rest is cancelled, an exception passes on."""
    tasks = [asyncio.ensure_future(each) for each in work]
    tasks.append(asyncio.ensure_future(_wait(stop)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def run_unit(name: str, main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a unit to its end and return the exit code; `main` gets an event that SIGTERM or SIGINT sets."""
    set_up(name)

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    try:
        uvloop.run(guarded())
    except UserError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    except Replaced as error:
        sys.stderr.write(f"{name}: {error}\n")
        return REPLACED
    except ParleyError as error:
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
        return 1
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    return 0
