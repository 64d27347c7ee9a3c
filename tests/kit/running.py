"""A `parley run` that a test can watch, stop, and rob of its processes.

Not here: what a test expects of it.

Invariant: a run's processes are found by what they are, never by a name somebody else may have.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from runtime.history import kinds
from runtime.journal import JournalReader

UNITS = {"venues.sandbox", "runtime.gateway", "runtime.hub", "runtime.desk"}


class Running:
    """A `parley run` in a process of its own, of the made-up market unless the options name data."""

    def __init__(self, home: Path, *options: object) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", "--json", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=environment | {"PARLEY_HOME": str(home)},
        )  # fmt: skip
        self.children: dict[str, psutil.Process] = {}

    def wait_until_trading(self) -> None:
        """Wait until all units run and the desk has decided something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            self.look()
            if set(self.children) == UNITS and self._has_decided():
                return
            time.sleep(0.1)
        raise AssertionError(f"not all units came up, or nothing was decided: {sorted(self.children)}")

    def _has_decided(self) -> bool:
        for journal in self.home.glob("runs/*/desk.journal"):
            with JournalReader(journal) as reader:
                return any(True for _ in reader.records(kinds=kinds("Decision")))
        return False

    def kill_desk(self, last: int) -> int:
        """Kill the desk as soon as it is another process than the last one; return its pid."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            self.look()
            desk = self.children["runtime.desk"]
            if desk.pid != last and desk.is_running():
                desk.kill()
                return desk.pid
            time.sleep(0.02)
        raise AssertionError(f"the desk did not come back after {last}: {self.process.communicate()}")

    def look(self) -> None:
        """Find the units that run now."""
        for child in psutil.Process(self.process.pid).children():
            try:
                unit = next((word for word in child.cmdline() if word in UNITS), None)
            except psutil.Error:
                continue  # it is between its start and its program, or ended
            if unit:
                self.children[unit] = child

    def end(self, patience_s: float = 60) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=patience_s)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """Kill whatever is left of it."""
        for child in self.children.values():
            if child.is_running():
                child.kill()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def left(self, patience_s: float) -> list[str]:
        """Name the units that still run after at most some seconds."""
        _, alive = psutil.wait_procs(list(self.children.values()), timeout=patience_s)
        return [unit for unit, child in self.children.items() if child in alive]
