"""The last look refuses what it should, changes nothing by looking, and counts towards more exposure.

What it counts is by asset: tests/unit/runtime/test_lastlook_assets.py.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from runtime.lastlook import Counters, Limits, cancel_refusal, refusal
from venues.capabilities import CAPABILITIES

ROW = msgspec.structs.replace(CAPABILITIES["bybit"], stops=False)
NOW = 10_000_000_000
SECOND = 1_000_000_000
BTC = Instrument(
    symbol="BTC/USDT", venue="x", base="BTC", quote="USDT", tick=Decimal("0.01"), lot=Decimal("0.001"),
    min_qty=Decimal("0.001"), max_qty=Decimal(1000), min_notional=Decimal(5), maker_fee=Decimal(0),
    taker_fee=Decimal(0),
)  # fmt: skip
ETH_BTC = Instrument(
    symbol="ETH/BTC", venue="x", base="ETH", quote="BTC", tick=Decimal("0.0001"), lot=Decimal("0.1"),
    min_qty=Decimal("0.1"), max_qty=Decimal(1000), min_notional=Decimal(0), maker_fee=Decimal(0),
    taker_fee=Decimal(0),
)  # fmt: skip
INSTRUMENTS = {each.symbol: each for each in (BTC, ETH_BTC)}
LIMITS = Limits(
    max_notional={"USDT": Decimal(1000)},
    max_position={"USDT": Decimal(2500)},
    cash=("USDT",),
    max_orders_per_s=3,
    collar_bps=100,
)


def order(n: int = 0, **over: Any) -> Intent:
    fields: dict[str, Any] = {
        "iid": b"iid%d" % n, "cid": f"cid{n}", "round": b"", "pid": b"", "leg": 0, "child": 0, "account": "a",
        "venue": "x", "symbol": "BTC/USDT", "side": "buy", "qty": Decimal(1), "px": Decimal(100),
        "style": "limit", "tif": "GTC", "reduce_only": False, "send_by": NOW + SECOND, "epoch": 1,
        "reservation_id": b"", "risk_hash": b"", "ref_px": Decimal(100),
    }  # fmt: skip
    return Intent(**fields | over)


def fill(intent: Intent, qty: Decimal, trade: str = "1", **over: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": trade, "venue": "x", "account": "a", "iid": intent.iid, "venue_id": "1",
        "symbol": intent.symbol, "side": intent.side, "qty": qty, "px": Decimal(100), "fee": Decimal(0),
        "fee_asset": "USDT", "liquidity": "taker", "t": 0,
    }  # fmt: skip
    return Fill(**fields | over)


def event(intent: Intent, status: str, cum_qty: Decimal) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid,
        venue_id="1",
        symbol=intent.symbol,
        status=status,
        cum_qty=cum_qty,
        avg_px=Decimal(100),
        t=0,
    )


def look(intent: Intent, counters: Counters | None = None, now: int = NOW, halted: str = "") -> str:
    found = refusal(intent, counters or Counters(), LIMITS, INSTRUMENTS, row=ROW, now_mono=now, halted=halted)
    return found[0] if found else ""


STOP: dict[str, Any] = {
    "side": "sell", "style": "stop_limit", "reduce_only": True, "trigger": Decimal(95), "px": Decimal("94.5"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({}, ""),
        ({"trigger": None}, "price_and_style"),
        ({"style": "limit"}, "price_and_style"),
        ({"px": None}, "price_and_style"),
        ({"trigger": Decimal(0)}, "not_positive"),
        ({"trigger": Decimal("NaN")}, "not_positive"),
        ({"trigger": Decimal("1E+400")}, "out_of_range"),
        ({"trigger": Decimal("95.001")}, "off_grid"),
        ({"reduce_only": False}, "stop_opens"),
        ({"tif": "IOC"}, "stop_opens"),
        ({"px": Decimal("95.01")}, "stop_side"),
        ({"trigger": Decimal(100), "px": Decimal("99.5")}, "stop_side"),
        ({"side": "buy"}, "stop_side"),
        ({"px": Decimal("94.05")}, ""),
        ({"px": Decimal("94.04")}, "collar"),  # more than 100 bps beyond the trigger
    ],
)
def test_stops_only_protect(over: dict[str, Any], code: str) -> None:
    found = refusal(
        order(**(STOP | over)), Counters(), LIMITS, INSTRUMENTS, row=CAPABILITIES["binance"], now_mono=NOW
    )
    assert (found[0] if found else "") == code


def test_a_venue_that_holds_no_stops_gets_none() -> None:
    assert look(order(**STOP)) == "no_stops"


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({}, ""),
        ({"send_by": NOW}, "too_late"),
        ({"symbol": "DOGE/USDT"}, "unknown_symbol"),
        ({"side": "short"}, "unknown_side"),
        ({"style": "iceberg"}, "unknown_style"),
        ({"tif": "DAY"}, "unknown_style"),
        ({"style": "market"}, "price_and_style"),
        ({"px": None}, "price_and_style"),
        ({"style": "market", "px": None, "tif": "IOC"}, ""),
        ({"qty": Decimal(0)}, "not_positive"),
        ({"qty": Decimal(-1)}, "not_positive"),
        ({"qty": Decimal("NaN")}, "not_positive"),
        ({"px": Decimal("Infinity")}, "not_positive"),
        ({"px": Decimal("1E+400")}, "out_of_range"),
        ({"qty": Decimal("1E-400")}, "out_of_range"),
        ({"qty": Decimal("0.0005")}, "off_grid"),
        ({"px": Decimal("99.999")}, "off_grid"),
        ({"ref_px": None}, "no_ref_px"),
        ({"symbol": "ETH/BTC"}, "no_limit"),
        ({"qty": Decimal(10)}, ""),
        ({"qty": Decimal("10.001")}, "max_notional"),
        ({"px": Decimal(101)}, ""),
        ({"px": Decimal("101.01")}, "collar"),
        ({"px": Decimal(50)}, ""),
        ({"side": "sell", "px": Decimal(99)}, ""),
        ({"side": "sell", "px": Decimal("98.99")}, "collar"),
        ({"side": "sell", "px": Decimal(150)}, ""),
    ],
)
def test_one_order_alone(over: dict[str, Any], code: str) -> None:
    assert look(order(**over)) == code


def test_halt_stops_orders_and_not_cancels() -> None:
    counters = Counters()
    counters.sent(order(), NOW)
    cancel = CancelIntent(
        iid=b"iid0",
        cid="cid0",
        round=b"",
        account="a",
        venue="x",
        symbol="BTC/USDT",
        send_by=NOW + 1,
        epoch=1,
    )

    assert look(order(1), counters, halted="killed") == "halted"
    assert cancel_refusal(cancel, counters, now_mono=NOW) is None


def test_cancel_of_what_was_never_sent_is_refused() -> None:
    cancel = CancelIntent(
        iid=b"i", cid="c", round=b"", account="a", venue="x", symbol="BTC/USDT", send_by=NOW + 1, epoch=1
    )
    found = cancel_refusal(cancel, Counters(), now_mono=NOW)

    assert found is not None
    assert found[0] == "unknown_cid"


@pytest.mark.parametrize("over", [{"iid": b"other"}, {"cid": "other"}])
def test_client_id_and_intent_are_each_used_once(over: dict[str, Any]) -> None:
    counters = Counters()
    counters.sent(order(), NOW)

    assert look(order(**over), counters) == "duplicate_cid"


@pytest.mark.parametrize(("epoch", "halted"), [(0, ""), (1, "killed")])
def test_order_sent_before_is_a_duplicate_whatever_else_is_wrong(epoch: int, halted: str) -> None:
    # The gateway says of every other refusal that the order cannot exist, and this one may.
    counters = Counters()
    counters.sent(order(), NOW)

    assert look(order(epoch=epoch), counters, halted=halted) == "duplicate_cid"


def test_older_epoch_is_refused_once_a_newer_one_spoke() -> None:
    counters = Counters()
    counters.heard(2)

    assert look(order(epoch=1), counters) == "stale_epoch"
    assert look(order(epoch=2), counters) == ""


def test_rate_counts_the_last_second() -> None:
    counters = Counters()
    for n in range(3):
        counters.sent(order(n, qty=Decimal("0.001")), NOW + n)

    assert look(order(9), counters, NOW + 3) == "rate"
    assert look(order(9, send_by=NOW + 2 * SECOND), counters, NOW + SECOND) == ""


def test_open_orders_count_as_filled_until_they_cannot_exist() -> None:
    counters = Counters()
    first, second = order(0, qty=Decimal(10)), order(1, qty=Decimal(10))
    counters.sent(first, 0)
    counters.sent(second, 0)
    sixth_ton = order(2, qty=Decimal("5.001"))

    assert look(sixth_ton, counters) == "max_position"
    counters.moved(event(first, "open", Decimal(0)))
    assert look(sixth_ton, counters) == "max_position"
    counters.dead(first.iid)
    assert look(sixth_ton, counters) == ""


def test_end_of_an_order_frees_it_only_when_its_fills_were_counted() -> None:
    counters = Counters()
    first = order(0, qty=Decimal(10))
    counters.sent(first, 0)
    counters.moved(event(first, "canceled", Decimal(4)))

    assert counters.worst("BTC", "buy") == 10
    counters.filled(fill(first, Decimal(4)))
    counters.moved(event(first, "canceled", Decimal(4)))
    assert counters.worst("BTC", "buy") == 4


def test_end_heard_before_the_last_fill_frees_the_order_with_that_fill() -> None:
    counters = Counters()
    first = order(0, qty=Decimal(10))
    counters.sent(first, 0)
    counters.filled(fill(first, Decimal(1), "1"))
    counters.moved(event(first, "canceled", Decimal(4)))
    assert counters.worst("BTC", "buy") == 10

    counters.filled(fill(first, Decimal(3), "2"))
    assert counters.worst("BTC", "buy") == 4


def test_same_trade_is_counted_once() -> None:
    counters = Counters()
    first = order(0, qty=Decimal(10))
    counters.sent(first, 0)

    assert counters.filled(fill(first, Decimal(4)))
    assert not counters.filled(fill(first, Decimal(4)))
    assert counters.positions["BTC"] == 4
    assert counters.worst("BTC", "buy") == 10


def test_selling_what_is_held_is_never_stopped_by_its_size() -> None:
    counters = Counters()
    counters.positions["BTC"] = Decimal(100)

    assert look(order(side="sell", qty=Decimal(10)), counters) == ""
    assert look(order(side="buy", qty=Decimal("0.001")), counters) == "max_position"


ODD = [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("1E+400")]
numbers = st.decimals(places=3, min_value=-50, max_value=50) | st.sampled_from(ODD)
lots = st.integers(1, 12_000).map(lambda n: n * Decimal("0.001"))
near = st.integers(9_850, 10_150).map(lambda n: n * Decimal("0.01"))
prices = near | near | numbers | st.none()


@example(Decimal(1), Decimal(100), Decimal(100), "buy")
@example(Decimal(1), Decimal(100), Decimal(100), "sell")
@given(lots | numbers, prices, prices, st.sampled_from(["buy", "sell", ""]))
def test_looking_is_total_and_what_passes_is_within_the_limits(
    qty: Decimal, px: Decimal | None, ref_px: Decimal | None, side: str
) -> None:
    intent = order(qty=qty, px=px, ref_px=ref_px, side=side)
    if look(intent) == "":
        assert ref_px is not None
        assert px is not None
        assert 0 < qty * max(px, ref_px) <= 1000
        assert (px <= ref_px * Decimal("1.01")) if side == "buy" else (px >= ref_px * Decimal("0.99"))


@given(
    st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 10), st.integers(0, 10)), max_size=12)
)
def test_worst_case_is_never_below_what_really_happened(deals: list[tuple[str, int, int]]) -> None:
    counters = Counters()
    position = 0
    for n, (side, qty, done) in enumerate(deals):
        intent = order(n, side=side, qty=Decimal(qty))
        counters.sent(intent, 0)
        part = min(done, qty)
        if part:
            counters.filled(fill(intent, Decimal(part), str(n)))
            position += part if side == "buy" else -part
        if done % 2:
            counters.moved(event(intent, "canceled", Decimal(part)))
        assert counters.positions.get("BTC", 0) == position
        assert counters.worst("BTC", "sell") <= position <= counters.worst("BTC", "buy")


def test_an_order_for_another_venue_than_its_symbol_is_traded_at_is_refused() -> None:
    there = msgspec.structs.replace(
        BTC, symbol="BTC/USDT@bybit", venue="bybit", base="BTC@bybit", quote="USDT@bybit"
    )
    listed = {each.symbol: each for each in (BTC, there)}
    limits = msgspec.structs.replace(
        LIMITS, max_notional={"USDT": Decimal(1000), "USDT@bybit": Decimal(50)},
        max_position={"USDT": Decimal(2500), "USDT@bybit": Decimal(2500)}, cash=("USDT", "USDT@bybit"),
    )  # fmt: skip

    def refused(**over: Any) -> str:
        found = refusal(order(**over), Counters(), limits, listed, row=ROW, now_mono=NOW)
        return "" if found is None else found[0]

    assert refused() == ""
    assert refused(venue="bybit") == "wrong_venue"
    assert refused(symbol=there.symbol) == "wrong_venue"
    # each exchange's quote has a cap of its own
    assert refused(symbol=there.symbol, venue="bybit") == "max_notional"
    assert refused(symbol=there.symbol, venue="bybit", qty=Decimal("0.5")) == ""
