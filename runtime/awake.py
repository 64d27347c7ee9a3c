"""Keeps processor cores from going to sleep between events, so that no event meets a cold core.

Problem: a core with nothing to do halts, and waking it costs tens of microseconds at each hop of a round, on
a virtual machine more; its caches and clock come back slower still. A trading machine therefore idles awake.
The kernel's own switch (``idle=poll``) needs a reboot and root; here a process per core computes nothing in
the scheduling class that yields to everybody (``SCHED_IDLE``, sched(7)), so it takes only time nobody wants.

Costs: the cores' full power, for as long as it runs; on cores that share execution units (SMT) also some of
their neighbour's speed. Not here: whether it is worth that (`settings`, docs/latency.md).

Invariant: no such process outlives its parent by more than a tenth of a second.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from parley.errors import UserError

# Run as `python -c`: it must be small and import nothing. A round of the inner loop takes some 20 ms.
_STAY_AWAKE: Final = """
import os, sys
core, parent = int(sys.argv[1]), int(sys.argv[2])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


class CoresAwake:
    """One yielding process per core, from `start` to `stop`; a context manager.

    ``cores``: numbers of cores, by default all this process may run on.

    Raises
    ------
    UserError
        When the system has no scheduling class that yields to everybody.
    """

    def __init__(self, cores: Sequence[int] | None = None) -> None:
        if not hasattr(os, "SCHED_IDLE"):
            raise UserError(f"keeping cores awake needs Linux's SCHED_IDLE, this is {sys.platform}")
        self._cores = tuple(sorted(os.sched_getaffinity(0))) if cores is None else tuple(cores)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes)

    def start(self) -> None:
        """Start the processes; they need a moment until they run."""
        for core in self._cores:
            command = [sys.executable, "-I", "-S", "-c", _STAY_AWAKE, str(core), str(os.getpid())]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, env={})
            )

    def stop(self) -> None:
        """End them; returns when they are gone."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
