"""A desk hears once when the room for openings at a venue goes or comes, and anew if it may not know."""

from __future__ import annotations

from parley.budget import Limit
from parley.messages import Message, Strain
from runtime.credits import Credits
from venues.binance_limits import BinanceLimits
from venues.limits import Request
from venues.meter import Meter

S = 1_000_000_000


def told(said: list[Message]) -> list[int]:
    return [each.level for each in said if isinstance(each, Strain)]


def test_room_that_goes_and_comes_is_told_once_each_and_again_to_who_may_not_know() -> None:
    now = [1000 * S]
    meter = Meter(BinanceLimits(), lambda: now[0], lambda: 0.0)
    meter.adopt([Limit("ORDERS 10S", 10, 10 * S)])
    said: list[Message] = []
    credits = Credits(meter, said.append)

    credits.look()
    assert said == [], "that there is room is what a desk believes anyway"
    for _ in range(9):
        meter.take(Request.SEND)
        credits.look()
    assert told(said) == [3], "four fifths are for openings, and the ninth was not sent"
    credits.again()
    assert told(said) == [3, 3]
    now[0] += 11 * S
    credits.look()
    credits.look()
    assert told(said) == [3, 3, 0]
    credits.again()
    assert told(said) == [3, 3, 0, 0], "a desk may know the word of a gateway that is gone"
