"""A journal of a real firm at three exchanges, in which one order was shared out over all of them.

Not here: how it is shared out (tests/unit/orchestrator/test_routing.py).

Invariant: of 0.25 BTC the first two exchanges give 0.0999 each, what the gate allows of their books, and the
dearest one, OKX, the rest; Bybit in two fills. Each had 30,000 USDT. Fees are 0.1 % of the coins received.
Afterwards OKX's price falls by 22, the others' stays; what comes behind the last state is told by nobody yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.policy import GroupOut
from parley.agent import Context
from parley.messages import (
    KINDS,
    Book,
    Cfp,
    Envelope,
    Fill,
    Intent,
    MarketBatch,
    Message,
    Refuse,
    encode,
)
from tests.kit.desk_cases import BTC, StepDesk, ack, unless
from tests.kit.desk_journal import write
from tests.kit.firm_kit import MINUTE, T0, D, proposal

BYBIT, OKX = "BTC/USDT@bybit", "BTC/USDT@okx"
WANTED = D("0.25")
EACH = D(30_000)


def _buys_once(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
    if not isinstance(msg, Cfp) or me != "strategy/a":
        return None
    if ctx.now > T0 + MINUTE or msg.reduce_only:
        return (Refuse(agent=me, code="waits"),)
    return (proposal(me, ctx, BTC, "buy", WANTED * 2),)  # capital allows half


def market(desk: StepDesk, okx: float) -> dict[str, Book]:
    """Give the next step's books: 0.1 at each of five levels around 50,000, OKX's off by ``okx``."""
    t = T0 + (desk.step + 1) * MINUTE
    off = {BTC: 0.0, BYBIT: 0.0, OKX: okx}
    return {
        symbol: Book(
            symbol=symbol, t=t, seq=t, bids=tuple((49_999.0 + by - n, 0.1) for n in range(5)),
            asks=tuple((50_001.0 + by + n, 0.1) for n in range(5)),
        )
        for symbol, by in off.items()
    }  # fmt: skip


def shared_out() -> StepDesk:
    """Let a desk buy at all three, and see other prices afterwards."""
    desk = StepDesk(
        {"strategy/a": unless(_buys_once)}, crosses=(BYBIT, OKX), capital=EACH,
        purses=(("USDT@bybit", EACH), ("USDT@okx", EACH)),
        limits={"max_position": "1", "max_order_notional": "1", "max_correlated": "1"},
    )  # fmt: skip
    prices = {BYBIT: 50_000.0, OKX: 50_000.0}
    sent = [o for o in desk.close(prices, books=market(desk, 2.0)) if isinstance(o, Intent)]
    for order in sent:
        desk.tell(ack(order), *_fills(desk, order))
    desk.close(prices, books=market(desk, -20.0))
    return desk


def _fills(desk: StepDesk, order: Intent) -> list[Fill]:
    if order.symbol == BYBIT:
        first = D("0.06")
        return [
            desk.filled(order, first, D(50_001)),
            desk.filled(order, order.qty - first, D(50_003)),
        ]
    return [desk.filled(order, px=D(50_001) if order.symbol == BTC else D(50_003))]


def write_shared_out(path: Path, desk: StepDesk) -> Path:
    """Write such a desk's journal to a new file; its last record is a market that no state knows of."""
    seq = max(record[0] for group in desk.groups for record in group.records) + 1
    batch = MarketBatch(step=9, t=T0 + 9 * MINUTE, books=tuple(market(desk, 500.0).values()))
    envelope = Envelope(
        kind=KINDS[MarketBatch], tenant="local", desk=1, epoch=1, seq=seq, round=b"", sender="hub", to="*",
        cause=0, body=encode(batch),
    )  # fmt: skip
    late = GroupOut(records=((seq, KINDS[MarketBatch], b"", encode(envelope)),))
    return write(path, desk, [*desk.groups, late], instruments=desk.firm.account.instruments)


__all__ = ["BYBIT", "EACH", "OKX", "shared_out", "write_shared_out"]
