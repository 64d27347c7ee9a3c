"""A gateway's end of the kill switch: what may still be sent, and the sweep of what works already.

Problem: whoever kills wants three things of the process that holds the keys: that nothing more leaves it,
that what rests at the venue is taken back, and an answer at once. The first is the kill file, looked at
before every send; the second goes past the lanes, many requests at a time, and again until the venue has
confirmed each. While the venue takes none, because it was asked too much, nothing is asked. What is left is
asked for again as long as the kill stands, also when whoever killed has had his answer long ago.

Not here: the file (`kill_file`), the command and what it does without an answer (`commands.kill`).

Invariant: an order is confirmed only by the venue: its cancel was acknowledged, or the venue knew the order
and knows nothing of it to cancel. One that may still come to exist is asked for again until it cannot."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from parley.errors import ProtocolError
from parley.messages import ApprovalAsked, CancelIntent, Envelope, Halt, Intent, Killed, Message
from runtime.approvals import PATIENCE_NS
from runtime.doubts import Doubts
from runtime.frames import CONTROL, Link, control
from runtime.kill_file import PARTS, Kill, KillFile, Standing, hits
from venues.limits import Request
from venues.meter import Asked
from venues.port import NOT_FOUND, Acked, Ambiguous, Rejected, SendResult, Venue

ASK: Final = "kill"
DOUBTS: Final = "doubts"
STANDING: Final = "standing:"
SWEPT: Final = "swept:"
PATIENCE_S: Final = 10.0
_AT_ONCE: Final = 32
_PAUSE_S: Final = 0.1
_AGAIN_S: Final = 2.0  # after a sweep that left something: the line may be back, or the venue open


class Told(msgspec.Struct, frozen=True):
    """What a gateway answers at once: who it is and what it does not send any more."""

    account: str
    pid: int
    standing: tuple[Kill, ...]
    damage: str = ""


class Swept(msgspec.Struct, frozen=True):
    """What became of the orders that worked: cancels sent, orders confirmed gone, ids of the others."""

    sent: int
    confirmed: int
    unconfirmed: tuple[str, ...]
    first_round_ms: float
    took_ms: float


class Orders(Protocol):
    """The gateway, as far as a sweep needs it."""

    def working(self) -> list[Intent]:
        """Orders that were sent and may still trade."""

    def is_known(self, iid: bytes) -> bool:
        """Whether the venue has spoken of an order."""

    async def written(self, intents: list[Intent]) -> list[CancelIntent]:
        """Make cancels durable, all at once."""

    async def cancel_now(self, cancel: CancelIntent) -> SendResult:
        """Send a cancel past the lanes."""

    async def cancelable(self, orders: Sequence[Intent], patience_s: float) -> list[Intent]:
        """Wait until the venue of some of these may be asked for cancels; none when that takes longer."""

    @property
    def doubts(self) -> Doubts:
        """Orders of which nobody knows what became of them."""


async def sweep(
    orders: Orders, concerns: Callable[[Intent], bool], *, patience_s: float = PATIENCE_S
) -> Swept:
    """Cancel what works now, again and again until the venue has confirmed all of it or patience is over.

    A stop that guards a holding stays: nobody here knows whether anybody is left to leave in its place. A
    desk that leaves takes it back itself, before it does.
    """
    began = time.monotonic()
    wanted = {each.iid: each for each in wanted_of(orders, concerns)}
    left, sent, first_ms = dict(wanted), 0, 0.0
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(cancel: CancelIntent) -> SendResult:
        async with gate:
            return await orders.cancel_now(cancel)

    while left:
        asked = await orders.cancelable(list(left.values()), patience_s - (time.monotonic() - began))
        if not asked:
            break
        sent += len(asked)
        answers = await asyncio.gather(*(ask(each) for each in await orders.written(asked)))
        first_ms = first_ms or (time.monotonic() - began) * 1e3
        for intent, answer in zip(asked, answers, strict=True):
            match answer:
                case Acked():
                    del left[intent.iid]
                case Rejected(code=code) if code == NOT_FOUND and orders.is_known(intent.iid):
                    del left[intent.iid]
                case Rejected() | Ambiguous():
                    pass
        if not left or time.monotonic() - began > patience_s:
            break
        await asyncio.sleep(_PAUSE_S)
        works = {each.iid for each in orders.working()}
        left = {iid: each for iid, each in left.items() if iid in works}
    took = (time.monotonic() - began) * 1e3
    unconfirmed = tuple(sorted(each.cid for each in left.values()))
    return Swept(sent, len(wanted) - len(left), unconfirmed, round(first_ms, 1), round(took, 1))


def wanted_of(orders: Orders, concerns: Callable[[Intent], bool]) -> list[Intent]:
    """Return what works now and is to be cancelled."""
    return [each for each in orders.working() if each.trigger is None and concerns(each)]


async def first_open(orders: Sequence[Intent], venue: Venue, patience_s: float) -> list[Intent]:
    """Return the orders whose venue takes cancels first, once it does; none when that takes longer."""
    until = time.monotonic_ns() + int(patience_s * 1e9)
    by_meter: dict[Asked, list[Intent]] = {}
    for each in orders:
        by_meter.setdefault(venue.meter.of(each.symbol), []).append(each)
    while not (found := [each for each in by_meter if each.lack(Request.CANCEL) is None]):
        # which one opens first may change meanwhile: one is closed again, or for longer than it said
        waits = [asyncio.ensure_future(each.opens(Request.CANCEL, until)) for each in by_meter]
        try:
            for opened in asyncio.as_completed(waits):
                if await opened is None:
                    break
            else:
                return []
        finally:
            for wait in waits:
                wait.cancel()
    return [each for meter in found for each in by_meter[meter]]


class KillSwitch:
    """What stands against one account; ``say`` tells the desk, in the gateway's journal, what changed.

    ``watch`` puts on record why a link of the kill socket is closed; ``others`` answers what else is asked
    there, and says whether it did.
    """

    def __init__(
        self,
        path: Path | None,
        tenant: str,
        account: str,
        orders: Orders,
        say: Callable[[Message], None],
        watch: Callable[[Link], None],
        others: Callable[[Link, str], bool] = lambda link, word: False,
    ) -> None:
        self._watch = watch
        self._others = others
        self._file = KillFile(path) if path is not None else None
        self._tenant = tenant
        self._account = account
        self._orders = orders
        self._say = say
        self._told: tuple[Kill, ...] = ()
        # what was released before this process began was for others to hear
        self._released = self._last_release()
        self._asked_for = self.standing().asked
        self._sweep: asyncio.Task[Swept] | None = None
        self._left: frozenset[str] = frozenset()  # orders whose end the venue has not confirmed yet
        self._again_at = 0.0

    def standing(self) -> Standing:
        """What the file says now."""
        return self._file.standing() if self._file is not None else Standing()

    def _last_release(self) -> tuple[int, str, str]:
        # that of another account says nothing of what a breaker stopped in this one
        return self.standing().released_of(self._tenant, self._account)

    def over(self) -> tuple[Kill, ...]:
        """The kills over this account, now."""
        standing = self.standing()
        return standing.over(self._tenant, self._account) if standing.kills or standing.damage else ()

    def stop_of(self, symbol: str, bot: str = "") -> Kill | None:
        """The strictest kill that keeps a bot's orders of a symbol from leaving; None when they may."""
        # of two scopes the one that lets less pass counts: exits pass a flatten only where nothing else stops
        found = [each for each in self.over() if hits(each, symbol, bot)]
        return min(found, key=lambda each: each.mode == "flatten", default=None)

    def look(self) -> None:
        """Notice a change of the file: tell of it, and take back what works where that is wanted.

        Raises what ended the last sweep by a mistake of ours: it took back nobody knows what, and a gateway
        that starts sweeps anew.
        """
        if self._sweep is not None and self._sweep.done() and not self._sweep.cancelled():
            self._sweep.result()
        now = self.over()
        if now != self._told:
            self._change(now)
        released = self._last_release()
        if released != self._released and all(each.scope.startswith(PARTS) for each in now):
            # it also ends what breakers stopped: a person looked, and gave a reason
            self._say(Halt(scope="account", mode="RESUME", by=released[1], why=released[2]))
        self._released = released
        asked = self.standing().asked
        for each in [each for each in asked if each not in self._asked_for]:
            self._say(
                ApprovalAsked(
                    what="release", subject=each.scope, value="released", by=each.by, why=each.reason,
                    token=each.token, until=each.t + PATIENCE_NS, t=each.t,
                )
            )  # fmt: skip
        self._asked_for = asked
        if self._left and time.monotonic() >= self._again_at and (self._sweep is None or self._sweep.done()):
            left, self._left = self._left, frozenset()
            kills = [each for each in now if each.mode != "block"]
            self._begin(  # these alone: what leaves under a flatten since then is an exit
                lambda order: (
                    order.cid in left and any(hits(kill, order.symbol, order.agent) for kill in kills)
                ),
                patience_s=0.0,
            )

    def greet(self) -> None:
        """Tell a desk that connects what stands; one that comes back may believe what was released since."""
        if self.standing() != Standing():
            self._say(_killed(self.over()))

    def _change(self, now: tuple[Kill, ...]) -> None:
        fresh = [each for each in now if each not in self._told and each.mode != "block"]
        self._told = now
        self._say(_killed(now))
        if fresh:
            self._begin(lambda order: any(hits(kill, order.symbol, order.agent) for kill in fresh))

    def _begin(self, concerns: Callable[[Intent], bool], patience_s: float = PATIENCE_S) -> None:
        before = self._sweep

        async def work() -> Swept:
            if before is not None:
                await asyncio.wait([before])
            swept = await sweep(self._orders, concerns, patience_s=patience_s)
            self._left |= frozenset(swept.unconfirmed)
            self._again_at = time.monotonic() + _AGAIN_S
            return swept

        self._sweep = asyncio.ensure_future(work())

    def settled(self) -> Awaitable[Swept] | None:
        """The sweep that was begun last, None before the first."""
        return self._sweep

    def on_connect(self, link: Link) -> None:
        """Answer a command on the kill socket."""
        self._watch(link)
        link.on_envelope = lambda envelope: self._asked(link, envelope)

    def _asked(self, link: Link, envelope: Envelope) -> None:
        word = envelope.body.decode(errors="replace") if envelope.kind == CONTROL else ""
        if word == DOUBTS:
            listed = msgspec.json.encode(self._orders.doubts.told()).decode()
            link.send(control(f"{DOUBTS}:{listed}", sender="gateway", to="kill"))
            return
        if self._others(link, word):
            return
        if word != ASK:
            raise ProtocolError(f"the kill socket takes {ASK!r} or {DOUBTS!r}, was {word[:20]!r}")
        self.look()
        told = Told(self._account, os.getpid(), self._told, self.standing().damage)
        link.send(_line(STANDING, told))
        running = self._sweep

        async def report() -> None:
            swept = await running if running is not None else Swept(0, 0, (), 0.0, 0.0)
            link.send(_line(SWEPT, swept))

        self._report = asyncio.ensure_future(report())

    def close(self) -> None:
        """Begin nothing more."""
        if self._sweep is not None:
            self._sweep.cancel()


def _killed(kills: Sequence[Kill]) -> Killed:
    standing = tuple((each.scope, each.mode, each.reason) for each in kills)
    return Killed(standing=standing, t=time.time_ns())


def _line(word: str, said: msgspec.Struct) -> Envelope:
    return control(word + msgspec.json.encode(said).decode(), sender="gateway", to="kill")
