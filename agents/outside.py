"""The seat of a strategy that is not an agent: it says at the table what was decided outside.

Problem: a freqtrade strategy computes whole frames, with code nobody here has written. It must take part in
rounds like any other strategy, be cut and refused like it, and stand in the journal; but it need not answer
twice alike. So whoever runs it leaves an offer here before the market is told; the seat asks for a round on
it and answers the call from memory.

Not here: where offers come from (`backtest.seated`). A replay does not run the strategy: it repeats what the
seat said (`runtime.refold`).

Invariant: without an offer the seat refuses; an offer is made in one round, and is gone after it.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from parley.agent import AgentEnv, AgentSpec, Context
from parley.ids import proposal_id
from parley.messages import (
    AnalysisReady,
    Cfp,
    Counter,
    CounterReply,
    Leg,
    MarketBatch,
    Message,
    Proposal,
    Refuse,
)

NOTE = 256
TTL_NS = 60_000_000_000


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An order a strategy wants: ``qty`` in base at ``px`` or better; ``leaves``: out of what it holds.

    ``conf`` is what it says of itself; a strategy that says nothing claims no more than an even chance.
    """

    symbol: str
    side: str
    qty: Decimal
    px: Decimal
    why: str
    leaves: bool = False
    stop: Decimal | None = None
    edge_bps: float = 0.0
    conf: float = 0.5
    horizon_ms: int = 0  # how long it means to hold; 0: a candle


class OutsideStrategy:
    """One strategy's seat; see the module. ``offer`` is for whoever runs the strategy."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self.pid = b""  # of what was proposed last
        self._env = env
        self._offer: Offer | None = None
        self._proposed: Proposal | None = None

    def offer(self, offer: Offer) -> None:
        """Leave an offer; it replaces one that was not called for."""
        self._offer = offer
        self._proposed = None
        self.pid = b""

    def withdraw(self) -> None:
        """Take back what was not called for."""
        self._offer = None

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case MarketBatch() if self._offer is not None:
                return (self._ready(self._offer, msg.t),)
            case Cfp():
                return (self._bid(msg),)
            case Counter():
                return (self._reply(msg),)
            case _:
                return ()

    def snapshot(self) -> bytes:
        return b""  # an offer does not outlive the moment it was made in

    def restore(self, blob: bytes) -> None:
        self._offer = self._proposed = None

    def _ready(self, offer: Offer, t: int) -> AnalysisReady:
        return AnalysisReady(
            agent=self.spec.id, symbol=offer.symbol, tf_ns=self._env.tf_ns, t_candle=t,
            result_hash=offer.why.encode()[:16], symbols=(offer.symbol,),
        )  # fmt: skip

    def _bid(self, cfp: Cfp) -> Proposal | Refuse:
        offer, me = self._offer, self.spec.id
        if offer is None or offer.symbol not in cfp.symbols:
            return Refuse(agent=me, code="no_offer")
        if cfp.reduce_only and not offer.leaves:
            return Refuse(agent=me, code="reduce_only")
        self._offer = None
        leg = Leg(
            symbol=offer.symbol, side=offer.side, qty=offer.qty, limit_px=offer.px, tif="IOC",
            reduce_only=offer.leaves,
        )  # fmt: skip
        self.pid = proposal_id(cfp.round, me)
        self._proposed = Proposal(
            pid=self.pid, agent=me, agent_version="outside/1", symbol=offer.symbol, legs=(leg,),
            edge_bps=offer.edge_bps, conf=offer.conf,
            horizon_ms=max(offer.horizon_ms, self._env.tf_ns // 1_000_000, 1), stop=offer.stop, take=None,
            max_slippage_bps=0.0, ttl_ns=TTL_NS, why=_note(offer.why),
            urgency="urgent",  # it trades at this price now, or not at all
        )  # fmt: skip
        return self._proposed

    def _reply(self, counter: Counter) -> CounterReply:
        bid = self._proposed
        if bid is None or counter.pid != bid.pid:
            return self._answer(counter, "withdraw", "unknown_pid")
        if counter.reject:
            return self._answer(counter, "withdraw", counter.code or "rejected")
        return self._answer(counter, "accept", "")  # less of it is still what the strategy wants

    def _answer(self, counter: Counter, action: str, code: str) -> CounterReply:
        return CounterReply(pid=counter.pid, agent=self.spec.id, action=action, code=code)


def _note(text: str) -> str:
    return text.encode()[:NOTE].decode(errors="ignore")


def make(spec: AgentSpec, env: AgentEnv) -> OutsideStrategy:
    """Build the seat."""
    return OutsideStrategy(spec, env)
