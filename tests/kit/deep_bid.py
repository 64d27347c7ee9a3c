"""A strategy that bids once for each pair, far below the market, and waits there.

Not here: anything that leaves: what it bids for is not to be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from parley.agent import Agent, AgentEnv, AgentSpec, Context
from parley.instruments import decimal
from parley.messages import Cfp, Counter, CounterReply, Leg, MarketBatch, Message, Proposal, Refuse
from tests.kit.firm_kit import proposal

FACTORY: Final = "tests.kit.deep_bid:make"
_DEPTH: Final = 0.9  # of the last close
_WORTH: Final = 5000.0


class DeepBid:
    """See the module."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self._env = env
        self._closes: dict[str, float] = {}

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case MarketBatch():
                self._closes |= {bar.symbol: bar.close for bar in msg.bars}
            case Cfp():
                return (self._bid(msg, ctx),)
            case Counter():
                return (CounterReply(pid=msg.pid, agent=self.spec.id, action="accept"),)
        return ()

    def _bid(self, cfp: Cfp, ctx: Context) -> Proposal | Refuse:
        me, symbol = self.spec.id, cfp.symbols[0]
        close = self._closes.get(symbol)
        if close is None or cfp.reduce_only or ctx.view.reserved(me, symbol):
            return Refuse(agent=me, code="waits")
        instrument = self._env.instruments[symbol]
        px = close * _DEPTH
        leg = Leg(
            symbol=symbol, side="buy", qty=instrument.qty(_WORTH / px), tif="GTC",
            limit_px=instrument.price(px, "buy"),
        )  # fmt: skip
        stop, take = (decimal(round(px * share, 1)) for share in (0.97, 1.5))
        return replace(
            proposal(me, ctx, symbol, "buy", leg.qty), legs=(leg,), stop=stop, take=take, edge_bps=900.0,
            conf=0.9,
        )  # fmt: skip

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def make(spec: AgentSpec, env: AgentEnv) -> Agent:
    return DeepBid(spec, env)
