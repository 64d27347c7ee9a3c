"""The database and the shipper of one run: opened before anything trades, kept alive, ended after it.

Problem: what can be wrong with a database has to be said before a run begins, and may not stop it afterwards.
So the start is strict, and from then on a thread starts the server or the shipper again whenever one is gone;
the desk notices nothing but the age of what is not shipped (`runtime.backlog`).

Not here: the desk's and the venue's processes (`supervisor`), what is shipped (`runtime.shipper`).

Invariant: after `close` neither the shipper nor a server that nobody else uses runs; a killed keeper takes
both with it.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec

from parley.errors import ConfigError, ParleyError, UserError
from runtime.backlog import BacklogConfig, BacklogLimits, Status, read_status
from runtime.child import Child
from runtime.host import load
from runtime.launch import Layout
from runtime.postgres import Database, EmbeddedServer, default_folder
from runtime.postgres.claims import Claim
from runtime.settings import DatabaseSettings
from runtime.shipper.config import ShipperConfig

READY_PATIENCE_S: Final = 30.0
GRACE_S: Final = 10.0
DRAIN_PATIENCE_S: Final = 15.0
_POLL_S: Final = 0.1
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 10.0
_SERVES_AFTER_S: Final = 30.0  # one that lasted so long did not fall over its start
_USER_MISTAKE: Final = 2
Say = Callable[[str], None]


class StorePlaces(NamedTuple):
    """Where the files of a run's store are; ``runs`` holds those of the past, too."""

    config: Path
    status: Path
    logs: Path
    journals: tuple[Path, ...]
    runs: Path

    @staticmethod
    def of(layout: Layout) -> "StorePlaces":
        """Choose them in a run's folder."""
        return StorePlaces(
            config=layout.config("shipper"), status=layout.folder / "shipper.status", logs=layout.logs,
            journals=(layout.journal, layout.folder / "gateway.journal"), runs=layout.folder.parent,
        )  # fmt: skip


