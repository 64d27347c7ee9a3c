"""What a gateway knows of its orders when it comes back to its journal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from parley.messages import Ack, Attempt, Fill, Intent, Message, OrderEvent, Unknown, VenueReject
from runtime.gateway_log import NOT_ACCEPTED, OWN, fold
from tests.kit.units import make_cancel, make_intent

ORDER = make_intent(1)
FENCE = 17
UNKNOWN = Unknown(iid=ORDER.iid, cause="timeout")
ACK = Ack(iid=ORDER.iid, venue_id="1", t_venue=0)
FILL = Fill(
    trade_id="1", venue="v", account="a", iid=ORDER.iid, venue_id="1", symbol=ORDER.symbol, side="buy",
    qty=ORDER.qty, px=Decimal(1), fee=Decimal(0), fee_asset="", liquidity="taker", t=0,
)  # fmt: skip


def attempt(intent: Intent, fence: int = FENCE) -> Attempt:
    return Attempt(
        iid=intent.iid, cid=intent.cid, n=1, t_send=0, fence_until=fence, body_hash=b"", desk_head=b""
    )


def event(status: str, cum_qty: Decimal) -> OrderEvent:
    return OrderEvent(
        iid=ORDER.iid, venue_id="1", symbol=ORDER.symbol, status=status, cum_qty=cum_qty, avg_px=Decimal(1),
        t=0,
    )  # fmt: skip


def no(code: str) -> VenueReject:
    return VenueReject(iid=ORDER.iid, code=code, definitive=True)


@pytest.mark.parametrize(
    ("said", "is_unknown", "is_known"),
    [
        ((), True, False),
        ((UNKNOWN,), False, False),
        ((ACK,), False, True),
        ((UNKNOWN, ACK, event("open", Decimal(0))), False, True),
        ((event("open", Decimal(0)),), True, False),
        ((ACK, event("closed", ORDER.qty)), False, True),  # its fills are not all here
    ],
    ids=["nothing", "unknown", "ack", "found", "stream", "fills missing"],
)
def test_order_that_may_still_trade_is_looked_up(
    said: tuple[Message, ...], is_unknown: bool, is_known: bool
) -> None:
    # the second attempt is of its cancel: the fence is that of the order
    past = fold([ORDER, attempt(ORDER), attempt(ORDER, fence=99), *said])

    (alive,) = past.alive
    assert (alive.intent, alive.fence_until, alive.is_known) == (ORDER, FENCE, is_known)
    assert past.open_ended == ((ORDER.iid,) if is_unknown else ())
    assert past.buried == ()


@pytest.mark.parametrize(
    "said",
    [
        (no(OWN + "unreleased"),),
        (no("venue:insufficient_funds"),),
        (ACK, FILL, event("closed", ORDER.qty)),
        (UNKNOWN, ACK, event("canceled", Decimal(0))),
    ],
    ids=["dropped", "refused", "filled", "canceled"],
)
def test_order_that_is_over_is_left_alone(said: tuple[Message, ...]) -> None:
    past = fold([ORDER, attempt(ORDER), *said])

    assert (past.alive, past.open_ended, past.buried) == ((), (), ())
    assert ORDER.iid in past.counters.iids


def test_order_that_was_not_accepted_is_watched_until_it_appears() -> None:
    given_up: list[Message] = [ORDER, attempt(ORDER), UNKNOWN, no(NOT_ACCEPTED[0])]

    assert fold(given_up).buried == (ORDER,)
    assert fold(given_up).alive == ()
    assert fold([*given_up, event("open", Decimal(0))]).buried == ()
    assert fold(given_up).unsent == frozenset(), "it was sent: a second one of its id may say no less"


@pytest.mark.parametrize(
    ("said", "is_open_ended"),
    [
        ((), True),
        ((VenueReject(iid=ORDER.iid, code="last_look:too_late", definitive=True, cancel=True),), False),
        ((Ack(iid=ORDER.iid, venue_id="1", t_venue=0, cancel=True),), False),
        ((Unknown(iid=ORDER.iid, cause="timeout", cancel=True),), False),
        ((UNKNOWN,), True),
    ],
    ids=["nothing", "refused", "done", "unknown", "answer about the order"],
)
def test_cancel_that_was_never_answered_is_told_of(said: tuple[Message, ...], is_open_ended: bool) -> None:
    """A desk that comes back waits for an answer to each cancel; found by `make chaos`."""
    past = fold([ORDER, attempt(ORDER), ACK, make_cancel(ORDER), attempt(ORDER), *said])

    assert past.cancelling == ((ORDER.iid,) if is_open_ended else ())
    assert [each.intent for each in past.alive] == [ORDER], "what is said of a cancel ends no order"
