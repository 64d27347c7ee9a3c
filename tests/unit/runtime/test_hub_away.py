"""The home exchange paces a hub and ends its feed; the others are read, and waited for briefly at the end."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from parley.errors import Fatal
from runtime import hub_away
from runtime.hub import run_announced
from runtime.hub_away import AwaySandboxes
from runtime.hub_batches import Hub
from runtime.hub_control import End, Sandbox
from runtime.hub_feed import MS, Marks, Step


def step(n: int, t: int, **over: Any) -> Step:
    return Step(step=n, t=t, marks={"BTCUSDT": Marks(candle=t)}, **over)


def end(sent: int, fills: int = 0) -> End:
    return End(end=True, steps=1, candles_sent=sent, fills=fills, candles_closed={"BTCUSDT": sent})


class Control:
    """Announces what it is given, then says nothing any more; `Fatal` is raised."""

    def __init__(self, *said: Step | End | Fatal) -> None:
        self._said = list(said)
        self.gone = 0

    def go(self) -> None:
        self.gone += 1

    async def next(self) -> Step | End:
        await asyncio.sleep(0)
        if not self._said:
            await asyncio.Event().wait()
        said = self._said.pop(0)
        if isinstance(said, Fatal):
            raise said
        return said


def away(**controls: Control) -> AwaySandboxes:
    return AwaySandboxes({name: cast(Sandbox, each) for name, each in controls.items()})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_away, "_ENDS_S", 0.2)


def ended(others: AwaySandboxes, first: End, *gaps: str) -> tuple[End, list[Step]]:
    arrived: list[Step] = []
    told: list[str] = []

    async def arrive(each: Step) -> None:
        arrived.append(each)

    async def run() -> End:
        reading = asyncio.ensure_future(others.read())
        for _ in range(5):
            await asyncio.sleep(0)
        result = await others.end(first, arrive, told.append)
        assert not reading.done()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return result

    result = asyncio.run(run())
    assert told == [*gaps]
    return result, arrived


def late(name: str) -> str:
    return f"{name} candle: it played on when the feed ended, its last were not waited for"


def test_the_end_sums_what_all_sent_and_their_last_steps_have_arrived() -> None:
    others = away(bybit=Control(step(1, 5), step(2, 9), end(7, 2)), okx=Control(step(1, 4), end(3, 1)))
    total, arrived = ended(others, end(10, 4))
    assert (total.candles_sent, total.fills) == (20, 7)
    assert total.candles_closed == {"BTCUSDT": 10, "BTCUSDT@bybit": 7, "BTCUSDT@okx": 3}
    assert [each.marks for each in arrived] == [
        {"BTCUSDT@bybit": Marks(candle=9)}, {"BTCUSDT@okx": Marks(candle=4)},
    ]  # fmt: skip


def test_one_that_plays_on_is_not_waited_for() -> None:
    began = time.monotonic()
    total, arrived = ended(away(bybit=Control(step(1, 5, candles_sent=6, fills=1))), end(10), late("bybit"))
    assert time.monotonic() - began < 5
    assert (total.candles_sent, total.fills, total.candles_closed) == (16, 1, {"BTCUSDT": 10})
    assert arrived == []


def test_one_that_plays_on_is_a_gap_and_keeps_nothing_of_another_from_arriving() -> None:
    others = away(bybit=Control(step(1, 5)), okx=Control(step(1, 4), end(3, 1)))
    total, arrived = ended(others, end(10), late("bybit"))
    assert total.candles_closed == {"BTCUSDT": 10, "BTCUSDT@okx": 3}
    assert [each.marks for each in arrived] == [{"BTCUSDT@okx": Marks(candle=4)}]


def test_candles_of_several_are_waited_for_together() -> None:
    others = away(bybit=Control(step(1, 5), end(7)), okx=Control(step(1, 4), end(3)))
    both, gaps = asyncio.Barrier(2), list[str]()

    async def arrive(each: Step) -> None:
        await both.wait()

    async def run() -> None:
        reading = asyncio.ensure_future(others.read())
        await others.end(end(10), arrive, gaps.append)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(run())
    assert gaps == []


def test_one_that_is_lost_before_the_end_ends_the_hub_and_after_it_nothing() -> None:
    lost = Fatal("the sandbox closed its control socket")
    with pytest.raises(Fatal, match="bybit: the sandbox closed"):
        asyncio.run(away(bybit=Control(step(1, 5), lost)).read())
    others = away(bybit=Control(step(1, 5)), okx=Control())

    async def run() -> None:
        await others.end(end(1), lambda _: asyncio.sleep(0), lambda _: None)
        lost_late = away(bybit=Control(lost))
        lost_late._is_over = others._is_over
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lost_late.read()

    asyncio.run(run())


class Pace:
    """A hub whose first batch holds a candle of another exchange, which closed before the home one's step."""

    is_free, has_news, next_step = True, False, 9

    def __init__(self) -> None:
        self.t = 0
        self.sent: list[int] = []
        self.over: list[End] = []

    async def opened(self) -> None: ...

    async def closed(self) -> None: ...

    async def finish(self) -> None: ...

    async def arrived(self, each: Step) -> None: ...

    def on_gap(self, note: str) -> None: ...

    def gather(self, t: int) -> None: ...

    def send(self, number: int, t: int) -> None:
        self.t = max(t, 120_000 * MS)
        self.sent.append(t)

    def send_end(self, said: End) -> None:
        self.over.append(said)


def test_the_home_exchange_paces_and_time_never_goes_back() -> None:
    home, other = Control(step(1, 119_990), step(2, 119_995), step(3, 120_010), end(3)), Control()
    pace = Pace()
    asyncio.run(run_announced(cast(Hub, pace), cast(Sandbox, home), away(bybit=other)))
    assert (home.gone, other.gone) == (1, 1)
    assert [t // MS for t in pace.sent] == [119_990, 120_000, 120_010]
    assert [each.candles_sent for each in pace.over] == [3]
