"""A `parley trade` in a process of its own: what it holds, what time it has, what it is made of.

Not here: what a test expects of it. Invariant: what it holds is read from its journal, order by order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from parley.messages import Decision, Fill, Intent, MarketBatch, Proposal, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from tests.kit.running import UNITS

PATIENCE_S = 240.0


@dataclass
class Order:
    """An order of a strategy: who wanted it, why, and how much of it was filled."""

    agent: str
    symbol: str
    side: str
    why: str
    filled: Decimal = Decimal(0)


def orders_of(journal: Path) -> list[Order]:
    """Return the orders of a desk's journal, in its order."""
    wanted: dict[bytes, Proposal] = {}
    by_round: dict[bytes, str] = {}
    found: dict[bytes, Order] = {}
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=kinds("Proposal", "Decision", "Intent", "Fill")):
            message = decode(decode_envelope(record.body).body)
            match message:
                case Proposal():
                    wanted[message.pid] = message
                case Decision():
                    by_round[message.round] = message.agent
                case Intent():
                    said = wanted.get(message.pid)
                    agent = by_round.get(message.round, "")
                    why = said.why if said is not None and said.agent == agent else ""
                    found[message.iid] = Order(agent, message.symbol, message.side, why)
                case Fill(iid=iid) if iid in found:
                    found[iid].filled += message.qty
    return list(found.values())


def held_after(orders: Sequence[Order]) -> dict[str, set[str]]:
    """Name what each agent holds: symbols of which it bought something and has not sold since."""
    last = {(order.agent, order.symbol): order.side for order in orders if order.filled}
    found: dict[str, set[str]] = defaultdict(set)
    for (agent, symbol), side in last.items():
        if side == "buy":
            found[agent].add(symbol)
    return found


class PaperRun:
    """A `parley trade` in a process of its own, and what it left; its home is ``home`` in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        named = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.environment = named | {"PARLEY_HOME": str(folder / "home")}
        (folder / "home").mkdir(exist_ok=True)

    @property
    def journal(self) -> Path:
        (path,) = (self.folder / "home" / "runs").glob("*/desk.journal")
        return path

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self.environment, start_new_session=True,
        )  # fmt: skip

    def ask(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", *words, "--json"], capture_output=True, text=True,
            env=self.environment, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def pid_of(self, agent: str, trading: subprocess.Popen[str], not_: int = 0) -> int:
        """Wait until an agent's process answers, and is another than one that was killed."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert trading.poll() is None, trading.communicate()
            code, told = self.ask("status")
            found = told.get("agents", {}).get(agent, {}) if code == 0 else {}
            if found.get("pid") not in (None, not_) and found.get("state") == "alive":
                return int(found["pid"])
            time.sleep(0.5)
        raise AssertionError(f"{agent} did not come up")

    def market_ms(self) -> int:
        """Say what time the desk's market has."""
        t = 0
        with JournalReader(self.journal) as reader:
            for record in reader.records(kinds=kinds("MarketBatch")):
                batch = decode(decode_envelope(record.body).body)
                assert isinstance(batch, MarketBatch)
                t = batch.t
        return t // 1_000_000

    def wait_until(self, holds: Callable[[], bool], trading: subprocess.Popen[str]) -> None:
        """Wait until something is the case while the run goes on."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert trading.poll() is None, trading.communicate()
            assert time.monotonic() < deadline, f"it never came; the market is at {self.market_ms()}"
            time.sleep(0.1)

    def orders(self) -> list[Order]:
        """Return the orders of strategies in the journal's order."""
        return orders_of(self.journal)

    def held(self) -> dict[str, set[str]]:
        """Name what each agent holds."""
        return held_after(self.orders())

    def unit(self, trading: subprocess.Popen[str], name: str) -> psutil.Process:
        """Find one of the run's processes, such as ``runtime.desk``."""
        assert name in UNITS, name
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for child in psutil.Process(trading.pid).children():
                try:
                    if name in child.cmdline():
                        return child
                except psutil.Error:
                    continue
            time.sleep(0.05)
        raise AssertionError(f"there is no {name}")

    def shadow(self, **given: Path) -> tuple[int, dict[str, Any]]:
        """Lay the run's one strategy beside its backtest."""
        words = [
            word for name, place in given.items() for word in (f"--{name.replace('_', '-')}", str(place))
        ]
        code, told = self.ask("shadow", *words)
        (strategy,) = told["strategies"]
        return code, strategy


def causes(told: dict[str, Any], cause: str) -> list[dict[str, Any]]:
    """Return the divergences of a cause that stand for themselves."""
    return [each for each in told["divergences"] if each["cause"] == cause and not each["follows"]]
