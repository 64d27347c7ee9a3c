"""An order that passes the gate and everything around it, each field open to a keyword.

The account has 100,000 USDT; the opening order buys 0.1 BTC at 60,000; the reduction
sells 0.1 of 0.2 BTC held. Tests change one thing and look what the gate says.
"""

from decimal import Decimal

from msgspec.structs import replace

from parley.messages import (
    Book,
    Cash,
    Holding,
    Intent,
    Position,
    Reservation,
    StateView,
    Verdict,
    WorkingOrder,
)
from parley.risk import Counters, GateFacts
from parley.view import FirmView
from tests.kit.builders import T0, make_book, make_instrument, make_state

ZERO = Decimal(0)
SECOND = 1_000_000_000
PID, RID, IID = b"p" * 16, b"v" * 16, b"i" * 16
_COUNTERS = Counters(orders_1s=0, orders_10s=0, trades_today=0)


def wide_book(
    symbol: str = "BTC/USDT", bid: float = 59_999.0, ask: float = 60_001.0, qty: float = 2.0
) -> Book:
    """Ten levels a side of the same quantity, a basis point apart."""
    step = bid / 10_000
    return make_book(
        symbol=symbol,
        bids=tuple((bid - i * step, qty) for i in range(10)),
        asks=tuple((ask + i * step, qty) for i in range(10)),
    )


def make_position(symbol: str = "BTC/USDT", qty: str = "0.2", mark: str = "60000") -> Position:
    return Position(
        symbol=symbol,
        qty=Decimal(qty),
        avg_px=Decimal(mark),
        realised=ZERO,
        unrealised=ZERO,
        mark=Decimal(mark),
    )


def make_holding(
    agent: str = "strategy/ema", symbol: str = "BTC/USDT", qty: str = "0.2", opened: int = T0
) -> Holding:
    return Holding(
        agent=agent, symbol=symbol, qty=Decimal(qty), avg_px=Decimal(1), opened=opened, round=b"", pid=PID
    )


def make_reservation(**over: object) -> Reservation:
    plain = Reservation(
        rid=RID, round=b"r" * 16, pid=PID, agent="strategy/ema", symbol="BTC/USDT", side="buy", asset="USDT",
        amount=Decimal("6006"), qty_left=Decimal("0.1"),
    )  # fmt: skip
    return replace(plain, **over)


def make_order(**over: object) -> WorkingOrder:
    plain = WorkingOrder(
        iid=b"w" * 16, cid="w", round=b"q" * 16, pid=b"q" * 16, agent="strategy/grid", leg=0, child=0,
        symbol="BTC/USDT", side="sell", qty=Decimal("0.1"), filled=ZERO, px=Decimal(61_000), state="OPEN",
        t=T0,
    )  # fmt: skip
    return replace(plain, **over)


def make_account(equity: int = 100_000, **over: object) -> StateView:
    """An account with all of its equity in free USDT."""
    cash = (Cash(asset="USDT", total=Decimal(equity), reserved=ZERO),)
    fields: dict[str, object] = {"equity": equity, "peak": equity, "day_open": equity, "cash": cash}
    return make_state(**(fields | over))


def holding_account(**over: object) -> StateView:
    """The same account with 0.2 BTC bought at 60,000."""
    fields: dict[str, object] = {
        "cash": (
            Cash(asset="BTC", total=Decimal("0.2"), reserved=ZERO),
            Cash(asset="USDT", total=Decimal(88_000), reserved=ZERO),
        ),
        "positions": (make_position(),),
        "holdings": (make_holding(),),
    }
    return make_account(**(fields | over))


def make_verdict(**over: object) -> Verdict:
    plain = Verdict(
        pid=PID, agent="risk", ok=True, max_qty=Decimal("0.1"), breached=(), state_version=1, risk_epoch=0,
        valid_until=T0 + 10 * SECOND,
    )  # fmt: skip
    return replace(plain, **over)


def make_intent(**over: object) -> Intent:
    plain = Intent(
        iid=IID, cid="c1", round=b"r" * 16, pid=PID, leg=0, child=0, account="main", venue="sandbox",
        symbol="BTC/USDT", side="buy", qty=Decimal("0.1"), px=Decimal("60010"), style="limit", tif="IOC",
        reduce_only=False, send_by=0, epoch=1, reservation_id=RID, risk_hash=b"", ref_px=Decimal(60_000),
    )  # fmt: skip
    return replace(plain, **over)


def make_facts(state: StateView | None = None, **over: object) -> GateFacts:
    """Facts under which `make_intent` passes."""
    plain = GateFacts(
        view=FirmView(make_account() if state is None else state), instrument=make_instrument(),
        book=wide_book(),
        now=T0, data_age_ms=5.0, clock_offset_ms=1.0, gateway_alive=True, verdict=make_verdict(),
        reservation=make_reservation(), counters=_COUNTERS, trading="ACTIVE",
    )  # fmt: skip
    return replace(plain, **over)


def make_exit(**over: object) -> Intent:
    """Sell 0.1 BTC of the 0.2 held, reduce-only, by a market order."""
    fields: dict[str, object] = {"side": "sell", "px": None, "style": "market", "reduce_only": True}
    return make_intent(**(fields | over))


def exit_facts(state: StateView | None = None, **over: object) -> GateFacts:
    """Facts under which `make_exit` passes: no verdict, clock unknown, REDUCING."""
    fields: dict[str, object] = {
        "verdict": None, "clock_offset_ms": None, "trading": "REDUCING",
        "reservation": make_reservation(side="sell", asset="BTC", amount=Decimal("0.1")),
    }  # fmt: skip
    return make_facts(holding_account() if state is None else state, **(fields | over))
