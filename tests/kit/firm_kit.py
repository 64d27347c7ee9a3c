"""A firm in a test: scripted agents, a venue that answers at once, and all records kept."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from orchestrator.cascade import groups_in
from orchestrator.firm import Firm
from orchestrator.policy import DeskConfig, GroupOut
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import AgentHost, InProc
from parley.ids import proposal_id
from parley.instruments import Instrument, Tier, assets_of, exchange_of, is_contract, plain
from parley.messages import (
    Ack,
    Allocation,
    Balance,
    Ballot,
    Bar,
    Book,
    Bound,
    CancelIntent,
    Cfp,
    Child,
    Counter,
    CounterReply,
    Fill,
    Heartbeat,
    Intent,
    Leg,
    MarketBatch,
    Message,
    OrderEvent,
    Proposal,
    Ranked,
    Ranking,
    Refuse,
    Review,
    Started,
    Verdict,
    Vote,
    decode,
    decode_envelope,
)
from parley.risk.limits import limits_of

D = Decimal
CAPITAL = D(100_000)
MINUTE = 60_000_000_000
T0 = 1_620_000_000_000_000_000 // MINUTE * MINUTE
Script = Callable[[Message, Context, str], Sequence[Message]]

SUBSCRIPTIONS = (
    "MarketBatch",
    "Opinion",
    "Decision",
    "Outcome",
    "Fill",
    "OrderEvent",
    "Ack",
    "VenueReject",
    "Unknown",
)
TEAM = (
    ("strategy/a", "strategy"), ("strategy/b", "strategy"), ("signal/a", "signal"), ("capital/a", "capital"),
    ("risk/a", "risk"), ("execution/a", "execution"), ("arbitrage/a", "arbitrage"), ("meta/a", "meta"),
)  # fmt: skip


def spot(symbol: str) -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        symbol=symbol, venue="binance", base=base, quote=quote, tick=D("0.01"), lot=D("0.00001"),
        min_qty=D("0.00001"), max_qty=D(9000), min_notional=D(5), maker_fee=D("0.001"), taker_fee=D("0.001"),
    )  # fmt: skip


def listed(symbol: str) -> Instrument:
    """A pair, or the perpetual contract that is named so."""
    base, quote = assets_of(symbol)
    if exchange := exchange_of(symbol):
        return msgspec.structs.replace(
            listed(plain(symbol)), symbol=symbol, base=base, quote=quote, venue=exchange
        )
    if not is_contract(base):
        return spot(symbol)
    tiers = (Tier(D(10**6), D("0.01"), D(0), D("0.1")),)
    return msgspec.structs.replace(
        spot(symbol.partition(":")[0]), symbol=symbol, base=base, quote=quote, margin=D("0.2"), tiers=tiers
    )


class Scripted:
    """An agent that answers what its script says."""

    def __init__(self, spec: AgentSpec, script: Script) -> None:
        self.spec = spec
        self._script = script

    def handle(self, msg: Message, ctx: Context) -> Sequence[Message]:
        return self._script(msg, ctx, self.spec.id)

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        return None


def polite(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """Answer as a well-behaved agent of any role would: strategy/a buys when flat, sells when it holds."""
    role = me.split("/")[0]
    match msg:
        case Cfp() if role == "strategy":
            symbol = msg.symbols[0]
            if me != "strategy/a":
                return (Refuse(agent=me, code="no_setup"),)
            held = ctx.view.holding(me, symbol)
            if ctx.view.reserved(me, symbol):
                return (Refuse(agent=me, code="working"),)
            if held is None or held.qty < D("0.00001"):
                return (proposal(me, ctx, symbol, "buy", D("0.1")),)
            return (proposal(me, ctx, symbol, "sell", spot(symbol).qty(held.qty), reduce_only=True),)
        case Cfp():
            return (Refuse(agent=me, code="no_cycle"),)
        case Ballot(stage="vote"):
            return tuple(Vote(pid=p.pid, agent=me, score=0.5, conf=0.5) for p in msg.proposals)
        case Ballot():
            ranked = tuple(Ranked(pid=p.pid, score=1.0, size=1.0) for p in msg.proposals)
            return (
                Ranking(round=msg.round, ranked=ranked, margin_of_win=1.0, weights_version=0, quorum=1.0),
            )
        case Review(stage="capital"):
            qty = msg.proposal.legs[0].qty / 2
            bound = Bound(agent=me, code="half", qty_max=qty)
            return (
                Allocation(
                    pid=msg.pid, agent=me, max_qty=spot(msg.proposal.symbol).qty(qty), margin_reserved=D(1),
                    reservation_id=b"", version=1, bounds=(bound,), code="half",
                ),
            )  # fmt: skip
        case Review(stage="risk"):
            return (
                Verdict(
                    pid=msg.pid, agent=me, ok=True, max_qty=msg.proposal.legs[0].qty, breached=(),
                    state_version=msg.state_version, risk_epoch=1, valid_until=ctx.now + MINUTE,
                ),
            )  # fmt: skip
        case Review(stage="execution"):
            return (Counter(pid=msg.pid, agent=me, code="style", binding=False, style="market", tif="IOC"),)
        case Review(stage="arbitrage"):
            code = "coupled_ok" if msg.proposal.coupled else "no_cross"
            return (Counter(pid=msg.pid, agent=me, code=code, binding=False),)
        case Counter():
            return (CounterReply(pid=msg.pid, agent=me, action="accept"),)
        case _:
            return ()


def proposal(
    me: str, ctx: Context, symbol: str, side: str, qty: Decimal, *, reduce_only: bool = False
) -> Proposal:
    leg = Leg(symbol=symbol, side=side, qty=qty, reduce_only=reduce_only)
    return Proposal(
        pid=proposal_id(ctx.now.to_bytes(8, "big"), me, hash_free(symbol)), agent=me, agent_version="1",
        symbol=symbol, legs=(leg,), edge_bps=50.0, conf=0.6, horizon_ms=60_000, stop=None, take=None,
        max_slippage_bps=20.0, ttl_ns=MINUTE, why="test",
    )  # fmt: skip


def hash_free(symbol: str) -> int:
    return int.from_bytes(symbol.encode()[:4], "big")


class TestDesk:
    """A firm with its agents and a venue that fills everything at the book, driven step by step."""

    __test__ = False
    set_ahead = 0  # ns by which the machine's wall clock was set

    def __init__(
        self,
        scripts: dict[str, Script] | None = None,
        symbols: tuple[str, ...] = ("BTC/USDT",),
        crosses: tuple[str, ...] = (),
        capital: Decimal = CAPITAL,
        fill: bool = True,
        limits: dict[str, object] | None = None,
        purses: tuple[tuple[str, Decimal], ...] = (),
        **over: object,
    ) -> None:
        config = DeskConfig(symbols=symbols, profile="lockstep", **over)  # type: ignore[arg-type]
        specs = tuple(
            AgentSpec(id=i, role=r, factory="tests:x", subscriptions=SUBSCRIPTIONS) for i, r in TEAM
        )
        instruments = {s: listed(s) for s in (*symbols, *crosses)}
        env = AgentEnv(
            tenant="local", account="main", quote="USDT", symbols=symbols, instruments=instruments,
            tf_ns=MINUTE, agents=tuple((s.id, s.role) for s in specs),
        )  # fmt: skip
        scripts = scripts or {}
        hosts = {s.id: AgentHost(Scripted(s, scripts.get(s.id, polite)), 1) for s in specs}
        self.firm = Firm(config, env, specs, limits_of(limits or {}))
        self.transport = InProc(hosts)
        self.records: list[bytes] = []
        self.groups: list[GroupOut] = []
        self.sent: list[Intent | CancelIntent] = []
        self.fill = fill
        self.mono = 1
        self.step = 0
        self.trade = 0
        self.symbols = (*symbols, *crosses)
        self.admit(Started(run_id="t", epoch=1, quote="USDT", capital=capital, t=T0), "supervisor")
        self.admit(
            Balance(account="main", venue="binance", assets=(("USDT", capital), *purses), t=T0), "gateway"
        )

    def admit(self, message: Message, sender: str, age_ms: float = 0.0) -> list[Intent | CancelIntent]:
        self.mono += 1000
        wall = T0 + self.mono
        cascade = self.firm.admit(
            message, sender, t_event=wall - int(age_ms * 1e6), t_mono=self.mono, t_recv=wall + self.set_ahead
        )
        orders: list[Intent | CancelIntent] = []
        for group in groups_in(cascade, self.transport.exchange):
            self.records.extend(r[3] for r in group.records)
            self.groups.append(group)
            orders.extend(group.orders)
        self.sent.extend(orders)
        return orders

    def bar(self, price: float = 50_000.0, **books: Book) -> None:
        """Close one bar of every symbol at a price, and let the venue answer what was ordered."""
        self.admit(
            Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=T0, offset_ms=1.0), "gateway"
        )
        self.step += 1
        t = T0 + self.step * MINUTE
        bars = tuple(
            Bar(
                symbol=s,
                tf_ns=MINUTE,
                t_open=t - MINUTE,
                open=price,
                high=price,
                low=price,
                close=price,
                volume=10.0,
            )
            for s in sorted(self.symbols)
        )
        tops = tuple(self.book(s, t, price) for s in sorted(self.symbols))
        self.answer(self.admit(MarketBatch(step=self.step, t=t, bars=bars, books=tops), "hub"), price)

    def book(self, symbol: str, t: int, price: float) -> Book:
        levels = range(1, 6)
        return Book(
            symbol=symbol, t=t, seq=self.step, bids=tuple((price - i, 5.0) for i in levels),
            asks=tuple((price + i, 5.0) for i in levels),
        )  # fmt: skip

    def answer(self, orders: Sequence[Intent | CancelIntent], price: float) -> None:
        """Answer orders as the venue would, and what these answers cause."""
        todo = list(orders)
        while todo:
            order = todo.pop(0)
            if isinstance(order, CancelIntent):
                todo += self.admit(
                    OrderEvent(
                        iid=order.iid, venue_id="v", symbol=order.symbol, status="canceled", cum_qty=D(0),
                        avg_px=D(0), t=T0,
                    ), "gateway",
                )  # fmt: skip
                continue
            if not self.fill:
                todo += self.admit(Ack(iid=order.iid, venue_id="v", t_venue=T0), "gateway")
                continue
            self.trade += 1
            px = D(repr(price)) + (1 if order.side == "buy" else -1)
            base = order.symbol.split("/")[0]
            fee, asset = (
                (order.qty * D("0.001"), base)
                if order.side == "buy"
                else (order.qty * px * D("0.001"), "USDT")
            )
            todo += self.admit(
                Fill(
                    trade_id=str(self.trade), venue="binance", account="main", iid=order.iid, venue_id="v",
                    symbol=order.symbol, side=order.side, qty=order.qty, px=px, fee=fee, fee_asset=asset,
                    liquidity="taker", t=T0 + self.step * MINUTE,
                ), "gateway",
            )  # fmt: skip
            todo += self.admit(Ack(iid=order.iid, venue_id="v", t_venue=T0), "gateway")

    def said(self, kind: type) -> list[Message]:
        """All messages of a type the journal would hold, in order."""
        bodies = (decode(decode_envelope(r).body) for r in self.records)
        return [m for m in bodies if isinstance(m, kind)]


__all__ = ["MINUTE", "T0", "Child", "D", "TestDesk", "polite", "proposal"]
