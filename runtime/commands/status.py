"""`parley status`: the processes of the newest running desk, how each agent is, and what is killed.

Not here: what it trades (`parley positions`, the journal). Invariant: a process that is listed was alive when
it was asked; what is not known is left empty.
"""

import time
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from parley.errors import UserError
from runtime import heartbeat
from runtime.backlog import STATUS, read_status, why_silent, why_unanswered
from runtime.doubts import InDoubt
from runtime.gateway_lock import GatewayLock
from runtime.killing import in_doubt
from runtime.output import console, print_json
from runtime.placement import Processes, running_processes
from runtime.process_tree import look, memory_mb
from runtime.ray_control import Question, ask
from runtime.settings import Settings
from runtime.standing_kills import Stop, stops


def show_status(settings: Settings, *, as_json: bool) -> int:
    """Show what runs; the exit code is 1 when a process or an agent that should be there is not.

    Raises
    ------
    UserError
        When nothing runs.
    """
    killed = stops(settings.home)
    try:
        processes = running_processes(settings.home)
    except UserError as error:  # whoever starts a desk next would wonder all the same
        raise UserError("; ".join([str(error), *(each.line() for each in killed)])) from None
    status = _status(settings.home, processes, killed) | {"in_doubt": in_doubt(settings.home)}
    if as_json:
        print_json(status)
    else:
        _print(status)
    return 0 if status["is_whole"] else 1


def _status(home: Path, processes: Processes, killed: tuple[Stop, ...]) -> dict[str, Any]:
    units = {name: _unit(pid) for name, pid in processes.units.items()}
    for name, life in processes.lives.items():
        if name in units:
            units[name]["restarts"] = life - 1
    if "gateway" in units:
        units["gateway"] |= _gateway(home / "runs" / processes.run)
    for name, why in _silences(home / "runs" / processes.run).items():
        if name in units:
            units[name]["why"] = why
    ray: dict[str, Any] = {}
    if processes.control:
        try:
            ray = dict(ask(Path(processes.control), Question("status")))
        except UserError as error:
            ray = {"is_up": False, "why": str(error), "agents": {}}
    agents = ray.pop("agents", None)
    if agents is None:
        desk = processes.units.get("desk")
        agents = {agent: {"state": "in the desk", "pid": desk} for agent in processes.agents}
    agents = {agent: {"placement": processes.placement, **said} for agent, said in agents.items()}
    is_whole = (
        all(
            unit["is_running"] and not unit.get("why") for name, unit in units.items() if name != "understudy"
        )
        and all(agent["state"] in ("alive", "in the desk") for agent in agents.values())
        and bool(ray.get("is_up", True))
    )
    return {
        "run": processes.run, "placement": processes.placement, "is_whole": is_whole, "units": units,
        "ray": ray or None, "agents": agents, "killed": killed,
    }  # fmt: skip


def _gateway(run: Path) -> dict[str, Any]:
    """Say which holding of the account's lock this is, and whether the gateway is taken to work."""
    holder = GatewayLock(run / "gateway.journal").holder()
    beats = run / heartbeat.OF_GATEWAY
    return {
        "epoch": holder.epoch if holder is not None else None,
        "why": heartbeat.why_silent(beats, who="gateway") if beats.exists() else "",
    }


def _silences(run: Path) -> dict[str, str]:
    """Say of the units that speak of themselves why they cannot be taken to work: a stopped process runs."""
    shipper = read_status(run / STATUS)
    return {
        "desk": heartbeat.why_silent(run / heartbeat.NAME),
        "shipper": why_silent(shipper, time.time_ns()) or why_unanswered(shipper),
        "postgres": why_unanswered(shipper),
    }


def _doubts(found: list[InDoubt] | None) -> list[str]:
    if found is None:
        return ["the gateway does not say which orders are in doubt"]
    return [
        f"{'ALARM: ' if each.alarms else ''}order {each.cid}, {each.side} {each.qty} {each.symbol}, in doubt"
        f" for {each.age_s:.0f} s: {each.why}; {each.symbol} stays closed for opening"
        for each in found
    ]


def _unit(pid: int) -> dict[str, Any]:
    found = look(pid)
    is_running = found is not None and not found.is_zombie
    return {"pid": pid, "is_running": is_running, "memory_mb": memory_mb(pid) if is_running else None}


def _print(status: dict[str, Any]) -> None:
    out = console()
    out.print(f"run {status['run']}, placement {status['placement']}", style="bold")
    for stop in status["killed"]:
        out.print(Text(stop.line(), style="bold red"), soft_wrap=True)
    for line in _doubts(status["in_doubt"]):
        out.print(Text(line, style="bold red"), soft_wrap=True)
    units = _table("process", "pid", "state", "memory MB", "epoch", "restarts")
    for name, unit in status["units"].items():
        state = "running" if unit["is_running"] else "gone"
        units.add_row(
            name, str(unit["pid"]), unit.get("why") or state, _text(unit["memory_mb"]),
            *(_text(unit.get(key)) for key in ("epoch", "restarts")),
        )  # fmt: skip
    out.print(units)
    agents = _table(
        "agent", "pid", "incarnation", "health", "answers", "faults", "mean us", "p95 us", "restarts", "MB"
    )
    for name, said in status["agents"].items():
        agents.add_row(
            name, *(_text(said.get(key)) for key in ("pid", "incarnation")), _health(said),
            *(_text(said.get(key)) for key in ("answers", "faults", "mean_us", "p95_us", "restarts")),
            _text(said.get("memory_mb")),
        )  # fmt: skip
    out.print(agents)
    if ray := status["ray"]:
        state = "up" if ray["is_up"] else f"down: {ray['why']}"
        out.print(
            f"Ray {state}, life {_text(ray.get('lives'))}, {len(ray.get('processes', {}))} processes, "
            f"{_text(ray.get('memory_mb'))} MB"
        )
        if where := ray.get("ray", {}).get("dashboard"):
            out.print(f"dashboard {where}, token in {ray['ray']['token_file']}")


def _health(said: dict[str, Any]) -> str:
    if said["state"] != "alive":
        return str(said["state"])
    if said.get("is_paused"):
        return "paused"
    return "connected" if said.get("is_connected") else f"dialling: {said.get('why')}"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1))
    for column in columns:
        table.add_column(column, header_style="dim", no_wrap=column != "health")
    return table
