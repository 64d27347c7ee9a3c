"""Which child ended first: the kernel's word, however late it is asked for.

Problem: when one process of a run dies, others that needed it die of that within milliseconds, and whoever
looks at exit codes now and then takes the one it looks at first for the cause. The kernel queues the ends of
watched processes in the order in which they happened; reading that queue late does not change the order.

Not here: ending anything, or saying why something ended (`supervisor`).

Invariant: `order` only grows, and a process stands before every other whose end the kernel saw later.
"""

import os
import select


class Endings:
    """The ends of some child processes, in the order in which the kernel saw them; Linux 5.3 or later."""

    def __init__(self) -> None:
        self.order: list[int] = []  # pids
        self._queue = select.epoll()
        self._pids: dict[int, int] = {}

    def watch(self, pid: int) -> None:
        """Watch a child that was not waited for yet."""
        handle = os.pidfd_open(pid)
        self._pids[handle] = pid
        # One-shot: an end is told once, so that the queue never tells a later one before it.
        self._queue.register(handle, select.EPOLLIN | select.EPOLLONESHOT)

    def read(self, timeout_s: float = 0.0) -> list[int]:
        """Take what the kernel queued, waiting for at most ``timeout_s`` if it is nothing; return `order`."""
        for handle, _ in self._queue.poll(timeout_s):
            self.order.append(self._pids.pop(handle))
            os.close(handle)
        return self.order

    def close(self) -> None:
        """Watch no more."""
        for handle in self._pids:
            os.close(handle)
        self._pids = {}
        self._queue.close()
