"""Start a real gateway or hub process for a test, and be the desk at its socket.

Not here: the exchange (`tests.kit.sandbox`). Invariant: when a context ends, its process has ended by
SIGTERM with exit code 0, unless the test ended it itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from parley.ids import account_key, client_order_id, intent_id, tenant_tag
from parley.messages import CancelIntent, Envelope, Intent, Message, decode
from runtime.frames import CONTROL, Link, connect, control, wrap
from runtime.held_orders import RELEASE, word_of
from tests.kit.forked_unit import ForkedUnit
from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess

M = TypeVar("M", bound=Message)
SYMBOLS = ["BTC/USDT", "ETH/USDT", "LTC/USDT", "SOL/USDT", "ETH/BTC"]
LIMITS = {"max_notional": {"USDT": "5000000", "BTC": "10"}, "max_position": {"USDT": "9000000", "BTC": "50"}}
PATIENCE_S = 20.0
ROUND = bytes(range(16))


class UnitProcess:
    """A running unit: its process, its ready line and its folder."""

    def __init__(self, process: ForkedUnit, ready: dict[str, Any], folder: Path) -> None:
        self.process = process
        self.ready = ready
        self.folder = folder

    @property
    def socket(self) -> Path:
        """Where it serves."""
        return Path(self.ready["socket"])


@contextlib.contextmanager
def short_folder() -> Any:
    """Make a folder whose sockets have short paths."""
    folder = Path(tempfile.mkdtemp(prefix="unit-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def start(unit: str, config: Mapping[str, object], folder: Path) -> UnitProcess:
    """Start a unit and wait for its ready line."""
    file = folder / f"{unit}.json"
    file.write_text(json.dumps(config))
    process = await ForkedUnit.start(f"runtime.{unit}", file)
    line = await process.stdout.readline()
    if not line:
        _, errors = await process.communicate()
        raise UnitEndedError(process.returncode or 0, errors.decode())
    return UnitProcess(process, json.loads(line), folder)


class UnitEndedError(Exception):
    """A unit ended instead of getting ready: its exit code and its standard error."""

    def __init__(self, code: int, errors: str) -> None:
        super().__init__(f"exit code {code}: {errors}")
        self.code = code
        self.errors = errors


@contextlib.asynccontextmanager
async def unit(name: str, config: Mapping[str, object], folder: Path) -> AsyncIterator[UnitProcess]:
    """Run a unit, and end it by SIGTERM."""
    running = await start(name, config, folder)
    try:
        yield running
        if running.process.returncode is None:
            running.process.terminate()
            _, errors = await running.process.communicate()
            assert running.process.returncode == 0, errors.decode()
    finally:
        if running.process.returncode is None:
            running.process.kill()
            await running.process.wait()


def gateway_config(
    folder: Path, venue: SandboxProcess | None, venue_over: Mapping[str, object] | None = None, **over: object
) -> dict[str, object]:
    """Make a gateway's configuration, for a sandbox or for the null venue."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"api_key": KEY, "secret": SECRET, "passphrase": PASSPHRASE}))
    keys.chmod(0o600)
    if venue is None:
        target: dict[str, object] = {
            "kind": "null", "name": "sandbox", "symbols": SYMBOLS, "balances": {"USDT": "1000000"},
        }  # fmt: skip
    else:
        target = {
            "kind": "ccxt", "name": "sandbox", "symbols": SYMBOLS, "rest": venue.rest, "ws": venue.ws,
            "keys_file": str(keys),
        }  # fmt: skip
    return {
        "account": "main", "socket": str(folder / "gw.sock"), "journal": str(folder / "gw.journal"),
        "instruments": str(folder / "instruments.json"), "venue": target | dict(venue_over or {}),
        "limits": LIMITS,
        "halt_file": str(folder / "HALT"),
    } | over  # fmt: skip


def hub_config(folder: Path, venue: SandboxProcess, **over: object) -> dict[str, object]:
    """Make a hub's configuration for lock-step with a sandbox."""
    return {
        "socket": str(folder / "hub.sock"), "symbols": SYMBOLS, "rest": venue.rest, "ws": venue.ws,
        "control": str(venue.control_path), "lockstep": True,
    } | over  # fmt: skip


class FakeDesk:
    """The desk's end of a link: keeps what comes, and waits for what a test expects."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.messages: list[Message] = []
        self.controls: list[str] = []
        self.sent = 0
        self.lost: str | None = None
        self._changed = asyncio.Event()
        self.link: Link

    @classmethod
    async def connect(cls, path: Path) -> FakeDesk:
        """Connect to a unit."""
        desk = cls()
        desk.link = await connect(path, desk._take, desk._lose)
        return desk

    def _take(self, envelope: Envelope) -> None:
        if envelope.kind == CONTROL:
            self.controls.append(envelope.body.decode())
        else:
            self.envelopes.append(envelope)
            self.messages.append(decode(envelope.body))
        self._changed.set()

    def _lose(self, why: str) -> None:
        self.lost = why
        self._changed.set()

    def of(self, kind: type[M]) -> list[M]:
        """Return the messages of a type, in order."""
        return [each for each in self.messages if isinstance(each, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def news(self, known: int) -> None:
        """Wait for more than `known` messages, a control text, or the end of the link."""
        await self.until(lambda: len(self.messages) > known or self.controls or self.lost is not None)

    async def hear(self, kind: type[M], count: int = 1) -> M:
        """Wait for the count-th message of a type and return it."""
        await self.until(lambda: len(self.of(kind)) >= count or self.lost is not None)
        return self.of(kind)[count - 1]

    def send(self, message: Message, *, release: bool = True, **over: Any) -> int:
        """Send a message under the next number, with the word that releases it if it is an order."""
        self.sent += 1
        self.link.send(wrap(message, sender="desk", to="unit", seq=self.sent, **over))
        if release and isinstance(message, Intent | CancelIntent):
            self.say(word_of(RELEASE, [self.sent]))
        return self.sent

    def say(self, text: str) -> None:
        """Send a control text."""
        self.link.send(control(text, sender="desk", to="unit"))


def make_intent(n: int = 0, **over: Any) -> Intent:
    """Make a valid market buy, the n-th; a field can be replaced."""
    iid = intent_id(ROUND, ROUND, 0, n)
    fields: dict[str, Any] = {
        "iid": iid, "cid": client_order_id(account_key("local", "main"), tenant_tag("local"), iid),
        "round": ROUND, "pid": ROUND, "leg": 0, "child": n, "account": "main", "venue": "sandbox",
        "symbol": "BTC/USDT", "side": "buy", "qty": Decimal("0.01"), "px": None, "style": "market",
        "tif": "IOC", "reduce_only": False, "send_by": time.monotonic_ns() + 20_000_000_000, "epoch": 1,
        "reservation_id": b"", "risk_hash": b"", "ref_px": Decimal(50_000),
    }  # fmt: skip
    return Intent(**fields | over)


def make_cancel(intent: Intent, **over: Any) -> CancelIntent:
    """Make a cancel of an order."""
    fields: dict[str, Any] = {
        "iid": intent.iid, "cid": intent.cid, "round": intent.round, "account": intent.account,
        "venue": intent.venue, "symbol": intent.symbol, "send_by": time.monotonic_ns() + 20_000_000_000,
        "epoch": intent.epoch,
    }  # fmt: skip
    return CancelIntent(**fields | over)
