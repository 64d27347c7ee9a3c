"""No window of a venue is ever exceeded, whatever is asked in which order; and a cancel finds its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from parley.budget import Budget, Limit, Rank

S = 1_000_000_000
SLACK = S // 2


class Kind(NamedTuple):
    costs: dict[str, int]
    rank: Rank


class Asked(NamedTuple):
    """So many requests at once, ``gap`` ns after those before, which the venue counts ``late`` ns later."""

    kind: int
    times: int
    gap: int
    late: int


LIMITS = (Limit("weight", 100, 6 * S), Limit("orders", 20, S), Limit("raw", 60, 30 * S))
KINDS = (
    Kind({"weight": 1, "orders": 1, "raw": 1}, Rank.OPEN),
    Kind({"weight": 1, "orders": 1, "raw": 1}, Rank.REDUCE),
    Kind({"weight": 1, "raw": 1}, Rank.CANCEL),
    Kind({"weight": 50, "raw": 4}, Rank.LOOK),
    Kind({"weight": 1, "raw": 1}, Rank.OPEN),
    Kind({"orders": 2}, Rank.CANCEL),
    Kind({"weight": 3}, Rank.CANCEL),
)


def bursts(kinds: st.SearchStrategy[int]) -> st.SearchStrategy[list[Asked]]:
    """Many requests of some kinds, mostly enough to use a limit up."""
    one = st.builds(
        Asked,
        kinds,
        st.one_of(st.integers(1, 5), st.integers(1, 60)),
        st.one_of(st.sampled_from([0, S // 50, S, S + S // 20, 6 * S + S // 5]), st.integers(0, 8 * S)),
        st.one_of(st.sampled_from([0, SLACK]), st.integers(0, SLACK)),
    )
    return st.lists(one, min_size=2, max_size=30)


# the last two may use a limit up on their own, the second reduces
asked = st.one_of(bursts(st.integers(0, len(KINDS) - 1)), bursts(st.sampled_from([5, 6])), bursts(st.just(1)))


def made(budget: Budget, requests: Sequence[Asked]) -> list[tuple[int, int, dict[str, int]]]:
    """Return what was let through as (sent, counted by the venue, costs)."""
    prices = [budget.price(kind.costs, kind.rank) for kind in KINDS]
    now, through = S, []
    for each in requests:
        now += each.gap
        for _ in range(each.times):
            if budget.take(prices[each.kind], KINDS[each.kind].rank, now) is None:
                through.append((now, now + each.late, KINDS[each.kind].costs))
    return through


@given(asked)
def test_no_window_of_the_venue_is_exceeded_wherever_it_begins(requests: list[Asked]) -> None:
    through = made(Budget(LIMITS, SLACK), requests)
    for limit in LIMITS:
        counted = sorted((at, costs.get(limit.name, 0)) for _, at, costs in through)
        for first, _ in counted:  # the worst window begins with some request
            within = sum(cost for at, cost in counted if first <= at < first + limit.window)
            assert within <= limit.most, limit.name


@given(asked, st.integers(0, 40 * S))
def test_cancel_finds_its_share_whatever_was_asked_before(requests: list[Asked], pause: int) -> None:
    budget = Budget(LIMITS, SLACK)
    others = [each for each in requests if KINDS[each.kind].rank is not Rank.CANCEL]
    through = made(budget, others)
    now = S + sum(each.gap for each in others) + pause
    cancel = budget.price(KINDS[2].costs, Rank.CANCEL)
    # a fifth is kept from openings and questions, and half of that also from what reduces
    part = 10 if any(KINDS[each.kind].rank is Rank.REDUCE for each in others) else 5
    share = min(limit.most for limit in LIMITS if limit.name != "orders") // part
    assert [budget.take(cancel, Rank.CANCEL, now) for _ in range(share)] == [None] * share
    assert len(through) <= sum(each.times for each in others)


@given(asked)
def test_what_lacks_something_may_be_made_when_its_wait_is_over(requests: list[Asked]) -> None:
    budget = Budget(LIMITS, SLACK)
    made(budget, requests)
    now = S + sum(each.gap for each in requests)
    for kind in KINDS:
        price = budget.price(kind.costs, kind.rank)
        lack = budget.lack(price, kind.rank, now)
        if lack is not None:
            assert 0 < lack.wait <= max(limit.window + limit.window // 64 for limit in LIMITS) + SLACK
            assert budget.lack(price, kind.rank, now + lack.wait) is None


@given(asked, st.integers(0, len(KINDS) - 1))
def test_what_is_refused_costs_nothing(requests: list[Asked], kind: int) -> None:
    twice, once = Budget(LIMITS, SLACK), Budget(LIMITS, SLACK)
    made(twice, requests)
    made(once, requests)
    now = S + sum(each.gap for each in requests)
    price = twice.price(KINDS[kind].costs, KINDS[kind].rank)
    if twice.take(price, KINDS[kind].rank, now) is not None:
        for other in KINDS:
            first = twice.lack(twice.price(other.costs, other.rank), other.rank, now)
            assert first == once.lack(once.price(other.costs, other.rank), other.rank, now)
