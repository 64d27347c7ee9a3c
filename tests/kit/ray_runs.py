"""Start a real Ray driver for a test, be its desk's socket, and know all its processes.

Invariant: when a context ends, no process that descended from the driver runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil

from runtime.agent_socket import admit, open_listener
from runtime.ray_control import Question, ask
from runtime.wave_frames import Cutter, Hello, from_agent
from tests.kit.sandbox import ROOT

PATIENCE_S = 30.0
T = TypeVar("T")


def eventually(what: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """Wait until something is there."""
    deadline = time.monotonic() + patience_s
    while (found := what()) is None:
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return found


class RayRun:
    """A driver in a process of its own."""

    def __init__(
        self, folder: Path, temp: Path, agents: Mapping[str, Mapping[str, str]], **over: object
    ) -> None:
        self.control = folder / "ray.sock"
        self.temp = temp
        config = {
            "folder": str(folder / "lives"), "temp": str(temp), "control": str(self.control), "cpus": 2,
            "dashboard": False, "parent_pid": os.getpid(), **over,
            "agents": [{"agent": agent, **place} for agent, place in agents.items()],
        }  # fmt: skip
        self.file = folder / "ray.json"
        self.file.write_text(json.dumps(config))
        self.log = folder / "ray.log"
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.ray_driver", "--config", str(self.file)], cwd=ROOT,
                stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready: dict[str, Any] = json.loads(line)

    def status(self) -> dict[str, Any]:
        return dict(ask(self.control, Question("status")))

    def agent(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["agents"][name]
        return found

    def alive(self, name: str, *, after: int = 0, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until an agent is alive in an incarnation higher than one."""

        def look() -> dict[str, Any] | None:
            said = self.agent(name)
            return said if said["state"] == "alive" and said["incarnation"] > after else None

        return eventually(look, patience_s)

    def tree(self) -> list[psutil.Process]:
        """Return every process below the driver."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def environment(self) -> dict[str, str]:
        """Return what a client of this Ray needs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        token = str(self.temp / "token")
        return kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token}

    def stop(self) -> tuple[int, str]:
        """End it by SIGTERM; return the exit code and what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, self.log.read_text()


@contextlib.contextmanager
def ray_run(
    folder: Path, agents: Mapping[str, Mapping[str, str]], temp: Path, **over: object
) -> Iterator[RayRun]:
    """Run a driver and end everything of it."""
    run = RayRun(folder, temp, agents, **over)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            below = run.tree()
            run.stop()
            _, left = psutil.wait_procs(below, timeout=5)
            for each in left:
                each.kill()


class Lines:
    """A desk's socket that hears who dials, and says nothing."""

    def __init__(self, address: str, token: bytes = b"") -> None:
        self._listener = open_listener(address)
        self._listener.settimeout(PATIENCE_S)
        self._token = token
        self.open: list[socket.socket] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def hello(self) -> Hello:
        """Wait for the next agent and hear its first word."""
        line, _ = self._listener.accept()
        line.settimeout(PATIENCE_S)
        admit(line, self._token)
        cutter = Cutter()
        words: list[bytes] = []
        while not words:
            words = cutter.feed(line.recv(1 << 16))
        self.open.append(line)
        word = from_agent(words[0])
        assert isinstance(word, Hello)
        return word

    def close(self) -> None:
        for each in (*self.open, self._listener):
            each.close()
