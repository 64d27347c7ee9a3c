"""Real-time scheduling of the processes an order goes through, so that nothing else delays them.

Problem: an event wakes hub, desk, agents and gateway one after the other, and each of them may find
somebody else at the processor: a database, Ray's own processes, the console. Round-robin real-time threads
go first (sched(7)). Linux keeps a twentieth of each processor for the others, so that one that never rests
can still be ended.

Not here: who asks for it (`desk.realtime`). Invariant: a run that asked for it has it or does not start; an
order on its way out goes before everything that leads to the next one.
"""

import contextlib
import os
import resource
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

AGENT: Final = 10
PRIORITIES: Final[Mapping[str, int]] = {"gateway": 13, "desk": 12, "hub": 11}
"""By the name of a unit. Different ones, for an equal is not pushed aside and may compute for 100 ms."""
_MOST: Final = max(PRIORITIES.values())
_KEPT_FOR_OTHERS: Final = Path("/proc/sys/kernel/sched_rt_runtime_us")


def refused() -> str:
    """Say why this process may not give out such a place; empty when it may."""
    if not hasattr(os, "sched_setscheduler"):
        return "this system knows no real-time scheduling"
    if _KEPT_FOR_OTHERS.exists() and _KEPT_FOR_OTHERS.read_text().strip() == "-1":
        return f"{_KEPT_FOR_OTHERS} is -1, so that one process that never rests would lock out all others"
    why: list[str] = []

    def tried() -> None:  # by a thread that ends: what it gets is its own
        try:
            prefer(0, _MOST)
        except OSError as error:
            most = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
            why.append(f"{error.strerror}: expected CAP_SYS_NICE or a limit rtprio of {_MOST}, was {most}")

    thread = threading.Thread(target=tried)
    thread.start()
    thread.join()
    return "".join(why)


def prefer(thread: int, priority: int) -> None:
    """Let a thread (0: this one; a process's id: its first one) and all it starts from now on go first.

    Raises
    ------
    OSError
        When that is not allowed, or there is no such thread.
    """
    os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(priority))


def prefer_all(pid: int, priority: int) -> None:
    """Let every thread of a process that has begun long ago go first; raises as `prefer`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            prefer(int(task.name), priority)


__all__ = ["AGENT", "PRIORITIES", "prefer", "prefer_all", "refused"]
