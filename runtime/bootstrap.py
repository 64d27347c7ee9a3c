"""Composes a firm and its agents from a run's configuration; desk and replay build them the same way.

The only module that puts concrete agents, limits and orchestrator together. It
starts nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from orchestrator.firm import Firm
from parley.agent import ROLES, Agent, AgentEnv, AgentSpec
from parley.bus import AgentHost, Ask, InProc, Transport, Watch
from parley.errors import ConfigError, nearest
from parley.risk.limits import limits_of

from .host import make_agent
from .run_config import RunConfig

SILENT = "agents.silent:make"


@dataclass(frozen=True, slots=True)
class Assembly:
    """A firm and the transport that reaches its agents."""

    firm: Firm
    transport: Transport


def assemble(
    run: RunConfig,
    *,
    epoch: int = 1,
    clock: Callable[[], int] | None = None,
    late: Callable[[Ask], int] | None = None,
    watch: Watch | None = None,
    instead: Mapping[str, Agent] | None = None,
) -> Assembly:
    """Build the firm of a run with all its agents in process; those of `instead` are already made.

    Raises
    ------
    ConfigError
        When an agent, a limit or a silenced role is wrong.
    """
    hosts = hosts_of(run, instead)
    return Assembly(make_firm(run, epoch), InProc(hosts, clock=clock, late=late, watch=watch))


def hosts_of(run: RunConfig, instead: Mapping[str, Agent] | None = None) -> dict[str, AgentHost]:
    """Make the agents of a run, by id."""
    made = instead or {}
    return {
        spec.id: AgentHost(made.get(spec.id) or make_agent(spec, env_of(run)), run.desk.seed)
        for spec in specs_of(run)
    }


def specs_of(run: RunConfig) -> tuple[AgentSpec, ...]:
    """Return the agents of a run, sorted by id; those of a silenced role say nothing.

    Raises
    ------
    ConfigError
        When there is no such role.
    """
    for role in run.silent:
        if role not in ROLES:
            raise ConfigError(f"there is no role {role!r}: {nearest(role, list(ROLES))}")
    specs = sorted(run.agents, key=lambda s: s.id)
    return tuple(replace(s, factory=SILENT, params={}) if s.role in run.silent else s for s in specs)


def env_of(run: RunConfig) -> AgentEnv:
    """Return what an agent is told of the universe.

    Each call gives instruments of its own: what an agent does to them must not reach the gate's.
    """
    desk = run.desk
    return AgentEnv(
        tenant=desk.tenant,
        account=desk.account,
        quote=desk.quote,
        symbols=desk.symbols,
        instruments=dict(run.instruments),
        tf_ns=desk.tf_ns,
        agents=tuple((s.id, s.role) for s in specs_of(run)),
    )


def make_firm(run: RunConfig, epoch: int = 1) -> Firm:
    """Build the firm of a run without its agents.

    Raises
    ------
    ConfigError
        When a limit is wrong, or the venue does not list a symbol.
    """
    for symbol in run.desk.symbols:
        if symbol not in run.instruments:
            raise ConfigError(
                f"{run.desk.venue} does not list {symbol!r}: {nearest(symbol, list(run.instruments))}"
            )
    return Firm(run.desk, env_of(run), specs_of(run), limits_of(run.limits), epoch)
