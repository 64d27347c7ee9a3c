"""What an agent is: a pure class that takes one message and answers with messages.

An agent reads time only from its context, draws randomness only from the
context's generator, does no I/O and never raises for a market reason: it refuses
with a code. All its answers go to the desk; it does not know where it runs, nor
who else there is. Its state is a fold over the messages it got, so a restarted
agent is its last snapshot plus the messages since.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from .errors import ConfigError, nearest
from .instruments import Instrument
from .messages import Message
from .view import FirmView

ROLES = ("strategy", "signal", "capital", "risk", "execution", "arbitrage", "meta")
P = TypeVar("P", bound=msgspec.Struct)


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One agent of a desk: ``factory`` is "module:callable", ``params`` what its own Params struct takes.

    ``subscriptions`` are names of broadcast messages (`MarketBatch`, `Outcome`,
    `Decision`, `Fill`, `OrderEvent`, ...); requests addressed to the agent always reach it.
    ``own_rounds``: a strategy that is not asked at every candle, but in rounds it asks for (`AnalysisReady`).
    ``outside``: its code is not ours (settled 12): it takes its time over news, is waited for only by its own
    rounds, and a replay repeats what it said instead of running it.
    """

    id: str
    role: str
    factory: str
    subscriptions: tuple[str, ...] = ()
    params: dict[str, object] = {}
    own_rounds: bool = False
    outside: bool = False


class AgentEnv(msgspec.Struct, frozen=True, kw_only=True):
    """What every agent of a desk is told once: the tradable universe and the money it is counted in.

    ``symbols`` are those strategies trade; ``instruments`` holds these and the
    crosses that only arbitrage uses. ``tf_ns`` is the candle length.
    """

    tenant: str
    account: str
    quote: str
    symbols: tuple[str, ...]
    instruments: dict[str, Instrument]
    tf_ns: int
    agents: tuple[tuple[str, str], ...] = ()  # (id, role) of the whole desk, sorted


class Context(msgspec.Struct):
    """Everything an agent may know beyond the message; made anew for each.

    Attributes
    ----------
    now : int
        Market time, ns: the candle or trade time of the event being handled.
    view : FirmView
        The account at the last `StateView` this agent received.
    seq : int
        Journal order of the message handled.
    seed, agent, nth
        What its randomness is keyed by: the run's seed, the agent's id, and the message's
        place in the journal with heartbeats left out.
    """

    now: int
    view: FirmView
    seq: int
    seed: int
    agent: str
    nth: int = 0
    _rng: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        """Randomness keyed by run seed, agent and message, so that it survives a restore (Philox 4x64)."""
        if self._rng is None:
            key = blake2b(f"{self.seed}/{self.agent}".encode(), digest_size=16).digest()
            counter = np.array([0, 0, 0, self.nth], dtype=np.uint64)
            self._rng = np.random.Generator(
                np.random.Philox(key=np.frombuffer(key, dtype=np.uint64), counter=counter)
            )
        return self._rng


class Agent(Protocol):
    """The one interface of all agents, wherever they run."""

    spec: AgentSpec

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]: ...

    def snapshot(self) -> bytes: ...

    def restore(self, blob: bytes) -> None: ...


class Following(Protocol):
    """An agent that has a shorter way through messages nobody wants the answer to (`AgentHost.follow`)."""

    def follow(self, msg: Message, ctx: Context) -> None: ...


class AgentFactory(Protocol):
    """What an `AgentSpec.factory` names."""

    def __call__(self, spec: AgentSpec, env: AgentEnv) -> Agent: ...


def params_of(spec: AgentSpec, kind: type[P]) -> P:
    """Read an agent's parameters into its own struct.

    Raises
    ------
    ConfigError
        On an unknown key (naming the nearest) or a value of the wrong type.
    """
    known = [f.name for f in msgspec.structs.fields(kind)]
    for key in spec.params:
        if key not in known:
            raise ConfigError(f"agent {spec.id!r} has no parameter {key!r}: {nearest(key, known)}")
    try:
        return msgspec.convert(dict(spec.params), kind, strict=False)
    except msgspec.ValidationError as err:
        raise ConfigError(f"agent {spec.id!r}: {err}") from err


def roles_of(env: AgentEnv) -> Mapping[str, tuple[str, ...]]:
    """Group the desk's agents by role, ids sorted."""
    return {role: tuple(a for a, r in env.agents if r == role) for role in ROLES}
