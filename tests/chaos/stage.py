"""The files of a bout: what its exchange, line, gateway, hub and desk are told.

Not here: starting them (`bout`), what is drawn (`plan`).

Invariant: every bout has a folder of its own, and what its processes share lies in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from parley.agent import AgentSpec
from runtime import launch
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from runtime.understudy_keeper import STATUS
from tests.chaos import busy
from tests.chaos.line import OPEN, set_mood
from tests.chaos.plan import Plan

HALT: Final = "HALT"
MOOD: Final = "line.mood"
_KEYS: Final = ("key", "secret")
_BUSY: Final = ("strategy/trend", "strategy/reversion")
_SEATED: Final = ("capital", "risk", "execution", "meta")


def layout_of(plan: Plan, folder: Path) -> launch.Layout:
    """Say where a bout's files are."""
    return launch.Layout(
        run_id=f"chaos-{plan.seed:06d}", folder=folder, journal=folder / "desk.journal",
        sockets=folder, claim=-1,
    )  # fmt: skip


def _settings(plan: Plan, folder: Path) -> Settings:
    return load_settings(None, {
        "home": folder, "speed": plan.speed, "seed": plan.seed % 1_000_000, "crosses": "none",
        "synthetic": {"assets": ["BTC", "ETH", "LTC"], "candles": plan.candles, "history": 5},
        **({"venue": plan.venue} if plan.venue else {}), "desk": {"venue_stops": plan.has_stops},
    })  # fmt: skip


def write_exchange(plan: Plan, layout: launch.Layout) -> Path:
    """Write the exchange's configuration."""
    settings = _settings(plan, layout.folder)
    path = launch.write_sandbox(layout, settings, launch.synthetic_market(settings), _KEYS)
    _change(path, lambda config: config.update(hostility=plan.hostility))
    return path


def write_line(layout: launch.Layout, rest: str) -> Path:
    """Write the configuration of a line to an exchange's address."""
    mood, parts = layout.folder / MOOD, urlsplit(rest)
    set_mood(mood, OPEN)
    path = layout.config("line")
    told = {"host": parts.hostname, "port": parts.port, "mood": str(mood)}
    path.write_bytes(msgspec.json.encode(told))
    return path


def through(port: int, url: str) -> str:
    """Return an address as it is reached through a line."""
    return urlsplit(url)._replace(netloc=f"127.0.0.1:{port}").geturl()


def write_others(plan: Plan, layout: launch.Layout, exchange: tuple[str, str], near: tuple[str, str]) -> None:
    """Write what gateway, hub and desk are told.

    ``exchange`` is (rest, ws) for the hub, ``near`` for the gateway.
    """
    settings = _settings(plan, layout.folder)
    market = launch.synthetic_market(settings)
    access = launch.sandbox_access(layout, _KEYS, *exchange)

    def narrow(config: dict[str, Any]) -> None:
        config["halt_file"] = str(layout.folder / HALT)
        config["inspect_s"] = plan.inspect_s
        config["venue"] |= {
            "rest": near[0], "ws": near[1], "recv_window_ms": plan.window_ms, "lag_ms": plan.lag_ms,
            "timeout_ms": plan.patience_ms,
        }  # fmt: skip
        if plan.position_cap:
            config["limits"]["max_position"] = {"USDT": str(plan.position_cap)}

    _change(launch.write_gateway(layout, settings, market, access), narrow)
    hub_s = launch.HUB_RETURNS_S if plan.is_by_the_clock else 0.0
    launch.write_desk(layout, _run_of(settings, market, layout.run_id), hub_returns_s=hub_s)
    launch.write_hub(layout, settings, market, access)


def write_understudy(layout: launch.Layout) -> Path:
    """Write the configuration of an understudy that keeps far more often than one in a run."""
    path = layout.config("understudy")
    told = {
        "journal": str(layout.journal), "status": str(layout.folder / STATUS), "every_records": 30,
        "every_s": 0.3,
        "rarely": 3.0,
    }  # fmt: skip
    path.write_bytes(msgspec.json.encode(told))
    return path


def _change(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = msgspec.json.decode(path.read_bytes())
    change(config)
    path.write_bytes(msgspec.json.encode(config))


def _run_of(settings: Settings, market: launch.Market, run_id: str) -> RunConfig:
    """A small desk: two strategies that always want something, and the four roles that decide on it."""
    run = launch.make_run(settings, market, run_id)
    agents: list[AgentSpec] = []
    for spec in run.agents:
        if spec.id in _BUSY:
            params = {"source": busy.FACTORY, "source_params": {"seed": len(agents)}, "cooldown_ms": 0}
            agents.append(replace(spec, params=params))
        elif spec.role in _SEATED:
            agents.append(spec)
    return replace(run, agents=tuple(agents))
