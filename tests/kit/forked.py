"""A process that has imported much and forks: ``python -m MODULE`` without paying its imports each time.

Problem: freqtrade takes seven seconds to import and ccxt three, and a suite that starts a hundred commands
would import for minutes. What is forked is what `python -m` makes: its own process, folder, environment,
standard streams, ``__main__`` and exit; only what is loaded before its first line differs.

Not here: forks of a process that has a campaign of its own (`tests.chaos.nursery`).

Invariants: the server is one thread that has imported and done nothing else, and said nothing while it did,
so that no child's output lacks what an import says; it and its children end with the process that made it.
Use a real interpreter where a hash seed, a command line in ``/proc`` or what is imported when is looked at.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "runtime.cli", "runtime.settings", "runtime.commands.simulate", "runtime.commands.seated_backtest",
    "runtime.commands.shadow", "runtime.commands.trade",
)  # fmt: skip
AGENTS = ("arbitrageur", "capital", "execution", "meta", "risk", "signal", "strategy")
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_SIZE = 1 << 20
_KILLED_S = 10.0


# ---------------------------------------------------------------- who asks


@dataclass
class Child:
    """A forked process; ``exit`` is as subprocess has it, None until it was waited for."""

    pid: int
    line: socket.socket
    exit: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code; raise `TimeoutError` when it does not end in time."""
        if self.exit is None:
            self.line.settimeout(timeout)
            told = self.line.recv(_SIZE)
            self.line.close()
            if not told:
                raise EOFError("the process that forks ended")
            self.exit = int(json.loads(told)["exit"])
        return self.exit

    def kill(self) -> None:
        """End it at once, if it runs; a pid whose end was told may be somebody else's."""
        if self.exit is None and not select.select([self.line], [], [], 0)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Server:
    """A process that has imported some modules."""

    def __init__(self, *modules: str) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._mine = mine
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.forked", str(its.fileno()), *modules], cwd=ROOT,
                pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        atexit.register(self.end)
        ready = mine.recv(_SIZE)
        self._log.seek(0)
        said = self._log.read().decode()
        assert ready, said
        assert said == "", "what importing says, no child would say"

    @property
    def pid(self) -> int:
        """Who is the parent of what is forked."""
        return self._process.pid

    def start(
        self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str], out: int, err: int
    ) -> Child:
        """Fork ``python -m module``, whose output goes to two file descriptors."""
        line, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        word = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        with its:
            socket.send_fds(self._mine, [json.dumps(word).encode()], [its.fileno(), out, err])
        return Child(json.loads(line.recv(_SIZE))["pid"], line)

    def run(
        self, module: str, *arguments: object, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module`` to its end and capture what it writes, as `subprocess.run` does."""
        words = [str(each) for each in arguments]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = self.start(module, *words, cwd=cwd, env=env, out=out.fileno(), err=err.fileno())
            try:
                code = child.wait(timeout)
            finally:
                child.kill()
                child.wait(_KILLED_S)
            said = []
            for each in (out, err):
                each.seek(0)
                said.append(each.read().decode())
        return subprocess.CompletedProcess([module, *words], code, *said)

    def end(self) -> None:
        """End it."""
        self._mine.close()
        self._process.wait(30)


@cache
def commands() -> Server:
    """Return the one with Parley's command line and freqtrade."""
    return Server(*COMMANDS)


@cache
def desks() -> Server:
    """Return the one with a desk and its agents."""
    return Server("runtime.desk", *(f"agents.{each}" for each in AGENTS))


@cache
def looks() -> Server:
    """Return the one with Parley's command line and what looks at a run: small and quickly there."""
    return Server("runtime.cli", "runtime.settings", "runtime.commands.status")


# ---------------------------------------------------------------- who forks


def serve(asked: socket.socket) -> dict[str, Any]:
    """Fork whatever is asked for until nobody asks any more; returns, in a child, what it shall be."""
    ended, wakes = socket.socketpair()
    for each in (ended, wakes):
        each.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines: dict[int, socket.socket] = {}
    gc.freeze()
    asked.send(b"ready")
    while True:
        heard, _, _ = select.select([asked, ended], [], [])
        if ended in heard:
            ended.recv(4096)
            _reap(lines)
        if asked not in heard:
            continue
        word, fds, _, _ = socket.recv_fds(asked, _SIZE, 3)
        if not word:
            for pid in lines:
                os.kill(pid, signal.SIGKILL)
            sys.exit(0)
        line, out, err = fds
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(out, 1)
            os.dup2(err, 2)
            os.closerange(3, 256)
            for each in (asked, ended, wakes, *lines.values()):
                each.detach()
            wanted: dict[str, Any] = json.loads(word)
            return wanted
        for fd in (out, err):
            os.close(fd)
        lines[pid] = socket.socket(fileno=line)
        lines[pid].send(json.dumps({"pid": pid}).encode())


def _reap(lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with lines.pop(pid) as line:
            line.send(json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode())


def become(wanted: dict[str, Any]) -> None:
    """Be what ``python -m`` makes of it; returns or raises as that does."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    time.tzset()
    # what only the server was given is not importable: whoever needs it has to be installed, or to say so
    said = [each for each in wanted["env"].get("PYTHONPATH", "").split(os.pathsep) if each]
    for name in [each for each in sys.modules if each.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.path[:] = [wanted["cwd"], *said, *(each for each in sys.path[1:] if each != str(ROOT))]
    sys.argv = [wanted["module"], *wanted["arguments"]]
    module = wanted["module"]
    # It runs as __main__, which is not the one that was imported.
    if sys.modules.pop(f"{module}.__main__", None) is None:
        sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> dict[str, Any]:
    """Import, then serve; returns in a child."""
    line, *modules = sys.argv[1:]
    asked = socket.socket(fileno=int(line))
    for module in modules:
        importlib.import_module(module)
    return serve(asked)


if __name__ == "__main__":
    become(main())
