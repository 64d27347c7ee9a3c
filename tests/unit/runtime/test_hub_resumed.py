"""A hub whose first desk has a past, of a run that is resumed or of a hub that died: its steps go on, and no
bar is lost or told twice.

Real hub, real frames, real socket; only the venue's caches are made up, so that bars are there when a test
wants them. Not here: a hub's process and a real exchange (tests/contract/test_hub_resumed.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from parley.messages import Bar, MarketBatch
from runtime import candle_repair
from runtime.candle_close import Row
from runtime.frames import listen
from runtime.hub import run_by_arrival
from runtime.hub_batches import Hub, HubConfig
from runtime.hub_have import Have
from tests.kit.units import FakeDesk, short_folder
from venues.ccxt_feed import CcxtFeed

SYMBOL = "BTC/USDT"
MINUTE_MS = 60_000


class Caches:
    """What ccxt keeps of one symbol's candles; the newest is still forming."""

    symbols = (SYMBOL,)
    streams = frozenset({"candle", "book"})
    tf_ms = MINUTE_MS
    reconnects = resyncs = 0

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.unheard = 0  # rows that closed before this hub came: only the list has them
        self.number = -1  # of the book
        self.side: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
        self._rows: list[Row] = []

    def close_bars(self, count: int) -> None:
        """Let so many candles close."""
        opened = len(self._rows)
        for n in range(opened, opened + count + (not opened)):
            self._rows.append((n * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, float(n)))
        self.heard.set()

    def candles(self, symbol: str, after_ms: int) -> list[Row]:
        return [row for row in self._rows[self.unheard :] if row[0] > after_ms]

    async def fetch_candles(self, symbol: str, since_ms: int) -> list[Row]:
        return [row for row in self._rows if row[0] >= since_ms]

    def trades(self, symbol: str, after_id: int) -> list[Any]:
        return []

    def book_number(self, symbol: str) -> int:
        return self.number

    def book(self, symbol: str, levels: int) -> Any:
        return self.number, 0, self.side, self.side

    def hear_at_once(self) -> None:
        pass  # the tests set `heard`

    def notice_replaced(self, on_break: Callable[[str], None]) -> None:
        pass  # nothing is connected here

    async def is_subscribed(self) -> bool:
        return True


@contextlib.asynccontextmanager
async def hub(
    *, takes_over: bool = False, streams: tuple[str, ...] = ("candle",)
) -> AsyncIterator[tuple[Caches, Callable[[], Awaitable[FakeDesk]]]]:
    """Run a hub by arrival; comes with its venue's caches and a way to connect the next desk."""
    with short_folder() as folder:
        caches, path = Caches(), folder / "hub.sock"
        config = HubConfig(
            socket=str(path), symbols=(SYMBOL,), streams=streams, desk_returns_s=20.0
        )  # fmt: skip
        feed = cast(CcxtFeed, caches)
        serving = Hub(config, feed, takes_over=takes_over)
        server = await listen(path, serving.on_connect)
        pace = asyncio.ensure_future(run_by_arrival(serving, feed))
        desks: list[FakeDesk] = []

        async def next_desk() -> FakeDesk:
            for desk in desks:
                desk.link.close("this desk was killed", abort=True)
            desks.append(await FakeDesk.connect(path))
            return desks[-1]

        try:
            yield caches, next_desk
        finally:
            pace.cancel()
            await asyncio.gather(pace, return_exceptions=True)
            for desk in desks:
                desk.link.close("the test is over", abort=True)
            server.close()
            await asyncio.sleep(0)


async def read_on(desk: FakeDesk, bars: int, had: int, closed: int = 0) -> list[Bar]:
    """Close what comes, as a desk that has the steps up to ``had``, until it has so many bars."""
    taken: list[Bar] = []
    while len(taken) < bars:
        batch = await desk.hear(MarketBatch, closed + 1)
        if batch.step > had:  # an old one is passed over, see `runtime.desk`
            taken += batch.bars
        desk.say(f"closed:{batch.step}")
        closed += 1
    return taken


