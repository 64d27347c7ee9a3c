"""An agent that takes its time over every message, for tests of who notices."""

import time
from collections.abc import Sequence

from parley.agent import AgentEnv, AgentSpec, Context
from parley.messages import Message


class Sleeper:
    """Sleeps ``seconds`` of its parameters over a message and says nothing."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        time.sleep(float(str(self.spec.params["seconds"])))
        return ()

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        """It has nothing to remember."""


def make(spec: AgentSpec, env: AgentEnv) -> Sleeper:
    return Sleeper(spec)
