"""An agent that never answers: what a desk does without a role.

Used for ablations (``parley run --silent ROLE``) and to test the fail-safe defaults
of silence. It is no stand-in for anything else.
"""

from collections.abc import Sequence

from parley.agent import AgentEnv, AgentSpec, Context
from parley.messages import Message


class SilentAgent:
    """Takes every message and says nothing."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        return ()

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def make(spec: AgentSpec, env: AgentEnv) -> SilentAgent:
    """Build the silent agent of a spec, whatever its role."""
    return SilentAgent(spec)
