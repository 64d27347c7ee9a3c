"""Where plain classes become Ray actors: one actor per agent, named ``agent/<desk>/<role>/<name>``.

Problem: Ray places, names, shows and restarts the processes of agents. Negotiation does not go through it: an
actor's methods are for control only, and answer also while the agent is busy.

Not here: what an agent's process does (`agent_process`), who creates actors (`ray_session`).

Invariant: a method may run twice or never, so none has an effect that a repetition would change.
"""

from typing import Any, Final

import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.actor import ActorHandle
from ray.core.generated import (
    common_pb2,
    node_manager_pb2,
    node_manager_pb2_grpc,
    runtime_environment_pb2,
)

from runtime.agent_process import AgentProcess, Health
from runtime.logs import set_up

# Generated modules, in which a type checker finds nothing.
_node: Any = node_manager_pb2
_common: Any = common_pb2
_environment: Any = runtime_environment_pb2
CONTROL: Final = "ctl"
_SPARE_S: Final = 86_400  # how long an idle one is kept
_RPC_S: Final = 5.0
# A restart runs the constructor and nothing else: the state is the desk's to send. Task events cost time and
# memory; a call beyond the pending ones is refused instead of queued.
_OPTIONS: Final[dict[str, Any]] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "enable_task_events": False,
    "max_pending_calls": 64,
    "concurrency_groups": {CONTROL: 2},
}


class AgentActor:
    """One agent's process under Ray. A call that fails may have had its effect, and may be repeated."""

    def __init__(self, address: str, agent: str, folder: str, realtime: bool) -> None:
        set_up(f"agent {agent}")
        self._process = AgentProcess(address, agent, folder, realtime=realtime)
        self._process.start()

    @ray.method(concurrency_group=CONTROL)
    def endpoint(self) -> Health:
        return self._process.endpoint()

    @ray.method(concurrency_group=CONTROL)
    def health(self) -> Health:
        return self._process.health()

    @ray.method(concurrency_group=CONTROL)
    def drain(self, paused: bool) -> Health:
        return self._process.drain(paused)

    @ray.method(concurrency_group=CONTROL)
    def stop(self) -> bool:
        return self._process.stop()

    @ray.method(concurrency_group=CONTROL)
    def dump(self) -> Health:
        return self._process.dump()


def warm_spares(count: int) -> None:
    """Let this machine's raylet start idle processes that have loaded what an agent's needs.

    A restart takes one. By itself Ray makes some when it starts, and none when these are used up.
    """
    context = ray.get_runtime_context()
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    channel = init_grpc_channel(f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}")
    request: Any = _node.PrestartWorkersRequest(
        language=_common.Language.PYTHON, job_id=bytes.fromhex(context.get_job_id()),
        runtime_env_info=_environment.RuntimeEnvInfo(serialized_runtime_env="{}"),
        keep_alive_duration_secs=_SPARE_S, num_workers=count,
    )  # fmt: skip
    try:
        node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=_RPC_S)
    finally:
        channel.close()


_Remote: Any = ray.remote(**_OPTIONS)(AgentActor)


def actor_name(desk: str, agent: str) -> str:
    """Name the actor of an agent; an agent's id is ``role/name``."""
    return f"agent/{desk}/{agent}"


def create_agent(
    desk: str, agent: str, address: str, folder: str, node: str = "", *, realtime: bool = False
) -> ActorHandle:
    """Create an agent's actor.

    Parameters
    ----------
    address : where the desk waits for it
    folder : where its numbers are taken
    node : resource that the machine must have; empty lets Ray choose
    realtime : whether it goes before everything else on that machine
    """
    placed = {"resources": {node: 0.001}} if node else {}
    actor = _Remote.options(name=actor_name(desk, agent), lifetime="detached", **placed)
    return actor.remote(address, agent, folder, realtime)