class StoreKeeper:
    """One run's database and shipper; see the module. `close` may be called at any time, more than once."""

    def __init__(self, settings: DatabaseSettings, home: Path, places: StorePlaces, say: Say) -> None:
        self.restarts = {"postgres": 0, "shipper": 0}
        self._settings = settings
        self._places = places
        self._say = say
        self._server = _server_of(settings, home)
        self._claim: Claim | None = None
        self._shipper: Child | None = None
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="store", daemon=True)
        self._since_ns = time.time_ns()

    @property
    def folder(self) -> str:
        """The embedded server's folder, empty when the server is somebody else's."""
        return "" if self._server is None else str(self._server.folder)

    @property
    def backlog(self) -> BacklogConfig:
        """What a desk has to watch."""
        limits = BacklogLimits(age_s=self._settings.backlog_s, disk=self._settings.backlog_disk)
        journals = tuple([str(each) for each in self._places.journals])
        return BacklogConfig(
            status=str(self._places.status), journals=journals, since_ns=self._since_ns, limits=limits
        )

    def open(self) -> None:
        """Start or reach the server, bring its schema up to date, start the shipper; then keep them.

        Raises
        ------
        UserError, ParleyError
            When that cannot be done; the text says why.
        """
        if self._server is not None:
            self._claim = Claim(self._server, ends_with_us=True)
        # SQLAlchemy and Alembic are loaded only where a schema is made
        prepare = cast("Callable[[Database | None, EmbeddedServer | None], None]", load(_PREPARE))
        prepare(_external(self._settings), self._server)
        _write(self._places.config, self._shipper_config())
        self._shipper = self._spawn(1)
        if self._shipper.wait_for("ready", READY_PATIENCE_S, lambda: self._gone(self._shipper)) is None:
            raise _refused(self._shipper)
        self._thread.start()

    def units(self) -> dict[str, int]:
        """Return the processes by name, as they are now."""
        found = {"postgres": self._server.pid if self._server is not None else None}
        found["shipper"] = None if self._gone(self._shipper) or self._shipper is None else self._shipper.pid
        return {name: pid for name, pid in found.items() if pid is not None}

    def changed(self) -> bool:
        """Whether a process was replaced since this was last asked."""
        found = self._changed.is_set()
        self._changed.clear()
        return found

    def drain(self, patience_s: float = DRAIN_PATIENCE_S) -> str:
        """Wait until everything the run wrote is shipped; say what is missing, empty when nothing is."""
        begun_ns, deadline = time.time_ns(), time.monotonic() + patience_s
        while True:
            status = read_status(self._places.status)
            why = self._missing(status, begun_ns)
            if not why or time.monotonic() > deadline:
                return why
            time.sleep(_POLL_S)

    def close(self) -> list[int]:
        """End the shipper, and the server unless somebody else uses it; return pids that still run."""
        units = self.units()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._end()
        if self._server is not None and self._server.pid is not None:
            units.pop("postgres", None)  # somebody else's by now
        return [pid for pid in units.values() if Path(f"/proc/{pid}").exists()]

    def told(self, unshipped: str) -> dict[str, object]:
        """Return what a run's summary says of its store."""
        status = read_status(self._places.status)
        own = {str(path) for path in self._places.journals}
        return {
            "server": "embedded" if self._server is not None else "external", "folder": self.folder or None,
            "records_shipped": sum(j.seq for j in status.journals if j.path in own) if status else None,
            "unshipped": unshipped or None, "restarts": dict(self.restarts),
        }  # fmt: skip

    # the thread

    def _keep(self) -> None:
        wait_s = {"postgres": _FIRST_WAIT_S, "shipper": _FIRST_WAIT_S}
        due = dict.fromkeys(wait_s, 0.0)
        lives = {"postgres": self._keep_server, "shipper": self._keep_shipper}
        while not self._stop.wait(_POLL_S):
            for unit, keep in lives.items():
                now = time.monotonic()
                if now < due[unit] or not keep():
                    continue
                # Quick at first, and never so often that starting is all the machine does.
                served_s = now - due[unit]
                wait_s[unit] = _FIRST_WAIT_S if served_s > _SERVES_AFTER_S else wait_s[unit] * 2
                wait_s[unit] = min(wait_s[unit], _LONGEST_WAIT_S)
                due[unit] = time.monotonic() + wait_s[unit]
        self._end()

    def _keep_server(self) -> bool:
        """Start the server if it is gone; tell whether it was."""
        if self._server is None or self._server.pid is not None:
            return False
        try:
            self._server.start(ends_with_us=True)
        except (ParleyError, OSError) as error:
            self._say(f"PostgreSQL is gone and could not be started again: {error}")
            return True
        self._replaced("postgres", "PostgreSQL was gone and was started again")
        return True

    def _keep_shipper(self) -> bool:
        """Start the shipper if it ended; tell whether it did."""
        last = self._shipper
        if last is None or last.code is None:
            return False
        said = last.last_words()
        last.end(0.0)
        try:
            self._shipper = self._spawn(last.life + 1)
        except OSError as error:
            self._say(f"the shipper {last.how()} and could not be started again: {error}")
            return True
        self._replaced(
            "shipper", f"the shipper {last.how()} and was started again{f': {said}' if said else ''}"
        )
        return True

    def _replaced(self, unit: str, text: str) -> None:
        self.restarts[unit] += 1
        self._changed.set()
        self._say(text)

    def _end(self) -> None:
        # The thread's last act: with it would end what it started.
        if self._shipper is not None:
            self._shipper.end(GRACE_S)
        if self._claim is not None:
            self._claim.release()

    # helpers

    def _shipper_config(self) -> ShipperConfig:
        return ShipperConfig(
            status=str(self._places.status), journals=tuple([str(each) for each in self._places.journals]),
            begun=str(self._places.runs), database=self.folder, parent_pid=os.getpid(),
        )  # fmt: skip

    def _spawn(self, life: int) -> Child:
        log = self._places.logs / ("shipper.log" if life == 1 else f"shipper-{life}.log")
        # The password of an external server goes by the environment, not by a file.
        environment = os.environ | ({"DATABASE_URL": self._settings.url} if self._settings.url else {})
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "runtime.shipper", "--config", str(self._places.config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env=environment,
            )  # fmt: skip
        return Child("shipper", process, log, life)

    def _missing(self, status: Status | None, begun_ns: int) -> str:
        if status is None or status.t < begun_ns:
            return "the shipper does not say what it shipped"
        said = {each.path: each for each in status.journals}
        for journal in self._places.journals:
            each = said.get(str(journal))
            if not journal.exists():
                continue
            if each is None or not each.is_known or each.error:
                why = each.error if each is not None and each.error else status.error or "not looked at yet"
                return f"{journal.name} is not shipped: {why}"
            if each.records:
                return f"{each.records} records of {journal.name} are not shipped {status.error}".rstrip()
        return ""

    def _gone(self, child: Child | None) -> bool:
        return child is None or child.code is not None


_PREPARE: Final = "runtime.postgres.migrate:prepare"


def _server_of(settings: DatabaseSettings, home: Path) -> EmbeddedServer | None:
    if settings.folder is not None and not settings.url:
        return EmbeddedServer(settings.folder)
    if _external(settings) is not None:
        return None
    if not settings.embedded:
        raise ConfigError(
            "a run with a database needs database.url or DATABASE_URL when database.embedded is false"
        )
    return EmbeddedServer(default_folder(home))


def _external(settings: DatabaseSettings) -> Database | None:
    if settings.url:
        return Database.external(settings.url)
    return Database.from_environment() if settings.folder is None else None


def _refused(shipper: Child) -> ParleyError:
    said = shipper.last_words()
    if shipper.code == _USER_MISTAKE and said:
        return UserError(said.removeprefix("shipper: "))
    return ParleyError(f"the shipper {shipper.how()} while starting: {said or 'it said nothing'}")


def _write(path: Path, config: ShipperConfig) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1))
