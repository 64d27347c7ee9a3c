"""A desk's line to its gateway, which may be followed by another gateway in the same run.

Problem: a desk holds no key and speaks to one process only; when that process dies, a spare takes its place
and knows what its journal says, not what the desk said into the broken line. So the line dials until somebody
answers, seals what it says for that process alone, and tells the desk that it has to ask what became of its
orders.

Not here: asking (`resync`), what is held back meanwhile (`outbox`), who starts gateways (`supervisor`).

Invariant: nothing that was said to one gateway is said again to the next; what is said while there is none is
lost, and known to be. The desk hears `BACK` before anything that the next one says.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from parley.errors import UserError
from parley.instruments import Instrument
from parley.messages import KINDS, Balance, Envelope
from runtime.frames import Link, connect, control
from runtime.seals import key_for

BACK: Final = "back"
_DIAL_S: Final = 0.02
_GREETING_S: Final = 10.0
_BALANCE: Final = KINDS[Balance]


class GatewayLine:
    """The line; ``arrive`` gets what comes, ``lost`` is told of an end for good, ``away`` of any other."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        arrive: Callable[[Envelope], None],
        lost: Callable[[str], None],
        away: Callable[[], None],
    ) -> None:
        self.life = 0  # how many gateways there were
        self.epoch = 0  # the highest that one of them spoke under
        self._path = path
        self._key = key
        self._arrive = arrive
        self._lost = lost
        self._away = away
        self._returns_s = 0.0
        self._why = ""  # the line broke, and may come back
        self._link: Link | None = None
        self._dialling: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything can be said."""
        return self._link is not None and self._link.is_open

    @property
    def is_awaited(self) -> bool:
        """Whether it is broken, and another gateway may come."""
        return not self.is_open and self._returns_s > 0

    def is_still(self, life: int) -> bool:
        """Whether the gateway of that number is there."""
        return self.life == life and self.is_open

    def send(self, envelope: Envelope) -> None:
        """As `Link.send`; while nobody is there it is lost."""
        if self._link is not None:
            self._link.send(envelope)

    def send_now(self, frame: bytes) -> None:
        """As `Link.send_now`; while nobody is there it is lost."""
        if self._link is not None:
            self._link.send_now(frame)

    async def open(self, patience_s: float = 0.0) -> None:
        """Dial the first gateway.

        Raises
        ------
        UserError
            When there is none within patience.
        """
        until = time.monotonic() + patience_s
        while not await self._dial():
            if time.monotonic() >= until:
                raise UserError(f"cannot reach the gateway at {str(self._path)!r} within {patience_s:.0f} s")
            await asyncio.sleep(_DIAL_S)

    def keep(self, returns_s: float) -> None:
        """Wait so long for another gateway from now on when the line breaks; 0: a break is its end."""
        self._returns_s = returns_s
        if not returns_s and self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
            self._lost(self._why)

    async def _dial(self) -> bool:
        early: list[Envelope] | None = []
        gone = ""

        def hear(envelope: Envelope) -> None:
            if early is not None:
                early.append(envelope)
                return
            self.epoch = max(self.epoch, envelope.epoch)
            if self.life == 1 or envelope.kind != _BALANCE:  # a later one's is of now, and no news of then
                self._arrive(envelope)

        def end(why: str) -> None:
            nonlocal gone
            gone = why or "it hung up"
            if early is None and self._link is link:
                self._broke(gone)

        try:
            link = await connect(self._path, hear, end)
        except UserError:
            return False
        link.sign(key_for(self._key, link.peer_pid))
        # who does not greet has not let us in, or serves nobody yet
        until = time.monotonic() + _GREETING_S
        while not early and not gone and time.monotonic() < until:
            await asyncio.sleep(_DIAL_S / 4)
        if gone or not early:
            link.close("it did not greet")
            return False
        self._link, self.life = link, self.life + 1
        self._why = ""
        if self.life > 1:
            self._arrive(control(BACK, sender="gateway", to="desk"))
        heard, early = early, None
        for envelope in heard:
            hear(envelope)
        return True

    def _broke(self, why: str) -> None:
        if not self._returns_s:
            self._lost(why)
            return
        self._why = why
        self._away()
        self._dialling = asyncio.ensure_future(self._redial(why))

    async def _redial(self, why: str) -> None:
        patience_s = self._returns_s
        until = time.monotonic() + patience_s
        while not await self._dial():
            if time.monotonic() >= until:
                self._dialling, self._returns_s = None, 0.0
                self._lost(f"{why}; no other took its place within {patience_s:.0f} s")
                return
            await asyncio.sleep(_DIAL_S)
        self._dialling = None


def instruments_of(path: Path) -> dict[str, Instrument]:
    """Return by symbol what a gateway wrote of the venue when it started.

    Raises
    ------
    UserError
        When the file cannot be read.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Instrument])
    except (OSError, msgspec.MsgspecError) as err:
        raise UserError(f"the gateway's instruments {str(path)!r} cannot be read: {err}") from err
    return {i.symbol: i for i in found}
