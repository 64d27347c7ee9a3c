"""A desk's line to its market data hub, which may be followed by another hub in the same run.

Problem: when a hub dies the books a desk holds are of then, and what it decides on them is a guess. Unlike
fills, market data are made whole by being told anew. So the line dials until somebody answers, says what the
desk has, and knows which books have not come since.

Not here: what is refused meanwhile (the account's doubt), what the next hub makes of it (`hub_batches`), who
starts hubs (`supervisor`).

Invariant: what the desk has is said after everything the hub before had told was admitted.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from parley.errors import UserError
from parley.messages import Alarm, Envelope, MarketBatch
from runtime.frames import Link, connect, control, pack
from runtime.hub_have import Have

MET: Final = "hub_met"
_DIAL_S: Final = 0.02
_ALARM_S: Final = 10.0
_ALARM_BACK_S: Final = 45.0  # of a desk that comes back: a hub may take 30 s until its streams stand


class HubLine:
    """The line; ``arrive`` gets what comes, ``lost`` is told of an end for good, ``away`` of any other.

    ``have`` is kept by the desk. ``say`` gets an alarm when the market has not been whole for a while.
    """

    def __init__(
        self,
        path: Path,
        arrive: Callable[[Envelope], None],
        lost: Callable[[str], None],
        away: Callable[[], None],
        say: Callable[[Alarm], None],
    ) -> None:
        self._path = path
        self._arrive = arrive
        self._lost = lost
        self._away = away
        self._say = say
        self._returns_s = 0.0
        self._link: Link | None = None
        self._told: Link | None = None  # that heard what the desk has
        self._met: Link | None = None  # whose batches and credits these are
        self._is_away = False  # nothing was heard since the line broke
        self._why = ""
        self._dialling: asyncio.Task[None] | None = None
        self._symbols: frozenset[str] = frozenset()
        self._unseen: set[str] = set()  # symbols without a book since the line broke
        self._alarm: asyncio.TimerHandle | None = None
        self._alarms = 0

    async def open(self, symbols: Iterable[str], returns_s: float, have: Have | None) -> None:
        """Dial the hub, and say what the desk has if it has a past.

        symbols : whose books have to come before the market is whole again
        returns_s : how long another hub is waited for when the line breaks; 0: a break is its end, and a desk
            with a past takes the market up where it stood still

        Raises
        ------
        UserError
            When there is none, and none is waited for.
        """
        self._symbols, self._returns_s = frozenset(symbols), returns_s
        self._unseen = set(self._symbols)
        if have is not None and returns_s:
            self._doubt("the desk itself was away", _ALARM_BACK_S)  # its journal's books are of then as well
        try:
            await self._dial()
        except UserError as error:
            if not returns_s:
                raise
            self._broke(str(error))
        else:
            self._met = self._link
            if have is not None:
                self.say_what_it_has(have)

    def say_what_it_has(self, have: Have) -> None:
        """Tell a hub that waits for it; once."""
        if self._link is not self._met:
            self._met, self._unseen = self._link, set(self._symbols)
        if self._link is not None and self._link is not self._told:
            self._told = self._link
            self._link.send(control(have.text(), sender="desk", to="hub"))

    def closed(self, step: int) -> None:
        """Give the hub its credit for the next batch."""
        if self._link is not None and self._link is self._met:
            self._link.send_now(pack(control(f"closed:{step}", sender="desk", to="hub")))

    def is_whole_with(self, batch: MarketBatch) -> bool:
        """Note a batch that came; whether every book has come since the line broke."""
        if self._link is None or self._link is not self._met:
            return False  # it still waited when the hub that told it went
        self._is_away = False
        self._unseen.difference_update(book.symbol for book in batch.books)
        if not self._unseen:
            self._be_calm()
        return not self._unseen

    def close(self) -> None:
        """Dial no more and raise no alarm: the desk ends."""
        self._returns_s = 0.0
        self._be_calm()
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None

    async def _dial(self) -> None:
        found: Link | None = None
        is_gone = False

        def end(why: str) -> None:
            nonlocal is_gone
            is_gone = True
            if found is not None and self._link is found:
                self._broke(why)

        link = await connect(self._path, self._arrive, end)
        if is_gone:
            raise UserError(f"the hub at {str(self._path)!r} hung up at once")
        found = self._link = link

    def _broke(self, why: str) -> None:
        self._link = None
        if not self._returns_s:
            self._lost(why)
            return
        self._doubt(f"the hub was lost ({why})", _ALARM_S)
        self._dialling = asyncio.ensure_future(self._redial(why))

    def _doubt(self, why: str, patience_s: float) -> None:
        self._why = why
        if self._is_away:  # one that dies may let somebody in and say nothing
            return
        self._is_away, self._unseen = True, set(self._symbols)
        self._alarm = self._alarm or asyncio.get_running_loop().call_later(patience_s, self._raise_alarm)
        self._away()

    async def _redial(self, why: str) -> None:
        until = time.monotonic() + self._returns_s
        while True:
            try:
                await self._dial()
            except UserError:
                if time.monotonic() >= until:
                    patience_s, self._returns_s, self._dialling = self._returns_s, 0.0, None
                    self._lost(f"{why}; no other took its place within {patience_s:.0f} s")
                    return
                await asyncio.sleep(_DIAL_S)
            else:
                self._dialling = None
                # behind whatever the last one told: what is said then is true
                self._arrive(control(MET, sender="hub", to="desk"))
                return

    def _be_calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _raise_alarm(self) -> None:
        self._alarm = None
        self._alarms += 1
        left = ", ".join(sorted(self._unseen)[:5]) or "none"
        detail = f"{self._why} and nothing is opened since; books not told anew: {left}"
        self._say(Alarm(about="market", subject="hub", detail=detail, n=self._alarms, t=time.time_ns()))
