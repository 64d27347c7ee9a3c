"""The whole of a run, kept by somebody who starts it again: what a service manager does, and who can be hit.

The run is `parley trade --mode live --resume auto` with its agents in Ray actors and a database, against a
sandbox exchange that it did not start: Ray's head and raylet, the actors, desk, gateway, hub, shipper,
PostgreSQL, the command line itself. A lost desk, gateway, hub, agent, Ray, shipper or database the run brings
back; one that fell too often ends it, and the next life goes on with its journals.

Not here: who is hit when (`full_bout`). Invariant: only processes below the run started here are named.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from tests.differential.record import ROOT
from tests.kit.database import discard, new_server

KEYS: Final = {"api_key": "chaos-key", "secret": "chaos-secret", "passphrase": "chaos-passphrase"}
CAPITAL: Final = {"USDT": "10000"}
ASSETS: Final = ("BTC", "ETH", "LTC")
# What a run consists of, by the names of `processes.json`, and what of Ray can be told apart.
UNITS: Final = ("gateway", "hub", "desk", "ray", "postgres", "shipper")
_SPARE_GATEWAY: Final = "gateway spare"  # not always there
_TRADING: Final = ("gateway", "hub", "desk")
_RAY: Final = {"gcs_server": "ray_head", "raylet": "raylet"}
_ACTOR: Final = "ray::"
_SPARE: Final = "ray::IDLE"
_BEGIN_S: Final = 240.0
_END_S: Final = 120.0


class Exchange:
    """The sandbox by the clock, with its own truth log.

    It is stopped, never killed: its books are in memory, and its log is the judge's only witness.
    """

    def __init__(self, folder: Path, venue: str, seed: int, hostility: Mapping[str, object]) -> None:
        self.truth = folder / "truth.jsonl"
        self.keys = folder / "keys.json"
        self.keys.write_text(json.dumps(KEYS))
        self.keys.chmod(0o600)
        config = folder / "exchange.json"
        account = {"name": "main", **KEYS, "balances": CAPITAL}
        feed = {
            "kind": "synthetic", "timeframe": "1s", "assets": list(ASSETS), "crosses": [], "candles": 7200,
            "history": 60, "start": "now",
        }  # fmt: skip
        config.write_text(json.dumps({
            "feed": feed, "truth": str(self.truth), "speed": 1, "seed": seed, "accounts": [account],
            "protocol": venue, "hostility": dict(hostility), "parent_pid": os.getpid(),
        }))  # fmt: skip
        self.process, ready = begin("venues.sandbox", config, folder / "exchange.log")
        self.rest, self.ws = str(ready["rest"]), str(ready["ws"])

    def end(self) -> None:
        """End it, so that its truth log is whole."""
        self.process.terminate()
        self.process.wait(_END_S)


def begin(module: str, config: Path, log: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a unit and wait until it serves."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--config", str(config)],
            stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, preexec_fn=_die_with_parent,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{module} did not start: {log.read_text(errors='replace')[-500:]}")
    ready: dict[str, Any] = json.loads(line)
    return process, ready


class Run:
    """All lives of one run; ``rest`` and ``ws`` are how it reaches its exchange."""

    def __init__(self, folder: Path, venue: str, exchange: Exchange, rest: str, ws: str) -> None:
        self.home = folder / "home"
        self.lives = 0
        self._venue = venue
        self._logs = folder
        self._server = new_server()
        self._settings = folder / "desk.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[int, psutil.Process] = {}
        told = {
            "home": str(self.home), "venue": venue, "pairs": [f"{asset}/USDT" for asset in ASSETS],
            "timeframe": "1s", "capital": 10_000,
        }  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
        lines += ["[live]", f"keys = {json.dumps(str(exchange.keys))}", f'rest = "{rest}"', f'ws = "{ws}"']
        lines += ["[limits]", "max_order_notional = 0.2", "max_position = 0.25", "max_daily_loss = 0.5"]
        lines += ["max_drawdown = 0.5", "max_clock_offset_ms = 1000"]
        lines += ["[desk]", 'placement = "spread"', "dashboard = false", "[api]", "on = false"]
        lines += ["[database]", "enabled = true", f"folder = {json.dumps(str(self._server.folder))}"]
        for seed, agent in enumerate(("strategy/trend", "strategy/reversion")):
            lines += [f'[agents."{agent}"]', 'source = "tests.chaos.busy:make"', "cooldown_ms = 0"]
            lines += [f"source_params = {{ seed = {seed} }}"]
        self._settings.write_text("\n".join(lines) + "\n")

    @property
    def folder(self) -> Path | None:
        """Where its journals are, once there are any."""
        return next((path.parent for path in sorted(self.home.glob("runs/*/desk.journal"))), None)

    @property
    def is_alive(self) -> bool:
        """Whether its command line runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How its last life ended."""
        return None if self._process is None else self._process.poll()

    def begin(self, *more: str) -> None:
        """Begin its next life; does not wait for it."""
        self.lives += 1
        named = {name: each for name, each in os.environ.items() if not name.startswith(("PARLEY_", "RAY_"))}
        words = ("trade", "--mode", "live", "--real-money", self._venue, "--json")
        with self._log("err").open("wb") as errors, self._log("out").open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runtime.cli", *words, "--desk", str(self._settings), "--resume",
                 "auto", *more],
                cwd=ROOT, env=named | {"PYTHONPATH": str(ROOT)}, stdout=out, stderr=errors,
                stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip

    def serves(self) -> bool:
        """Whether it can trade: those run without whom it would end."""
        found = self.units()
        return self.is_alive and all(unit in found for unit in _TRADING)

    def is_whole(self) -> bool:
        """Whether nobody is missing."""
        found = self.units()
        return self.is_alive and all(unit in found for unit in (*UNITS, *_RAY.values(), "agent"))

    def units(self) -> dict[str, list[psutil.Process]]:
        """Return what runs now of this life, by unit."""
        if self._process is None or not self.is_alive:
            return {}
        found: dict[str, list[psutil.Process]] = {"cli": [psutil.Process(self._process.pid)]}
        folder = self.folder
        try:
            told = json.loads((folder / "processes.json").read_text())["units"] if folder else {}
        except (OSError, ValueError, KeyError):
            return found
        if told.get("cli") != self._process.pid:
            return found  # of an earlier life
        for unit, pid in told.items():
            if unit in (*UNITS, _SPARE_GATEWAY) and (process := self._look(pid)) is not None:
                found["spare" if unit == _SPARE_GATEWAY else unit] = [process]
        for process in self._below(found.get("ray", [])):
            for unit in _of_ray(process):
                found.setdefault(unit, []).append(process)
        return found

    def said(self) -> str:
        """What its last life said at its end."""
        lines = self._log("err").read_text(errors="replace").splitlines()
        told = [line for line in lines if line.startswith("parley: ")]
        return told[0].removeprefix("parley: ") if told else (lines[-1] if lines else "")

    def told(self) -> dict[str, Any]:
        """The account its last life gave of itself, nothing if it could not."""
        raw = self._log("out").read_text(errors="replace")
        try:
            found: dict[str, Any] = json.loads(raw)
        except ValueError:
            return {}
        return found

    def ask_to_end(self) -> int | None:
        """End its life in order; None when it does not."""
        if self._process is not None and self.is_alive:
            self._process.terminate()
        return self.wait(_END_S)

    def wait(self, patience_s: float) -> int | None:
        """Wait for the end of its life."""
        try:
            return self._process.wait(patience_s) if self._process is not None else None
        except subprocess.TimeoutExpired:
            return None

    def remember(self) -> None:
        """Note what runs, to know at the end whether anything was left."""
        for each in self.units().values():
            self._known |= {process.pid: process for process in each}

    def left(self, patience_s: float) -> list[psutil.Process]:
        """What of it still runs after at most some seconds."""
        _, alive = psutil.wait_procs(list(self._known.values()), timeout=patience_s)
        return alive

    def discard(self) -> None:
        """Kill whatever is left of it and remove its database."""
        if self._process is not None and self.is_alive:
            self._process.kill()
            self._process.wait()
        for process in self.left(20.0):
            process.kill()
        discard(self._server)

    def _log(self, kind: str) -> Path:
        return self._logs / f"run-{self.lives}.{kind}"

    @staticmethod
    def _look(pid: int) -> psutil.Process | None:
        try:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.Error:
            return None

    @staticmethod
    def _below(parents: list[psutil.Process]) -> list[psutil.Process]:
        try:
            return [child for each in parents for child in each.children(recursive=True)]
        except psutil.Error:
            return []


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _of_ray(process: psutil.Process) -> list[str]:
    try:
        name, words = process.name(), process.cmdline()
    except psutil.Error:
        return []
    title = words[0] if words else ""
    if name in _RAY:
        return [_RAY[name]]
    return ["agent"] if title.startswith(_ACTOR) and not title.startswith(_SPARE) else []


def until(holds: Any, patience_s: float, every_s: float = 0.1) -> bool:
    """Poll until something holds; False when it did not."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


BEGIN_S: Final = _BEGIN_S
END_S: Final = _END_S
