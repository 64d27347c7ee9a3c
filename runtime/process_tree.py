"""Finds the processes that descend from this one, names them beyond doubt, and ends them; Linux only.

Problem: Ray starts processes that start processes, and some leave their parent's group or outlive it. A
process that asks the kernel to adopt orphaned descendants still sees all of them below itself. A number of a
process is reused, so one is named by number and start time, and signalled through a descriptor of it.

Not here: which processes there should be (`ray_driver`).

Invariant: nothing is signalled but what descends from this process or was recorded with its start time.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_PR_SET_CHILD_SUBREAPER: Final = 36
_POLL_S: Final = 0.02
_MB: Final = 1024


class Process(NamedTuple):
    """One process: ``started`` in clock ticks since boot, which tells it from a later one of its number."""

    pid: int
    started: int
    parent: int
    name: str
    is_zombie: bool


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def look(pid: int) -> Process | None:
    """Return a process, or None when there is none of this number."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name stands in brackets and may hold anything, brackets too.
    head, _, tail = raw.partition(b"(")
    name, _, rest = tail.rpartition(b")")
    fields = rest.split()
    return Process(
        int(head), int(fields[19]), int(fields[1]), name.decode(errors="replace"), fields[0] in b"ZX"
    )


def descendants(root: int | None = None) -> list[Process]:
    """Return all processes below one, this one by default; parents before their children."""
    below: dict[int, list[Process]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := look(int(name))) is not None:
            below.setdefault(found.parent, []).append(found)
    tree: list[Process] = []
    waiting = [os.getpid() if root is None else root]
    while waiting:
        children = below.get(waiting.pop(), [])
        tree += children
        waiting += [child.pid for child in children]
    return tree


def is_running(pid: int, started: int) -> bool:
    """Say whether a recorded process still runs; one that only waits to be reaped does not."""
    found = look(pid)
    return found is not None and found.started == started and not found.is_zombie


def send(pid: int, started: int, number: signal.Signals) -> None:
    """Signal a process, unless its number belongs to another one by now."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # The descriptor stands for one process for ever, so what holds now holds for the signal.
        if is_running(pid, started):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def reap() -> None:
    """Let ended processes that were adopted go."""
    for child in descendants():
        if child.is_zombie and child.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)


def end_descendants(grace_s: float, patience_s: float = 5.0) -> list[int]:
    """Ask every process below this one to end, then make it; return those that nothing ends."""
    ask_until = time.monotonic() + grace_s
    deadline = ask_until + patience_s
    asked: set[int] = set()
    while True:
        reap()
        # One that has ended but is not adopted yet counts too: its number is taken until it is reaped.
        left = descendants()
        now = time.monotonic()
        if not left or now > deadline:
            return [each.pid for each in left if not each.is_zombie]
        for each in left:
            if now > ask_until:
                send(each.pid, each.started, signal.SIGKILL)
            elif each.pid not in asked:
                asked.add(each.pid)
                send(each.pid, each.started, signal.SIGTERM)
        time.sleep(_POLL_S)


def end_recorded(recorded: Iterable[tuple[int, int]], patience_s: float = 5.0) -> list[int]:
    """Kill processes named by number and start time; return those that ended because of it."""
    found = [(pid, started) for pid, started in recorded if is_running(pid, started)]
    for pid, started in found:
        send(pid, started, signal.SIGKILL)
    deadline = time.monotonic() + patience_s
    while any(is_running(*each) for each in found) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return [pid for pid, started in found if not is_running(pid, started)]


def memory_mb(pid: int) -> float:
    """Return the memory of a process, MB, with what it shares divided among those that share it."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return round(int(line.split()[1]) / _MB, 1)
    except OSError:
        pass
    return 0.0
