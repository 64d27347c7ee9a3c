"""What the desk believes of an order does not depend on when the venue's facts come, or how often."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.orders import FINAL, Order, Orders, OrderState, VenueFact
from parley.errors import StateError
from parley.messages import Ack, Fill, OrderEvent, Unknown, VenueReject
from tests.kit.builders import make_fill
from tests.kit.desk_cases import make_order

QTY = Decimal(10)
IID = make_order(qty=QTY).iid
ACCEPTED = (
    Ack(iid=IID, venue_id="v", t_venue=1),
    Unknown(iid=IID, cause="timeout"),
    VenueReject(iid=IID, code="duplicate", definitive=False),
    Ack(iid=IID, venue_id="v", t_venue=2, cancel=True),
    Unknown(iid=IID, cause="timeout", cancel=True),
    VenueReject(iid=IID, code="gone", definitive=True, cancel=True),
)


def event(status: str, cum: int) -> OrderEvent:
    return OrderEvent(
        iid=IID, venue_id="v", symbol="BTC/USDT", status=status, cum_qty=Decimal(cum), avg_px=Decimal(1), t=0
    )


@st.composite
def histories(draw: st.DrawFn) -> list[VenueFact]:
    """Everything a venue that took the order may say: fills, and the states after them."""
    parts = draw(st.lists(st.integers(1, 4), max_size=4).filter(lambda xs: sum(xs) <= 10))
    facts: list[VenueFact] = []
    cum = 0
    for n, part in enumerate(parts):
        cum += part
        facts.append(make_fill(iid=IID, qty=Decimal(part), trade_id=str(n)))
        facts.append(event("closed" if cum == 10 else "open", cum))
    if draw(st.booleans()):
        facts.append(event(draw(st.sampled_from(["canceled", "expired"])), cum))
    return facts + list(draw(st.sets(st.sampled_from(ACCEPTED))))


def fold(facts: list[VenueFact], *, cancel_at: int = -1) -> Order:
    """Fold facts as the firm does: the ledger tells fills apart, what is no news is dropped."""
    orders = Orders()
    order = orders.open(make_order(qty=QTY), "strategy/a", 0)
    trades: set[str] = set()
    for n, fact in enumerate(facts):
        if n == cancel_at:
            orders.ask_cancel(IID)
        was_final = order.is_final
        if isinstance(fact, Fill):
            if fact.trade_id in trades:
                continue
            trades.add(fact.trade_id)
            orders.apply(fact)
        else:
            news = orders.is_news(fact)
            assert orders.apply(fact) == news
            assert not orders.is_news(fact)
        assert order.filled <= QTY
        assert not was_final or order.is_final
        assert order.is_final == (order not in orders.live())
        if order.state in (OrderState.FILLED, OrderState.CANCELED):
            assert order.filled >= order.cum
    return order


@given(histories(), st.data())
def test_the_final_belief_does_not_depend_on_order_or_repetition(
    facts: list[VenueFact], data: st.DataObject
) -> None:
    straight = fold(facts)
    mixed = fold(
        data.draw(
            st.permutations(facts + data.draw(st.lists(st.sampled_from(facts)) if facts else st.just([])))
        )
    )
    assert (mixed.state, mixed.filled, mixed.exists) == (straight.state, straight.filled, straight.exists)


@given(histories(), st.data())
def test_a_cancel_asked_for_at_any_time_leads_to_the_same_final_state(
    facts: list[VenueFact], data: st.DataObject
) -> None:
    straight = fold(facts)
    mixed = fold(data.draw(st.permutations(facts)), cancel_at=data.draw(st.integers(0, len(facts))))
    assert mixed.filled == straight.filled
    assert (mixed.state in FINAL) == (straight.state in FINAL)
    if straight.state in FINAL:
        assert mixed.state is straight.state


@given(
    st.permutations(
        [
            VenueReject(iid=IID, code="no_money", definitive=True),
            VenueReject(iid=IID, code="duplicate", definitive=False),
            Unknown(iid=IID, cause="timeout"),
            Unknown(iid=IID, cause="timeout"),
        ]
    )
)
def test_a_definitive_refusal_ends_an_order_whatever_else_was_said(facts: list[VenueFact]) -> None:
    order = fold(facts)
    assert order.state is OrderState.FAILED
    assert order.left == 0


def test_only_the_venue_ends_not_knowing_and_each_sign_of_life_does() -> None:
    for sign in (ACCEPTED[0], event("open", 0), make_fill(iid=IID, qty=Decimal(1))):
        order = fold([Unknown(iid=IID, cause="timeout")])
        assert order.state is OrderState.UNKNOWN
        assert order.left == QTY
        assert fold([Unknown(iid=IID, cause="timeout"), sign]).state is not OrderState.UNKNOWN


def test_a_status_ahead_of_its_fills_keeps_the_order_alive_until_they_came() -> None:
    order = fold([event("canceled", 7), make_fill(iid=IID, qty=Decimal(3), trade_id="1")])
    assert not order.is_final
    assert order.left == 7
    order = fold([event("canceled", 7), make_fill(iid=IID, qty=Decimal(7), trade_id="1")])
    assert (order.state, order.filled, order.left) == (OrderState.CANCELED, 7, 0)


def test_a_fill_the_venue_reports_after_the_end_still_counts() -> None:
    order = fold([event("canceled", 0), make_fill(iid=IID, qty=Decimal(4), trade_id="1")])
    assert (order.state, order.filled) == (OrderState.CANCELED, 4)


def test_an_unanswered_cancel_may_be_asked_again_and_an_open_one_is_not() -> None:
    orders = Orders()
    order = orders.open(make_order(qty=QTY), "strategy/a", 0)
    orders.apply(ACCEPTED[0])
    assert orders.ask_cancel(IID) == 1
    assert (order.state, order.cancelling) == (OrderState.PENDING_CANCEL, True)
    orders.apply(Unknown(iid=IID, cause="timeout", cancel=True))
    assert (order.state, order.cancelling) == (OrderState.OPEN, False)
    assert orders.ask_cancel(IID) == 2


def test_fills_beyond_the_order_are_an_error() -> None:
    with pytest.raises(StateError, match="fills sum to 11"):
        fold(
            [
                make_fill(iid=IID, qty=Decimal(6), trade_id="1"),
                make_fill(iid=IID, qty=Decimal(5), trade_id="2"),
            ]
        )
