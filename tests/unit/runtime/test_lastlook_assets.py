"""What the last look counts by asset: cycles net, a cross moves two assets, and a restart counts the same.

Not here: the last look's other rules (test_lastlook.py).
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.instruments import Instrument
from parley.messages import KINDS, Attempt, Fill, Intent, Message, OrderEvent, VenueReject, encode
from runtime.gateway_log import recover
from runtime.journal import Group, IntentRow, JournalWriter, Record
from runtime.lastlook import Counters, Limits, refusal
from venues.capabilities import CAPABILITIES

D = Decimal
ROW = CAPABILITIES["binance"]
PRICES = {"BTC/USDT": D(50_000), "LTC/USDT": D(100), "LTC/BTC": D("0.002")}
LIMITS = Limits(
    max_notional={"USDT": D(100_000), "BTC": D(2)},
    max_position={"USDT": D(100_000), "BTC": D(2)},
    cash=("USDT",),
    max_orders_per_s=1_000_000,
)


def pair(symbol: str, **over: Any) -> Instrument:
    base, quote = symbol.split("/")
    fields: dict[str, Any] = {
        "symbol": symbol, "venue": "x", "base": base, "quote": quote, "tick": D("0.00000001"),
        "lot": D("0.00000001"), "min_qty": D(0), "max_qty": D(10**6), "min_notional": D(0),
        "maker_fee": D(0), "taker_fee": D(0),
    }  # fmt: skip
    return Instrument(**fields | over)


INSTRUMENTS = {symbol: pair(symbol) for symbol in PRICES}


def order(n: int, symbol: str, side: str, qty: Decimal | int, px: Decimal | None = None) -> Intent:
    price = PRICES[symbol] if px is None else px
    return Intent(
        iid=b"iid%d" % n, cid=f"cid{n}", round=b"", pid=b"", leg=0, child=0, account="a", venue="x",
        symbol=symbol, side=side, qty=D(qty), px=price, style="limit", tif="GTC", reduce_only=False,
        send_by=10, epoch=1, reservation_id=b"", risk_hash=b"", ref_px=PRICES[symbol],
    )  # fmt: skip


def fill(intent: Intent, **over: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": intent.cid, "venue": "x", "account": "a", "iid": intent.iid, "venue_id": "1",
        "symbol": intent.symbol, "side": intent.side, "qty": intent.qty, "px": intent.px, "fee": D(0),
        "fee_asset": "", "liquidity": "taker", "t": 0,
    }  # fmt: skip
    return Fill(**fields | over)


def end(intent: Intent, cum_qty: Decimal) -> OrderEvent:
    return OrderEvent(
        iid=intent.iid, venue_id="1", symbol=intent.symbol, status="closed", cum_qty=cum_qty,
        avg_px=D(1), t=0,
    )  # fmt: skip


def look(intent: Intent, counters: Counters, limits: Limits = LIMITS) -> str:
    found = refusal(intent, counters, limits, INSTRUMENTS, row=ROW, now_mono=0)
    return found[0] if found else ""


def done(counters: Counters, intent: Intent, **over: Any) -> None:
    """Send an order and let all of it trade."""
    counters.sent(intent, 0)
    counters.filled(fill(intent, **over))
    counters.moved(end(intent, intent.qty))


def holding(**amounts: Decimal | int) -> Counters:
    counters = Counters()
    counters.positions |= {asset: D(amount) for asset, amount in amounts.items()}
    return counters


def test_triangles_net_and_are_never_stopped_by_their_number() -> None:
    counters = Counters()
    for n in range(0, 3000, 3):
        for leg in (
            order(n, "BTC/USDT", "buy", 1),
            order(n + 1, "LTC/BTC", "buy", 500),
            order(n + 2, "LTC/USDT", "sell", 500),
        ):
            assert look(leg, counters) == ""
            done(counters, leg)

    assert counters.positions == {"BTC": 0, "LTC": 0, "USDT": 0}


def test_asset_bought_on_one_pair_is_sold_on_another() -> None:
    counters = holding(LTC=2000)

    assert look(order(0, "LTC/USDT", "sell", 1000), counters) == ""
    assert look(order(0, "LTC/BTC", "sell", 1000), counters) == ""
    assert look(order(0, "LTC/USDT", "buy", D("0.00000001")), counters) == "max_position"
    assert look(order(0, "LTC/BTC", "buy", D("0.00000001")), counters) == "max_position"


def test_open_orders_of_all_symbols_of_an_asset_count() -> None:
    counters = Counters()
    counters.sent(order(0, "LTC/BTC", "buy", 600), 0)
    assert counters.worst("LTC", "buy") == 600
    assert counters.worst("BTC", "sell") == D("-1.2")
    assert counters.worst("BTC", "buy") == 0

    assert look(order(1, "LTC/USDT", "buy", 400), counters) == ""
    assert look(order(1, "LTC/USDT", "buy", D("400.00000001")), counters) == "max_position"


def test_open_orders_count_on_the_side_they_move_to() -> None:
    counters = holding(LTC=500)
    counters.sent(order(0, "LTC/USDT", "sell", 1500), 0)
    counters.sent(order(1, "LTC/USDT", "buy", 100), 0)

    assert look(order(2, "LTC/USDT", "sell", D("0.00000001")), counters) == "max_position"
    assert look(order(2, "LTC/USDT", "buy", 400), counters) == ""
    assert look(order(2, "LTC/USDT", "buy", D("400.00000001")), counters) == "max_position"


def test_order_resting_below_the_market_counts_at_the_market() -> None:
    assert look(order(0, "LTC/USDT", "buy", 200, D(50)), holding(LTC=800)) == ""
    assert look(order(0, "LTC/USDT", "buy", 201, D(50)), holding(LTC=800)) == "max_position"
    counters = Counters()
    counters.sent(order(0, "LTC/BTC", "buy", 100, D("0.001")), 0)
    assert counters.worst("BTC", "sell") == D("-0.2")


@pytest.mark.parametrize(
    ("held", "side", "qty", "code"),
    [
        (0, "buy", 1000, ""),
        (D("-0.1"), "buy", 951, "max_position"),  # 0.1 + 951 * 0.002 BTC owed
        (D("-0.1"), "buy", 950, ""),
        (D("0.1"), "sell", 951, "max_position"),
        (D("0.1"), "sell", 950, ""),
        (50, "buy", 1000, ""),  # pays with what there is too much of
        (-50, "sell", 1000, ""),
    ],
)
def test_quote_of_a_cross_is_measured_in_its_own_unit(
    held: Decimal | int, side: str, qty: int, code: str
) -> None:
    assert look(order(0, "LTC/BTC", side, qty), holding(BTC=held)) == code


def test_cash_is_money_and_no_position() -> None:
    spent = holding(USDT=-99_999)
    buy = order(0, "LTC/USDT", "buy", 1)

    assert look(buy, spent) == ""
    uncashed = Limits(max_notional=LIMITS.max_notional, max_position=LIMITS.max_position)
    assert look(buy, spent, uncashed) == "max_position"


@pytest.mark.parametrize("over", [{"fee": D("NaN")}, {"qty": D("sNaN")}, {"px": D("1E+999999")}])
def test_what_cannot_be_counted_is_refused_from_then_on(over: dict[str, Any]) -> None:
    counters = Counters()
    done(counters, order(0, "LTC/BTC", "buy", 1), **{"fee_asset": "LTC"} | over)

    assert look(order(1, "LTC/BTC", "buy", 1), counters) == "max_position"
    assert look(order(1, "LTC/BTC", "sell", 1), counters) == "max_position"


def test_name_that_does_not_say_the_assets_is_refused() -> None:
    instruments = {"LTC/BTC": pair("LTC/BTC", quote="WBTC")}
    found = refusal(order(0, "LTC/BTC", "buy", 1), Counters(), LIMITS, instruments, row=ROW, now_mono=0)
    assert found is not None
    assert found[0] == "unknown_assets"


cents = st.integers(1, 200_000).map(lambda n: n * D("0.01"))
fees = st.tuples(
    st.integers(-5, 50).map(lambda n: n * D("0.001")), st.sampled_from(["", "LTC", "BTC", "BNB"])
)
deals = st.lists(
    st.tuples(
        st.sampled_from(sorted(PRICES)),
        st.sampled_from(["buy", "sell"]),
        cents,
        st.integers(0, 4),
        fees,
        st.sampled_from(["ends", "ends_early", "lives", "dies"]),
    ),
    max_size=15,
)


def steps_of(drawn: list[tuple[str, str, Decimal, int, tuple[Decimal, str], str]]) -> list[Message]:
    """Orders of which some quarters traded at their limit, and what became of them."""
    steps: list[Message] = []
    for n, (symbol, side, qty, quarters, (fee, fee_asset), fate) in enumerate(drawn):
        intent = order(n, symbol, side, qty)
        part = qty * quarters / 4
        traded: list[Message] = []
        if quarters:
            traded = [fill(intent, qty=part, fee=fee, fee_asset=fee_asset)]
        ended: list[Message] = [end(intent, part)] if fate.startswith("ends") else []
        steps += [intent, *(ended + traded if fate == "ends_early" else traded + ended)]
        if fate == "dies":
            steps.append(VenueReject(iid=intent.iid, code="x", definitive=True, detail=""))
    return steps


def fold(steps: list[Message]) -> Counters:
    counters = Counters()
    for step in steps:
        match step:
            case Intent():
                counters.sent(step, 0)
            case Fill():
                counters.filled(step)
            case OrderEvent():
                counters.moved(step)
            case VenueReject():
                counters.dead(step.iid)
    return counters


@given(deals)
def test_positions_are_the_sums_of_fills_and_worst_is_no_better(drawn: list[Any]) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    working: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for symbol, side, qty, quarters, (fee, fee_asset), fate in drawn:
        base, quote = symbol.split("/")
        sign = 1 if side == "buy" else -1
        part = qty * quarters / 4
        if quarters:
            sums[base] += sign * part
            sums[quote] -= sign * part * PRICES[symbol]
            if fee_asset:
                sums[fee_asset] -= fee
        if fate == "lives":
            working[base, side] += qty - part
            working[quote, "sell" if side == "buy" else "buy"] += (qty - part) * PRICES[symbol]

    counters = fold(steps_of(drawn))

    assert {k: v for k, v in counters.positions.items() if v} == {k: v for k, v in sums.items() if v}
    for asset in ("BTC", "LTC", "USDT", "BNB"):
        assert counters.worst(asset, "buy") == sums[asset] + working[asset, "buy"]
        assert counters.worst(asset, "sell") == sums[asset] - working[asset, "sell"]


@given(
    deals,
    st.sampled_from(sorted(PRICES)),
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(["base", "quote"]),
    st.integers(-1, 1) | st.integers(-(10**12), 10**12),
    st.integers(-100, 100),
)
def test_what_passes_is_within_the_limits_or_nearer_to_zero(
    drawn: list[Any], symbol: str, side: str, fills_up: str, lots: int, off_bps: int
) -> None:
    counters = fold(steps_of(drawn))
    base, quote = symbol.split("/")
    px = (PRICES[symbol] * (1 + off_bps * D("0.0001"))).quantize(D("0.00000001"))
    price, cap = max(px, PRICES[symbol]), LIMITS.max_position[quote]
    way, back = (D(1), D(-1)) if side == "buy" else (D(-1), D(1))
    base_before = counters.worst(base, side)
    quote_before = counters.worst(quote, "sell" if side == "buy" else "buy")
    # The size that just fits, and some lots more or less.
    room = cap / price - way * base_before if fills_up == "base" else (cap - back * quote_before) / price
    qty = room.quantize(D("0.00000001"), "ROUND_FLOOR") + lots * D("0.00000001")
    assume(0 < qty * price <= LIMITS.max_notional[quote])

    base_after, quote_after = base_before + way * qty, quote_before + back * qty * price
    fits_base = abs(base_after) <= abs(base_before) or abs(base_after) * price <= cap
    fits_quote = quote == "USDT" or abs(quote_after) <= abs(quote_before) or abs(quote_after) <= cap

    code = look(order(99, symbol, side, qty, px), counters)
    assert code == ("" if fits_base and fits_quote else "max_position")


@given(deals, st.data())
def test_order_that_lowers_both_positions_is_never_refused(drawn: list[Any], data: st.DataObject) -> None:
    counters = fold(steps_of([(*each[:5], "dies") for each in drawn]))
    symbol = data.draw(st.sampled_from(sorted(PRICES)))
    base, quote = symbol.split("/")
    held, owed = counters.positions.get(base, D(0)), counters.positions.get(quote, D(0))
    side = "sell" if held > 0 else "buy"
    assume(held and (quote == "USDT" or (owed and (owed > 0) == (side == "buy"))))
    most = abs(held) if quote == "USDT" else min(abs(held), abs(owed) / PRICES[symbol])
    most = min(most, LIMITS.max_notional[quote] / PRICES[symbol])
    qty = (most * data.draw(st.integers(1, 100)) / 100).quantize(D("0.00000001"), "ROUND_FLOOR")
    assume(qty > 0)

    assert look(order(99, symbol, side, qty), counters) == ""


def test_restart_counts_the_same(tmp_path: Path) -> None:
    drawn: list[Any] = [
        ("LTC/BTC", "buy", D(600), 3, (D("0.45"), "LTC"), "lives"),
        ("BTC/USDT", "sell", D("0.5"), 4, (D("0.01"), "BNB"), "ends"),
        ("LTC/USDT", "sell", D(300), 2, (D(0), ""), "ends_early"),
        ("LTC/USDT", "buy", D(7), 0, (D(0), ""), "dies"),
    ]
    steps = steps_of(drawn)
    path = tmp_path / "gateway.journal"
    writer = JournalWriter.create(path, {"unit": "gateway"}, on_fatal=lambda error: None)
    for step in steps:
        seq = writer.next_seq
        records = [Record(seq, KINDS[type(step)], b"", encode(step))]
        rows = []
        if isinstance(step, Intent):
            attempt = Attempt(
                iid=step.iid, cid=step.cid, n=1, t_send=0, fence_until=0, body_hash=b"", desk_head=b""
            )
            records.append(Record(seq + 1, KINDS[Attempt], b"", encode(attempt)))
            rows = [IntentRow(step.cid.encode(), step.iid, seq)]
        writer.post(Group(1, records, rows), lambda gid, error: None)
    writer.close()

    lived, again = fold(steps), recover(path).counters

    assert again.positions == lived.positions
    assert again.positions["LTC"] == 450 - D("0.45") - 150
    for asset in ("BTC", "LTC", "USDT", "BNB"):
        for side in ("buy", "sell"):
            assert again.worst(asset, side) == lived.worst(asset, side)
    assert again.worst("LTC", "buy") - again.positions["LTC"] == 150


PART = Limits(
    max_notional={"USDT": D(100_000)}, max_position={"USDT": D(100_000)}, cash=("USDT",),
    max_orders_per_s=1_000_000, capital={"USDT": D(1000)},
)  # fmt: skip


def test_with_real_money_all_buys_together_spend_no_more_than_the_capital() -> None:
    counters = Counters()
    assert look(order(1, "BTC/USDT", "buy", D("0.02")), counters, PART) == ""
    counters.sent(order(1, "BTC/USDT", "buy", D("0.02")), 0)

    assert look(order(2, "LTC/USDT", "buy", D("0.00000001")), counters, PART) == "capital"
    assert look(order(2, "LTC/USDT", "buy", D("0.00000001")), counters, LIMITS) == ""


def test_with_real_money_nothing_is_sold_that_was_not_bought() -> None:
    counters = Counters()
    done(counters, order(1, "LTC/USDT", "buy", 3))
    assert look(order(2, "LTC/USDT", "sell", 3), counters, PART) == ""
    assert look(order(2, "LTC/USDT", "sell", D("3.00000001")), counters, PART) == "not_its_own"
    counters.sent(order(2, "LTC/USDT", "sell", 2), 0)
    assert look(order(3, "LTC/USDT", "sell", 2), counters, PART) == "not_its_own"
    assert look(order(3, "LTC/USDT", "sell", 1), counters, PART) == ""


@pytest.mark.parametrize(("symbol", "side"), [("LTC/USDT", "buy"), ("BTC/USDT", "buy"), ("BTC/USDT", "sell")])
def test_with_real_money_what_is_not_known_is_refused_and_raises_nothing(symbol: str, side: str) -> None:
    counters = Counters()
    done(counters, order(1, "BTC/USDT", "buy", D("0.001")), qty=D("NaN"))
    assert look(order(2, symbol, side, D("0.0001")), counters, PART) in ("capital", "not_its_own")


AWAY = "LTC/USDT@bybit"
AWAY_LIMITS = Limits(
    max_notional={"USDT": D(100_000), "USDT@bybit": D(100_000)},
    max_position={"USDT": D(100_000), "USDT@bybit": D(100_000)}, cash=("USDT", "USDT@bybit"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("held", "side", "most"),
    [
        ({"LTC": 600}, "buy", 400),
        ({"LTC": 600, "LTC@okx": 300}, "buy", 100),
        ({"LTC": 600, "LTCUP@okx": 300, "LTC:USDT": 300}, "buy", 400),
        # what leaves elsewhere makes no room for more here than there is of one exchange
        ({"LTC": -600, "LTC@bybit": 600}, "buy", 400),
        ({"LTC": -600}, "sell", 400),
        # what brings a holding of its own exchange down is an exit, whatever its coin is elsewhere
        ({"LTC": -5000, "LTC@bybit": 500}, "sell", 500),
        ({"LTC": 5000, "LTC@bybit": -500}, "buy", 500),
    ],
)
def test_a_coin_is_counted_over_all_exchanges(held: dict[str, int], side: str, most: int) -> None:
    away = pair(AWAY, base="LTC@bybit", quote="USDT@bybit")

    def judged(qty: Decimal) -> str:
        counters = Counters()
        counters.positions |= {asset: D(amount) for asset, amount in held.items()}
        leg = replace(order(0, "LTC/USDT", side, qty), symbol=AWAY)
        found = refusal(leg, counters, AWAY_LIMITS, {AWAY: away}, row=ROW, now_mono=0)
        return found[0] if found else ""

    assert judged(D(most)) == ""
    if most != 500:
        assert judged(most + D("0.00000001")) == "max_position"


def test_what_works_elsewhere_counts_with_its_coin() -> None:
    counters = Counters()
    counters.sent(replace(order(0, "LTC/USDT", "buy", 600), symbol=AWAY), 0)
    assert look(order(1, "LTC/USDT", "buy", 400), counters) == ""
    assert look(order(1, "LTC/USDT", "buy", D("400.00000001")), counters) == "max_position"
