"""Routing over venues is the cheapest there is: compared with every other way to place the order.

The search here knows nothing of marginal costs: it tries all quantities of all venues.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.errors import DataError
from parley.execution.routing import Market, Part, Route, route
from parley.instruments import Instrument
from tests.kit.builders import make_book, make_instrument

D = Decimal


def grid(lot: str, least: str, notional: str, fee: str, most: str = "1000") -> Instrument:
    return replace(
        make_instrument(), lot=D(lot), min_qty=D(least), min_notional=D(notional), taker_fee=D(fee),
        max_qty=D(most), tick=D("0.1"),
    )  # fmt: skip


@st.composite
def markets(draw: st.DrawFn, lots: tuple[str, ...]) -> dict[str, Market]:
    found = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        steps = draw(st.lists(st.integers(0, 30), min_size=1, max_size=3))
        qtys = [draw(st.integers(1, 5)) / 2 for _ in steps]
        asks, bids, up, down = [], [], 100.0, 99.9
        for step, qty in zip(steps, qtys, strict=True):
            up, down = round(up + step / 10, 1), round(down - step / 10, 1)
            asks.append((up, qty))
            bids.append((down, qty))
            up, down = round(up + 0.1, 1), round(down - 0.1, 1)
        instrument = grid(
            draw(st.sampled_from(lots)), draw(st.sampled_from(["0.5", "1", "2"])),
            draw(st.sampled_from(["0", "150", "260"])), draw(st.sampled_from(["0", "0.001", "0.01"])),
        )  # fmt: skip
        found[name] = Market(instrument, make_book(bids=tuple(bids), asks=tuple(asks)))
    return found


def paid(market: Market, side: str, qty: Decimal) -> Decimal | None:
    """What a quantity costs at one venue; None where the venue has it not, or would refuse it."""
    levels = market.book.asks if side == "buy" else market.book.bids
    instrument, left, total = market.instrument, qty, D(0)
    low = min(D(str(px)) for px, _ in levels)
    if qty == 0:
        return total
    if qty < instrument.min_qty or qty * low < instrument.min_notional:
        return None
    for px, base in levels:
        part = min(left, D(str(base)))
        total += part * D(str(px))
        left -= part
    if left > 0:
        return None
    fee = total * instrument.taker_fee
    return total + fee if side == "buy" else fee - total


def searched(found: dict[str, Market], side: str, qty: Decimal) -> tuple[Decimal, Decimal]:
    """Least unplaced quantity, and the least cost of that."""
    best = (qty, D(0))
    ways = []
    for market in found.values():
        lot = market.instrument.lot
        ways.append([n * lot for n in range(int(qty / lot) + 1)])
    for way in product(*ways):
        placed = sum(way, D(0))
        if placed > qty:
            continue
        costs = [paid(m, side, q) for m, q in zip(found.values(), way, strict=True)]
        if all(cost is not None for cost in costs):
            best = min(best, (qty - placed, sum((c for c in costs if c is not None), D(0))))
    return best


def check(found: dict[str, Market], side: str, qty: Decimal) -> Route:
    routed = route(found, side, qty)

    assert (routed.unplaced, routed.cost) == searched(found, side, qty)
    assert sum((p.qty for p in routed.parts), D(0)) + routed.unplaced == qty
    for part in routed.parts:
        assert part.qty % found[part.venue].instrument.lot == 0
        assert part.cost == paid(found[part.venue], side, part.qty)
    return routed


SIDES = st.sampled_from(["buy", "sell"])


@given(markets(("0.5",)), SIDES, st.integers(1, 13))
def test_with_equal_lots_no_other_way_is_cheaper(found: dict[str, Market], side: str, halves: int) -> None:
    check(found, side, halves * D("0.5"))


@given(markets(("0.25", "0.5", "1")), SIDES, st.integers(1, 22))
def test_with_unequal_lots_no_other_way_is_cheaper(
    found: dict[str, Market], side: str, quarters: int
) -> None:
    check(found, side, quarters * D("0.25"))


def test_a_dearer_price_with_a_smaller_fee_comes_first() -> None:
    cheap = Market(grid("1", "1", "0", "0.010"), make_book(bids=((99.0, 5.0),), asks=((100.0, 5.0),)))
    fair = Market(grid("1", "1", "0", "0.001"), make_book(bids=((99.0, 5.0),), asks=((100.5, 5.0),)))

    routed = route({"cheap": cheap, "fair": fair}, "buy", D(7))

    # 100.5 and 0.1 % are 100.6005, 100 and 1 % are 101
    assert routed.parts == (
        Part("cheap", D(2), D("100.0"), D("202")),
        Part("fair", D(5), D("100.5"), D("503.0025")),
    )
    assert (routed.unplaced, routed.cost) == (D(0), D("705.0025"))


def test_a_coarse_lot_is_compared_with_what_the_finer_venue_asks_beyond_the_odd_rest() -> None:
    fine = Market(
        grid("0.5", "0.5", "0", "0"), make_book(bids=((99.0, 5.0),), asks=((100.0, 1.0), (110.0, 5.0)))
    )
    coarse = Market(grid("1", "1", "0", "0"), make_book(bids=((99.0, 5.0),), asks=((107.0, 5.0),)))

    routed = check({"a": fine, "b": coarse}, "buy", D("3"))

    # beyond both minima 1.5 are left: the odd half takes what is at 100, a block of the fine venue costs 110
    assert [(p.venue, p.qty) for p in routed.parts] == [("a", D("1")), ("b", D("2"))]


def test_nothing_goes_beyond_the_limit_or_to_a_venue_without_a_usable_book() -> None:
    near = Market(grid("1", "1", "0", "0"), make_book(bids=((99.0, 5.0),), asks=((100.0, 2.0), (101.0, 9.0))))
    blind = Market(grid("1", "1", "0", "0"), make_book(bids=(), asks=((1.0, 50.0),)))

    routed = route({"near": near, "blind": blind}, "buy", D(7), D("100.5"))

    assert routed == Route((Part("near", D(2), D("100.0"), D("200.0")),), D(5), D("200.0"))


def test_lots_that_do_not_divide_each_other_are_an_error() -> None:
    books = make_book(bids=((99.0, 5.0),), asks=((100.0, 5.0),))
    odd = {"a": Market(grid("0.2", "0.2", "0", "0"), books), "b": Market(grid("0.5", "0.5", "0", "0"), books)}

    with pytest.raises(DataError, match=r"multiples of each other, were 0\.2 and 0\.5"):
        route(odd, "buy", D(2))
