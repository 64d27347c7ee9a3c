"""What an order costs over several venues adds up, and routing never costs more than the best venue alone."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from parley.execution.routing import Market, route
from parley.execution.venue_costs import Bill, compare
from tests.kit.builders import make_book, make_instrument

D = Decimal


@st.composite
def markets(draw: st.DrawFn) -> dict[str, Market]:
    found = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        middle = 1000 + draw(st.integers(-3, 3))
        levels: list[list[tuple[float, float]]] = []
        for sign in (-1, 1):
            steps = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
            levels.append([
                ((middle + sign * sum(steps[: at + 1])) / 10, draw(st.integers(1, 60)) / 10)
                for at in range(len(steps))
            ])  # fmt: skip
        instrument = make_instrument(
            lot=draw(st.sampled_from(["0.1", "0.01"])), min_notional=draw(st.sampled_from(["0", "150"])),
            min_qty="0.1", taker_fee=draw(st.sampled_from(["-0.0001", "0", "0.001", "0.01"])),
        )  # fmt: skip
        found[name] = Market(instrument, make_book(bids=tuple(levels[0]), asks=tuple(levels[1])))
    return found


def check(bill: Bill, market: Market, side: str) -> None:
    sign = 1 if side == "buy" else -1
    value = sign * (bill.cost - bill.fee)
    assert bill.fee == value * market.instrument.taker_fee
    assert abs(bill.avg_px * bill.qty - value) < D("1e-9")
    best = market.book.asks[0][0] if side == "buy" else market.book.bids[0][0]
    assert sign * D(str(best)) <= sign * bill.avg_px <= sign * bill.worst_px


@given(
    markets(),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 300).map(lambda n: D(n) / 10),
    st.none() | st.integers(990, 1010).map(lambda n: D(n) / 10),
)
def test_figures_add_up_and_routing_is_never_dearer(
    found: dict[str, Market], side: str, qty: Decimal, limit: Decimal | None
) -> None:
    costs = compare(found, side, qty, limit)

    routed = route(found, side, qty, limit)
    assert [(each.venue, each.qty, each.worst_px) for each in costs.parts] == [p[:3] for p in routed.parts]
    assert (costs.unplaced, costs.cost) == (routed.unplaced, routed.cost)
    assert costs.cost == sum((each.cost for each in costs.parts), D(0))
    assert costs.fee == sum((each.fee for each in costs.parts), D(0))
    for bill in costs.parts:
        check(bill, found[bill.venue], side)

    assert sorted(each.venue for each in costs.alone) == sorted(found)
    rivals = []
    for each in costs.alone:
        assert each.unplaced >= costs.unplaced
        assert each.unplaced + (each.bill.qty if each.bill else 0) == qty
        if each.bill is not None:
            check(each.bill, found[each.venue], side)
            if each.unplaced == costs.unplaced:
                rivals.append(each.bill.cost)
    assert (costs.saving is None) == (not rivals)
    if costs.saving is not None:
        assert costs.saving.quote == min(rivals) - costs.cost >= 0


@given(markets(), st.sampled_from(["buy", "sell"]))
def test_the_best_venue_for_the_side_comes_first(found: dict[str, Market], side: str) -> None:
    tops = compare(found, side, D(1)).tops

    nets = [top.net_ask if side == "buy" else -top.net_bid for top in tops]
    assert nets == sorted(nets)
    for top in tops:
        fee = found[top.venue].instrument.taker_fee
        assert (top.net_bid, top.net_ask) == (top.bid * (1 - fee), top.ask * (1 + fee))


def test_without_venues_everything_is_unplaced() -> None:
    costs = compare({}, "buy", D(3))

    assert (costs.parts, costs.alone, costs.tops, costs.saving) == ((), (), (), None)
    assert (costs.unplaced, costs.cost) == (3, 0)
