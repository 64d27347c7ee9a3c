"""The times by which clients of Coinbase tell one state of a book from the next.

Not here: what books hold (tests/contract/test_hub_on_venues.py).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from venues.coinbase_words import CoinbaseMarket
from venues.sandbox.coinbase.streams import _ToldBook


def test_messages_of_one_millisecond_have_times_of_their_own() -> None:
    market: Any = SimpleNamespace(book=SimpleNamespace(bids={}, asks={}))
    book = _ToldBook(market)
    assert [book.next_stamp(wall) for wall in (7, 7, 7, 20, 3)] == [7, 8, 9, 20, 21]
    assert book.stamp == 21


@pytest.mark.parametrize(("told", "number"), [(None, -1), (1_704_067_200_001, 1_704_067_200_001)])
def test_the_number_of_a_book_is_the_time_of_its_last_message(told: int | None, number: int) -> None:
    assert CoinbaseMarket().book_number({"timestamp": told}) == number
