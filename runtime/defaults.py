"""The desk somebody gets who configures none: seven roles, ten agents, and what each of them hears.

Problem: an agent is woken only for what it subscribes to, so a missing name makes it blind without an error.
Requests addressed to an agent (calls, ballots, reviews, counters) reach it in any case and are not listed.

Not here: what the parameters mean (each agent's own `Params`) and which module loads them (`host`).

Invariant: ids are unique, `role/name`, and every role of `parley.agent.ROLES` is there.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from agents.registry import FACTORIES, SOURCES
from parley.agent import AgentSpec
from parley.errors import ConfigError, nearest

# What an agent of a role is told beside requests.
HEARS: Final[dict[str, tuple[str, ...]]] = {
    "strategy": ("MarketBatch", "Opinion"),
    "signal": ("MarketBatch",),
    "capital": ("MarketBatch",),
    "risk": ("MarketBatch", "Unknown", "VenueReject", "VenueFault", "Halt", "LimitsSet"),
    "execution": ("MarketBatch", "Decision", "Fill", "OrderEvent", "VenueReject"),
    "arbitrage": ("MarketBatch",),
    "meta": ("MarketBatch", "Outcome"),
}

# id -> own parameters
DESK: Final[dict[str, dict[str, object]]] = {
    "strategy/trend": {"source": SOURCES["trend"]},
    "strategy/reversion": {"source": SOURCES["reversion"]},
    "strategy/breakout": {"source": SOURCES["breakout"]},
    "signal/technical": {"family": "technical"},
    "signal/book": {"family": "book"},
    "capital/main": {},
    "risk/main": {},
    "execution/main": {},
    "arbitrage/triangle": {},
    "meta/main": {},
}

# In the made-up market, with its candles of five minutes, strategies decide every 20 minutes. With the 15
# candles that suit candles of a minute the slowest would have seen enough only after a minute of `make run`,
# and find a handful of setups in three.
MADE_UP: Final[dict[str, dict[str, object]]] = {
    agent: {"source_params": {"every": 4}}
    for agent in ("strategy/trend", "strategy/reversion", "strategy/breakout")
}


def default_agents() -> tuple[AgentSpec, ...]:
    """Return the specs of the default desk, sorted by id."""
    return tuple(
        AgentSpec(
            id=agent, role=role, factory=FACTORIES[role], subscriptions=HEARS[role], params=dict(params)
        )
        for agent, params in sorted(DESK.items())
        for role in (agent.partition("/")[0],)
    )


def with_params(
    agents: tuple[AgentSpec, ...], params: Mapping[str, Mapping[str, object]]
) -> tuple[AgentSpec, ...]:
    """Set agents' own parameters by id; what is not named keeps its default.

    Raises
    ------
    ConfigError
        When there is no such agent, naming the nearest. Wrong parameters are found when the agent is made.
    """
    known = [spec.id for spec in agents]
    for agent in params:
        if agent not in known:
            raise ConfigError(f"there is no agent {agent!r}: {nearest(agent, known)}")
    return tuple(replace(spec, params={**spec.params, **params.get(spec.id, {})}) for spec in agents)
