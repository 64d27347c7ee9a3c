"""Where a run's agents are, in the desk's process or each in an actor of its own; how commands find a run.

Not here: starting anything (`supervisor`), keeping Ray (`ray_driver`).

Invariant: a run that is found lives: its command line holds the lock on its folder.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import ConfigError, UserError, nearest
from runtime.agent_socket import parse_address, read_token
from runtime.launch import ACCOUNT, Layout
from runtime.leftovers import CLAIM, is_claimed
from runtime.ray_config import AgentPlace, RayConfig
from runtime.ray_folder import PREFIX
from runtime.run_config import RunConfig
from runtime.settings import Settings

PROCESSES: Final = "processes.json"
_LIVES: Final = "lives"


class Processes(msgspec.Struct, frozen=True):
    """What a run consists of while it lives: its units by name, and where its Ray driver answers.

    ``lives`` of the units that had more than one.
    """

    run: str
    placement: str
    units: dict[str, int]
    agents: tuple[str, ...]
    control: str = ""
    lives: dict[str, int] = {}


def agents_address(layout: Layout, settings: Settings) -> str:
    """Return where the desk waits for its agents; empty when they are in its process."""
    if settings.desk.placement != "spread":
        return ""
    return settings.desk.listen or layout.socket("agents")


def check_cluster(settings: Settings, agents: Collection[str]) -> None:
    """Refuse a placement on other machines that cannot work.

    Raises
    ------
    ConfigError
        When agents are placed that do not exist or could not reach the desk.
    """
    desk = settings.desk
    for agent in desk.nodes:
        if agent not in agents:
            raise ConfigError(f"desk.nodes: there is no agent {agent!r}: {nearest(agent, list(agents))}")
    if desk.placement != "spread":
        if desk.nodes or desk.listen:
            raise ConfigError("desk.nodes and desk.listen need desk.placement = 'spread'")
        return
    if desk.listen:
        address = parse_address(desk.listen)
        if address.is_tcp:
            read_token(address.token_file)
    if desk.nodes and not (desk.listen and parse_address(desk.listen).is_tcp):
        raise ConfigError(
            "desk.nodes places agents on other machines, which reach the desk over TCP only: "
            "set desk.listen to 'tcp://host:port?token=FILE'"
        )


def write_ray(layout: Layout, settings: Settings, run: RunConfig) -> Path:
    """Write the Ray driver's configuration."""
    address = agents_address(layout, settings)
    # Always below /tmp: Ray's sockets need the shortest path there is, and its logs more room than /run has.
    temp = Path(f"/tmp/parley-{os.getuid()}") / f"{PREFIX}{layout.run_id[-6:]}"
    config = RayConfig(
        folder=str(layout.folder / _LIVES), temp=str(temp), control=layout.socket("ray"),
        agents=tuple(
            AgentPlace(
                agent=spec.id,
                address=address,
                node=settings.desk.nodes.get(spec.id, ""),
                realtime=settings.desk.realtime,
            )
            for spec in run.agents
        ),
        desk=ACCOUNT, dashboard=settings.desk.dashboard, host=settings.desk.host, parent_pid=os.getpid(),
    )  # fmt: skip
    return _put(layout.config("ray"), msgspec.json.encode(config))


def write_processes(
    layout: Layout, settings: Settings, run: RunConfig, units: Mapping[str, int], lives: Mapping[str, int]
) -> None:
    """Write down which processes the run consists of, for `parley status`."""
    told = Processes(
        run=layout.run_id, placement=settings.desk.placement, units={"cli": os.getpid(), **units},
        agents=tuple(spec.id for spec in run.agents),
        control=layout.socket("ray") if "ray" in units else "", lives=dict(lives),
    )  # fmt: skip
    _put(layout.folder / PROCESSES, msgspec.json.encode(told))


def running_processes(home: Path) -> Processes:
    """Find the newest run that lives.

    Raises
    ------
    UserError
        When none does.
    """
    for held in sorted((home / "runs").glob(f"*/{CLAIM}"), reverse=True):
        if not is_claimed(held):
            continue
        try:
            return msgspec.json.decode((held.parent / PROCESSES).read_bytes(), type=Processes)
        except (OSError, msgspec.MsgspecError):
            continue  # it is just starting
    raise UserError(f"nothing runs in {str(home / 'runs')!r}: start it with 'parley up' or 'make run'")


def _put(path: Path, raw: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
    return path
