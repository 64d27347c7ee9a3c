"""The further exchanges of a hub whose first one is a sandbox that runs by the clock.

Problem: each exchange is a process of its own and plays its market by the same clock, a few milliseconds
before or after the others. Who waited for all of them with every step would be as slow as the slowest, and
one clock has to say what time it is. So the first exchange paces the batches and gives the time; the others
are told to go at the same moment, and what they announce is read so that they can go on.

Not here: the feed of several exchanges (`venues.several_feed`), the pace itself (`hub`).

Invariant: nothing waits for a further exchange but, for a moment, the end, and what does not come until then
is a gap; one that is lost before the end ends the hub, as the first one does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from parley.errors import Fatal
from parley.instruments import at
from runtime.hub_control import End, Sandbox
from runtime.hub_feed import Step
from runtime.unit import UnitConfig, path_of

_ENDS_S: Final = 3.0


class AwayFeed(UnitConfig, frozen=True, kw_only=True):
    """A further exchange of a hub, by ccxt's name of it, which stands behind the names of its symbols.

    ``symbols`` themselves are plain. ``control``: the control socket of its sandbox.
    """

    exchange: str
    symbols: tuple[str, ...]
    rest: str = ""
    ws: str = ""
    control: str = ""


class AwaySandboxes:
    """The control sockets of further exchanges, by name."""

    def __init__(self, sandboxes: Mapping[str, Sandbox]) -> None:
        self._sandboxes = dict(sandboxes)
        self._last: dict[str, Step] = {}
        self._ends: dict[str, End] = {}
        self._is_over = False
        self._ended = {name: asyncio.Event() for name in sandboxes}

    @classmethod
    async def greet(cls, exchanges: Sequence[AwayFeed]) -> "AwaySandboxes":
        """Connect to each that has a control socket; raises `UserError` as `Sandbox.greet`."""
        return cls({each.exchange: await Sandbox.greet(path_of(each.control)) for each in exchanges})

    def go(self) -> None:
        """Let their markets begin."""
        for each in self._sandboxes.values():
            each.go()

    async def read(self) -> None:
        """Read what they announce until cancelled.

        Raises
        ------
        Fatal
            When one hung up before its end, or said something else.
        """
        await asyncio.gather(*(self._read(name, each) for name, each in self._sandboxes.items()))
        await asyncio.Event().wait()

    async def _read(self, name: str, sandbox: Sandbox) -> None:
        try:
            while isinstance(said := await sandbox.next(), Step):
                self._last[name] = said
        except Fatal as error:
            if not self._is_over:
                raise Fatal(f"{name}: {error}") from error
            return
        self._ends[name] = said
        self._ended[name].set()

    async def _all_of(self, name: str, arrived: Callable[[Step], Awaitable[None]]) -> None:
        await self._ended[name].wait()
        if (step := self._last.get(name)) is not None:
            marks = {at(symbol, name): mark for symbol, mark in step.marks.items()}
            await arrived(replace(step, marks=marks))

    async def end(
        self, end: End, arrived: Callable[[Step], Awaitable[None]], on_gap: Callable[[str], None]
    ) -> End:
        """Return the end of the first exchange's feed with what the others sent until then.

        Their last candles are waited for a moment: after ``arrived`` a step is here. ``on_gap`` is told whose
        did not come.
        """
        self._is_over = True
        if not self._sandboxes:
            return end
        waits = {name: asyncio.ensure_future(self._all_of(name, arrived)) for name in self._sandboxes}
        try:
            await asyncio.wait(waits.values(), timeout=_ENDS_S)
        finally:
            for wait in waits.values():
                wait.cancel()
        for name, wait in waits.items():
            if not wait.done():
                on_gap(f"{name} candle: it played on when the feed ended, its last were not waited for")
            elif (error := wait.exception()) is not None:
                raise error
        closed = {
            at(symbol, name): count for name, each in self._ends.items()
            for symbol, count in each.candles_closed.items()
        }  # fmt: skip
        last = [self._ends.get(name) or self._last.get(name) for name in self._sandboxes]
        return replace(
            end,
            candles_sent=end.candles_sent + sum(each.candles_sent for each in last if each is not None),
            fills=end.fills + sum(each.fills for each in last if each is not None),
            candles_closed=end.candles_closed | closed,
        )
