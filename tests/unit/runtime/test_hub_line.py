"""A desk's line to its hub: what is said and noticed when the hub dies, comes back, or does not.

Real sockets; the hub's end is a listener of this test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from parley.errors import UserError
from parley.messages import Alarm, Book, Envelope, MarketBatch
from runtime import hub_line
from runtime.frames import Link, listen
from runtime.hub_have import Have, read_have
from runtime.hub_line import MET, HubLine
from tests.kit.units import short_folder

SYMBOLS = ("A/B", "C/D")
PATIENCE_S = 10.0


class Desk:
    """What the line tells its desk."""

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        self.alarms: list[Alarm] = []
        self.line = HubLine(
            path, self._arrive, lambda why: self.heard.append(f"lost: {why}"),
            lambda: self.heard.append("away"), self.alarms.append,
        )  # fmt: skip

    def _arrive(self, envelope: Envelope) -> None:
        self.heard.append(envelope.body.decode())

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.005)


class Hub:
    """The other end; ``said`` is what the desk said it has, of each life."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.said: list[Have | None] = []
        self.links: list[Link] = []

    async def serve(self) -> None:
        self._server = await listen(self._path, self._take)

    def _take(self, link: Link) -> None:
        self.links.append(link)
        link.on_envelope = lambda envelope: self.said.append(read_have(envelope.body))

    async def die(self) -> None:
        self._server.close()
        for link in self.links:
            link.close("killed", abort=True)
        self.links.clear()
        await asyncio.sleep(0)


def with_hub(case: Callable[[Desk, Hub], Awaitable[None]]) -> None:
    async def run() -> None:
        with short_folder() as folder:
            hub = Hub(folder / "hub.sock")
            await hub.serve()
            desk = Desk(folder / "hub.sock")
            try:
                await case(desk, hub)
            finally:
                desk.line.close()
                await hub.die()

    asyncio.run(run())


async def opened(desk: Desk, hub: Hub, returns_s: float = 60.0) -> None:
    await desk.line.open(SYMBOLS, returns_s, None)
    await desk.until(lambda: hub.links)


def batch(*symbols: str) -> MarketBatch:
    books = tuple(Book(symbol=each, t=1, seq=1, bids=(), asks=()) for each in symbols)
    return MarketBatch(step=1, t=1, bars=(), books=books, prints=())


def test_next_hub_is_met_and_told_once_what_the_desk_has() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        await hub.die()
        await desk.until(lambda: desk.heard == ["away"])
        await hub.serve()
        await desk.until(lambda: desk.heard == ["away", MET])
        assert hub.said == [], "the desk may still be busy with what the last one told"
        for _ in range(2):
            desk.line.say_what_it_has(Have(step=14))
        await desk.until(lambda: hub.said)
        await asyncio.sleep(0.05)
        assert hub.said == [Have(step=14)]

    with_hub(case)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_desk_with_a_past_doubts_its_books_until_each_came(is_there: bool) -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        if not is_there:
            await hub.die()
        await desk.line.open(SYMBOLS, 60.0, Have(step=14))
        assert desk.heard == ["away"]
        if not is_there:
            await met(desk, hub)
            assert desk.heard == ["away", MET]
        await desk.until(lambda: hub.said == [Have(step=14)])
        assert not desk.line.is_whole_with(batch("A/B"))
        assert desk.line.is_whole_with(batch("C/D"))

    with_hub(case)


def test_where_the_market_waited_for_the_desk_its_books_are_todays() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await desk.line.open(SYMBOLS, 0.0, Have(step=14))
        await desk.until(lambda: hub.said == [Have(step=14)])
        assert desk.heard == []

    with_hub(case)


async def met(desk: Desk, hub: Hub) -> None:
    """Let another hub take the place, and the desk say what it has."""
    before = desk.heard.count(MET)
    await hub.serve()
    await desk.until(lambda: desk.heard.count(MET) > before)
    desk.line.say_what_it_has(Have(step=14))


def test_market_is_whole_when_every_book_came_since_the_next_hub_was_met() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        assert not desk.line.is_whole_with(batch("A/B"))
        assert desk.line.is_whole_with(batch("C/D"))
        await hub.die()
        await desk.until(lambda: desk.heard)
        await met(desk, hub)
        assert not desk.line.is_whole_with(batch("C/D"))
        assert not desk.line.is_whole_with(batch())
        assert desk.line.is_whole_with(batch("A/B"))

    with_hub(case)


def test_books_of_a_hub_that_is_gone_make_no_market_whole() -> None:
    """They waited in the desk's queue, whether nobody has come yet, the next one is not met, or died too."""

    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        for n in range(1, 3):
            await hub.die()
            await desk.until(lambda: "away" in desk.heard)
            assert not desk.line.is_whole_with(batch(*SYMBOLS))
            await hub.serve()
            await desk.until(lambda: desk.heard.count(MET) == n)  # noqa: B023 - awaited in the same turn
            assert not desk.line.is_whole_with(batch(*SYMBOLS)), "what comes before it was met is of another"
        desk.line.say_what_it_has(Have(step=14))
        assert not desk.line.is_whole_with(batch("A/B"))
        assert desk.line.is_whole_with(batch("C/D"))

    with_hub(case)


def test_hub_that_dies_again_before_it_told_anything_is_no_news() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        for _ in range(2):
            await hub.die()
            await hub.serve()
            await desk.until(lambda: hub.links)
        await desk.until(lambda: desk.heard == ["away", MET, MET])

    with_hub(case)


def test_a_person_is_told_once_when_the_market_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_line, "_ALARM_S", 0.05)

    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        desk.line.is_whole_with(batch(*SYMBOLS))
        await hub.die()
        await desk.until(lambda: desk.alarms)
        await hub.serve()
        await desk.until(lambda: MET in desk.heard)
        await asyncio.sleep(0.1)
        (alarm,) = desk.alarms
        assert (alarm.about, alarm.subject, alarm.n) == ("market", "hub", 1)
        assert "nothing is opened since; books not told anew: A/B, C/D" in alarm.detail

    with_hub(case)


def test_nobody_is_told_of_a_market_that_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_line, "_ALARM_S", 0.05)

    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub)
        await hub.die()
        await desk.until(lambda: desk.heard)
        await met(desk, hub)
        assert desk.line.is_whole_with(batch(*SYMBOLS))
        await asyncio.sleep(0.1)
        assert desk.alarms == []

    with_hub(case)


def test_end_of_patience_is_an_end_for_good() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await opened(desk, hub, 0.1)
        await hub.die()
        await desk.until(lambda: len(desk.heard) == 2)
        away, lost = desk.heard
        assert away == "away"
        assert lost.startswith("lost: ")
        assert lost.endswith("; no other took its place within 0 s")

    with_hub(case)


def test_without_patience_a_break_is_the_end_and_no_hub_is_a_mistake() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await desk.line.open(SYMBOLS, 0.0, Have(step=3))
        await desk.until(lambda: hub.said == [Have(step=3)])
        await hub.die()
        await desk.until(lambda: desk.heard)
        assert desk.heard[0].startswith("lost: ")
        with pytest.raises(UserError, match="cannot reach the socket"):
            await desk.line.open(SYMBOLS, 0.0, None)

    with_hub(case)


def test_desk_that_finds_no_hub_does_not_wait_for_it() -> None:
    async def case(desk: Desk, hub: Hub) -> None:
        await hub.die()
        await desk.line.open(SYMBOLS, 60.0, Have(step=3))
        assert desk.heard == ["away"]
        await hub.serve()
        await desk.until(lambda: desk.heard == ["away", MET])

    with_hub(case)
