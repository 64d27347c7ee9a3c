"""An exchange that no run started: what `parley trade --mode live` meets, with its own clock and truth log.

It is the sandbox, by the clock and without a control socket, so that nothing but the market's own addresses
leads to it. Candles last a second, so that a test sees a few of them.

Not here: what a test expects. Invariant: when the context ends, the process has ended.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import ccxt

from tests.kit.sandbox import ROOT
from venues.binance_urls import override_urls

KEYS = {"api_key": "outside-key", "secret": "outside-secret", "passphrase": "outside-passphrase"}
# More than a run is given: the rest is nobody's business.
HOLDS = {"USDT": "50000", "BTC": "1.5"}


@dataclass(frozen=True)
class Outside:
    """Where it is, and what its log and its key are."""

    rest: str
    ws: str
    truth: Path
    keys: Path
    process: subprocess.Popen[str]
    protocol: str = "binance"

    def client(self) -> ccxt.binance:
        """Somebody else with the same key: a person at the exchange's own page, say."""
        kind = ccxt.binanceusdm if self.protocol == "binanceusdm" else ccxt.binance
        key = json.loads(self.keys.read_text())
        client = kind({"apiKey": key["api_key"], "secret": key["secret"], "enableRateLimit": False})
        override_urls(client, self.rest, self.ws)
        return client

    def end(self) -> None:
        """End it, so that its truth log is whole."""
        self.process.terminate()
        assert self.process.wait(30) == 0

    def settings(self, path: Path, home: Path, **more: object) -> Path:
        """Write a desk's settings for it: 10,000 of the 50,000 USDT, and a strategy that always trades."""
        told: dict[str, object] = {
            "home": str(home), "venue": self.protocol, "pairs": ["BTC/USDT", "ETH/USDT"], "timeframe": "1s",
            "capital": 10_000, **more,
        }  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
        lines += [
            "[live]",
            f"keys = {json.dumps(str(self.keys))}",
            f'rest = "{self.rest}"',
            f'ws = "{self.ws}"',
        ]
        lines += ["[limits]", "max_order_notional = 0.2", "max_position = 0.25", "max_daily_loss = 0.03"]
        lines += ["max_drawdown = 0.1", "max_clock_offset_ms = 1000", "[database]", "enabled = false"]
        lines += ['[agents."strategy/trend"]', 'source = "tests.chaos.busy:make"', "cooldown_ms = 0"]
        path.write_text("\n".join(lines) + "\n")
        return path


@contextlib.contextmanager
def outside_exchange(
    folder: Path, account: Mapping[str, object] | None = None, *, feed: Mapping[str, object] | None = None,
    **config: object,
) -> Iterator[Outside]:  # fmt: skip
    """Start one; ``account``, ``feed`` and ``config`` change these parts of its configuration.

    A machine has one desk to a key: who runs several at once gives each account an ``api_key`` of its own.
    """
    truth, settings, keys = folder / "truth.jsonl", folder / "exchange.json", folder / "keys.json"
    market = {
        "kind": "synthetic", "timeframe": "1s", "assets": ["BTC", "ETH"], "crosses": [], "candles": 3600,
        "history": 60, "start": "now", **(feed or {}),
    }  # fmt: skip
    mine = {"name": "main", **KEYS, "balances": HOLDS, **(account or {})}
    settings.write_text(
        json.dumps({"feed": market, "truth": str(truth), "speed": 1, "seed": 5, "accounts": [mine], **config})
    )
    keys.write_text(json.dumps({name: mine[name] for name in KEYS}))
    keys.chmod(0o600)
    process = subprocess.Popen(
        [sys.executable, "-m", "venues.sandbox", "--config", str(settings)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Outside(
            ready["rest"], ready["ws"], truth, keys, process, str(config.get("protocol", "binance"))
        )
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
