"""The ledger's check knows a cloid and a bounded market order for what they are, and nothing else.

It works both out by itself: what is compared here are two programs. Not here: a whole run
(tests/integration/test_desk_on_venues.py).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.kit.units import make_intent
from tools.ledger_evidence import INTENT_REF_PX, Belief, Intended, Order, Placed, Trade, Truth
from tools.ledger_wire import in_own_words
from venues.hyperliquid_cloids import cloid_of

REF_PX = Decimal(50_000)
INTENT = make_intent(1, ref_px=REF_PX)
ASKED = Order("BTC/USDC", "buy", "MARKET", "GTC", Decimal(0), Decimal(1))
SENT = Order("BTC/USDC", "buy", "LIMIT", "IOC", Decimal(52_500), Decimal(1))


def told(form: Order, asked: Order = ASKED, name: str | None = None, **over: Any) -> Truth:
    """Translate what an exchange wrote of one order."""
    cloid = cloid_of(INTENT.cid) if name is None else name
    assert cloid is not None
    trade = Trade("BTC/USDC", "buy", Decimal(1), REF_PX, Decimal(0), "BTC", "taker", cloid)
    truth = Truth(
        orders={cloid: {"7": Placed(1, [form])}}, refused=[(cloid, form)], trades={"1": trade},
        **{"protocol": "hyperliquid", **over},
    )  # fmt: skip
    belief = Belief(intents={INTENT.cid: Intended(1, 1, INTENT.iid, asked, INTENT.ref_px)})
    in_own_words(truth, belief)
    return truth


def test_an_order_is_known_by_its_cloid_and_a_market_order_by_its_bound() -> None:
    truth = told(SENT)
    assert truth.orders[INTENT.cid]["7"].forms == [ASKED]
    assert truth.refused == [(INTENT.cid, ASKED)]
    assert truth.trades["1"].client_order_id == INTENT.cid


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        (Order("BTC/USDC", "buy", "LIMIT", "IOC", Decimal(53_000), Decimal(1)), ASKED),
        (Order("BTC/USDC", "buy", "LIMIT", "IOC", Decimal(47_500), Decimal(1)), ASKED),
        (Order("BTC/USDC", "buy", "LIMIT", "GTC", Decimal(52_500), Decimal(1)), ASKED),
        (SENT, Order("BTC/USDC", "buy", "LIMIT", "GTC", Decimal(52_500), Decimal(1))),
    ],
    ids=["too far off", "on the wrong side", "rests", "was a limit"],
)
def test_any_other_order_stays_as_the_exchange_wrote_it(form: Order, asked: Order) -> None:
    assert told(form, asked).orders[INTENT.cid]["7"].forms == [form]


def test_a_stranger_stays_one_and_other_protocols_are_left_alone() -> None:
    strange = "0x" + "00" * 16
    assert told(SENT, name=strange).orders.keys() == {strange}
    assert told(SENT, protocol="okx").orders.keys() == {cloid_of(INTENT.cid)}


def test_where_an_intent_has_its_mid() -> None:
    assert INTENT.__struct_fields__.index("ref_px") + 1 == INTENT_REF_PX
