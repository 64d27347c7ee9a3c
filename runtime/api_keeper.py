"""The API of one run: begun with it, kept alive, ended with it.

Problem: whoever looks at a desk must not be able to stop it. So an API that cannot begin, because its port is
taken for instance, ends the run before anything trades; one that ends later is started again, and the run
goes on with or without it.

Not here: what it answers (`api`), the database behind it (`store_keeper`).

Invariant: after `close` no API of this run is running.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from runtime.inheritance import inherited, with_database
from runtime.kept_child import KeptAlive, Say, Standing

READY_PATIENCE_S: Final = 60.0


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


class ApiKeeper(KeptAlive):
    """One run's API; `close` may be called at any time, more than once."""

    def __init__(self, port: int, places: ApiPlaces, say: Say) -> None:
        self.url = ""
        self._places = places
        # The same for every life, so that a client's cursors outlive a restart.
        self._fields = _fields(port, places)
        # The password of an external server goes by the environment, not by a file.
        environment = inherited() if places.database else with_database(places.url)
        super().__init__(Standing("api", "the API", "api", places.config, places.logs, environment), say)

    def begin(self) -> None:
        """Start it without waiting for it."""
        _write(self._places.config, self._fields)
        super().begin()

    def answer(self) -> str:
        """Wait until it answers and return its address; keep it from then on.

        Raises
        ------
        UserError, ParleyError
            When it does not begin; the text says why.
        """
        line = self.ready(READY_PATIENCE_S)
        self.url = str(line["url"])
        # Whoever looked at the first life finds the next one at the same place.
        self._fields["port"] = line["port"]
        _write(self._places.config, self._fields)
        self.keep()
        return self.url


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
