"""The understudy of one run: begun with it, kept alive, ended with it; what it finds wrong is said once.

Not here: what it does (`understudy`).

Invariant: no run ends or waits because of its understudy; after `close` none is running.
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from runtime.inheritance import inherited
from runtime.kept_child import KeptAlive, Say, Standing

STATUS: Final = "understudy.status"  # in a run's folder


class UnderstudyKeeper(KeptAlive):
    """Keeps the process that folds ``journal`` as it grows; ``config`` is the file to write for it."""

    def __init__(self, journal: Path, config: Path, logs: Path, say: Say) -> None:
        self._status = journal.with_name(STATUS)
        self._say = say
        self.problem = ""
        fields = {"journal": str(journal), "status": str(self._status), "parent_pid": os.getpid()}
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(fields), indent=1))
        self._status.unlink(missing_ok=True)  # of an earlier life of the run
        standing = Standing("understudy", "the understudy", "runtime.understudy", config, logs, inherited())
        super().__init__(standing, say, self._read)

    def open(self) -> None:
        """Start it, and keep it from then on; nobody waits until it is there."""
        self.begin()
        self.keep()

    def told(self) -> dict[str, Any]:
        """Return what it said of itself, for the run's result."""
        return {**read_status(self._status), "restarts": self.restarts}

    def _read(self) -> None:
        problem = str(read_status(self._status).get("problem", ""))
        if problem and problem != self.problem:
            self.problem = problem
            self._say(f"the understudy follows the journal no more: {problem}")


def read_status(path: Path) -> dict[str, Any]:
    """Return an understudy's status file, empty where there is none that can be read."""
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}
    return found
