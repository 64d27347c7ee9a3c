"""What a run was made by: the commit, the versions of the packages that decide, a hash of its configuration.

Problem: a replay that differs may differ because other code replays it. The file has to say which code wrote
it, and that is found once, by the process that starts a run; a desk asks nobody and only writes it down.

Not here: whether a replay is right (`replay`); a difference in code is a warning, no verdict.

Invariant: nothing here is read by what decides, and what cannot be found out is "unknown", never guessed.
"""

import platform
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from runtime.inheritance import inherited
from runtime.journal import schema
from runtime.run_config import UNKNOWN, Origin, RunConfig

# Packages whose version can change what is decided or what the venue is asked.
DECIDING: Final = ("parley", "msgspec", "numpy", "uvloop", "ccxt")
_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_PATIENCE_S: Final = 10.0


def with_origin(run: RunConfig) -> RunConfig:
    """Write into a run's configuration what makes it."""
    return replace(run, origin=origin(run))


def origin(run: RunConfig | None = None, checkout: Path = _CHECKOUT) -> Origin:
    """Find out what runs here; without a run there is no hash."""
    commit, dirty = _commit(checkout)
    return Origin(
        commit=commit, dirty=dirty, versions=versions(), config_hash="" if run is None else config_hash(run)
    )


def versions() -> dict[str, str]:
    """Give the version of Python, SQLite and every deciding package; "unknown" where one is missing."""
    found = {"python": platform.python_version(), "sqlite": schema.sqlite3.sqlite_version}
    for name in DECIDING:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = UNKNOWN
    return found


def config_hash(run: RunConfig) -> str:
    """Hash what a user decided: not the run's id, nor what venue and machine added."""
    bare = replace(run, run_id="", instruments={}, origin=Origin())
    return sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def differences(then: Origin, now: Origin) -> Iterator[str]:
    """Name what is not the same, in words a person reads behind "written by other code"."""
    if then == Origin():
        yield "the file does not say which"
        return
    if then.commit != now.commit:
        yield f"commit {short(then)} there, {short(now)} here"
    elif then.commit != UNKNOWN and (then.dirty or now.dirty):
        yield f"commit {short(then)} there, {short(now)} here: uncommitted changes may differ"
    for name in sorted(then.versions.keys() | now.versions.keys()):
        there, here = then.versions.get(name, UNKNOWN), now.versions.get(name, UNKNOWN)
        if there != here:
            yield f"{name} {there} there, {here} here"


def short(origin: Origin) -> str:
    """Give the commit as people read it."""
    commit = origin.commit if origin.commit == UNKNOWN else origin.commit[:12]
    return commit + (" with uncommitted changes" if origin.dirty else "")


def told(origin: Origin) -> str:
    """Give everything in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))
    config = f"configuration {origin.config_hash[:12]}" if origin.config_hash else ""
    return "; ".join(part for part in (f"commit {short(origin)}", config, packages) if part)


def print_version() -> None:
    """Print the version of Parley and its commit."""
    here = origin()
    sys.stdout.write(f"parley {here.versions['parley']}, commit {short(here)}\n")


def _commit(checkout: Path) -> tuple[str, bool]:
    """Find the commit of this code; an installed copy inside somebody else's repository has none."""
    head = _git(checkout, "rev-parse", "--show-toplevel", "HEAD")
    if head is None or len(head) != 2 or Path(head[0]).resolve() != checkout:
        return UNKNOWN, False
    changed = _git(checkout, "status", "--porcelain")
    return (head[1], bool(changed)) if changed is not None else (UNKNOWN, False)


def _git(folder: Path, *words: str) -> list[str] | None:
    # a caller's own GIT_DIR, in a hook say, would speak of another repository; none is handed on
    environment = inherited()
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True, text=True, check=False, timeout=_PATIENCE_S, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None
