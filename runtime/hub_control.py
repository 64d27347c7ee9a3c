"""The sandbox's control socket as its one client, the hub, uses it: JSON lines, outside the venue's protocol.

``{"hello":"feed"}`` is answered by ``ready``; after ``{"go":true}`` the sandbox announces each step once its
messages are written. At speed ``max`` it goes on only after ``{"ack":k}``. Not here: what the hub does in
between. Invariant: announcements are returned in order, each once.
"""

import asyncio
from pathlib import Path
from typing import Self

import msgspec

from parley.errors import Fatal, UserError
from runtime.frames import check_socket_path
from runtime.hub_feed import Step

_LINE_LIMIT = 1 << 20


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The feed is exhausted; totals as the sandbox counted them.

    ``candles_closed``, by the exchange's own symbols: also while nobody listened, when none could be sent.
    """

    end: bool
    steps: int
    candles_sent: int
    fills: int
    candles_closed: dict[str, int] = {}


class _Ready(msgspec.Struct, frozen=True):
    ready: bool
    symbols: list[str]
    timeframe_ms: int


class Sandbox:
    """A connection to the control socket, greeted and not yet started."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def greet(cls, path: Path) -> Self:
        """Connect and say hello.

        Raises
        ------
        UserError
            When nobody serves the socket, or the sandbox refuses.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(check_socket_path(path), limit=_LINE_LIMIT)
        except OSError as error:
            raise UserError(f"cannot reach the sandbox's control socket {str(path)!r}: {error}") from error
        sandbox = cls(reader, writer)
        sandbox._write({"hello": "feed"})
        line = await reader.readline()
        try:
            msgspec.json.decode(line, type=_Ready)
        except msgspec.MsgspecError as error:
            raise UserError(f"the sandbox's control socket refused: {line[:200]!r}") from error
        return sandbox

    def go(self) -> None:
        """Let the market begin."""
        self._write({"go": True})

    def acknowledge(self, step: int) -> None:
        """Say that a step is closed."""
        self._write({"ack": step})

    async def next(self) -> Step | End:
        """Wait for the next announcement.

        Raises
        ------
        Fatal
            When the sandbox hung up, or said something else.
        """
        line = await self._reader.readline()
        if not line:
            raise Fatal("the sandbox closed its control socket before the end of the feed")
        try:
            # An end has no marks and a step no end, so at most one of the two decodes.
            if b'"end"' in line[:8]:
                return msgspec.json.decode(line, type=End)
            return msgspec.json.decode(line, type=Step)
        except msgspec.MsgspecError as error:
            raise Fatal(f"the sandbox announced {line[:200]!r}: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def _write(self, message: dict[str, object]) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")
