"""Who uses an embedded server, so that the last one stops it and nobody stops it under another.

Problem: two desks of one home, or a desk and a backup, share one server. Whoever ends first must leave it to
the other, and what a killed process left running must be stopped by the next one that ends in order.

Not here: starting and stopping (`embedded`).

Invariant: a server that a living process has claimed is stopped by that process alone.
"""

import fcntl
import os

from runtime.postgres.embedded import EmbeddedServer


class Claim:
    """One process's use of a server, from its making to `release`; the kernel releases it with the process.

    ``ends_with_us``: the server, if it is started here, ends with this process, however that ends.
    """

    def __init__(self, server: EmbeddedServer, *, ends_with_us: bool = False) -> None:
        self.server = server
        server.start(ends_with_us=ends_with_us)
        self._handle = os.open(server.folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_SH)
        server.start(ends_with_us=ends_with_us)  # its last user may have stopped it meanwhile

    def release(self) -> None:
        """Let go, and stop the server unless somebody else uses it."""
        if self._handle < 0:
            return
        try:
            if self._is_last():
                self.server.stop()
        finally:
            os.close(self._handle)
            self._handle = -1

    def _is_last(self) -> bool:
        try:
            # Held until the server is down, so that nobody claims one that is just being stopped.
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
