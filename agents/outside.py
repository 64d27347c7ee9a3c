"""The seat of a strategy that is not an agent: it says at the table what was decided outside.

Problem: a freqtrade strategy computes whole frames, with code nobody here has written. It must take part in
rounds like any other strategy, be cut and refused like it, and stand in the journal; but it need not answer
twice alike. So whoever runs it leaves offers here, one for a symbol; the seat asks for a round on each and
answers the calls from memory.

Not here: where offers come from (`backtest.seated`, `runtime.freqtrade_agent`). A replay does not run the
strategy: it repeats what the seat said (`runtime.refold`).

Invariant: without an offer the seat refuses; an offer is made in one round at most.
"""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b

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
CONF = 0.5  # a strategy that says nothing of its chances claims no more than an even one


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An order a strategy wants: ``qty`` in base at ``px`` or better; ``leaves``: out of what it holds.

    ``key`` is what whoever left it calls it by; ``t_candle`` the candle it rests on, market ns (0: unknown).
    """

    symbol: str
    side: str
    qty: Decimal
    px: Decimal
    why: str
    leaves: bool = False
    slippage_bps: float = 0.0  # how far ``px`` lies beyond the best price
    horizon_ms: int = 0  # how long it means to hold; 0: a candle
    t_candle: int = 0
    key: str = ""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that was made: in which round, as which proposal, at which market time (ns)."""

    offer: Offer
    round: bytes
    pid: bytes
    t: int


class OutsideStrategy:
    """One strategy's seat; see the module. ``offer`` is for whoever runs the strategy."""

    def __init__(self, spec: AgentSpec, env: AgentEnv) -> None:
        self.spec = spec
        self.pid = b""  # of what was proposed last, since the last offer was left
        self._env = env
        self._offers: dict[str, Offer] = {}
        self._made: dict[bytes, Made] = {}  # by pid, until whoever runs the strategy has seen to it

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The offers nobody has called for."""
        return tuple(self._offers.values())

    @property
    def made(self) -> tuple[Made, ...]:
        """The offers that were made and not forgotten, the oldest first."""
        return tuple(self._made.values())

    def offer(self, offer: Offer) -> None:
        """Leave an offer; it replaces one of its symbol that was not called for."""
        self._offers[offer.symbol] = offer
        self.pid = b""

    def withdraw(self, symbol: str | None = None) -> None:
        """Take back what was not called for, of one symbol; of all, and nothing more comes of any."""
        if symbol is None:
            self._offers.clear()
            self._made.clear()
        else:
            self._offers.pop(symbol, None)

    def forget(self, pid: bytes) -> None:
        """Let go of an offer that was made: nothing more comes of it."""
        self._made.pop(pid, None)

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        match msg:
            case MarketBatch():
                return self.ready(msg.t)
            case Cfp():
                return (self._bid(msg),)
            case Counter():
                return (self._reply(msg),)
            case _:
                return ()

    def ready(self, t: int) -> tuple[AnalysisReady, ...]:
        """Ask for a round for every offer; ``t`` is market time, ns."""
        return tuple([self._ready(offer, t) for offer in self._offers.values()])

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.offers, self.made))

    def restore(self, blob: bytes) -> None:
        offers, made = msgspec.msgpack.decode(blob, type=tuple[tuple[Offer, ...], tuple[Made, ...]])
        self._offers = {offer.symbol: offer for offer in offers}
        self._made = {each.pid: each for each in made}

    def _ready(self, offer: Offer, t: int) -> AnalysisReady:
        at = offer.t_candle or t
        said = f"{offer.symbol}/{at}/{offer.side}/{offer.why}"
        return AnalysisReady(
            agent=self.spec.id, symbol=offer.symbol, tf_ns=self._env.tf_ns, t_candle=at,
            result_hash=blake2b(said.encode(), digest_size=16).digest(), symbols=(offer.symbol,),
        )  # fmt: skip

    def _bid(self, cfp: Cfp) -> Proposal | Refuse:
        me = self.spec.id
        offer = next((self._offers[s] for s in cfp.symbols if s in self._offers), None)
        if offer is None:
            return Refuse(agent=me, code="no_offer")
        if cfp.reduce_only and not offer.leaves:
            return Refuse(agent=me, code="reduce_only")
        del self._offers[offer.symbol]
        leg = Leg(
            symbol=offer.symbol, side=offer.side, qty=offer.qty, limit_px=offer.px, tif="IOC",
            reduce_only=offer.leaves,
        )  # fmt: skip
        self.pid = proposal_id(cfp.round, me)
        self._made[self.pid] = Made(offer=offer, round=cfp.round, pid=self.pid, t=cfp.t)
        return Proposal(
            pid=self.pid, agent=me, agent_version="outside/1", symbol=offer.symbol, legs=(leg,),
            edge_bps=0.0, conf=CONF,
            horizon_ms=max(offer.horizon_ms, self._env.tf_ns // 1_000_000, 1), stop=None, take=None,
            max_slippage_bps=offer.slippage_bps, ttl_ns=TTL_NS, why=_note(offer.why),
            urgency="urgent",  # it trades at this price now, or not at all
        )  # fmt: skip

    def _reply(self, counter: Counter) -> CounterReply:
        if counter.pid not in self._made:
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
