"""`parley doctor`: can this machine run a desk, and is the last run's journal sound?

Every check answers ok, warn or fail with one line that says what was found. Not here: repairing anything.
Invariant: nothing is left behind but what a check removes itself.
"""

import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from rich.text import Text

from parley.errors import ParleyError
from runtime.history import config_of, newest_journal, open_journal
from runtime.journal import JournalError, schema, verify
from runtime.output import console, print_json, progress_bar
from runtime.provenance import origin, told
from runtime.settings import Settings
from runtime.standing_kills import stops
from runtime.unit import private_folder

OK, WARN, FAIL = "ok", "warn", "fail"
_STYLES: Final = {OK: "green", WARN: "yellow", FAIL: "bold red"}
_PACKAGES: Final = {
    "msgspec": "", "numpy": "", "pydantic": "", "pydantic-settings": "", "rich": "", "typer": "",
    "aiohttp": "venues",
    "ccxt": "venues", "uvloop": "venues", "pyarrow": "data",
}  # fmt: skip
_FREE_GB_WARN, _FREE_GB_FAIL = 5.0, 0.5
_FSYNC_WARN_MS: Final = 10.0
_FSYNCS: Final = 100
_OLDEST_SQLITE: Final = (3, 37, 0)


class Check(msgspec.Struct, kw_only=True):
    """One thing looked at; ``state`` ok, warn or fail."""

    name: str
    state: str
    found: str


def examine(settings: Settings, journal: Path | None, *, as_json: bool) -> int:
    """Run every check; the exit code is 1 when one fails."""
    looks: list[Callable[[], Check]] = [
        python, packages, memory, lambda: disk(settings.home), lambda: fsync(settings.home), sqlite, sockets,
        ports, data, code, lambda: killed(settings.home), lambda: last_origin(settings.home, journal),
        lambda: last_journal(settings.home, journal),
    ]  # fmt: skip
    checks = []
    with progress_bar("looking") as bar:
        task = bar.add_task("look", total=len(looks))
        for look in looks:
            checks.append(look())
            bar.advance(task)
    worst = (
        FAIL if any(c.state == FAIL for c in checks) else WARN if any(c.state == WARN for c in checks) else OK
    )
    if as_json:
        print_json({"state": worst, "checks": checks})
    else:
        out = console()
        for check in checks:
            line = Text(f"{check.state:<5}", style=_STYLES[check.state])
            line.append(f"{check.name:<11}{check.found}", style="default")
            out.print(line, soft_wrap=True)
    return 1 if worst == FAIL else 0


def python() -> Check:
    """Is this Python one that Parley is tested on?"""
    fits = (3, 11) <= sys.version_info[:2] <= (3, 14)
    return Check(
        name="python", state=OK if fits else FAIL,
        found=f"{platform.python_version()} on {platform.system()} {platform.machine()}"
        + ("" if fits else ", Parley needs 3.11 to 3.14"),
    )  # fmt: skip


def packages() -> Check:
    """Are the packages there that `parley run` needs?"""
    missing = []
    versions = []
    for name, extra in _PACKAGES.items():
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(f"{name} (pip install 'parley[{extra or 'desk'}]')")
    if missing:
        return Check(name="packages", state=FAIL, found="missing: " + ", ".join(missing))
    return Check(name="packages", state=OK, found=", ".join(versions))


def memory() -> Check:
    """Is there memory for the processes of a run (about 0.8 GB)?"""
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    free_gb = pages * size / 1e9
    return Check(
        name="machine",
        state=OK if free_gb > 1 else WARN,
        found=f"{os.cpu_count()} cores, {free_gb:.1f} GB free",
    )


def disk(home: Path) -> Check:
    """Is there room where runs are kept?"""
    place = _existing(home)
    free_gb = shutil.disk_usage(place).free / 1e9
    state = FAIL if free_gb < _FREE_GB_FAIL else WARN if free_gb < _FREE_GB_WARN else OK
    if not os.access(place, os.W_OK):
        return Check(name="disk", state=FAIL, found=f"{str(place)!r} cannot be written")
    return Check(name="disk", state=state, found=f"{free_gb:.1f} GB free below {str(home)!r}")


