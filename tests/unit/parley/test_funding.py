"""An opening pays funding if the next payment falls before its horizon, on the side that pays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.messages import Mark
from parley.risk.funding import funding_bps, left_after_funding
from tests.kit.builders import T0, make_leg, make_proposal

BTC = "BTC/USDT:USDT"
HOUR = 3_600_000_000_000
HOUR_MS = 3_600_000


def mark(rate: float | None = 0.0003, due: int = T0 + HOUR) -> Mark:
    return Mark(symbol=BTC, t=T0, px=60_000.0, rate=rate, next_funding=due)


def test_longs_pay_a_positive_rate_and_shorts_get_it() -> None:
    assert funding_bps(mark(0.0003), "buy", T0, HOUR_MS) == 0.0003 * 1e4
    assert funding_bps(mark(0.0003), "sell", T0, HOUR_MS) == -0.0003 * 1e4
    assert funding_bps(mark(-0.001), "sell", T0, HOUR_MS) == 0.001 * 1e4


def test_a_payment_behind_the_horizon_costs_nothing_and_one_on_it_does() -> None:
    assert funding_bps(mark(), "buy", T0, HOUR_MS - 1) == 0.0
    assert funding_bps(mark(), "buy", T0, HOUR_MS) != 0.0


def test_what_is_not_known_is_not_zero() -> None:
    assert funding_bps(None, "buy", T0, HOUR_MS) is None
    assert funding_bps(mark(None), "buy", T0, HOUR_MS) is None
    assert funding_bps(mark(float("nan")), "buy", T0, HOUR_MS) is None
    assert funding_bps(mark(due=0), "buy", T0, HOUR_MS) is None
    # what was due is paid, and nobody has told the next one yet
    assert funding_bps(mark(due=T0), "buy", T0, HOUR_MS) is None


@given(
    rate=st.floats(-0.02, 0.02), due=st.integers(-8, 24), horizon=st.integers(1, 24 * 60),
    side=st.sampled_from(["buy", "sell"]), edge=st.floats(-50.0, 300.0), fees=st.floats(0.0, 50.0),
)  # fmt: skip
def test_only_who_pays_before_the_horizon_is_held_to_what_the_edge_leaves(
    rate: float, due: int, horizon: int, side: str, edge: float, fees: float
) -> None:
    leg = make_leg(symbol=BTC, side=side)
    bid = make_proposal(symbol=BTC, legs=(leg,), edge_bps=edge, horizon_ms=horizon * 60_000)
    found = left_after_funding(bid, {BTC: mark(rate, T0 + due * HOUR)}, T0, fees)

    pays = rate > 0 if side == "buy" else rate < 0
    is_held_to = pays and 0 < due * 60 <= horizon and edge > 0
    assert (found is not None) == is_held_to
    if found is not None:
        assert found == (abs(rate) * 1e4, edge - fees)


def test_payments_of_two_legs_are_set_off() -> None:
    eth = "ETH/USDT:USDT"
    legs = (make_leg(symbol=BTC, side="buy"), make_leg(symbol=eth, side="sell"))
    bid = make_proposal(symbol=BTC, legs=legs, edge_bps=5.0, horizon_ms=HOUR_MS, coupled=True)
    dear = {BTC: mark(0.0004), eth: Mark(symbol=eth, t=T0, px=3.0, rate=0.0001, next_funding=T0 + HOUR)}
    even = dear | {eth: Mark(symbol=eth, t=T0, px=3.0, rate=0.0004, next_funding=T0 + HOUR)}

    found = left_after_funding(bid, dear, T0, 1.0)
    assert found is not None
    assert (round(found[0], 9), found[1]) == (3.0, 4.0)
    assert left_after_funding(bid, even, T0, 1.0) is None
    assert left_after_funding(bid, {}, T0, 1.0) is None
