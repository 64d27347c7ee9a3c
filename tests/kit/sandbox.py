"""Start a real sandbox exchange for a test, and be its control client.

The process, the sockets and the ccxt client are all real; nothing here is faked. Not here: what a test
expects. Invariant: when the context ends, the process has ended too, by SIGTERM and with exit code 0 unless
the test ended it itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt.pro

from tests.kit.forked_unit import ForkedUnit
from venues.binance_urls import override_urls

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET, PASSPHRASE = "sandbox-key", "sandbox-secret", "sandbox passphrase"
ACCOUNT: dict[str, Any] = {
    "name": "first",
    "api_key": KEY,
    "secret": SECRET,
    "passphrase": PASSPHRASE,
    "balances": {"USDT": "10000000", "BTC": "20", "ETH": "100"},
}
SYNTHETIC = {"kind": "synthetic", "candles": 40, "history": 60}


class Control:
    """The lock-step side of the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unanswered: int | None = None
        self.hello: dict[str, Any] = {}

    async def say(self, message: object) -> None:
        """Send one line."""
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()

    async def hear(self) -> dict[str, Any]:
        """Return the next line."""
        line = await self._reader.readline()
        if not line:
            raise EOFError("the sandbox hung up")
        message: dict[str, Any] = json.loads(line)
        return message

    async def go(self) -> None:
        """Start the market."""
        await self.say({"go": True})

    async def steps(self, count: int) -> dict[str, Any]:
        """Play `count` steps and return the last announcement, which is acknowledged by the next call only.

        Until then the market stands still.
        """
        message: dict[str, Any] = {}
        for _ in range(count):
            await self._answer()
            message = await self.hear()
            self._unanswered = message.get("step")
        return message

    async def to_end(self) -> dict[str, Any]:
        """Play until the data is exhausted."""
        while not (message := await self.steps(1)).get("end"):
            pass
        return message

    async def _answer(self) -> None:
        if self._unanswered is not None:
            await self.say({"ack": self._unanswered})
            self._unanswered = None

    async def hang_up(self) -> None:
        """Close the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class SandboxProcess:
    """A running sandbox exchange."""

    def __init__(self, process: ForkedUnit, ready: dict[str, Any], folder: Path) -> None:
        self.process = process
        self.rest: str = ready["rest"]
        self.ws: str = ready["ws"]
        self.truth_path = folder / "truth.jsonl"
        self.control_path = folder / "control.sock"
        self._controls: list[Control] = []

    async def control(self) -> Control:
        """Connect as the control client and say hello."""
        control = Control(*await asyncio.open_unix_connection(str(self.control_path)))
        self._controls.append(control)
        await control.say({"hello": "feed"})
        control.hello = await control.hear()
        return control

    @contextlib.asynccontextmanager
    async def client(
        self, key: str = KEY, secret: str = SECRET, **options: object
    ) -> AsyncIterator[ccxt.pro.binance]:
        """An unmodified ccxt.pro client that knows no other address than this process."""
        exchange = ccxt.pro.binance(
            {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": options}
        )
        override_urls(exchange, self.rest, self.ws)
        try:
            yield exchange
        finally:
            await exchange.close()

    def truth(self, *events: str) -> list[dict[str, Any]]:
        """The truth log's lines, only those of some events if any are given."""
        lines = [json.loads(line) for line in self.truth_path.read_text().splitlines()]
        return [line for line in lines if not events or line["event"] in events]

    async def stop(self) -> int:
        """Ask the process to end and return its exit code."""
        for control in self._controls:
            await control.hang_up()
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()


@contextlib.asynccontextmanager
async def sandbox(feed: dict[str, Any] | None = None, **config: object) -> AsyncIterator[SandboxProcess]:
    """Run a sandbox in lock-step over a small synthetic market, or over what is asked for."""
    folder = Path(tempfile.mkdtemp(prefix="sbx-"))  # short: a Unix socket's path has 107 bytes
    file = folder / "config.json"
    settings = {
        "seed": 7,
        "truth": str(folder / "truth.jsonl"),
        "control": str(folder / "control.sock"),
        "feed": feed or SYNTHETIC,
        "accounts": [ACCOUNT],
        "parent_pid": os.getpid(),
    }
    file.write_text(json.dumps(settings | config))
    process = await ForkedUnit.start("venues.sandbox", file, errors=2)
    try:
        line = await process.stdout.readline()
        assert line, f"the sandbox ended with {await process.wait()} instead of getting ready"
        running = SandboxProcess(process, json.loads(line), folder)
        yield running
        assert await running.stop() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(folder)