def fsync(home: Path) -> Check:
    """How long does a durable write take where journals are kept?"""
    times = []
    with tempfile.TemporaryFile(dir=_existing(home)) as file:
        for _ in range(_FSYNCS):
            file.write(b"x" * 1024)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    middle, late = median(times), times[int(len(times) * 0.99) - 1]
    state = WARN if middle > _FSYNC_WARN_MS else OK
    return Check(
        name="fsync", state=state, found=f"{middle:.3f} ms in the middle, {late:.3f} ms at the 99th of 100"
    )


def sqlite() -> Check:
    """Is the SQLite of this Python new enough for the journal?"""
    version = schema.sqlite3.sqlite_version  # only the journal imports sqlite3
    fits = tuple(int(part) for part in version.split(".")) >= _OLDEST_SQLITE
    return Check(name="sqlite", state=OK if fits else FAIL, found=version)


def sockets() -> Check:
    """Can units meet in the private folder, and is its path short enough?"""
    try:
        folder = private_folder()
        probe = folder / f"doctor-{os.getpid()}.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(probe))
        probe.unlink()
    except (ParleyError, OSError) as error:
        return Check(name="sockets", state=FAIL, found=str(error))
    return Check(name="sockets", state=OK, found=str(folder))


def ports() -> Check:
    """Can the sandbox exchange listen on this machine?"""
    try:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            found = f"127.0.0.1:{listening.getsockname()[1]} was free"
    except OSError as error:
        return Check(name="ports", state=FAIL, found=f"cannot listen on 127.0.0.1: {error.strerror}")
    return Check(name="ports", state=OK, found=found)


def data() -> Check:
    """Is there recorded market data? Only tests and `parley run --data` need it."""
    named = os.environ.get("PARLEY_DATA")
    checkout = Path(__file__).resolve().parent.parent.parent
    folder = Path(named) if named else checkout.parent / "shared" / "data"
    if not (folder / "candles").is_dir():
        return Check(
            name="data", state=WARN, found=f"no candles in {str(folder)!r}: tests that need them are skipped"
        )
    files = len(list((folder / "candles").glob("*.parquet")))
    return Check(name="data", state=OK, found=f"{files} candle files in {str(folder)!r}")


def code() -> Check:
    """Which code is this?"""
    return Check(name="code", state=OK, found=told(origin()))


def killed(home: Path) -> Check:
    """Would a desk of this home trade, or does a kill stand?"""
    found = stops(home)
    if not found:
        return Check(name="killed", state=OK, found="nothing")
    return Check(name="killed", state=WARN, found="; ".join(each.line() for each in found))


def last_origin(home: Path, path: Path | None) -> Check:
    """Which code wrote the newest journal? That it is not this one is no fault."""
    try:
        then = config_of(open_journal(path or newest_journal(home))).origin
    except (ParleyError, OSError):
        return Check(name="written by", state=OK, found="no readable run")
    return Check(name="written by", state=OK, found=told(then))


def last_journal(home: Path, path: Path | None) -> Check:
    """Does the newest journal verify?"""
    try:
        file = path or newest_journal(home)
        started = time.perf_counter()
        report = verify(file)
    except ParleyError:
        return Check(name="journal", state=OK, found="no run yet")
    except (JournalError, OSError) as error:
        return Check(name="journal", state=FAIL, found=str(error))
    if not report.ok:
        first = report.faults[0]
        return Check(name="journal", state=FAIL, found=f"{file}: {first.where}: {first.detail}")
    seconds = time.perf_counter() - started
    return Check(
        name="journal", state=OK,
        found=f"{file}: {report.groups} groups, {report.records} records verified in {seconds:.1f} s",
    )  # fmt: skip


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder
