"""The largest move within a minute in one pass is that of all pairs, to the last bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.risk.limits import MINUTE_NS
from parley.risk.spikes import last_minute, spike

PRICES = st.lists(
    st.tuples(
        st.integers(0, 5 * MINUTE_NS),
        st.one_of(
            st.sampled_from([100.0, 110.0, 90.0, 0.0, -1.0, float("nan"), float("inf"), 1e14]),
            st.floats(1e-8, 1e9),
        ),
    ),
    max_size=40,
)


def all_pairs(before: list[tuple[int, float]], fresh: list[tuple[int, float]]) -> float:
    """F243 as it is written: each fresh price against every one of the minute before it."""
    worst, told = 0.0, list(before)
    for at, px in sorted(fresh, key=lambda price: price[0]):
        if not 0 < px < 1e14:
            continue
        for t, other in told:
            if t >= at - MINUTE_NS:
                worst = max(worst, (px / other if px > other else other / px) - 1.0)
        told.append((at, px))
    return worst


@given(PRICES, PRICES)
def test_one_pass_finds_the_move_of_all_pairs(
    before: list[tuple[int, float]], later: list[tuple[int, float]]
) -> None:
    seen = last_minute(before, [])
    start = seen[-1][0] if seen else 0
    fresh = [(start + t, px) for t, px in later]

    assert spike(seen, fresh) == all_pairs(seen, fresh)


@given(PRICES, PRICES)
def test_what_is_remembered_is_the_usable_minute_before_the_latest(
    before: list[tuple[int, float]], fresh: list[tuple[int, float]]
) -> None:
    kept = last_minute(before, fresh)

    usable = [price for price in [*before, *fresh] if 0 < price[1] < 1e14]
    latest = max((t for t, _ in usable), default=0)
    assert sorted(kept) == sorted(price for price in usable if price[0] >= latest - MINUTE_NS)
    assert [t for t, _ in kept] == sorted(t for t, _ in kept)
