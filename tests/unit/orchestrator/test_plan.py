"""Plans: advice tightens and never loosens, splits add up, coupled legs shrink together."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan import order_style, plan_legs, worst_price
from parley.messages import Child, Counter, Leg, PlanLeg
from tests.kit.builders import make_book, make_proposal
from tests.kit.firm_kit import D, spot

ONE = D(1)
BTC = spot("BTC/USDT")
ALL = {s: spot(s) for s in ("BTC/USDT", "ETH/BTC", "ETH/USDT")}
BOOKS = {"BTC/USDT": make_book(bids=((49_999.0, 5.0),), asks=((50_001.0, 5.0),))}
WORST = {"buy": D("50251.01"), "sell": D("49749.00")}  # 50 bps from the best, outwards to the tick
SIDES = st.sampled_from(["buy", "sell"])
PRICES = st.none() | st.integers(4_000_000, 6_000_000).map(lambda n: D(n) / 100)
ROUGH = st.none() | st.decimals(40_000, 60_000, places=5)  # advice may be off the grid
STYLES = st.sampled_from([None, "market", "limit", "post_only", "twap"])
LOTS = st.integers(1, 10**7).map(lambda n: D(n) / 100_000)


def advice(**fields: object) -> Counter:
    return Counter(pid=b"p" * 16, agent="e", code="x", binding=False, **fields)  # type: ignore[arg-type]


def plan(leg: Leg, qty: Decimal, *counters: Counter, coupled: bool = False) -> PlanLeg:
    return plan_legs(make_proposal(legs=(leg,), coupled=coupled), qty, counters, ALL, BOOKS)[0]


def leg(side: str = "buy", qty: Decimal = ONE, px: Decimal | None = None, **over: object) -> Leg:
    return Leg(symbol="BTC/USDT", side=side, qty=qty, limit_px=px, **over)  # type: ignore[arg-type]


@given(SIDES, PRICES, ROUGH, ROUGH, STYLES, st.sampled_from([None, "GTC", "IOC", "FOK"]), LOTS)
def test_advice_never_makes_a_price_worse_than_the_proposals_own(
    side: str,
    own: Decimal | None,
    one: Decimal | None,
    two: Decimal | None,
    style: str | None,
    tif: str | None,
    qty: Decimal,
) -> None:
    split = (Child(qty=qty, delay_ms=0), Child(qty=qty, delay_ms=1000))
    made = plan(
        leg(side, qty, own),
        qty,
        advice(style=style, tif=tif, px_limit=one, split=split),
        advice(px_limit=two),
    )
    assert made.qty == qty
    limits = [p for p in (own, one, two) if p is not None]
    asked = limits if own is not None else [*limits, WORST[side]]
    assert made.px is not None
    tightest = min(asked) if side == "buy" else max(asked)
    assert made.px <= tightest if side == "buy" else made.px >= tightest
    assert abs(made.px - tightest) < BTC.tick
    assert made.px % BTC.tick == 0
    assert made.style != "market"
    if not limits:
        assert (made.style, made.tif, made.children) == ("limit", "IOC", ())
    assert made.style != "post_only" or made.tif == "GTC"
    assert order_style(made) in ("market", "limit", "post_only")


@given(LOTS, st.lists(LOTS, min_size=1, max_size=12))
def test_a_split_is_scaled_to_the_decided_quantity_and_sums_to_it_on_the_lot_grid(
    qty: Decimal, parts: list[Decimal]
) -> None:
    split = tuple(Child(qty=part, delay_ms=1000 * n) for n, part in enumerate(parts))
    made = plan(leg(qty=qty, px=D(50_000)), qty, advice(style="twap", split=split))
    if made.style == "twap":
        assert sum((c.qty for c in made.children), Decimal(0)) == qty
        assert all(c.qty > 0 and c.qty % BTC.lot == 0 for c in made.children)
        assert all(not BTC.tradable(c.qty, D(50_000)) for c in made.children)
        assert len(made.children) >= 2
    else:
        assert (made.style, made.children) == ("limit", ())


def test_a_market_order_with_a_price_bound_is_an_immediate_limit() -> None:
    made = plan(leg(px=D(50_100)), D(1), advice(style="market"))
    assert (made.style, made.px, made.tif) == ("limit", D(50_100), "IOC")


@pytest.mark.parametrize(("bps", "px"), [(10.0, "50251.01"), (200.0, "51001.02")])
@pytest.mark.parametrize("advised", [(), (advice(style="market"),), (advice(style="post_only", tif="GTC"),)])
def test_opening_without_any_price_is_an_immediate_limit_at_the_price_it_is_reserved_at(
    bps: float, px: str, advised: tuple[Counter, ...]
) -> None:
    bid = make_proposal(legs=(leg(),), max_slippage_bps=bps)
    (made,) = plan_legs(bid, D(1), advised, ALL, BOOKS)
    assert (made.style, made.px, made.tif) == ("limit", D(px), "IOC")
    naked = PlanLeg(
        symbol="BTC/USDT", side="buy", qty=D(1), style="market", px=None, tif="IOC", reduce_only=False
    )
    assert worst_price(made, None, BOOKS["BTC/USDT"], bps, BTC) == D(px)
    assert worst_price(naked, None, BOOKS["BTC/USDT"], bps, BTC) == D(px)


def test_opening_without_a_price_keeps_its_other_words() -> None:
    assert plan(leg(tif="FOK"), D(1)).tif == "FOK"
    resting = plan(leg("sell", post_only=True), D(1))
    assert (resting.style, resting.px, resting.tif) == ("post_only", D(50_001), "GTC")
    legs = (leg(), Leg(symbol="ETH/USDT", side="sell", qty=D(2), limit_px=D(2_500), tif="IOC"))
    first, second = plan_legs(make_proposal(legs=legs, coupled=True), D(1), (), ALL, BOOKS)
    assert (first.style, first.px, first.tif) == ("limit", WORST["buy"], "IOC")
    assert second.px == D(2_500)


@pytest.mark.parametrize("urgency", ["urgent", "normal"])
def test_exit_that_names_no_price_goes_as_a_market_order(urgency: str) -> None:
    out = leg("sell", reduce_only=True)
    for advised in ((), (advice(style="market"),)):
        (made,) = plan_legs(make_proposal(legs=(out,), urgency=urgency), D(1), advised, ALL, BOOKS)
        assert (made.style, made.px, made.tif, made.reduce_only) == ("market", None, "IOC", True)


def exit_plan(urgency: str, reduce_only: bool, *counters: Counter) -> PlanLeg:
    out = leg("sell", D(1), D(49_500), tif="IOC", reduce_only=reduce_only)
    return plan_legs(make_proposal(legs=(out,), urgency=urgency), D(1), counters, ALL, BOOKS)[0]


def test_only_an_urgent_exit_may_go_without_its_price() -> None:
    free = advice(style="market", tif="IOC")
    made = exit_plan("urgent", True, free)
    assert (made.style, made.px, made.tif, made.reduce_only) == ("market", None, "IOC", True)
    for urgency, reduce_only in (("normal", True), ("urgent", False), ("patient", True)):
        assert (exit_plan(urgency, reduce_only, free).px) == D(49_500)
    # whoever names a price is heard
    assert exit_plan("urgent", True, free, advice(px_limit=D(49_600))).px == D(49_600)
    assert exit_plan("urgent", True, advice(style="market", px_limit=D(49_000))).px == D(49_500)
    assert exit_plan("urgent", True).px == D(49_500)
    assert exit_plan("urgent", True, advice(style="limit")).px == D(49_500)


def test_without_advice_the_proposals_own_limits_stay() -> None:
    assert plan(leg(px=D(50_000), tif="FOK"), D(1)) == PlanLeg(
        symbol="BTC/USDT", side="buy", qty=D(1), style="limit", px=D(50_000), tif="FOK", reduce_only=False
    )
    assert plan(leg(px=D(50_000), post_only=True), D(1)).style == "post_only"


def test_slices_below_the_venues_minimum_are_not_made() -> None:
    split = tuple(Child(qty=D(1), delay_ms=n) for n in range(10))
    made = plan(leg(px=D(50_000)), D("0.0005"), advice(style="twap", split=split))
    assert (made.style, made.children) == ("limit", ())


def test_coupled_legs_shrink_in_proportion_and_take_no_advice() -> None:
    legs = (
        Leg(symbol="BTC/USDT", side="buy", qty=D("0.1"), limit_px=D(50_000), tif="IOC"),
        Leg(symbol="ETH/BTC", side="buy", qty=D(2), limit_px=D("0.05"), tif="IOC"),
        Leg(symbol="ETH/USDT", side="sell", qty=D(2), limit_px=D(2_500), tif="IOC"),
    )
    made = plan_legs(
        make_proposal(legs=legs, coupled=True),
        D("0.03333"),
        (advice(style="twap", px_limit=D(1)),),
        ALL,
        BOOKS,
    )
    assert [p.qty for p in made] == [D("0.03333"), D("0.6666"), D("0.6666")]
    assert [p.px for p in made] == [x.limit_px for x in legs]
    assert {p.style for p in made} == {"limit"}


@given(SIDES, PRICES, PRICES, st.sampled_from(["limit", "twap", "post_only"]), st.floats(0, 500))
def test_the_worst_price_is_never_better_than_the_orders_and_never_beyond_the_proposals(
    side: str, own: Decimal | None, px: Decimal | None, style: str, bps: float
) -> None:
    made = PlanLeg(symbol="BTC/USDT", side=side, qty=D(1), style=style, px=px, tif="GTC", reduce_only=False)
    worst = worst_price(made, own, make_book(), bps, BTC)
    sign = 1 if side == "buy" else -1
    assert px is None or sign * (worst - px) >= 0
    if own is not None and px is not None and sign * (px - own) <= 0:
        assert sign * (worst - own) <= 0
