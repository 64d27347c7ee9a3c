"""One life of Ray: started, its actors created, asked once a second how they are, ended with this process.

Problem: a process that holds a Ray client is aborted when Ray's head or raylet dies. So it is a process of
its own and a child of the driver, which starts the next one. It says what is the case on standard output,
one JSON object a line, and takes commands on standard input.

Not here: what follows from the death of a part of Ray (`ray_driver`), what the actors do (`agent_process`).

Invariant: every agent of the configuration has an actor of its name, or is about to get one again.
"""

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError

from parley.errors import UserError
from runtime.actors import create_agent, warm_spares
from runtime.agent_server import HUNG_S
from runtime.logs import set_up
from runtime.ray_config import LOOPBACK, SYSTEM_CONFIG, AgentPlace, RayConfig
from runtime.unit import announce, die_with_parent, read_config

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
FIRST_ANSWER_S: Final = 50.0
SPARES: Final = 2  # of which each costs the memory of an agent's process
_CALL_S: Final = 5.0
_MB: Final = 1 << 20


class Command(msgspec.Struct, frozen=True):
    """What the driver asks: ``do`` is pause, resume, restart or dump, of one agent."""

    id: int
    do: str
    agent: str = ""


class Agents:
    """The actors of one session, by agent."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._places = {place.agent: place for place in config.agents}
        self._actors: dict[str, Any] = {}  # handles
        self._asked: dict[str, ray.ObjectRef] = {}  # at most one question is open per actor
        self._heard: dict[str, tuple[float, int]] = {}  # monotonic s and pid of each one's last answer
        self._pids: dict[str, object] = {}

    def create(self) -> None:
        """Create all actors."""
        for place in self._places.values():
            self._create(place)

    def _create(self, place: AgentPlace) -> None:
        config = self._config
        self._asked.pop(place.agent, None)
        self._actors[place.agent] = create_agent(
            config.desk, place.agent, place.address, config.folder, place.node, realtime=place.realtime
        )

    def health(self, timeout_s: float, *, elsewhere: bool = True) -> dict[str, dict[str, object]]:
        """Ask all actors and return what each said, or what became of the question.

        Without ``elsewhere`` those that wait for a machine of their own are not waited for.
        """
        for agent, actor in self._actors.items():
            if agent not in self._asked:
                self._asked[agent] = actor.health.remote()
        asked = dict(self._asked)
        if here := [ref for agent, ref in asked.items() if elsewhere or not self._places[agent].node]:
            ray.wait(here, num_returns=len(here), timeout=timeout_s)
        found = {agent: self._hear(agent, ref) for agent, ref in asked.items()}
        for agent, said in found.items():
            self._end_if_hung(agent, said)
        return found

    def _end_if_hung(self, agent: str, said: dict[str, object]) -> None:
        """End the process of an actor that answers nobody, or has handled one message for too long."""
        now, pid, busy = time.monotonic(), said.get("pid"), said.get("busy_s", 0.0)
        if isinstance(pid, int):
            self._heard[agent] = (now, pid)
        elif said["state"] != "silent":
            self._heard.pop(agent, None)  # it is being started, which takes as long as it takes
        last, known = self._heard.get(agent, (now, 0))
        hangs = now - last > HUNG_S or said.get("is_stuck") is True
        if not hangs or not known:
            return
        log.warning("agent_hangs agent=%s pid=%d silent_s=%.0f busy_s=%s", agent, known, now - last, busy)
        self._heard.pop(agent)
        if self._places[agent].node:
            ray.kill(self._actors[agent], no_restart=False)
        else:  # Ray asks a process to end, and this one hears nobody
            with contextlib.suppress(ProcessLookupError):
                os.kill(known, signal.SIGKILL)

    def _hear(self, agent: str, ref: ray.ObjectRef) -> dict[str, object]:
        try:
            said: dict[str, object] = ray.get(ref, timeout=0)
        except GetTimeoutError:
            return {"state": "silent"}
        except ActorUnavailableError:
            self._asked.pop(agent, None)
            return {"state": "restarting"}
        except ActorDiedError as error:
            # Ray restarts without end, so this is an actor that somebody ended for good.
            log.warning("actor_recreated agent=%s why=%s", agent, str(error).partition("\n")[0])
            self._create(self._places[agent])
            return {"state": "recreated"}
        except RayError as error:
            self._asked.pop(agent, None)
            return {"state": "failing", "why": f"{type(error).__name__}: {error}".partition("\n")[0]}
        self._asked.pop(agent, None)
        return {"state": "alive", **said}

    def keep_spares(self, health: Mapping[str, Mapping[str, object]]) -> None:
        """Have a spare process made for each that an agent took; restarts without one are slower, no more."""
        pids = {agent: said["pid"] for agent, said in health.items() if "pid" in said}
        taken = sum(1 for agent, pid in pids.items() if self._pids.get(agent, pid) != pid)
        wanted = taken if self._pids else SPARES
        self._pids |= pids
        if wanted:
            try:
                warm_spares(min(wanted, SPARES))
            except Exception as error:  # noqa: BLE001 - not of Ray's public API: nothing may hang on it
                log.warning("no_spares why=%s: %s", type(error).__name__, error)

    def obey(self, command: Command) -> dict[str, object]:
        """Carry out a command and return what came of it."""
        actor = self._actors.get(command.agent)
        if actor is None:
            return {"error": f"there is no agent {command.agent!r}"}
        try:
            match command.do:
                case "pause" | "resume":
                    said: Any = ray.get(actor.drain.remote(command.do == "pause"), timeout=_CALL_S)
                    return {**said, "agent": command.agent}
                case "restart":
                    ray.kill(actor, no_restart=False)
                    return {"agent": command.agent}
                case "dump":
                    found: Any = ray.get(actor.dump.remote(), timeout=_CALL_S)
                    return dict(found)
                case _:
                    return {"error": f"there is no command {command.do!r}"}
        except (RayError, ValueError) as error:
            return {"error": f"agent {command.agent!r} did not obey: {type(error).__name__}"}


def start_ray(config: RayConfig) -> dict[str, object]:
    """Start Ray on this machine and return where it is."""
    context: Any = ray.init(
        num_cpus=config.cpus or os.cpu_count() or 1, num_gpus=0,
        object_store_memory=config.object_store_mb * _MB,
        include_dashboard=config.dashboard, dashboard_host=LOOPBACK,
        dashboard_port=config.dashboard_port or None,
        namespace=config.namespace, log_to_driver=False, logging_level=logging.ERROR,
        _node_ip_address=None if config.host == LOOPBACK else config.host,
        _temp_dir=config.temp, _system_config=SYSTEM_CONFIG,
    )  # fmt: skip
    found = context.address_info
    url = found["webui_url"] if config.dashboard else ""
    return {
        "address": found["gcs_address"], "dashboard": f"http://{url}" if url else "",
        "logs": str(Path(found["session_dir"]) / "logs"), "node": found["node_id"],
    }  # fmt: skip


def run(config: RayConfig) -> None:
    """Run one life of Ray until standard input ends."""
    commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(commands,), name="commands", daemon=True).start()
    began = time.monotonic()
    where = start_ray(config)
    ray_s = time.monotonic() - began
    agents = Agents(config)
    agents.create()
    health = agents.health(FIRST_ANSWER_S, elsewhere=False)
    took = {"ray_s": round(ray_s, 2), "agents_s": round(time.monotonic() - began - ray_s, 2)}
    announce({"up": where, "took": took, "agents": health})
    agents.keep_spares(health)
    due = time.monotonic() + POLL_S
    while True:
        try:
            raw = commands.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            health = agents.health(POLL_S)
            announce({"agents": health})
            agents.keep_spares(health)
            due = time.monotonic() + POLL_S
            continue
        if not raw:
            return
        command = msgspec.json.decode(raw, type=Command)
        announce({"done": command.id, "result": agents.obey(command)})


def _read_commands(commands: "queue.SimpleQueue[bytes]") -> None:
    # Not through sys.stdin, whose lock a reader on a thread holds when the interpreter ends.
    with os.fdopen(os.dup(0), "rb", buffering=0) as stream:
        for raw in stream:
            commands.put(raw)
    commands.put(b"")


def main() -> int:
    """Run as a process of the driver."""
    parser = ArgumentParser(prog="python -m runtime.ray_session", description="One life of Ray.")
    parser.add_argument("--config", type=Path, required=True)
    set_up("ray")
    die_with_parent()
    try:
        run(read_config(parser.parse_args().config, RayConfig))
    except UserError as error:
        sys.stderr.write(f"ray: {error}\n")
        return 2
    finally:
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
