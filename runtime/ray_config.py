"""What the Ray driver is told, and the environment in which Ray runs: the settings are decided here.

Not here: starting Ray (`ray_session`), keeping it (`ray_driver`).

Invariant: Ray listens on loopback and asks for the token, unless a host is named; then it still asks for the
token. Nothing is reported to anybody.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from runtime.frames import MAX_SOCKET_PATH
from runtime.inheritance import inherited
from runtime.unit import UnitConfig

LOOPBACK: Final = "127.0.0.1"
# Ray adds `/session_<date>_<pid>/sockets/plasma_store` to its folder and binds the result.
_ADDED: Final = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
PRELOADED: Final = "runtime.agent_process"


class AgentPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent's actor: its id, where it finds the desk, and the resource of the machine it shall be on.

    ``realtime``: it goes before everything else on that machine, which has to allow it.
    """

    agent: str
    address: str
    node: str = ""
    realtime: bool = False


class RayConfig(UnitConfig, frozen=True, kw_only=True):
    """The Ray driver's configuration file.

    Parameters
    ----------
    folder : the run's runtime folder, where incarnations are counted
    temp : Ray's own folder, private and short; made by the driver and removed at its end
    control : path of the Unix socket that takes commands
    dashboard_port : 0 takes 8265 or the next free one
    cpus : how many workers Ray keeps ready; 0 takes the machine's number
    host : address of this machine in a cluster
    """

    folder: str
    temp: str
    control: str
    agents: tuple[AgentPlace, ...]
    tenant: str = "local"
    desk: str = "main"
    dashboard: bool = True
    dashboard_port: int = 0
    object_store_mb: int = 128
    cpus: int = 0
    host: str = LOOPBACK
    parent_pid: int = 0

    @property
    def namespace(self) -> str:
        return f"parley-{self.tenant}"

    @property
    def token_file(self) -> Path:
        return Path(self.temp) / "token"


# Of what Ray is compiled with; the first two make the first error after a kill come after 40 ms, not 2 s.
SYSTEM_CONFIG: Final = {
    "core_worker_internal_heartbeat_ms": 20,
    "timeout_ms_task_wait_for_death_info": 20,
    "gcs_rpc_server_reconnect_timeout_s": 600,
}


def environment(config: RayConfig) -> dict[str, str]:
    """Return the environment for every process of Ray; variables that name another Ray are left out."""
    kept = {name: value for name, value in inherited().items() if not name.startswith("RAY_")}
    ours = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(config.token_file),
        # 15 if nothing is said: on a busy machine agents would answer when everybody else has nothing to do.
        "RAY_worker_niceness": "0",
        # It prefers to kill what can be restarted, and counts the memory of foreign processes.
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
        "RAY_preload_python_modules": PRELOADED,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # No agent sends Arrow tables through Ray; without these each worker loads more of pyarrow.
        "RAY_DISABLE_CUSTOM_ARROW_JSON_OPTIONS_SERIALIZATION": "1",
        "RAY_DISABLE_CUSTOM_ARROW_DATA_SERIALIZATION": "1",
        "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
        "OMP_NUM_THREADS": "1",
    }
    if config.host == LOOPBACK:
        # Ray turns 127.0.0.1 into the machine's own address and then listens on all of them; where it
        # believes that clusters are not possible it stays on loopback.
        ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return kept | ours


def check_temp(config: RayConfig) -> None:
    """Refuse a folder in which Ray's sockets would have paths no socket can have.

    Raises
    ------
    UserError
        When it has too many bytes.
    """
    size, most = len(os.fsencode(config.temp)), MAX_SOCKET_PATH - _ADDED
    if size > most:
        raise UserError(f"Ray's folder may have at most {most} bytes, {config.temp!r} has {size}")
