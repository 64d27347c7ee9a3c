"""Whatever a desk sees, the share of its stakes never falls and is never outside of what was asked."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from parley.ramp import DAY_NS, ONE, Climb

# Around what the desk began with, and everything a broken account could say.
EQUITY = st.one_of(
    st.decimals(min_value=900, max_value=1100, places=2),
    st.sampled_from(["0", "-1", "NaN", "sNaN", "Infinity", "1E+400", "1E-400"]).map(Decimal),
)
NOW = st.integers(0, 60 * DAY_NS)
START = st.decimals(min_value=Decimal("0.0001"), max_value=1, places=4)
DAYS = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))


@given(st.lists(st.tuples(NOW, EQUITY), max_size=30), START, DAYS, st.integers(1, 3 * DAY_NS))
def test_share_never_falls_and_stays_between_start_and_all(
    looks: list[tuple[int, Decimal]], start: Decimal, days: float, most_ns: int
) -> None:
    climb = Climb()
    shares = [climb.share(start, days)]
    for now, equity in looks:
        climb.see(now, equity, most_ns)
        shares.append(climb.share(start, days))

    assert shares == sorted(shares)
    assert start <= shares[0] <= shares[-1] <= ONE
    assert all(share.is_finite() for share in shares)


@given(st.lists(st.tuples(NOW, EQUITY), min_size=1, max_size=30), st.integers(1, 3 * DAY_NS))
def test_no_more_time_is_counted_than_went_by_nor_than_was_watched(
    looks: list[tuple[int, Decimal]], most_ns: int
) -> None:
    climb = Climb()
    for now, equity in looks:
        climb.see(now, equity, most_ns)

    usual = [now for now, equity in looks if equity.is_finite() and equity > 0]
    assert climb.climbed_ns <= min(max(usual, default=0) - min(usual, default=0), most_ns * len(usual))


@given(st.lists(st.integers(0, DAY_NS), max_size=20), START, st.floats(0.1, 30))
def test_an_account_that_holds_climbs_by_the_line(steps: list[int], start: Decimal, days: float) -> None:
    climb, now = Climb(), 1
    climb.see(now, Decimal(1000), DAY_NS)
    for step in steps:
        now += step
        climb.see(now, Decimal(1000), DAY_NS)

    part = min(1.0, sum(steps) / (days * DAY_NS))
    wanted = float(start) + (1 - float(start)) * part
    assert abs(float(climb.share(start, days)) - wanted) < 1e-9
