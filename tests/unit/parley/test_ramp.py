"""A desk climbs to its whole stakes with market time in which nothing was lost."""

from decimal import Decimal as D

import msgspec
import pytest

from parley.ramp import DAY_NS, ONE, Climb

HOUR_NS = DAY_NS // 24
START = D("0.15")
FIRST = 1_767_225_600_000_000_000


def after(*looks: tuple[int, str], most_ns: int = 2 * DAY_NS) -> Climb:
    """Return a climb that looked at (hours since the first look, equity)."""
    climb = Climb()
    for hours, equity in looks:
        climb.see(FIRST + hours * HOUR_NS, D(equity), most_ns)
    return climb


def test_it_begins_with_the_start_and_ends_with_all() -> None:
    assert Climb().share(START, 10) == START
    assert after((0, "1000")).share(START, 10) == START
    assert after((0, "1000"), (48, "1000")).share(START, 10) == D("0.32")  # 0.15 + 0.85 * 2 / 10
    assert after((0, "1000"), (24, "1000")).share(START, 1) == ONE
    assert after((0, "1000"), (48, "1000")).share(START, 1) == ONE


def test_no_days_are_no_ramp() -> None:
    assert Climb().share(START, 0) == ONE
    assert Climb().share(ONE, 10) == ONE


def test_a_loss_rests_and_money_made_up_goes_on() -> None:
    lost = after((0, "1000"), (24, "999.99"), (47, "999.99"))
    assert (lost.climbed_ns, lost.began_with) == (0, D(1000))
    # what is counted is the time since the last look, not since the account was whole last
    lost.see(FIRST + 48 * HOUR_NS, D(1000), 2 * DAY_NS)
    assert lost.climbed_ns == HOUR_NS


def test_a_gain_does_not_raise_what_is_to_be_held() -> None:
    assert after((0, "1000"), (24, "3000"), (48, "1001")).climbed_ns == 2 * DAY_NS


def test_a_long_absence_counts_as_two_looks_at_most() -> None:
    assert after((0, "1000"), (24 * 30, "1000"), most_ns=HOUR_NS).climbed_ns == HOUR_NS


def test_a_clock_that_goes_back_takes_nothing_and_gives_nothing_twice() -> None:
    climb = after((0, "1000"), (24, "1000"), (12, "1000"), (24, "1000"))

    assert (climb.climbed_ns, climb.seen_ns) == (DAY_NS, FIRST + DAY_NS)


@pytest.mark.parametrize("equity", ["0", "-5", "NaN", "Infinity", "sNaN"])
def test_an_account_nobody_knows_is_no_look(equity: str) -> None:
    assert after((0, equity)) == Climb()
    climb = after((0, "1000"), (24, equity))
    assert climb == after((0, "1000"))


def test_it_is_what_it_was_after_it_was_written_down() -> None:
    climb = after((0, "1000.10"), (31, "1000.10"))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(climb), type=Climb) == climb
    assert climb.climbed_ns == 31 * HOUR_NS
