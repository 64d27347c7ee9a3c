"""The simulated venue: what fills when, at which price, and that no money appears or vanishes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.messages import Ack, CancelIntent, Fill, Intent, Message, OrderEvent, VenueReject
from tests.kit.firm_kit import spot
from venues.sim.exchange import Candle, SimExchange

D = Decimal
NO_SPREAD = Decimal(0)
SYMBOL = "BTC/USDT"
CANDLE = Candle(t_open=0, open=100.0, high=103.0, low=98.0, close=101.0, volume=50.0)


def exchange(spread_bps: Decimal = NO_SPREAD, **assets: str) -> SimExchange:
    held = {name: D(amount) for name, amount in (assets or {"USDT": "10000", "BTC": "10"}).items()}
    made = SimExchange({SYMBOL: spot(SYMBOL)}, "main", held, spread_bps)
    made.open(1, {SYMBOL: CANDLE})
    return made


def order(n: int = 1, side: str = "buy", qty: str = "1", px: str | None = None, **over: Any) -> Intent:
    fields: dict[str, Any] = {
        "iid": n.to_bytes(8, "big"), "cid": f"c{n}", "round": b"", "pid": b"", "leg": 0, "child": 0,
        "account": "main", "venue": "binance", "symbol": SYMBOL, "side": side, "qty": D(qty),
        "px": None if px is None else D(px), "style": "market" if px is None else "limit",
        "tif": "IOC" if px is None else "GTC", "reduce_only": False, "send_by": 0, "epoch": 1,
        "reservation_id": b"", "risk_hash": b"",
    }  # fmt: skip
    return Intent(**(fields | over))


def cancel(of: Intent) -> CancelIntent:
    return CancelIntent(
        iid=of.iid, cid=of.cid, round=b"", account="main", venue="binance", symbol=SYMBOL, send_by=0, epoch=1
    )


def fills(facts: list[Message]) -> list[Fill]:
    return [each for each in facts if isinstance(each, Fill)]


def statuses(facts: list[Message]) -> list[str]:
    return [each.status for each in facts if isinstance(each, OrderEvent)]


def code(facts: list[Message]) -> str:
    (only,) = facts
    assert isinstance(only, VenueReject)
    assert only.definitive
    return only.code


@pytest.mark.parametrize(("px", "tif"), [(None, "IOC"), ("100", "IOC"), ("105", "GTC")])
def test_what_takes_liquidity_fills_at_the_opening_price(px: str | None, tif: str) -> None:
    venue = exchange()
    facts = venue.place(order(px=px, tif=tif))
    assert isinstance(facts[0], Ack)
    (fill,) = fills(facts)
    assert (fill.px, fill.qty, fill.liquidity) == (D(100), D(1), "taker")
    assert (fill.fee, fill.fee_asset) == (D("0.1"), "USDT")
    assert statuses(facts) == ["closed"]
    assert venue.assets == {"USDT": D("9899.9"), "BTC": D(11)}
    assert venue.course() == []


@pytest.mark.parametrize(("side", "price"), [("buy", "100.5"), ("sell", "99.5")])
def test_spread_is_paid_by_who_takes(side: str, price: str) -> None:
    (fill,) = fills(exchange(spread_bps=D(100)).place(order(side=side)))
    assert fill.px == D(price)


@pytest.mark.parametrize(
    ("side", "px", "touched"), [("buy", "98", True), ("buy", "97.99", False), ("sell", "103", True)]
)
def test_resting_order_fills_at_its_price_if_the_candle_reaches_it(side: str, px: str, touched: bool) -> None:
    venue = exchange()
    facts = venue.place(order(side=side, px=px))
    assert [type(each) for each in facts] == [Ack]
    then = venue.course()
    if not touched:
        assert then == []
        return
    (fill,) = fills(then)
    assert (fill.px, fill.liquidity) == (D(px), "maker")
    assert venue.course() == []  # once


def test_order_that_neither_takes_nor_rests_expires() -> None:
    venue = exchange()
    facts = venue.place(order(px="99", tif="IOC"))
    assert statuses(facts) == ["expired"]
    assert venue.course() == []


def test_canceled_order_does_not_fill_and_is_canceled_once() -> None:
    venue = exchange()
    resting = order(px="99")
    venue.place(resting)
    assert statuses(venue.cancel(cancel(resting))) == ["canceled"]
    assert venue.course() == []
    assert code(venue.cancel(cancel(resting))) == "unknown_order"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"style": "post_only", "px": "100"}, "would_take"),
        ({"qty": "0.00001"}, "below_min_notional"),
        ({"qty": "1000"}, "insufficient_balance"),
        ({"side": "sell", "qty": "11"}, "insufficient_balance"),
        ({"side": "sell", "qty": "11", "px": "102"}, "insufficient_balance"),
        ({"symbol": "ETH/USDT"}, "no_market"),
    ],
)
def test_what_the_venue_refuses_changes_nothing(wrong: dict[str, Any], said: str) -> None:
    venue = exchange()
    before = dict(venue.assets)
    assert code(venue.place(order(**wrong))) == said
    assert venue.assets == before


def test_same_order_twice_exists_once() -> None:
    venue = exchange()
    venue.place(order())
    assert code(venue.place(order())) == "duplicate"
    assert venue.assets["BTC"] == D(11)


def test_symbol_whose_candle_is_missing_does_not_trade() -> None:
    venue = exchange()
    venue.place(order(px="99"))
    venue.open(2, {})
    assert venue.course() == []
    assert code(venue.place(order(2))) == "no_market"
    venue.open(3, {SYMBOL: CANDLE})
    assert len(fills(venue.course())) == 1  # it rested meanwhile


prices = st.integers(9000, 11000).map(lambda n: str(D(n) / 100))
wishes = st.tuples(
    st.sampled_from(["buy", "sell"]), st.integers(1, 400).map(lambda n: str(D(n) / 10)), st.none() | prices
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(wishes, max_size=4), max_size=8), st.sampled_from([D(0), D(7)]))
def test_money_is_what_fills_say_and_never_below_zero(
    candles: list[list[tuple[str, str, str | None]]], spread: Decimal
) -> None:
    venue = exchange(spread, USDT="5000", BTC="20")
    expected = {"USDT": D(5000), "BTC": D(20)}
    n = 0
    filled: set[bytes] = set()
    for t, wanted in enumerate(candles):
        venue.open(t, {SYMBOL: CANDLE._replace(t_open=t)})
        facts = []
        for side, qty, px in wanted:
            n += 1
            facts += venue.place(order(n, side, qty, px))
        for fill in fills(facts + venue.course()):
            assert fill.iid not in filled
            filled.add(fill.iid)
            sign = 1 if fill.side == "buy" else -1
            expected["BTC"] += sign * fill.qty
            expected["USDT"] -= sign * fill.qty * fill.px + fill.fee
        assert venue.assets == expected
        assert min(venue.assets.values()) >= 0
