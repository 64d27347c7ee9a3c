"""Orders: taken up once, given back, forgotten; the fold itself is in tests/property/test_orders.py."""

import pytest

from orchestrator.orders import Orders, OrderState
from parley.errors import StateError
from parley.messages import Ack
from tests.kit.builders import make_fill
from tests.kit.desk_cases import ack, event, make_order, refused, unknown
from tests.kit.firm_kit import D


def test_an_intent_is_taken_up_once() -> None:
    orders = Orders()
    orders.open(make_order(), "strategy/a", 0)
    with pytest.raises(StateError, match="exists already"):
        orders.open(make_order(), "strategy/a", 0)


def test_facts_about_foreign_orders_are_no_news() -> None:
    orders = Orders()
    for fact in (
        ack(make_order()),
        event(make_order(), "open"),
        unknown(make_order()),
        refused(make_order()),
    ):
        assert not orders.is_news(fact)
        assert not orders.apply(fact)


def test_a_voided_order_is_over_and_whatever_comes_later_is_no_news() -> None:
    orders = Orders()
    order = orders.open(make_order(), "strategy/a", 0)
    orders.void(order.intent.iid)
    assert (order.state, order.cause, order.left) == (OrderState.FAILED, "void", 0)
    assert orders.live() == ()
    assert not orders.is_news(ack(order.intent))


def test_a_symbol_is_unknown_while_an_order_on_it_is() -> None:
    orders = Orders()
    order = orders.open(make_order(), "strategy/a", 0).intent
    orders.apply(unknown(order))
    assert orders.unknown_symbols() == ("BTC/USDT",)
    orders.apply(ack(order))
    assert orders.unknown_symbols() == ()


def test_a_doubt_after_the_venue_spoke_of_the_order_is_no_doubt() -> None:
    orders = Orders()
    order = orders.open(make_order(), "strategy/a", 0)
    orders.apply(event(order.intent, "open"))
    orders.apply(unknown(order.intent))
    assert order.state is OrderState.OPEN


def test_fees_and_money_are_summed_by_asset() -> None:
    orders = Orders()
    order = orders.open(make_order(qty=D(3)), "strategy/a", 0)
    for n, asset in enumerate(("BTC", "BNB", "BTC")):
        orders.apply(
            make_fill(
                iid=order.intent.iid, trade_id=str(n), qty=D(1), px=D(10 + n), fee=D(n + 1), fee_asset=asset
            )
        )
    assert (order.quote, order.fees) == (D(33), {"BTC": D(4), "BNB": D(2)})
    assert order.state is OrderState.FILLED


def test_only_the_newest_final_orders_are_remembered_and_all_live_ones() -> None:
    orders = Orders(keep=3)
    live = orders.open(make_order(iid=b"live" * 4), "strategy/a", 0)
    for n in range(10):
        iid = n.to_bytes(16, "big")
        orders.open(make_order(iid=iid), "strategy/a", 0)
        orders.apply(refused(make_order(iid=iid)))
    kept = [n for n in range(10) if orders.get(n.to_bytes(16, "big")) is not None]
    assert kept == [7, 8, 9]
    assert orders.live() == (live,)
    assert orders.apply(Ack(iid=live.intent.iid, venue_id="v", t_venue=0))
