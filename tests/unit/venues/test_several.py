"""Several venues as one: where a thing goes, under which name it comes back, and what holds of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

import pytest
from msgspec.structs import replace

from parley.budget import Limit, Rank
from parley.messages import CancelIntent, Fill, FundingPaid, Gap, Intent, OrderEvent
from tests.kit.units import make_cancel, make_intent
from venues.binance_limits import BinanceLimits
from venues.capabilities import CAPABILITIES, Capabilities, weakest, wrong_cid
from venues.limits import NoLimits, Request
from venues.meter import Asked, Meter
from venues.null_venue import NullVenue
from venues.port import (
    Absent,
    Acked,
    Ambiguous,
    Denied,
    OnFact,
    Rejected,
    Resting,
    SendResult,
    VenueError,
)
from venues.several import NOWHERE, SeveralVenues, reach
from venues.several_meter import SeveralMeters

D = Decimal
S = 1_000_000_000
ID = b"i" * 16


def event(symbol: str = "BTC/USDT") -> OrderEvent:
    return OrderEvent(iid=ID, venue_id="7", symbol=symbol, status="closed", cum_qty=D(1), avg_px=D(2), t=0)


def fill(venue: str, symbol: str = "BTC/USDT", fee_asset: str = "BTC") -> Fill:
    return Fill(
        trade_id="1", venue=venue, account="main", iid=ID, venue_id="7", symbol=symbol, side="buy", qty=D(1),
        px=D(2), fee=D(0), fee_asset=fee_asset, liquidity="taker", t=0,
    )  # fmt: skip


def paid(symbol: str, asset: str, ref: str) -> FundingPaid:
    return FundingPaid(account="main", symbol=symbol, amount=D(1), asset=asset, t=0, ref=ref)


class Child(NullVenue):
    """A venue that knows plain names only, and keeps what it was asked."""

    def __init__(self, name: str, offset_ms: float = 0.0, row: str = "binance") -> None:
        super().__init__(("BTC/USDT",), (("BTC", D(1)), ("USDT", D(100))), name)
        self.name = name
        self.asked: list[str] = []
        self.known: list[str] = []
        self.offset_ms = offset_ms
        self.error: Exception | None = None
        self.is_heard = True
        self.facts: OnFact = lambda fact: None
        self.ready: Callable[[], None] = lambda: None
        self.broke: asyncio.Future[None] | None = None
        self._row = CAPABILITIES[row]

    @property
    def capabilities(self) -> Capabilities:
        return self._row

    @property
    def fence_ns(self) -> int:
        return len(self.name)

    @property
    def lag_ns(self) -> int:
        return 10 * len(self.name)

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        if self.error is not None:
            raise self.error
        return await super().balances()

    async def clock_offset_ms(self) -> float:
        return self.offset_ms

    async def unasked(self) -> Sequence[Any]:
        return (paid("BTC/USDT", "USDT", "5"), fill(self.name, fee_asset=""))

    async def resting(self, tag: str) -> Sequence[Resting]:
        return [Resting(symbol="BTC/USDT", cid=f"{tag}{self.name}", venue_id="1", terms="buy")]

    def know(self, cid: str, iid: bytes) -> None:
        self.known.append(cid)

    async def send(self, intent: Intent) -> SendResult:
        self.asked.append(intent.symbol)
        return Acked(venue_id="7", t_venue=0, event=event(), fills=(fill(self.name),))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        self.asked.append(intent.symbol)
        return Ambiguous(cause="lost")

    async def look_up(self, intent: Intent) -> Acked | Absent:
        self.asked.append(intent.symbol)
        return Acked(venue_id="7", t_venue=0, event=event(), fills=(fill(self.name),))

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        self.facts, self.ready = on_fact, on_ready
        self.broke = asyncio.get_running_loop().create_future()
        await self.broke

    async def hears(self) -> bool:
        return self.is_heard


def both() -> tuple[SeveralVenues, Child, Child]:
    home, away = Child("binance"), Child("bybit", row="bybit")
    return SeveralVenues({"binance": home, "bybit": away}), home, away


HERE, THERE = "BTC/USDT", "BTC/USDT@bybit"


@pytest.mark.parametrize("symbol", [HERE, THERE])
def test_what_concerns_an_order_goes_to_its_venue_and_comes_back_under_its_name(symbol: str) -> None:
    several, home, away = both()
    intent = make_intent(1, symbol=symbol)
    mine, other = (home, away) if symbol == HERE else (away, home)
    asset = symbol.replace("/USDT", "")
    for answer in (asyncio.run(several.send(intent)), asyncio.run(several.look_up(intent))):
        assert isinstance(answer, Acked)
        assert answer.event is not None
        assert answer.event.symbol == symbol
        assert [(each.symbol, each.fee_asset, each.venue) for each in answer.fills] == [
            (symbol, asset, mine.name)
        ]
    assert asyncio.run(several.cancel(make_cancel(intent))) == Ambiguous(cause="lost")
    assert (mine.asked, other.asked) == ([HERE] * 3, [])
    assert several.meter.of(symbol) is mine.meter


def test_an_order_that_belongs_nowhere_is_sent_nowhere() -> None:
    several, home, away = both()
    for symbol in ("BTC/USDT@okx", "BTC/USDT@binance"):
        intent = make_intent(1, symbol=symbol)
        for asking in (several.send(intent), several.cancel(make_cancel(intent))):
            answer = asyncio.run(asking)
            assert isinstance(answer, Rejected)
            assert answer.code == NOWHERE
        with pytest.raises(VenueError, match="no exchange of this account trades"):
            asyncio.run(several.look_up(intent))
    assert home.asked == away.asked == []
    several.know("c1", ID)
    assert home.known == away.known == ["c1"]


def test_what_the_account_holds_and_what_was_done_to_it_is_told_by_place() -> None:
    several, _, _ = both()
    listed = asyncio.run(several.connect())
    assert {(each.symbol, each.base, each.quote, each.venue) for each in listed.values()} == {
        (HERE, "BTC", "USDT", "binance"), (THERE, "BTC@bybit", "USDT@bybit", "bybit"),
    }  # fmt: skip
    assert list(listed) == [HERE, THERE]
    assert asyncio.run(several.balances()) == (
        ("BTC", D(1)), ("BTC@bybit", D(1)), ("USDT", D(100)), ("USDT@bybit", D(100)),
    )  # fmt: skip
    # a venue's own numbers may be another one's as well
    assert asyncio.run(several.unasked()) == [
        paid(HERE, "USDT", "5"), fill("binance", fee_asset=""),
        paid(THERE, "USDT@bybit", "5@bybit"), fill("bybit", THERE, fee_asset=""),
    ]  # fmt: skip
    assert [(each.symbol, each.cid) for each in asyncio.run(several.resting("t-"))] == [
        (HERE, "t-binance"), (THERE, "t-bybit"),
    ]  # fmt: skip


def test_of_all_venues_the_worst_holds() -> None:
    several, home, away = both()
    assert (several.fence_ns, several.lag_ns) == (7, 70)
    home.offset_ms, away.offset_ms = 3.0, -8.0
    assert asyncio.run(several.clock_offset_ms()) == -8.0
    assert asyncio.run(several.hears())
    away.is_heard = False
    assert not asyncio.run(several.hears())


def test_the_row_of_an_order_is_that_of_its_own_venue() -> None:
    several, home, away = both()
    assert several.capabilities.of(HERE) == home.capabilities
    assert several.capabilities.of(THERE) == away.capabilities
    assert several.capabilities.of("BTC/USDT@okx") == several.capabilities
    assert home.capabilities.of(HERE) == home.capabilities
    assert (several.capabilities.retention_h, several.capabilities.traded_h) == (24, 6 * 24)


@pytest.mark.parametrize("is_home_away", [True, False])
def test_of_several_venues_those_that_answer_are_traded_without_the_others(is_home_away: bool) -> None:
    several, home, away = both()
    failing, other = (home, away) if is_home_away else (away, home)
    failing.error = VenueError("down")
    mine, gone = (THERE, "") if is_home_away else (HERE, "bybit")
    reached = asyncio.run(reach(several))
    assert list(reached.instruments) == [mine]
    assert [asset for asset, _ in reached.assets] == (
        ["BTC@bybit", "USDT@bybit"] if is_home_away else ["BTC", "USDT"]
    )
    assert {where: (error.venue, str(error)) for where, error in reached.missing.items()} == {
        gone: (failing.name, "down")
    }
    nowhere, there = make_intent(1, symbol=HERE if is_home_away else THERE), make_intent(2, symbol=mine)
    assert isinstance(asyncio.run(reached.venue.cancel(make_cancel(nowhere))), Rejected)
    assert isinstance(asyncio.run(reached.venue.cancel(make_cancel(there))), Ambiguous)
    assert (failing.asked, other.asked) == ([], [HERE])
    assert reached.venue.capabilities == several.capabilities
    assert reached.venue.meter.of(HERE) is home.meter
    other.error = VenueError("away")
    failing.error = Denied("down")
    with pytest.raises(VenueError, match="down"):
        asyncio.run(reach(several))


def test_one_venue_is_reached_as_it_is() -> None:
    home = Child("binance")
    reached = asyncio.run(reach(home))
    assert reached.venue is home
    assert (list(reached.instruments), reached.missing) == ([HERE], {})
    assert reached.assets == asyncio.run(home.balances())
    home.error = VenueError("down")
    with pytest.raises(VenueError, match="down"):
        asyncio.run(reach(home))


def test_an_error_names_its_venue_and_one_that_waiting_does_not_help_comes_first() -> None:
    several, home, away = both()
    home.error, away.error = VenueError("away"), Denied("bad key")
    with pytest.raises(Denied, match="bad key") as caught:
        asyncio.run(several.balances())
    assert caught.value.venue == "bybit"
    away.error = None
    with pytest.raises(VenueError, match="away") as caught:
        asyncio.run(several.balances())
    assert caught.value.venue == "binance"


def test_the_streams_stand_when_all_do_and_end_when_one_fails() -> None:
    async def run() -> None:
        several, home, away = both()
        told: list[Any] = []
        stands = asyncio.Event()
        following = asyncio.ensure_future(several.follow(told.append, stands.set))
        while home.broke is None or away.broke is None:
            await asyncio.sleep(0)
        home.ready()
        home.ready()
        assert not stands.is_set()
        away.ready()
        assert stands.is_set()
        for child in (home, away):
            for fact in (event(), fill(child.name), Gap(stream="user", from_seq=1, to_seq=2)):
                child.facts(fact)
        assert told == [
            event(), fill("binance"), Gap(stream="user", from_seq=1, to_seq=2),
            event(THERE), fill("bybit", THERE, "BTC@bybit"), Gap(stream="user@bybit", from_seq=1, to_seq=2),
        ]  # fmt: skip
        away.broke.set_exception(RuntimeError("it broke"))
        with pytest.raises(RuntimeError, match="it broke"):
            await following
        assert home.broke.cancelled()

    asyncio.run(run())


def test_the_weakest_of_several_rows_is_what_every_venue_can() -> None:
    rows = [CAPABILITIES[each] for each in ("binance", "kraken", "okx")]
    row = weakest(rows)
    assert (row.cid_len, row.uniqueness, row.retention_h, row.look_up) == (31, "open", 1, ("open", "closed"))
    assert row.fence
    assert row.assumed == CAPABILITIES["kraken"].assumed
    assert not row.stops
    for cid in ("x" * 31, "A9", "a_b", "a-b", "x" * 32, "", "ä"):
        fits = all(not wrong_cid(each, cid) for each in rows)
        assert (not wrong_cid(row, cid)) is fits, cid
    assert weakest([CAPABILITIES["kucoin"], CAPABILITIES["bybit"]]).uniqueness == "none"
    assert weakest([CAPABILITIES["bybit"], replace(CAPABILITIES["okx"], fence="")]).fence == ""
    mixed = weakest([CAPABILITIES["binance"], CAPABILITIES["binanceusdm"]])
    assert (mixed.contracts, mixed.forced) == (True, CAPABILITIES["binanceusdm"].forced)


def limited(most: int, now: list[int]) -> Meter:
    meter = Meter(BinanceLimits(), lambda: now[0], lambda: 0.0)
    meter.adopt([Limit("ORDERS 10S", most, 10 * S)])
    return meter


def test_what_goes_to_all_is_paid_for_at_all_or_at_none() -> None:
    now = [1000 * S]
    wide, narrow = limited(100, now), limited(10, now)
    meters = SeveralMeters({"wide": wide, "narrow": narrow})
    for _ in range(8):
        assert meters.take(Request.SEND) is None
    lack = meters.take(Request.SEND)
    assert lack is not None
    assert lack.limit == "ORDERS 10S of narrow"
    left = 0
    while wide.take(Request.SEND) is None:
        left += 1
    assert left == 80 - 8, "what was not made is not paid for"
    assert meters.take(Request.SEND, Rank.REDUCE) is None, "what leaves a holding has more room at both"


def test_who_asks_all_waits_for_the_last_of_them() -> None:
    async def run() -> None:
        quick, slow = Meter(NoLimits()), limited(5, [0])
        meters = SeveralMeters({"quick": quick, "slow": cast(Asked, slow)})
        while slow.take(Request.SEND) is None:
            pass
        lack = await meters.turn(Request.SEND, 1)
        assert lack is not None
        assert lack.limit == "ORDERS 10S of slow"
        assert await meters.turn(Request.TIME) is None

    asyncio.run(run())


def test_faults_of_all_are_told_with_the_name_of_the_last() -> None:
    a, b = Meter(NoLimits()), Meter(NoLimits())
    faults = SeveralMeters({"a": a, "b": b}).faults
    assert faults.take() is None
    a.faults.failed("time", "down")
    b.faults.failed("balances", "odd")
    b.faults.failed("stream", "cut")
    assert faults.take() == (3, "stream", "b: cut")
    assert faults.take() is None
