"""What lives on this machine now: the run, its processes, its agents, as they say themselves.

Problem: the read model knows what agents said, not whether their processes breathe. That is asked of the
run's own folder and of the Ray driver, at most once a second however many clients look.

Not here: what the journal knows (`queries`).

Invariant: silence is never shown as life: who does not answer in time has no live state.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from parley.errors import ParleyError, UserError
from runtime.placement import Processes, running_processes
from runtime.process_tree import look, memory_mb
from runtime.ray_control import Question, ask

_KEPT_S: Final = 1.0
_PATIENCE_S: Final = 3.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the live run; ``run`` empty when none lives."""

    run: str = ""
    units: tuple[dict[str, Any], ...] = ()
    agents: Mapping[str, dict[str, Any]] = {}


class LiveRun:
    """Looks at the newest run that lives below a home; without one there is nothing to see."""

    def __init__(self, home: Path | None) -> None:
        self._home = home
        self._seen = Seen()
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def seen(self) -> Seen:
        """Return what was seen at most a second ago."""
        if self._home is None:
            return self._seen
        async with self._lock:
            if time.monotonic() >= self._until:
                try:
                    async with asyncio.timeout(_PATIENCE_S):
                        self._seen = await asyncio.to_thread(_look, self._home)
                except (TimeoutError, ParleyError, OSError, msgspec.MsgspecError):
                    self._seen = Seen()
                self._until = time.monotonic() + _KEPT_S
            return self._seen


def _look(home: Path) -> Seen:
    processes = running_processes(home)
    return Seen(
        run=processes.run,
        units=tuple(_unit(name, pid) for name, pid in processes.units.items()),
        agents=_agents(processes),
    )


def _unit(name: str, pid: int) -> dict[str, Any]:
    found = look(pid)
    is_running = found is not None and not found.is_zombie
    return {
        "name": name, "pid": pid, "is_running": is_running,
        "memory_mb": memory_mb(pid) if is_running else None,
    }  # fmt: skip


def _agents(processes: Processes) -> dict[str, dict[str, Any]]:
    if not processes.control:
        pid = processes.units.get("desk")
        state = {"state": "in the desk", "placement": processes.placement, "pid": pid}
        return dict.fromkeys(processes.agents, state)
    try:
        said = ask(Path(processes.control), Question("status")).get("agents")
    except UserError:
        return {}
    found = said if isinstance(said, Mapping) else {}
    return {agent: {"placement": processes.placement, **state} for agent, state in found.items()}
