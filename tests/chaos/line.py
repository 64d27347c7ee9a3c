"""A line between a gateway and its exchange that breaks: a TCP relay on loopback, a process of its own.

    python -m tests.chaos.line --config FILE      # {"host", "port", "mood"}; says {"ready": ..., "port": ...}

Problem: what a network does to an order (cut, slow, half open) is neither a death nor a mood of the exchange.
The file ``mood`` says what the line does now; whoever beats the bout writes it, see `set_mood`.

    open   what comes is passed on
    cut    every connection is reset, nobody connects
    slow   each piece is held for `SLOW_S` before it goes on, in order
    mute   what goes to the exchange is swallowed, the connection stands
    deaf   what comes from the exchange is swallowed, the connection stands

Not here: when (`plan`). Invariant: a connection that lost bytes never carries others; it is reset when the
line is open again, as a middle box that forgot it does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

MOODS: Final = ("cut", "slow", "mute", "deaf")
OPEN: Final = "open"
SLOW_S: Final = 0.25
_LOOK_S: Final = 0.01


def set_mood(path: Path, mood: str) -> None:
    """Tell a line, at once and as a whole, what it is from now on."""
    beside = path.with_suffix(".new")
    beside.write_text(mood)
    os.replace(beside, path)


class Line:
    """The relay to one port."""

    def __init__(self, host: str, port: int, mood: Path) -> None:
        self._to = (host, port)
        self._path = mood
        self._mood = OPEN
        self._broken: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection, both ways."""
        if self._mood == "cut":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, "mute", both), self._pass(far_reader, writer, "deaf", both)
            )
        finally:
            self._writers -= both
            self._broken -= both

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lost_when: str,
        both: set[asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._mood == lost_when or writer in self._broken:
                    self._broken |= both
                    continue
                if self._mood == "slow":
                    await asyncio.sleep(SLOW_S)
                writer.write(data)
                await writer.drain()
        for each in both:
            each.transport.abort()

    async def follow(self) -> None:
        """Be what the file says, as soon as it says it."""
        while True:
            with contextlib.suppress(OSError):
                self._turn(self._path.read_text())
            await asyncio.sleep(_LOOK_S)

    def hang_up(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def _turn(self, mood: str) -> None:
        if mood == self._mood or mood not in (OPEN, *MOODS):
            return
        self._mood = mood
        if mood == "cut":
            self.hang_up()
        for writer in self._broken if mood == OPEN else ():
            writer.transport.abort()


async def _run(config: dict[str, object]) -> None:
    line = Line(str(config["host"]), int(str(config["port"])), Path(str(config["mood"])))
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    following = asyncio.ensure_future(line.follow())
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"ready": True, "unit": "line", "port": port}), flush=True)
    await stop.wait()
    following.cancel()
    server.close()


def main() -> int:
    """Relay until SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.chaos.line", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    asyncio.run(_run(json.loads(parser.parse_args().config.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
