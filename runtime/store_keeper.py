"""The database and the shipper of one run: opened before anything trades, kept alive, ended after it.

Problem: what can be wrong with a database has to be said before a run begins, and may not stop it afterwards.
So the start is strict, and from then on a thread starts the server or the shipper again whenever one is gone;
the desk notices nothing but the age of what is not shipped (`runtime.backlog`).

Not here: the desk's and the venue's processes (`supervisor`), what is shipped (`runtime.shipper`).

Invariant: after `close` neither the shipper nor a server that nobody else uses runs; a killed keeper takes
both with it.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec

from parley.errors import ConfigError, ParleyError
from runtime.backlog import (
    STATUS,
    BacklogConfig,
    BacklogLimits,
    Status,
    read_status,
    why_silent,
    why_unanswered,
)
from runtime.host import load
from runtime.inheritance import inherited, with_database
from runtime.kept_child import KeptChild, Say, Standing
from runtime.launch import Layout
from runtime.postgres import Database, EmbeddedServer, default_folder, tenant_id
from runtime.postgres.claims import Claim
from runtime.postgres.erase import erase_run
from runtime.restarts import Pauses
from runtime.settings import DatabaseSettings
from runtime.shipper.config import ShipperConfig
from runtime.supervisor import running

READY_PATIENCE_S: Final = 30.0
DRAIN_PATIENCE_S: Final = 15.0
_POLL_S: Final = 0.1
_LISTEN_S: Final = 1.0


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
            config=layout.config("shipper"), status=layout.folder / STATUS, logs=layout.logs,
            journals=(layout.journal, layout.folder / "gateway.journal"), runs=layout.folder.parent,
        )  # fmt: skip


class StoreKeeper:
    """One run's database and shipper; see the module. `close` may be called at any time, more than once."""

    def __init__(self, settings: DatabaseSettings, home: Path, places: StorePlaces, say: Say) -> None:
        self._settings = settings
        self._places = places
        self._say = say
        self._server = _server_of(settings, home)
        self._server_pauses = Pauses()
        self._server_restarts = 0
        self._served_since = time.monotonic()
        self._claim: Claim | None = None
        # The password of an external server goes by the environment, not by a file.
        environment = inherited() if self._server is not None else with_database(settings.url)
        standing = Standing(
            "shipper", "the shipper", "runtime.shipper", places.config, places.logs, environment
        )
        self._shipper = KeptChild(standing, say)
        self._abandoned: tuple[str, str] | None = None
        self._silence = ""
        self._listened = time.monotonic()
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
        self._shipper.begin()
        self._shipper.ready(READY_PATIENCE_S)
        self._thread.start()

    @property
    def restarts(self) -> dict[str, int]:
        """How often what was started again."""
        return {"postgres": self._server_restarts, "shipper": self._shipper.restarts}

    def units(self) -> dict[str, int]:
        """Return the processes by name, as they are now."""
        found = {"postgres": self._server.pid if self._server is not None else None}
        found["shipper"] = self._shipper.pid
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

    def abandon(self, tenant: str, run_id: str) -> None:
        """Say that the run was given up: `close` takes out of the database what was shipped of it."""
        self._abandoned = (tenant, run_id)

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
        return running(list(units.values()))

    def told(self, unshipped: str) -> dict[str, object]:
        """Return what a run's summary says of its store."""
        status = read_status(self._places.status)
        own = {str(path) for path in self._places.journals}
        return {
            "server": "embedded" if self._server is not None else "external", "folder": self.folder or None,
            "records_shipped": sum(j.seq for j in status.journals if j.path in own) if status else None,
            "refused": {each.path: each.error for each in status.refused} if status else {},
            "unshipped": unshipped or None, "restarts": dict(self.restarts),
        }  # fmt: skip

    # the thread

    def _keep(self) -> None:
        while not self._stop.wait(_POLL_S):
            replaced = [self._keep_server(), self._shipper.look()]
            if any(replaced):
                self._changed.set()
            if time.monotonic() - self._listened >= _LISTEN_S:
                self._listen()
        self._end()

    def _listen(self) -> None:
        """Say once when shipper or server stands still, and once when it goes on.

        Neither is ended for it: nothing is lost meanwhile, and the desk answers by its backlog's limit.
        """
        self._listened = time.monotonic()
        status = read_status(self._places.status)
        silence = why_silent(status, time.time_ns()) or why_unanswered(status)
        if bool(silence) != bool(self._silence):
            limit = f"a desk with records unshipped for {self._settings.backlog_s:.0f} s only reduces"
            self._say(f"{silence}; {limit}" if silence else "shipper and database answer again")
        self._silence = silence

    def _keep_server(self) -> bool:
        """Start the server if it is gone and it is time; tell whether it was started."""
        if self._server is None or self._server.pid is not None or not self._server_pauses.are_over():
            return False
        self._server_pauses.begin(time.monotonic() - self._served_since)
        try:
            self._server.start(ends_with_us=True)
        except (ParleyError, OSError) as error:
            self._say(f"PostgreSQL is gone and could not be started again: {error}")
            return False
        finally:
            self._served_since = time.monotonic()
        self._server_restarts += 1
        self._say("PostgreSQL was gone and was started again")
        return True

    def _end(self) -> None:
        # The thread's last act: with it would end what it started.
        self._shipper.end()
        if self._abandoned is not None:
            self._forget(*self._abandoned)
        if self._claim is not None:
            self._claim.release()

    def _forget(self, tenant: str, run_id: str) -> None:
        database = _external(self._settings)
        if self._server is not None:
            database = Database.embedded(self._server) if self._server.pid is not None else None
        if database is None:
            return
        try:
            erase_run(database, tenant_id(tenant), run_id)
        except ParleyError as error:
            self._say(f"the run was given up, and stays in the database without its journals: {error}")

    # helpers

    def _shipper_config(self) -> ShipperConfig:
        return ShipperConfig(
            status=str(self._places.status), journals=tuple([str(each) for each in self._places.journals]),
            past=str(self._places.runs), database=self.folder, parent_pid=os.getpid(),
        )  # fmt: skip

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


_PREPARE: Final = "runtime.postgres.migrate:prepare"


def _server_of(settings: DatabaseSettings, home: Path) -> EmbeddedServer | None:
    if settings.folder is not None and not settings.url:
        return EmbeddedServer(settings.folder, home=home)
    if _external(settings) is not None:
        return None
    if not settings.embedded:
        raise ConfigError(
            "a run with a database needs database.url or DATABASE_URL when database.embedded is false"
        )
    return EmbeddedServer(default_folder(home), home=home)


def _external(settings: DatabaseSettings) -> Database | None:
    if settings.url:
        return Database.external(settings.url)
    return Database.from_environment() if settings.folder is None else None


def _write(path: Path, config: ShipperConfig) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1))
