"""Linked limits by hand: all or nothing, shares, what the venue says, and when it says to stay away."""

from __future__ import annotations

import pytest

from parley.budget import Budget, Lack, Limit, Rank

S = 1_000_000_000
SEND = {"weight": 1, "orders": 1}
CANCEL = {"weight": 1}


def budget(weight: int = 100, orders: int = 10) -> Budget:
    return Budget((Limit("weight", weight, 60 * S), Limit("orders", orders, 10 * S)), slack=0)


def sent(asked: Budget, costs: dict[str, int], rank: Rank, now: int, most: int = 1000) -> int:
    """How many requests pass at once."""
    price = asked.price(costs, rank)
    return next((n for n in range(most) if asked.take(price, rank, now) is not None), most)


def test_each_rank_stops_where_its_share_ends() -> None:
    asked = budget(orders=1000)
    assert sent(asked, {"weight": 1}, Rank.LOOK, S) == 60
    assert sent(asked, SEND, Rank.OPEN, S) == 20
    assert sent(asked, SEND, Rank.REDUCE, S) == 10
    assert sent(asked, CANCEL, Rank.CANCEL, S) == 10


def test_full_limit_keeps_the_others_from_being_paid() -> None:
    asked = budget()
    assert sent(asked, SEND, Rank.OPEN, S) == 8, "the orders are used up first"
    assert sent(asked, CANCEL, Rank.CANCEL, S) == 92, "and refused openings took no weight"


def test_what_was_taken_comes_back_after_the_window() -> None:
    asked = budget()
    assert sent(asked, SEND, Rank.OPEN, S) == 8
    price = asked.price(SEND, Rank.OPEN)
    lack = asked.lack(price, Rank.OPEN, S)
    assert lack is not None
    assert (lack.limit, lack.is_closed) == ("orders", False)
    assert 10 * S <= lack.wait <= 10 * S + 10 * S // 64 + 1
    assert asked.lack(price, Rank.OPEN, S + 10 * S - 1) is not None
    assert sent(asked, SEND, Rank.OPEN, S + lack.wait) == 8


def test_venue_that_counted_more_is_believed_and_one_that_counted_less_is_not() -> None:
    asked = budget(orders=1000)
    asked.observed("weight", 70, S)
    assert sent(asked, CANCEL, Rank.OPEN, S) == 10
    asked.observed("weight", 3, S)
    assert sent(asked, CANCEL, Rank.CANCEL, S) == 20
    asked.observed("of another venue", 3, S)


def test_limit_of_another_size_counts_from_then_on() -> None:
    asked = budget()
    assert sent(asked, SEND, Rank.OPEN, S) == 8
    asked.resized("orders", 20)
    assert sent(asked, SEND, Rank.OPEN, S) == 8
    asked.resized("orders", 0)
    asked.resized("of another venue", 5)


def test_closed_limit_lets_nothing_through_that_costs_of_it() -> None:
    asked = budget()
    asked.close(("orders",), 5 * S)
    asked.close(("orders", "of another venue"), 4 * S)
    assert asked.lack(asked.price(SEND, Rank.REDUCE), Rank.REDUCE, S) == Lack("orders", 4 * S, True)
    assert asked.lack(asked.price(CANCEL, Rank.CANCEL), Rank.CANCEL, S) is None
    assert asked.closed(("orders",), S)
    assert not asked.closed(("orders", "weight"), S)
    assert asked.lack(asked.price(SEND, Rank.OPEN), Rank.OPEN, 5 * S) is None


def test_limit_that_some_request_could_never_pass_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight: expected room for 50 in 60 % of the limit, which is 80"):
        budget(weight=80).price({"weight": 50}, Rank.LOOK)


def test_free_request_is_never_refused() -> None:
    asked = budget()
    asked.close(asked.limits, 100 * S)
    assert sent(asked, {}, Rank.LOOK, S, most=50) == 50
    assert sent(asked, {"of another venue": 7}, Rank.LOOK, S, most=50) == 50
