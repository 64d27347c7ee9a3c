"""A desk whose venue is the test: nothing is answered unless the test says so.

`StepDesk.close` closes a bar and gives the orders it led to; `ack`, `fill`, `event`, `refused` and
`unknown` are what a venue may say about them. Not here: agents with a mind (`firm_kit.polite`).
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec.structs import replace

from parley.agent import Context
from parley.ids import proposal_id
from parley.instruments import assets_of
from parley.messages import (
    Ack,
    Bar,
    Book,
    CancelIntent,
    Cfp,
    Counter,
    Decision,
    Fill,
    Heartbeat,
    Intent,
    Leg,
    MarketBatch,
    Message,
    OrderEvent,
    Proposal,
    Refuse,
    Review,
    Unknown,
    VenueReject,
)  # fmt: skip
from tests.kit.firm_kit import MINUTE, T0, D, Script, TestDesk, polite

BTC = "BTC/USDT"
ZERO = D(0)
PRICES = {BTC: 50_000.0, "ETH/USDT": 2_500.0, "ETH/BTC": 0.05}
Say = Callable[[Message, Context, str], Sequence[Message] | None]


def unless(say: Say) -> Script:
    """Make a script: what ``say`` answers, and where it gives None what a polite agent would."""

    def script(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        answer = say(msg, ctx, me)
        return polite(msg, ctx, me) if answer is None else answer

    return script


def silent(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    return ()


def bids(*legs: Leg, once: bool = True, **over: object) -> Script:
    """Make a bidder that proposes these legs when it holds nothing (once), and otherwise refuses."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        state = ctx.view.state
        busy = any(x.agent == me for x in (*state.holdings, *state.reservations))
        if busy or (once and ctx.now > T0 + MINUTE) or not {x.symbol for x in legs} <= set(msg.symbols):
            return (Refuse(agent=me, code="done"),)
        bid = Proposal(
            pid=proposal_id(msg.round, me), agent=me, agent_version="1", symbol=legs[0].symbol, legs=legs,
            edge_bps=50.0, conf=0.6, horizon_ms=60_000, stop=None, take=None, max_slippage_bps=20.0,
            ttl_ns=MINUTE, why="test", coupled=len(legs) > 1,
        )  # fmt: skip
        return (replace(bid, **over),)

    return unless(say)


def advises(**fields: object) -> Script:
    """Make an execution agent whose advice is these fields."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and msg.stage == "execution":
            found = Counter(pid=msg.pid, agent=me, code="advice", binding=False, **fields)  # type: ignore[arg-type]
            return (found,)
        return None

    return unless(say)


class StepDesk(TestDesk):
    """A `TestDesk` without a venue, with a price per symbol."""

    def close(
        self,
        prices: dict[str, float] | None = None,
        *,
        age_ms: float = 0.0,
        beat: bool = True,
        offset_ms: float = 1.0,
        bars: bool = True,
        books: dict[str, Book] | None = None,
        minutes: int = 1,
    ) -> list[Intent | CancelIntent]:
        """Close a bar of every symbol and give what the desk sends; the data are ``age_ms`` old."""
        if beat:
            self.admit(
                Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=T0, offset_ms=offset_ms),
                "gateway",
            )
        self.step += minutes
        t = T0 + self.step * MINUTE
        at = PRICES | (prices or {})
        tops = {s: self.depth(s, t, at[s]) for s in sorted(self.symbols)} | (books or {})
        closes = tuple(
            Bar(
                symbol=s,
                tf_ns=MINUTE,
                t_open=t - MINUTE,
                open=at[s],
                high=at[s],
                low=at[s],
                close=at[s],
                volume=9.0,
            )
            for s in sorted(self.symbols)
        )
        batch = MarketBatch(step=self.step, t=t, bars=closes if bars else (), books=tuple(tops.values()))
        return self.admit(batch, "hub", age_ms=age_ms)

    def depth(self, symbol: str, t: int, price: float) -> Book:
        tick = price / 50_000
        return Book(
            symbol=symbol, t=t, seq=t, bids=tuple((round(price - i * tick, 8), 50.0) for i in range(1, 6)),
            asks=tuple((round(price + i * tick, 8), 50.0) for i in range(1, 6)),
        )  # fmt: skip

    def tell(self, *facts: Message) -> list[Intent | CancelIntent]:
        """Admit facts of the venue (news only, as the desk's process does) and give what they lead to."""
        orders: list[Intent | CancelIntent] = []
        for fact in facts:
            if self.firm.is_news(fact):
                orders += self.admit(fact, "gateway")
        return orders

    def filled(
        self, order: Intent, qty: Decimal | None = None, px: Decimal | None = None, fee: str = "received"
    ) -> Fill:
        """Make an execution of (the rest of) an order; ``fee`` 0.1 % of what is received, or none."""
        self.trade += 1
        qty = order.qty if qty is None else qty
        px = px or order.px or order.ref_px
        assert px is not None
        base, quote = assets_of(order.symbol)
        got, asset = (qty, base) if order.side == "buy" else (qty * px, quote)
        return Fill(
            trade_id=f"t{self.trade}",
            venue=order.venue,
            account="main",
            iid=order.iid,
            venue_id="v",
            symbol=order.symbol,
            side=order.side,
            qty=qty,
            px=px,
            fee=got / 1000 if fee == "received" else D(0),
            fee_asset=asset,
            liquidity="taker",
            t=self.firm.table.now,
        )

    @property
    def view(self):
        return self.firm.account.view()[0]

    @property
    def last(self) -> Decision:
        """The newest decision."""
        decision = self.said(Decision)[-1]
        assert isinstance(decision, Decision)
        return decision


def ack(order: Intent | CancelIntent) -> Ack:
    return Ack(iid=order.iid, venue_id="v", t_venue=T0, cancel=isinstance(order, CancelIntent))


def event(order: Intent | CancelIntent, status: str, cum: Decimal = ZERO) -> OrderEvent:
    return OrderEvent(
        iid=order.iid, venue_id="v", symbol=order.symbol, status=status, cum_qty=cum, avg_px=D(1), t=T0
    )


def refused(order: Intent | CancelIntent, *, definitive: bool = True, code: str = "no") -> VenueReject:
    return VenueReject(
        iid=order.iid, code=code, definitive=definitive, cancel=isinstance(order, CancelIntent)
    )


def unknown(order: Intent | CancelIntent) -> Unknown:
    return Unknown(iid=order.iid, cause="timeout", cancel=isinstance(order, CancelIntent))


def make_order(**over: object) -> Intent:
    """An intent to buy 0.1 BTC at market, as it stands in the journal."""
    order = Intent(
        iid=b"i" * 16,
        cid="c1",
        round=b"r" * 16,
        pid=b"p" * 16,
        leg=0,
        child=0,
        account="main",
        venue="binance",
        symbol=BTC,
        side="buy",
        qty=D("0.1"),
        px=None,
        style="market",
        tif="IOC",
        reduce_only=False,
        send_by=0,
        epoch=1,
        reservation_id=b"v" * 16,
        risk_hash=b"",
    )
    return replace(order, **over)
