"""The one place that imports by name: an agent's factory, a strategy's source, a subcommand.

A host imports only what it was told to, so a process that runs one agent loads one
agent (settled 1). Everything else in Parley imports at the top of its modules.
"""

from importlib import import_module

from parley.agent import Agent, AgentEnv, AgentSpec
from parley.errors import ConfigError


def load(factory: str) -> object:
    """Import ``"module:attribute"``.

    Raises
    ------
    ConfigError
        When the text is not of that form, or names nothing.
    """
    module, _, name = factory.partition(":")
    if not module or not name:
        raise ConfigError(f"a factory is 'module:attribute', was {factory!r}")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as err:
        raise ConfigError(f"factory {factory!r} cannot be loaded: {err}") from err


def make_agent(spec: AgentSpec, env: AgentEnv) -> Agent:
    """Build an agent from its spec; a strategy agent gets the source its ``params["source"]`` names.

    Raises
    ------
    ConfigError
        When the factory cannot be loaded or the parameters do not fit.
    """
    factory = load(spec.factory)
    if not callable(factory):
        raise ConfigError(f"agent {spec.id!r}: factory {spec.factory!r} cannot be called")
    source = spec.params.get("source")
    agent: Agent = factory(spec, env, source=load(source)) if isinstance(source, str) else factory(spec, env)
    return agent
