"""Somebody at a terminal: runs the installed `parley`, in a home of their own, and looks at what runs.

Invariant: no setting and no Ray of whoever runs the tests reaches the commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.kit.forked import looks

PARLEY: Final = Path(sys.executable).with_name("parley")
PATIENCE_S: Final = 150.0
T = TypeVar("T")


class Person:
    """Somebody at a terminal, with a home of their own."""

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "RAY_"))}
        self.home = home
        self.environment = kept | {"PARLEY_HOME": str(home)}

    def begins(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PARLEY, *map(str, arguments)], env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def types(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PARLEY, *map(str, arguments)], env=self.environment, text=True, capture_output=True, check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip

    def reads(self, *arguments: object) -> dict[str, Any]:
        """Return the JSON a command prints, or nothing where it fails."""
        done = self.types(*arguments, "--json")
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return found

    def waits(self, what: Callable[[dict[str, Any]], T | None]) -> T:
        """Look at the status until something is there.

        By forks: who looks often and imports each time slows down what they are waiting for.
        """
        deadline = time.monotonic() + PATIENCE_S
        while (found := what(self._looks())) is None:
            assert time.monotonic() < deadline, self.types("status")
            time.sleep(0.1)
        return found

    def _looks(self) -> dict[str, Any]:
        done = looks().run(
            "runtime.cli", "status", "--json", cwd=self.home.parent, env=self.environment, timeout=PATIENCE_S
        )
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return found


def is_whole(status: dict[str, Any]) -> dict[str, Any] | None:
    agents = status.get("agents", {}).values()
    connected = bool(agents) and all(agent.get("is_connected") for agent in agents)
    return status if connected and status["is_whole"] else None
