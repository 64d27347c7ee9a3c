"""Composes a firm and its agents from a run's configuration; desk and replay build them the same way.

The only module that puts concrete agents, limits and orchestrator together. It
starts nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from agents.silent import SilentAgent
from orchestrator.firm import Firm
from parley.agent import ROLES, AgentEnv
from parley.bus import AgentHost, Ask, InProc
from parley.errors import ConfigError, nearest
from parley.risk.limits import limits_of

from .host import make_agent
from .run_config import RunConfig


@dataclass(frozen=True, slots=True)
class Assembly:
    """A firm and the transport that reaches its agents."""

    firm: Firm
    transport: InProc
    hosts: dict[str, AgentHost]


def assemble(
    run: RunConfig,
    *,
    epoch: int = 1,
    clock: Callable[[], int] | None = None,
    late: Callable[[Ask], int] | None = None,
) -> Assembly:
    """Build the firm of a run with all its agents in process.

    Raises
    ------
    ConfigError
        When an agent, a limit or a silenced role is wrong.
    """
    for role in run.silent:
        if role not in ROLES:
            raise ConfigError(f"there is no role {role!r}: {nearest(role, list(ROLES))}")
    desk = run.desk
    for symbol in desk.symbols:
        if symbol not in run.instruments:
            raise ConfigError(
                f"{desk.venue} does not list {symbol!r}: {nearest(symbol, list(run.instruments))}"
            )
    specs = tuple(sorted(run.agents, key=lambda s: s.id))
    env = AgentEnv(
        tenant=desk.tenant,
        account=desk.account,
        quote=desk.quote,
        symbols=desk.symbols,
        instruments=run.instruments,
        tf_ns=desk.tf_ns,
        agents=tuple((s.id, s.role) for s in specs),
    )
    hosts = {
        s.id: AgentHost(SilentAgent(s) if s.role in run.silent else make_agent(s, _own(env)), desk.seed)
        for s in specs
    }
    firm = Firm(desk, env, specs, limits_of(run.limits), epoch)
    return Assembly(firm, InProc(hosts, clock=clock, late=late), hosts)


def _own(env: AgentEnv) -> AgentEnv:
    # each agent gets instruments of its own: what it does to them must not reach the gate's
    return msgspec.structs.replace(env, instruments=dict(env.instruments))
