"""The arithmetic of the execution algorithms: cutting, following, showing, and walking up to a cap."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.execution.chase import ChasePolicy, Quote, follow, furthest, is_behind
from parley.execution.iceberg import slices, visible
from parley.execution.pricing import within_cap
from parley.execution.slicing import due, participation, weighted
from parley.execution.styles import FOLLOWING, SLICED, STYLES, TAKING, is_worked, venue_style
from parley.execution.volume_curve import BUCKETS, PART_NS, Curve, expected, learn
from tests.kit.builders import T0, make_bar, make_instrument

D = Decimal
LOT = D("0.00001")
MINUTE = 60_000_000_000
MIDNIGHT = T0 // 86_400_000_000_000 * 86_400_000_000_000


@given(
    st.integers(1, 10**12),
    st.lists(st.floats() | st.floats(0, 1e3), min_size=1, max_size=40),
    st.sampled_from([D(0), D("0.000004")]),
)
def test_weighted_parts_lie_on_the_lot_and_sum_to_the_order_exactly(
    lots: int, weights: list[float], odd: Decimal
) -> None:
    qty = lots * LOT + odd

    cut = weighted(qty, weights, make_instrument())

    assert len(cut) == len(weights)
    assert sum(cut, D(0)) == qty
    assert min(cut) >= 0
    assert all(part % LOT == 0 for part in cut[1:])


def test_weighted_parts_follow_their_weights_and_larger_remainders_get_the_odd_lots() -> None:
    # 10 lots by 1 : 2 : 3 are 1.67, 3.33 and 5 lots: one and a half and three, the odd lot to the first
    assert weighted(10 * LOT, [1.0, 2.0, 3.0], make_instrument()) == (2 * LOT, 3 * LOT, 5 * LOT)
    assert weighted(9 * LOT, [float("nan"), -1.0], make_instrument()) == (5 * LOT, 4 * LOT)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=10), st.integers(0, 10), st.integers(0, 10**7))
def test_what_is_due_is_within_what_is_left_and_the_last_child_carries_it_all(
    lots: list[int], at: int, used_lots: int
) -> None:
    plan = [(n * LOT, T0 + i * MINUTE) for i, n in enumerate(lots)]
    used = min(used_lots, sum(lots)) * LOT

    sent = due(plan, T0 + at * MINUTE, used, make_instrument())

    reached = sum((q for q, t in plan if t <= T0 + at * MINUTE), D(0))
    assert 0 <= sent <= max(reached - used, D(0))
    if at >= len(lots) - 1:
        assert sent == sum(lots) * LOT - used


def test_what_a_child_missed_is_spread_over_those_to_come() -> None:
    plan = [(D("0.1"), T0 + i * MINUTE) for i in range(4)]

    # 0.06 of the first child is missing; three children are still to come
    assert due(plan, T0 + MINUTE, D("0.04"), make_instrument()) == D("0.12")
    assert due(plan, T0 + 2 * MINUTE, D("0.16"), make_instrument()) == D("0.12")
    assert due(plan, T0 + 3 * MINUTE, D("0.28"), make_instrument()) == D("0.12")


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1)), max_size=20),
    st.sampled_from([0.01, 0.1, 0.25, 1.0]),
    st.floats(1, 5),
)
def test_participation_never_exceeds_its_share_of_what_was_printed(
    candles: list[tuple[float, float]], share: float, burst: float
) -> None:
    used, printed = D(0), 0.0
    for volume, taken in candles:
        printed += volume
        want = participation(share, printed, volume, used, burst, make_instrument())
        assert want <= D(repr(share)) * D(repr(volume)) * D(repr(burst))
        used += make_instrument().qty(want * D(repr(taken)))
        assert used <= D(repr(share)) * D(repr(printed))


def test_participation_catches_up_in_bounded_steps() -> None:
    # 10 % of 300 printed, nothing taken yet, the last candle had 100: at most twice its share at once
    assert participation(0.1, 300.0, 100.0, D(0), 2.0, make_instrument()) == D(20)
    assert participation(0.1, 300.0, 100.0, D(25), 2.0, make_instrument()) == D(5)
    assert participation(0.1, float("nan"), 100.0, D(0), 2.0, make_instrument()) == 0


def test_a_curve_expects_of_a_part_of_the_day_what_was_seen_in_it() -> None:
    curves: dict[str, Curve] = {}
    quiet = [make_bar(t_open=MIDNIGHT + i * MINUTE, volume=1.0) for i in range(15)]
    busy = [make_bar(t_open=MIDNIGHT + PART_NS + i * MINUTE, volume=9.0) for i in range(15)]
    learn(curves, [*quiet, *busy])
    tomorrow = MIDNIGHT + BUCKETS * PART_NS

    ahead = expected(curves, "BTC/USDT", tomorrow + 14 * MINUTE, MINUTE, 3)
    cut = weighted(D("1.9"), ahead, make_instrument())

    assert ahead == pytest.approx((1.0, 9.0, 9.0))
    assert cut == (D("0.1"), D("0.9"), D("0.9"))
    assert expected(curves, "BTC/USDT", tomorrow + 3 * PART_NS, MINUTE, 1) == pytest.approx((5.0,))
    assert expected(curves, "ETH/USDT", tomorrow, MINUTE, 3) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("volume", [float("nan"), float("inf"), -1.0])
def test_a_candle_that_makes_no_sense_teaches_a_curve_nothing(volume: float) -> None:
    curve = Curve()
    curve.see(make_bar(volume=volume))

    assert curve.rates == [-1.0] * BUCKETS


@given(
    st.integers(1, 10**7), st.floats(0.0001, 10), st.integers(1, 20), st.floats(0, 0.5), st.integers(0, 99)
)
def test_slices_sum_to_the_order_and_each_could_be_traded_alone(
    lots: int, shown: float, most: int, jitter: float, seed: int
) -> None:
    instrument, px, qty = make_instrument(), D(60_000), lots * LOT

    cut = slices(qty, shown, most, jitter, instrument, px, np.random.Generator(np.random.Philox(seed)))

    assert sum(cut, D(0)) == qty
    assert len(cut) <= most or len(cut) == 1
    if len(cut) > 1:
        assert not any(instrument.tradable(part, px) for part in cut)


def test_slices_differ_and_are_drawn_from_the_given_randomness() -> None:
    def drawn(seed: int) -> tuple[Decimal, ...]:
        rng = np.random.Generator(np.random.Philox(seed))
        return slices(D(1), 0.2, 10, 0.2, make_instrument(), D(60_000), rng)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == len(drawn(1)) == 5
    assert all(D("0.13") < part < D("0.30") for part in drawn(1))


def test_a_slice_does_not_leave_a_rest_behind_it_that_could_never_be_traded() -> None:
    instrument = make_instrument()
    dust = instrument.min_notional / 60_000 / 2

    assert visible(D("0.1") + dust, D("0.1"), D(60_000), instrument) == D("0.1") + dust
    assert visible(D("0.3"), D("0.1"), D(60_000), instrument) == D("0.1")


BUY = Quote("buy", D(100), D(110))
SELL = Quote("sell", D(110), D(100))


@pytest.mark.parametrize(("quote", "steps"), [(BUY, [102, 105, 107, 110]), (SELL, [108, 105, 103, 100])])
def test_a_stepping_quote_reaches_the_other_side_in_its_moves_and_not_before(
    quote: Quote, steps: list[int]
) -> None:
    instrument = replace(make_instrument(), tick=D(1))
    policy = ChasePolicy(moves=4, distance_bps=None, then="give_up")

    found = [follow(policy, n, quote, None, instrument, stepping=True) for n in range(5)]

    assert found == [*steps, None]


@pytest.mark.parametrize(("quote", "furthest_px"), [(BUY, D("90.45")), (SELL, D("119.40"))])
def test_a_chase_goes_no_further_than_its_distance_from_the_first_quote(
    quote: Quote, furthest_px: Decimal
) -> None:
    instrument = make_instrument()
    policy = ChasePolicy(moves=9, distance_bps=50.0, then="cross")
    first = D(90) if quote.side == "buy" else D(120)

    worst = furthest(policy, quote.side, first, None, instrument)

    assert worst == furthest_px
    assert follow(policy, 0, quote, worst, instrument, stepping=False) == worst
    assert is_behind(first, quote, worst)
    assert not is_behind(worst, quote, worst)
    # an own limit that is tighter still counts
    assert furthest(policy, quote.side, first, first, instrument) == first


@given(
    st.sampled_from(["buy", "sell"]), st.lists(st.floats(0.01, 100), min_size=1, max_size=5),
    st.floats(95, 125), st.integers(1, 10**7),
)  # fmt: skip
def test_a_book_within_a_cap_is_all_that_an_order_with_that_limit_would_take(
    side: str, qtys: list[float], cap: float, lots: int
) -> None:
    sign = 1 if side == "buy" else -1
    levels = [(110.0 + sign * i, qty) for i, qty in enumerate(qtys)]
    limit, wanted = D(str(round(cap, 2))), lots * LOT

    found = within_cap(levels, side, wanted, limit, make_instrument())

    allowed = sum((D(repr(q)) for px, q in levels if sign * (D(repr(px)) - limit) <= 0), D(0))
    assert abs(float(found.qty) - min(float(wanted), float(allowed))) <= 2e-5
    assert found.qty <= wanted
    assert found.is_whole == (found.qty == wanted) or allowed == wanted


def test_every_style_of_the_table_is_known_by_what_it_does() -> None:
    assert set(STYLES) == {"market", "limit", "post_only", "requote", "iceberg", "twap", "vwap", "pov"}
    assert {s for s in STYLES if is_worked(s, "IOC")} == set(STYLES) - {"market", "limit"}
    assert is_worked("limit", "GTC")
    assert not is_worked("peg", "GTC")
    assert TAKING | {"iceberg"} == SLICED
    assert FOLLOWING.isdisjoint(TAKING)
    assert {venue_style(s) for s in STYLES} == {"market", "limit", "post_only"}
