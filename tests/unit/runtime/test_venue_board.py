"""Asking several venues at once: who does not answer, or says what cannot be used, is named and left out."""

from __future__ import annotations

import asyncio
import time

import pytest

from parley.errors import ConfigError
from parley.instruments import Instrument
from parley.messages import Book
from runtime.venue_board import Look, VenueBoard
from tests.kit.builders import make_instrument
from venues.port import VenueError
from venues.quotes import FeeOf, unusable, wrong_listing

BIDS, ASKS = ((99.0, 1.0), (98.0, 2.0)), ((101.0, 1.0), (102.0, 2.0))
Levels = tuple[tuple[float, float], ...]


def book(bids: Levels = BIDS, asks: Levels = ASKS, age_s: float = 0.0) -> Book:
    return Book(symbol="BTC/USDT", t=time.time_ns() - int(age_s * 1e9), seq=1, bids=bids, asks=asks)


class Told:
    """A venue that answers as it is told to; what is silent never does."""

    def __init__(self) -> None:
        self.fee_of: FeeOf = "published"
        self.instrument: Instrument | None = None
        self.listing: Exception | None = None
        self.told: Book | Exception | None = None
        self.silent_listing = self.silent_book = self.closed = False
        self.connects = self.books = 0

    async def connect(self) -> None:
        self.connects += 1
        if self.silent_listing:
            await asyncio.Event().wait()
        if self.listing is not None:
            raise self.listing
        self.instrument = make_instrument()

    async def book(self, depth: int) -> Book:
        self.books += 1
        if self.silent_book:
            await asyncio.Event().wait()
        if isinstance(self.told, Exception):
            raise self.told
        return self.told or book()

    async def close(self) -> None:
        self.closed = True


def board(**venues: Told) -> VenueBoard:
    return VenueBoard(venues, depth=10, wait_s=0.1, max_age_s=0.4)


def look(**venues: Told) -> Look:
    async def once() -> Look:
        asked = board(**venues)
        try:
            return await asked.look()
        finally:
            await asked.close()

    found = asyncio.run(once())
    assert all(each.closed for each in venues.values())
    return found


def test_who_cannot_be_used_is_left_out_with_the_reason() -> None:
    fine, mute, unlisted, gone, slow = Told(), Told(), Told(), Told(), Told()
    old, crossed, broken = Told(), Told(), Told()
    mute.silent_listing = slow.silent_book = True
    unlisted.listing = ConfigError("the venue does not list 'BTC/USDT'; did you mean 'BTC/EUR'?")
    gone.listing = VenueError("markets: ExchangeNotAvailable: gone")
    old.told, crossed.told = book(age_s=2), book(bids=((101.5, 1.0),))
    broken.told = VenueError("book: an answer nobody can read: KeyError('bids')")

    found = look(
        fine=fine, mute=mute, unlisted=unlisted, gone=gone, slow=slow, old=old, crossed=crossed, broken=broken
    )

    assert list(found.seen) == ["fine"]
    assert found.seen["fine"].age_s < 0.4
    old_reason = found.left_out.pop("old")
    assert old_reason.startswith("its book is 2.")
    assert old_reason.endswith("s old, more than 0.4 s")
    assert found.left_out == {
        "mute": "no answer within 0.1 s",
        "unlisted": "the venue does not list 'BTC/USDT'; did you mean 'BTC/EUR'?",
        "gone": "markets: ExchangeNotAvailable: gone",
        "slow": "no book within 0.2 s",
        "crossed": "its book is crossed: bid 101.5, ask 101.0",
        "broken": "book: an answer nobody can read: KeyError('bids')",
    }


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (book(), ""),
        (book(bids=()), "its book has no bids"),
        (book(asks=()), "its book has no asks"),
        (book(bids=((101.0, 1.0),)), "its book is crossed: bid 101.0, ask 101.0"),
        (book(asks=((101.0, 0.0),)), "its asks hold a price or quantity that is not finite and above 0"),
        (
            book(bids=((float("nan"), 1.0),)),
            "its bids hold a price or quantity that is not finite and above 0",
        ),
        (
            book(asks=((101.0, 1.0), (float("inf"), 1.0))),
            "its asks hold a price or quantity that is not finite and above 0",
        ),
        (book(bids=((98.0, 1.0), (99.0, 1.0))), "its bids are out of order"),
        (book(asks=((101.0, 1.0), (101.0, 1.0))), "its asks are out of order"),
    ],
)
def test_nothing_is_computed_from_a_book_that_is_wrong(told: Book, reason: str) -> None:
    assert unusable(told, told.t, 1.0) == reason


@pytest.mark.parametrize(
    ("over", "wrong"),
    [
        ({}, ""),
        ({"taker_fee": "-0.0001", "min_notional": "0"}, ""),
        ({"lot": "0"}, "lot: expected a number above 0, was 0"),
        ({"lot": "NaN"}, "lot: expected a number of at least 0, was NaN"),
        ({"max_qty": "Infinity"}, "max_qty: expected a number of at least 0, was Infinity"),
        ({"min_qty": "-1"}, "min_qty: expected a number of at least 0, was -1"),
        ({"taker_fee": "0.1"}, "taker_fee: expected at most 0.05, was 0.1"),
    ],
)
def test_nothing_is_computed_from_a_listing_that_is_wrong(over: dict[str, object], wrong: str) -> None:
    assert wrong_listing(make_instrument(**over)) == wrong


def test_a_reason_that_names_every_pair_is_cut() -> None:
    unlisted = Told()
    unlisted.listing = ConfigError("the venue does not list it; known are " + "A/B, " * 1000)
    assert len(look(unlisted=unlisted).left_out["unlisted"]) == 300


def test_an_age_is_at_most_the_bound() -> None:
    told = book()
    assert unusable(told, told.t + 10**9, 1.0) == ""
    assert unusable(told, told.t + 10**9 + 10**8, 1.0) == "its book is 1.1 s old, more than 1 s"


def test_books_are_asked_for_when_all_listings_are_there_or_given_up() -> None:
    fine, mute = Told(), Told()
    mute.silent_listing = True

    found = look(fine=fine, mute=mute)

    assert found.seen["fine"].age_s < 0.1  # not as old as the wait for the mute one
    assert fine.books == 1


def test_who_was_left_out_is_asked_again_without_keeping_the_others_waiting() -> None:
    async def three() -> tuple[list[Look], float]:
        fine, late, gone = Told(), Told(), Told()
        late.silent_listing = True
        gone.listing = VenueError("markets: gone")
        asked = board(fine=fine, late=late, gone=gone)
        looks = [await asked.look()]
        started = time.monotonic()
        looks.append(await asked.look())
        took = time.monotonic() - started
        gone.listing = None
        for _ in range(2):  # one look to ask it, one to find that it answered
            looks.append(await asked.look())
        assert fine.connects == late.connects == 1
        await asked.close()
        return looks, took

    looks, took = asyncio.run(three())

    assert took < 0.1
    assert looks[0].left_out == looks[1].left_out == {
        "late": "no answer within 0.1 s", "gone": "markets: gone"
    }  # fmt: skip
    assert list(looks[-1].seen) == ["fine", "gone"]
    assert looks[-1].left_out == {"late": "no answer within 0.1 s"}


def test_a_defect_is_not_taken_for_a_venue_that_is_left_out() -> None:
    broken = Told()
    broken.told = RuntimeError("ours")
    with pytest.raises(RuntimeError, match="ours"):
        look(broken=broken)
