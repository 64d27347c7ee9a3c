"""An agent that ends a process with SIGKILL while it is asked something: in the middle of an open round.

The agent is the real one. When a file lies at ``params["fuse"]``, the next request it gets ends the process
whose number stands in the file, its own or another's, and the moment is written beside it.

Not here: who lays the file (`tests.kit.spread_desk`).

Invariant: without the file it says what the real agent says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.registry import FACTORIES
from parley.agent import Agent, AgentEnv, AgentSpec, Context
from parley.messages import Message
from runtime.host import load

FACTORY: Final = "tests.kit.mortal:make"
# Sent only while a round is open.
REQUESTS: Final = ("Cfp", "Ballot", "Review", "Counter")


class Mortal:
    """An agent with a fuse."""

    def __init__(self, agent: Agent, fuse: Path) -> None:
        self.spec = agent.spec
        self._agent = agent
        self._fuse = fuse

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        if type(msg).__name__ in REQUESTS and self._fuse.exists():
            self._burn(ctx.seq)
        return self._agent.handle(msg, ctx)

    def _burn(self, seq: int) -> None:
        burning, done = self._fuse.with_suffix(".burning"), self._fuse.with_suffix(".new")
        try:
            self._fuse.rename(burning)
        except FileNotFoundError:
            return  # it was taken away again
        pid = int(burning.read_text())
        done.write_text(f"{time.monotonic_ns()} {seq}")
        done.rename(self._fuse.with_suffix(".done"))
        os.kill(pid, signal.SIGKILL)

    def snapshot(self) -> bytes:
        return self._agent.snapshot()

    def restore(self, blob: bytes) -> None:
        self._agent.restore(blob)


def mortal(spec: AgentSpec, folder: Path) -> AgentSpec:
    """Give an agent a fuse in a folder."""
    fuse = folder / f"{spec.id.replace('/', '~')}.fuse"
    return msgspec.structs.replace(spec, factory=FACTORY, params={**spec.params, "fuse": str(fuse)})


def make(spec: AgentSpec, env: AgentEnv, **over: Any) -> Mortal:
    """Make the real agent of a role, with its fuse."""
    params = dict(spec.params)
    fuse = Path(str(params.pop("fuse")))
    factory: Any = load(FACTORIES[spec.role])
    return Mortal(factory(msgspec.structs.replace(spec, params=params), env, **over), fuse)