def opened(bars: list[Bar]) -> list[int]:
    return [bar.t_open // 1_000_000 // MINUTE_MS for bar in bars]


def test_steps_go_on_behind_what_the_desk_has_and_the_gap_is_said() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            desk = await next_desk()
            desk.say(Have(step=14).text())
            note = await desk.hear(MarketBatch)
            desk.say(f"closed:{note.step}")
            caches.close_bars(2)
            bars = await desk.hear(MarketBatch, 2)

            assert [note.step, bars.step] == [15, 16]
            assert [text for text in note.gaps if "went on after step 14" in text] == list(note.gaps) != []
            assert (opened(list(bars.bars)), bars.gaps) == ([0, 1], ())

    asyncio.run(run())


def test_batch_under_way_when_the_desk_says_what_it_has_comes_again_under_a_new_number() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(3)
            desk = await next_desk()
            old = await desk.hear(MarketBatch)
            assert (old.step, opened(list(old.bars))) == (1, [0, 1, 2])

            desk.say(Have(step=14).text())
            desk.say("closed:1")
            again = await desk.hear(MarketBatch, 2)
            desk.say(f"closed:{again.step}")
            caches.close_bars(2)
            later = await desk.hear(MarketBatch, 3)

            assert [again.step, later.step] == [15, 16]
            assert opened([*again.bars, *later.bars]) == [0, 1, 2, 3, 4]
            assert len(again.gaps) == 1

    asyncio.run(run())


def test_a_run_of_one_step_goes_on_as_well() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(3)
            desk = await next_desk()
            await desk.hear(MarketBatch)
            desk.say(Have(step=1).text())  # of the hub before, whose first batch was another
            desk.say("closed:1")
            again = await desk.hear(MarketBatch, 2)

            assert (again.step, opened(list(again.bars)), len(again.gaps)) == (2, [0, 1, 2], 1)

    asyncio.run(run())


def test_a_desk_without_a_step_gets_the_first() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(1)
            desk = await next_desk()
            desk.say(Have(step=0).text())
            first = await desk.hear(MarketBatch)
            desk.say("closed:1")
            caches.close_bars(1)
            second = await desk.hear(MarketBatch, 2)

            assert [(each.step, opened(list(each.bars)), each.gaps) for each in (first, second)] == [
                (1, [0], ()), (2, [1], ())
            ]  # fmt: skip

    asyncio.run(run())


@pytest.mark.parametrize(("had", "bars"), [(15, [0, 1, 2]), (16, [2])])
def test_a_desk_killed_after_the_hub_counts_on_gets_what_it_had_not(had: int, bars: list[int]) -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            desk = await next_desk()
            desk.say(Have(step=14).text())
            note = await desk.hear(MarketBatch)
            desk.say(f"closed:{note.step}")
            caches.close_bars(2)
            assert (await desk.hear(MarketBatch, 2)).step == 16

            second = await next_desk()
            second.say(Have(step=had).text())
            caches.close_bars(1)
            assert opened(await read_on(second, len(bars), had=had)) == bars
            assert {each.step for each in second.of(MarketBatch)} <= {17, 18}
            assert [each.gaps for each in second.of(MarketBatch)] == [()] * len(second.of(MarketBatch))

    asyncio.run(run())


def test_only_the_desk_that_was_sent_the_old_batch_may_close_it() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(3)
            first = await next_desk()
            await first.hear(MarketBatch)
            first.say(Have(step=14).text())
            await asyncio.sleep(0.05)  # so that the hub has read it

            second = await next_desk()
            second.say(Have(step=14).text())
            assert (await second.hear(MarketBatch)).step > 14
            second.say("closed:1")
            await second.until(lambda: second.lost)

    asyncio.run(run())


def test_a_resumed_desk_killed_before_it_closed_the_batch_under_way_gets_every_bar_once() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(3)
            first = await next_desk()
            await first.hear(MarketBatch)
            first.say(Have(step=14).text())
            await asyncio.sleep(0.05)  # so that the hub has read it; else this is another, simpler case
            caches.close_bars(2)

            second = await next_desk()
            second.say(Have(step=14).text())
            got = await read_on(second, 5, had=14)
            caches.close_bars(1)
            got += await read_on(second, 1, had=14, closed=len(second.of(MarketBatch)))
            assert opened(got) == [0, 1, 2, 3, 4, 5]

    asyncio.run(run())


def test_a_resumed_desk_killed_before_it_said_what_it_has_is_no_first_one() -> None:
    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.close_bars(3)
            first = await next_desk()
            await first.hear(MarketBatch)

            second = await next_desk()
            second.say(Have(step=14).text())
            caches.close_bars(2)
            async with asyncio.timeout(3):
                got = await read_on(second, 5, had=14)

            assert opened(got) == [0, 1, 2, 3, 4]
            assert second.of(MarketBatch)[0].step == 15

    asyncio.run(run())


@pytest.mark.parametrize("side", [((1.0, 1.0),), ()])
def test_a_desk_that_comes_back_is_told_every_book_anew(side: tuple[tuple[float, float], ...]) -> None:
    """Also one that lost a side meanwhile: it has to take the place of the old one."""

    async def run() -> None:
        async with hub() as (caches, next_desk):
            caches.number = 7
            first = await next_desk()
            assert [book.bids for book in (await first.hear(MarketBatch)).books] == [((1.0, 1.0),)]
            first.say("closed:1")
            caches.side = side

            second = await next_desk()
            second.say(Have(step=1).text())
            again = await second.hear(MarketBatch)

            assert [(book.symbol, book.seq, book.bids) for book in again.books] == [(SYMBOL, 7, side)]

    asyncio.run(run())


HAD = Have(step=14, t=3 * MINUTE_MS * 10**6, begun=1, steps=9, candles=3, bars={SYMBOL: 2 * MINUTE_MS})


@pytest.fixture
def settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_repair, "_SETTLING_S", 0.0)


