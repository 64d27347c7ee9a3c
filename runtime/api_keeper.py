"""The API of one run: begun with it, kept alive, ended with it.

Problem: whoever looks at a desk must not be able to stop it. So an API that cannot begin, because its port is
taken for instance, ends the run before anything trades; one that ends later is started again, and the run
goes on with or without it.

Not here: what it answers (`api`), the database behind it (`store_keeper`).

Invariant: after `close` no API of this run is running.
"""

import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from runtime.inheritance import inherited, with_database
from runtime.kept_child import KeptChild, Say, Standing

READY_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.2


class ApiPlaces(NamedTuple):
    """Where the API finds things: its own file and logs, the run's journals and home, the shipper's status.

    ``backlog_s`` is the run's limit of what is unshipped, ``desk`` its desk's heartbeat; ``database`` is the
    embedded server's folder, empty when ``url`` or DATABASE_URL names another server.
    """

    config: Path
    logs: Path
    journals: tuple[Path, ...]
    backlog_s: float
    desk: Path
    home: Path
    shipper: Path
    database: str
    url: str


class ApiKeeper:
    """One run's API; `close` may be called at any time, more than once."""

    def __init__(self, port: int, places: ApiPlaces, say: Say) -> None:
        self.url = ""
        self._places = places
        # The same for every life, so that a client's cursors outlive a restart.
        self._fields = _fields(port, places)
        # The password of an external server goes by the environment, not by a file.
        environment = inherited() if places.database else with_database(places.url)
        standing = Standing("api", "the API", "api", places.config, places.logs, environment)
        self._child = KeptChild(standing, say)
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="api", daemon=True)

    def begin(self) -> None:
        """Start it without waiting for it."""
        _write(self._places.config, self._fields)
        self._child.begin()

    def ready(self) -> str:
        """Wait until it answers and return its address; keep it from then on.

        Raises
        ------
        UserError, ParleyError
            When it does not begin; the text says why.
        """
        line = self._child.ready(READY_PATIENCE_S)
        self.url = str(line["url"])
        # Whoever looked at the first life finds the next one at the same place.
        self._fields["port"] = line["port"]
        _write(self._places.config, self._fields)
        self._thread.start()
        return self.url

    def units(self) -> dict[str, int]:
        """Return the process by name, as it is now."""
        pid = self._child.pid
        return {} if pid is None else {"api": pid}

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._child.restarts

    def changed(self) -> bool:
        """Whether the process was replaced since this was last asked."""
        found = self._changed.is_set()
        self._changed.clear()
        return found

    def close(self) -> list[int]:
        """End it; return its pid if it still runs."""
        pids = list(self.units().values())
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._child.end()
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    def _keep(self) -> None:
        while not self._stop.wait(_POLL_S):
            if self._child.look():
                self._changed.set()
        self._child.end()  # the thread's last act: with it would end what it started


def _fields(port: int, places: ApiPlaces) -> dict[str, object]:
    return {
        "port": port, "database": places.database, "home": str(places.home), "shipper": str(places.shipper),
        "journals": [str(each) for each in places.journals], "backlog_s": places.backlog_s,
        "desk": str(places.desk),
        "cursor_key": secrets.token_hex(32), "parent_pid": os.getpid(),
    }  # fmt: skip


def _write(path: Path, fields: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(fields), indent=1))
