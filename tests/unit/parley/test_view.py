"""Lookups over a `StateView`."""

from decimal import Decimal

import pytest

from parley.messages import Cash, Holding, Position, Reservation, WorkingOrder
from parley.view import FirmView
from tests.kit.builders import make_state

HELD = Holding(
    agent="strategy/a", symbol="BTC/USDT", qty=Decimal(1), avg_px=Decimal(2), opened=1, round=b"r", pid=b"p"
)
BTC = Position(
    symbol="BTC/USDT", mark=Decimal(2), qty=Decimal(1), avg_px=Decimal(2), realised=Decimal(0),
    unrealised=Decimal(0),
)  # fmt: skip
RESERVED = Reservation(
    rid=b"x", round=b"r", pid=b"p", agent="strategy/a", symbol="BTC/USDT", side="buy", asset="USDT",
    amount=Decimal(5), qty_left=Decimal(1),
)  # fmt: skip
ORDER = WorkingOrder(
    iid=b"i", cid="c", round=b"r", pid=b"p", agent="strategy/a", leg=0, child=0, symbol="BTC/USDT",
    side="buy", qty=Decimal(1), filled=Decimal(0), px=None, state="OPEN", t=1,
)  # fmt: skip
VIEW = FirmView(
    make_state(
        state_version=7,
        cash=(Cash(asset="USDT", total=Decimal(100), reserved=Decimal(30)),),
        positions=(BTC,),
        holdings=(HELD,),
        reservations=(RESERVED,),
        orders=(ORDER,),
    )
)


def test_what_is_there_is_found() -> None:
    assert VIEW.version == 7
    assert VIEW.position("BTC/USDT") is BTC
    assert VIEW.holding("strategy/a", "BTC/USDT") is HELD
    assert VIEW.reserved("strategy/a", "BTC/USDT") == (RESERVED,)
    assert VIEW.orders("BTC/USDT") == (ORDER,)
    cash = VIEW.cash("USDT")
    assert cash is not None
    assert cash.total == 100


def test_what_is_not_there_is_nothing() -> None:
    assert VIEW.position("ETH/USDT") is None
    assert VIEW.cash("ETH") is None
    assert VIEW.holding("strategy/b", "BTC/USDT") is None
    assert VIEW.holding("strategy/a", "ETH/USDT") is None
    assert VIEW.reserved("strategy/b", "BTC/USDT") == VIEW.reserved("strategy/a", "ETH/USDT") == ()
    assert VIEW.orders("ETH/USDT") == ()


def test_reserved_money_is_not_free() -> None:
    assert VIEW.free("USDT") == 70
    assert VIEW.free("ETH") == 0


@pytest.mark.parametrize(
    ("equity", "peak", "fall"),
    [("90", "100", "0.1"), ("9", "9", "0"), ("0", "0", "0"), ("-5", "10", "1.5")],
)
def test_drawdown_is_measured_from_the_peak(equity: str, peak: str, fall: str) -> None:
    assert FirmView(make_state(equity=equity, peak=peak)).drawdown == Decimal(fall)


@pytest.mark.parametrize(
    ("equity", "start", "loss"), [("90", "100", "0.1"), ("110", "100", "0"), ("50", "0", "0")]
)
def test_a_day_that_gained_has_no_loss(equity: str, start: str, loss: str) -> None:
    assert FirmView(make_state(equity=equity, day_open=start)).day_loss == Decimal(loss)