@pytest.mark.usefixtures("settles_at_once")
@pytest.mark.parametrize("takes_over", [True, False])
def test_candles_that_closed_while_there_was_no_hub_are_asked_for(takes_over: bool) -> None:
    async def run() -> None:
        async with hub(takes_over=takes_over) as (caches, next_desk):
            caches.close_bars(6)  # 0 to 2 the desk has, 3 to 5 nobody told
            # one that takes over waits for its desk's word; of another nothing may have closed before that
            caches.unheard = 6 if takes_over else 7
            desk = await next_desk()
            desk.say(HAD.text())
            note = await desk.hear(MarketBatch)
            desk.say(f"closed:{note.step}")
            caches.unheard = 6
            got = [*note.bars]
            while len(got) < 3:
                batch = await desk.hear(MarketBatch, len(desk.of(MarketBatch)) + 1)
                got += batch.bars
                desk.say(f"closed:{batch.step}")
            caches.close_bars(2)
            later = await desk.hear(MarketBatch, len(desk.of(MarketBatch)) + 1)

            assert opened(got) == [3, 4, 5]
            assert opened([*later.bars]) == [6, 7]
            assert [text for each in desk.of(MarketBatch) for text in each.gaps] == list(note.gaps)
            assert [each.step for each in desk.of(MarketBatch)] == [15, 16, 17]

    asyncio.run(run())


def test_hub_that_takes_over_says_nothing_before_its_desk_has_spoken() -> None:
    async def run() -> None:
        async with hub(takes_over=True) as (caches, next_desk):
            caches.close_bars(3)
            await next_desk()
            second = await next_desk()  # the first one died before its word
            await asyncio.sleep(0.1)
            assert second.messages == []
            second.say(Have().text())  # not even the first batch came
            batch = await second.hear(MarketBatch)
            assert (batch.step, opened(list(batch.bars)), len(batch.gaps)) == (1, [0, 1, 2], 1)

    asyncio.run(run())


@pytest.mark.usefixtures("settles_at_once")
def test_candles_that_the_venue_does_not_list_are_a_gap() -> None:
    async def run() -> None:
        async with hub(takes_over=True) as (caches, next_desk):
            caches.close_bars(6)
            del caches._rows[4]
            caches.unheard = 5
            desk = await next_desk()
            desk.say(HAD.text())
            got: list[Bar] = []
            notes: list[str] = []
            while len(got) < 2:
                batch = await desk.hear(MarketBatch, len(desk.of(MarketBatch)) + 1)
                got += batch.bars
                notes += batch.gaps
                desk.say(f"closed:{batch.step}")

            assert opened(got) == [3, 5]
            assert notes[1:] == [f"candle: {SYMBOL} misses 1"]

    asyncio.run(run())
