"""A long-lived child process that backtests case after case with freqtrade.

Problem: importing freqtrade takes seconds and its backtesting keeps state in classes, so it is imported once,
in a process that holds nothing of Parley's engine. A case can hang or end that process; it is then ended and
started again, and the case gets the answer "lost".

Not here: what the child does with a case (`reference`).

Invariant: one answer per case. The child ends when its input ends, so also when its parent is killed, and its
numeric libraries use one thread.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from tests.differential.case import Case
from tests.differential.outcome import Outcome

ROOT = Path(__file__).resolve().parent.parent.parent
RUNNER = "tests.differential.reference"
CASE_LIMIT_S = 300.0  # the slowest take half a minute on a machine of their own
START_LIMIT_S = 600.0
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*THREAD_COUNTS, "NUMBA_NUM_THREADS"), "1")
_LENGTH = struct.Struct("<Q")


class WorkerLost(Exception):
    """The child process ended or did not answer in time; the next case gets a new one."""


class Worker:
    """The parent's end: `run` sends a case and waits for its outcome; not for several threads at once.

    Parameters: ``runner`` names the module whose `run(case)` the child calls; ``case_limit_s`` is how long
    one case may take.
    """

    def __init__(self, *, runner: str = RUNNER, case_limit_s: float = CASE_LIMIT_S) -> None:
        self._runner = runner
        self._case_limit_s = case_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def run(self, case: Case) -> Outcome:
        """Return the outcome of `case`; raise `WorkerLost` if the child hung or ended over it."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin
        assert self._process.stdout
        try:
            _send(self._process.stdin, case)
            outcome: Outcome = _receive(self._process.stdout, self._case_limit_s)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            self.restarts += 1
            raise WorkerLost(f"the reference process was lost over {case.label}: {error}") from error
        return outcome

    def close(self) -> None:
        """End the child process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()

    def _start(self) -> None:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "tests.differential.worker", self._runner],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip
        assert process.stdout
        try:
            _receive(process.stdout, START_LIMIT_S)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise WorkerLost(f"the reference process did not start: {error}") from error


def _send(pipe: BinaryIO | Any, value: object) -> None:
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def _receive(pipe: BinaryIO | Any, limit_s: float) -> Any:
    deadline = time.monotonic() + limit_s
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size, deadline))
    return pickle.loads(_read(pipe, length, deadline))


def _read(pipe: BinaryIO | Any, count: int, deadline: float) -> bytes:
    # Straight from the descriptor: a buffered reader would wait past the deadline for the rest of a block.
    parts = bytearray()
    while len(parts) < count:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe.fileno()], [], [], left)[0]:
            raise TimeoutError("no answer in time")
        chunk = os.read(pipe.fileno(), count - len(parts))
        if not chunk:
            raise EOFError("it ended")
        parts += chunk
    return bytes(parts)


def serve(runner: str) -> None:
    """Answer cases from standard input until it ends; whatever else prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run = importlib.import_module(runner).run
    _send(answers, "ready")
    while header := sys.stdin.buffer.read(_LENGTH.size):
        (length,) = _LENGTH.unpack(header)
        _send(answers, run(pickle.loads(sys.stdin.buffer.read(length))))


if __name__ == "__main__":
    serve(sys.argv[1])
