"""The API of one run: begun with it, kept alive, ended with it.

Problem: whoever looks at a desk must not be able to stop it. So an API that cannot begin, because its port is
taken for instance, ends the run before anything trades; one that ends later is started again, and the run
goes on with or without it.

Not here: what it answers (`api`), the database behind it (`store_keeper`).

Invariant: after `close` no API of this run is running.
"""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from parley.errors import ParleyError, UserError
from runtime.child import Child

READY_PATIENCE_S: Final = 60.0
GRACE_S: Final = 10.0
_POLL_S: Final = 0.2
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 30.0
_SERVES_AFTER_S: Final = 30.0  # one that lasted so long did not fall over its start
_USER_MISTAKE: Final = 2
Say = Callable[[str], None]


class ApiPlaces(NamedTuple):
    """Where the API finds things: its own file and logs, the run's journal and home, the shipper's status.

    ``database`` is the embedded server's folder, empty when ``url`` or DATABASE_URL names another server.
    """

    config: Path
    logs: Path
    journal: Path
    home: Path
    shipper: Path
    database: str
    url: str


class ApiKeeper:
    """One run's API; `close` may be called at any time, more than once."""

    def __init__(self, port: int, places: ApiPlaces, say: Say) -> None:
        self.restarts = 0
        self.url = ""
        self._places = places
        self._say = say
        # The same for every life, so that a client's cursors outlive a restart.
        self._fields = _fields(port, places)
        self._child: Child | None = None
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="api", daemon=True)

    def begin(self) -> None:
        """Start it without waiting for it."""
        _write(self._places.config, self._fields)
        self._child = self._spawn(1)

    def ready(self) -> str:
        """Wait until it answers and return its address; keep it from then on.

        Raises
        ------
        UserError, ParleyError
            When it does not begin; the text says why.
        """
        child = self._child
        if child is None:
            raise ParleyError("the API was not begun")
        line = child.wait_for("ready", READY_PATIENCE_S, lambda: child.code is not None)
        if line is None:
            said = child.last_words()
            if child.code == _USER_MISTAKE and said:
                raise UserError(said.removeprefix("api: "))
            raise ParleyError(f"the API {child.how()} while starting: {said or 'it said nothing'}")
        self.url = str(line["url"])
        # Whoever looked at the first life finds the next one at the same place.
        self._fields["port"] = line["port"]
        _write(self._places.config, self._fields)
        self._thread.start()
        return self.url

    def units(self) -> dict[str, int]:
        """Return the process by name, as it is now."""
        child = self._child
        return {"api": child.pid} if child is not None and child.code is None else {}

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
        self._end()
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    def _keep(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stop.wait(_POLL_S):
            last = self._child
            if last is None or last.code is None:
                continue
            served_s = last.served_s or 0.0
            wait_s = _FIRST_WAIT_S if served_s > _SERVES_AFTER_S else min(2 * wait_s, _LONGEST_WAIT_S)
            said = last.last_words()
            last.end(0.0)
            if self._stop.wait(wait_s):
                break
            try:
                self._child = self._spawn(last.life + 1)
            except OSError as error:
                self._say(f"the API {last.how()} and could not be started again: {error}")
                continue
            self.restarts += 1
            self._changed.set()
            self._say(f"the API {last.how()} and was started again{f': {said}' if said else ''}")
        self._end()  # the thread's last act: with it would end what it started

    def _end(self) -> None:
        if self._child is not None:
            self._child.end(GRACE_S)

    def _spawn(self, life: int) -> Child:
        log = self._places.logs / ("api.log" if life == 1 else f"api-{life}.log")
        # The password of an external server goes by the environment, not by a file.
        environment = os.environ | ({"DATABASE_URL": self._places.url} if self._places.url else {})
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "api", "--config", str(self._places.config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env=environment,
            )  # fmt: skip
        return Child("api", process, log, life)


def _fields(port: int, places: ApiPlaces) -> dict[str, object]:
    return {
        "port": port, "database": places.database, "home": str(places.home), "shipper": str(places.shipper),
        "journal": str(places.journal), "cursor_key": secrets.token_hex(32), "parent_pid": os.getpid(),
    }  # fmt: skip


def _write(path: Path, fields: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(fields), indent=1))
