"""A unit forked from a process that has ccxt, as `asyncio.subprocess` would give it.

Not here: what units are started with (`tests.kit.units`). Invariant: `wait` returns when the process has
ended and everything it wrote can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from functools import cache
from pathlib import Path

from tests.kit.forked import ROOT, Server

# What a gateway, a hub or an exchange has loaded when it serves.
UNITS = ("runtime.gateway", "runtime.hub", "venues.sandbox.__main__", "ccxt.pro")
_SIZE = 1 << 16
_LIMIT = 1 << 20


@cache
def units() -> Server:
    """Return the one with gateway, hub and sandbox exchange."""
    return Server(*UNITS)


class ForkedUnit:
    """A forked ``python -m module --config FILE``."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader(_LIMIT)
        self.stderr = asyncio.StreamReader(_LIMIT)
        self._line = line
        self._read: list[asyncio.Future[None]] = []
        self._over: asyncio.Task[int]

    @classmethod
    async def start(cls, module: str, config: Path, *, errors: int | None = None) -> ForkedUnit:
        """Fork it; what it writes can be read, but standard error where a descriptor for it is given."""
        loop = asyncio.get_running_loop()
        out, its_out = os.pipe()
        err, its_err = os.pipe() if errors is None else (-1, os.dup(errors))
        try:
            child = units().start(
                module, "--config", str(config), cwd=ROOT, env=os.environ, out=its_out, err=its_err
            )
        finally:
            os.close(its_out)
            os.close(its_err)
        child.line.setblocking(False)
        made = cls(child.pid, child.line)
        for reader, fd in ((made.stdout, out), (made.stderr, err)):
            if fd < 0:
                reader.feed_eof()
                continue
            protocol = _Ending(reader, loop.create_future())
            await loop.connect_read_pipe(lambda it=protocol: it, os.fdopen(fd, "rb", 0))  # type: ignore[misc]
            made._read.append(protocol.ended)
        made._over = loop.create_task(made._watch())
        return made

    async def _watch(self) -> int:
        told = await asyncio.get_running_loop().sock_recv(self._line, _SIZE)
        self._line.close()
        if not told:
            raise EOFError("the process that forks ended")
        self.returncode = int(json.loads(told)["exit"])
        await asyncio.gather(*self._read)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it is there to get one."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._over)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end; return what it wrote and nobody read."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


class _Ending(asyncio.StreamReaderProtocol):
    """Says when its pipe is closed."""

    def __init__(self, reader: asyncio.StreamReader, ended: asyncio.Future[None]) -> None:
        super().__init__(reader)
        self.ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the pipe."""
        super().connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)
