"""A venue's timer is kept from the start to the end, and what may rest counts on it.

Time is virtual: minutes pass at once. Not here: venues (tests/contract/test_dead_man.py), a gateway that is
gone (tests/kill/test_dead_man.py), a journal that breaks (test_gateway_breakage.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal as D

import pytest

from parley.budget import Rank
from parley.errors import ConfigError
from parley.messages import Intent
from parley.risk.limits import limits_of
from runtime.credits import Credits
from runtime.followed import Followed
from runtime.gateway_dead_man import DeadMan, unfit
from runtime.kill_switch import KillSwitch
from runtime.lastlook import Counters, Limits
from runtime.passing import Passing
from tests.kit.units import make_intent
from tests.kit.virtual_time import VirtualLoop, run
from venues.binance_usdm_limits import UsdmLimits
from venues.capabilities import CAPABILITIES
from venues.capabilities import DeadMan as Row
from venues.dead_man import DeadManSwitch
from venues.limits import Request, VenueLimits
from venues.meter import Meter
from venues.null_venue import NullVenue
from venues.okx_limits import OkxLimits
from venues.port import VenueError
from venues.several import SeveralVenues

BTC, ETH = "BTC/USDT", "ETH/USDT"
WHOLE = Row(least_s=10, most_s=120, per_symbol=False, spares_stops=True)
EACH = Row(least_s=1, most_s=120, per_symbol=True, spares_stops=False)
NEVER = 1 << 62  # ns: a suite may take minutes to come here
RESTING = make_intent(1, send_by=NEVER, style="limit", tif="GTC", px=D(49_900))
OTHER = make_intent(2, symbol=ETH, style="post_only", tif="GTC", px=D(2000))
STOP = make_intent(
    3, side="sell", style="stop_limit", tif="GTC", px=D(39_000), trigger=D(39_500), reduce_only=True
)
MARKET = make_intent(4, send_by=NEVER)
IOC = make_intent(5, send_by=NEVER, style="limit", tif="IOC", px=D(50_000))


class Desk(NullVenue):
    """A venue with timers, and the orders of a gateway there; ``said`` is (second, symbol, seconds)."""

    def __init__(self, loop: VirtualLoop, row: Row, limits: VenueLimits) -> None:
        super().__init__((BTC, ETH), (), "sandbox")
        self.loop = loop
        self.orders: list[Intent] = []
        self.said: list[tuple[float, str, int]] = []
        self.error: Exception | None = None
        self.slept_ns = 0
        self.meter = Meter(limits, loop.clock_ns, lambda: 0.0)
        self.dead_man = DeadManSwitch(row, self, self.meter, self.heard, self.boot_ns)

    def boot_ns(self) -> int:
        return self.loop.clock_ns() + self.slept_ns

    def working(self) -> list[Intent]:
        return self.orders

    async def heard(self, request: Request, answering: Awaitable[None]) -> None:
        assert request is Request.DEAD_MAN
        await answering

    async def set_dead_man(self, symbol: str, seconds: int) -> None:
        self.said.append((round(self.loop.time(), 1), symbol, seconds))
        if self.error is not None:
            raise self.error

    def take(self) -> list[tuple[float, str, int]]:
        said, self.said = self.said, []
        return said

    def lengths(self) -> list[int]:
        return [seconds for _, _, seconds in self.take()]


def away(why: str = "gone") -> VenueError:
    """Return what is raised when nobody answered."""
    error = VenueError(why)
    error.__cause__ = TimeoutError()
    return error


def played(
    story: Callable[[Desk, DeadMan], Awaitable[None]], row: Row = WHOLE, seconds: int | None = 60,
    alive: Sequence[Intent] | None = None, symbols: Sequence[str] = (BTC, ETH),
    limits: VenueLimits | None = None,
) -> None:  # fmt: skip
    """Let a story happen while the timers are kept, which must not end by themselves."""
    loop = VirtualLoop()

    async def scene() -> None:
        desk = Desk(loop, row, limits or (UsdmLimits() if row.per_symbol else OkxLimits()))
        keeper = DeadMan(seconds, desk, symbols, desk, alive)
        keeping = asyncio.ensure_future(keeper.run())
        try:
            await story(desk, keeper)
            assert not keeping.done(), keeping
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    run(scene(), loop)


# ---------------------------------------------------------------------- always set


@pytest.mark.parametrize("orders", [[], [RESTING], [STOP]])
def test_it_is_set_from_the_start_and_anew_after_a_third_whatever_rests(orders: list[Intent]) -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        desk.orders = orders
        await asyncio.sleep(101)
        assert desk.take() == [(at, BTC, 60) for at in (0, 20, 40, 60, 80, 100)]

    played(story)


def test_renewals_of_many_contracts_are_spread_also_after_an_outage() -> None:
    symbols = [f"C{n:02}/USDT:USDT" for n in range(10)]

    async def story(desk: Desk, keeper: DeadMan) -> None:
        def most_at_once() -> int:
            times = [at for at, _, _ in desk.take()]
            return max(sum(at <= each < at + 1.5 for each in times) for at in times)

        await asyncio.sleep(1.5)
        assert len(desk.take()) == len(symbols)  # all at once only when nothing is promised
        await asyncio.sleep(60)
        assert [len([s for _, s, _ in desk.said if s == each]) for each in symbols] == [3] * 10
        assert most_at_once() == 1
        desk.error = away()
        await asyncio.sleep(60)
        desk.error = None
        await asyncio.sleep(40)
        desk.take()
        await asyncio.sleep(60)
        assert most_at_once() == 1

    played(story, EACH, symbols=symbols)


def test_it_is_promised_until_its_time_is_over_and_no_longer() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        assert "not answered" in desk.dead_man.refusal(BTC)
        await asyncio.sleep(1)
        assert desk.dead_man.refusal(BTC) == ""
        desk.error = away()
        await asyncio.sleep(58.5)
        assert len(desk.take()) > 10  # again and again
        assert desk.dead_man.refusal(BTC) == ""
        await asyncio.sleep(1)
        assert desk.dead_man.refusal(BTC) == "gone"
        desk.error = None
        await asyncio.sleep(10)
        assert desk.dead_man.refusal(BTC) == ""

    played(story)


def test_a_machine_that_slept_knows_that_the_promise_is_over_and_asks_at_once() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(5)
        desk.slept_ns = 3600 * 10**9
        assert desk.dead_man.refusal(BTC) != ""
        await asyncio.sleep(1.1)
        assert desk.dead_man.refusal(BTC) == ""

    played(story)


@pytest.mark.parametrize("error", [KeyError("data"), VenueError("asked for 60 s, was told 5")])
def test_an_answer_to_something_else_is_no_promise_and_ends_the_last_one(error: Exception) -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(1)
        desk.error = error
        await asyncio.sleep(21)
        assert str(error) in desk.dead_man.refusal(ETH)

    played(story)


def test_an_orderly_end_takes_it_off_only_where_nothing_rests() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(1)
        desk.orders = [OTHER, MARKET]
        desk.take()
        await keeper.end(leaves=False)
        assert [(symbol, seconds) for _, symbol, seconds in desk.take()] == [(BTC, 0)]
        await asyncio.sleep(100)
        assert desk.take() == []

    played(story, EACH)


def test_an_end_over_orders_that_should_be_gone_leaves_it() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(1)
        desk.take()
        await keeper.end(leaves=True)
        await asyncio.sleep(100)
        assert desk.take() == []

    played(story)


# ---------------------------------------------------------------------- none, or not there


def test_with_no_seconds_nothing_is_said_and_nothing_refused() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(100)
        assert desk.said == []
        assert desk.dead_man.refusal(BTC) == ""

    played(story, seconds=0)


def test_a_life_without_takes_off_what_an_earlier_one_set_once_where_it_has_to_do() -> None:
    elsewhere = make_intent(9, symbol="SOL/USDT", style="limit", tif="GTC", px=D(1))

    async def story(desk: Desk, keeper: DeadMan) -> None:
        desk.error = away()
        await asyncio.sleep(1.5)
        desk.error = None
        await asyncio.sleep(10)
        desk.take()
        await asyncio.sleep(200)
        assert desk.said == []
        assert desk.dead_man.refusal(BTC) == ""

    async def counted(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(100)
        told = {(symbol, seconds) for _, symbol, seconds in desk.said}
        assert told == {(BTC, 0), (ETH, 0), ("SOL/USDT", 0)}
        assert len(desk.said) == 3

    played(story, EACH, seconds=0, alive=[elsewhere])
    played(counted, EACH, seconds=0, alive=[elsewhere])


def test_a_contract_with_a_stop_of_an_earlier_life_goes_without_and_refuses_nothing() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(30)
        told = {(symbol, seconds) for _, symbol, seconds in desk.take()}
        assert told == {(BTC, 0), (ETH, 60)}
        assert desk.dead_man.refusal(BTC) == ""

    async def spared(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(30)
        assert set(desk.lengths()) == {60}

    played(story, EACH, alive=[STOP])
    played(spared, WHOLE, alive=[STOP])


def test_of_several_exchanges_each_has_its_own_and_one_without_has_none() -> None:
    loop = VirtualLoop()

    async def story() -> None:
        there, home = Desk(loop, WHOLE, OkxLimits()), NullVenue((BTC,), (), "binance")
        venue = SeveralVenues({"binance": home, "okx": there})
        keeper = DeadMan(60, venue, (BTC, f"{BTC}@okx"), there)
        keeping = asyncio.ensure_future(keeper.run())
        await asyncio.sleep(1)
        assert there.take() == [(0, BTC, 60)]
        there.orders = [RESTING]  # where there is no timer
        await keeper.end(leaves=False)
        assert there.lengths() == [0]
        assert not keeping.done()
        keeping.cancel()

    run(story(), loop)


# ---------------------------------------------------------------------- what it costs


def test_it_leaves_the_last_room_to_exits_and_cancels_until_its_promise_presses() -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(1)
        desk.take()

        async def open_all() -> None:
            while True:
                while desk.meter.take(Request.SEND) is None:
                    pass
                await asyncio.sleep(0.5)

        opening = asyncio.ensure_future(open_all())
        await asyncio.sleep(38)
        assert desk.take() == []  # due since 19 s, and openings have had the room
        await asyncio.sleep(4)
        assert desk.lengths() == [60]
        opening.cancel()

    limits = UsdmLimits()
    limits.limits = limits.limits[:1]  # the one of weight
    played(story, EACH, symbols=[BTC], limits=limits)


@pytest.mark.parametrize(
    ("every_s", "first_s", "away_s"), [(1, 0, 200), (61, 0, 200), (600, 15, 0), (67, 3, 0)]
)
def test_exits_and_cancels_never_lack_room_because_of_it(every_s: int, first_s: int, away_s: int) -> None:
    symbols = [f"C{n:02}/USDT:USDT" for n in range(15)]

    async def story(desk: Desk, keeper: DeadMan) -> None:
        for second in range(600):
            # nobody answers at first, or from the first openings on for a while, and every now and then
            is_away = second < away_s or first_s <= second - away_s < 90 or second % 95 > 60
            desk.error = away() if is_away else None
            while second % every_s == first_s and desk.meter.take(Request.SEND) is None:
                pass
            assert desk.meter.lack(Request.SEND, Rank.REDUCE) is None, second
            assert desk.meter.lack(Request.CANCEL) is None, second
            await asyncio.sleep(1)

    limits = UsdmLimits()
    limits.limits = limits.limits[:1]
    played(story, EACH, symbols=symbols, limits=limits)


@pytest.mark.parametrize(("count", "seconds"), [(1, 60), (15, 60), (20, 76), (31, 118), (32, 0)])
def test_by_itself_it_takes_as_long_as_fits_into_a_fifth_of_the_limits(count: int, seconds: int) -> None:
    symbols = [f"C{n:03}/USDT:USDT" for n in range(count)]

    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(5)
        assert set(desk.lengths()) == ({seconds} if seconds else set())
        assert desk.dead_man.refusal(symbols[0]) == ""

    played(story, EACH, seconds=None, symbols=symbols)


def test_a_given_time_that_does_not_fit_is_refused_with_numbers() -> None:
    symbols = [f"C{n:03}/USDT:USDT" for n in range(20)]
    with pytest.raises(ConfigError, match=r"60 s for 20 timers .* expected at least 76 "):
        played(lambda desk, keeper: asyncio.sleep(0), EACH, symbols=symbols)


def test_failures_of_all_contracts_count_as_one_of_the_venue() -> None:
    symbols = [f"C{n:02}/USDT:USDT" for n in range(10)]

    async def story(desk: Desk, keeper: DeadMan) -> None:
        desk.error = away()
        counted = 0
        for _ in range(59):
            await asyncio.sleep(1)
            failed = desk.meter.faults.take()
            counted += failed.n if failed is not None else 0
        assert len(desk.take()) > 20
        assert counted == 3

    played(story, EACH, symbols=symbols)


@pytest.mark.parametrize(
    ("exchange", "seconds", "wrong"),
    [
        ("okx", None, ""), ("okx", 0, ""), ("okx", 10, ""), ("okx", 120, ""),
        ("okx", 9, "expected 10 to 120"),
        ("okx", 121, "expected 10 to 120"), ("binanceusdm", 121, "expected 1 to 120"), ("binance", 5, ""),
    ],
)  # fmt: skip
def test_a_time_out_is_one_that_the_venue_takes(exchange: str, seconds: int | None, wrong: str) -> None:
    said = unfit(CAPABILITIES[exchange], seconds)
    assert wrong in said
    assert bool(wrong) == bool(said)


# ---------------------------------------------------------------------- the last look


def test_only_what_opens_and_may_rest_is_refused_at_first_and_right_before_it_is_sent() -> None:
    loop = VirtualLoop()

    async def story() -> None:
        desk = Desk(loop, WHOLE, OkxLimits())
        caps = {"USDT": D(10**6)}
        counters, own = Counters(), Limits(max_notional=caps, max_position=caps)
        kills = KillSwitch(None, "local", "main", None, lambda said: None, lambda link: None)  # type: ignore[arg-type]
        passing = Passing(
            own, counters, await desk.connect(), desk, {"BTC": D(1)}, kills, Followed(limits_of({}), own),
            Credits(desk.meter, lambda said: None),
        )  # fmt: skip
        DeadMan(60, desk, (BTC,), desk)
        leave = make_intent(7, side="sell", reduce_only=True, style="limit", tif="GTC", px=D(50_000))
        for passes in (lambda each: passing.refusal(each, 0), passing.unsendable):
            no = passes(RESTING)
            assert no is not None
            assert (no[0], "is not set" in no[1]) == ("dead_man", True)
            assert [passes(each) for each in (MARKET, IOC, leave)] == [None] * 3
        await desk.dead_man.arm(BTC, 60)
        assert passing.refusal(RESTING, 0) is None
        assert passing.unsendable(RESTING) is None
        desk.slept_ns = 61 * 10**9  # it ran out while the order waited
        no = passing.unsendable(RESTING)
        assert no is not None
        assert no[0] == "dead_man"

    run(story(), loop)


def test_a_timer_of_an_earlier_life_is_set_anew_before_what_opens_takes_all_room() -> None:
    """Nothing is promised yet, but what rests would be cancelled by the timer that still runs."""

    async def story(loop: VirtualLoop, alive: list[Intent] | None) -> int:
        desk = Desk(loop, EACH, UsdmLimits())
        while desk.meter.take(Request.DEAD_MAN, Rank.OPEN) is None:
            pass  # an earlier life, or somebody else at this address, took what openings may take
        keeping = asyncio.ensure_future(DeadMan(60, desk, (BTC,), desk, alive).run())
        await asyncio.sleep(2)
        keeping.cancel()
        return len(desk.take())

    follower, first = VirtualLoop(), VirtualLoop()
    assert run(story(follower, [RESTING]), follower) > 0
    assert run(story(first, None), first) == 0


@pytest.mark.parametrize("error", [AttributeError("'NoneType' object has no attribute 'get'"), OSError("x")])
def test_an_answer_that_nobody_thought_of_ends_nothing_and_promises_nothing(error: Exception) -> None:
    async def story(desk: Desk, keeper: DeadMan) -> None:
        await asyncio.sleep(1)
        assert desk.dead_man.refusal(BTC) == ""
        desk.error = error
        await asyncio.sleep(25)
        assert desk.dead_man.refusal(BTC) != ""
        desk.error = None
        await asyncio.sleep(70)
        assert desk.dead_man.refusal(BTC) == ""
        desk.error = error
        await keeper.end(leaves=False)  # goes on

    played(story)
