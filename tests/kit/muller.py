"""An agent from outside that takes its time: it mulls over every batch, and answers calls from memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from parley.agent import AgentEnv, AgentSpec, Context, params_of
from parley.messages import Analysed, AnalysisReady, Cfp, MarketBatch, Message, Refuse


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``mull_s`` over a batch; ``raises`` at the step of this number, ``wrong`` says what it may not."""

    mull_s: float = 0.2
    raises: int = 0
    wrong: int = 0


class Muller:
    """Counts the batches it handled, and those it only followed."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._params = params_of(spec, Params)
        self._seen = 0
        self._followed = 0

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        me = self.spec.id
        if isinstance(msg, Cfp):
            return (Refuse(agent=me, code=f"seen {self._seen} followed {self._followed}"),)
        if not isinstance(msg, MarketBatch):
            return ()
        time.sleep(self._params.mull_s)
        if msg.step == self._params.raises:
            raise KeyError("close")
        if msg.step == self._params.wrong:
            return (Refuse(agent=me, code="what"),)
        self._seen += 1
        ready = AnalysisReady(
            agent=me, symbol="BTC/USDT", tf_ns=1, t_candle=msg.step, result_hash=b"", symbols=()
        )  # fmt: skip
        return (Analysed(agent=me, ready=(ready,)),)

    def follow(self, msg: Message, ctx: Context) -> None:
        if isinstance(msg, MarketBatch):
            self._followed += 1

    def snapshot(self) -> bytes:
        return msgspec.json.encode((self._seen, self._followed))

    def restore(self, blob: bytes) -> None:
        self._seen, self._followed = msgspec.json.decode(blob, type=tuple[int, int])


def make(spec: AgentSpec, env: AgentEnv) -> Muller:
    """Build the agent."""
    return Muller(spec, env)
