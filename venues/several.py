"""Several venues that are traded as one: what belongs where is in the names of symbols and assets.

Problem: a desk that trades at several exchanges has one gateway, with one journal, one lock, one kill switch
and one set of client ids; and every exchange has its own connection, limits, clock and account. Everything
outside this module sees one venue whose names say where a thing lies (`parley.instruments.at`), each venue
inside sees its own plain names only (ADR 43).

What is said of all of them is the worst that holds at any: the longest fence and lag, the clock that is most
off, the weakest capabilities. What concerns an order concerns its own venue alone: its meter, its answers,
its doubts, its row and its clock.

Not here: any venue (`ccxt_venue`), what may be asked of one (`several_meter`).

Invariant: a symbol goes to exactly one venue, or to none and is refused; nothing of one venue is ever told
under a name of another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from parley.instruments import Instrument, at, exchange_of, plain
from parley.messages import CancelIntent, Intent
from venues.capabilities import Capabilities, weakest
from venues.port import (
    Absent,
    Acked,
    Denied,
    Fact,
    KeyRights,
    OnFact,
    Rejected,
    Resting,
    SendResult,
    Unasked,
    Venue,
    VenueError,
)
from venues.several_meter import SeveralMeters

NOWHERE: Final = "venue:unknown_exchange"
Answer = TypeVar("Answer")
Order = TypeVar("Order", Intent, CancelIntent)
Told = TypeVar("Told", bound=Fact | Unasked)
_NAMES: Final = ("symbol", "asset", "fee_asset", "ref", "stream")  # what facts name, where they do


class SeveralVenues:
    """Venues by name; the names of the first one's symbols and assets are plain.

    ``places`` are they by what the names of their symbols carry. Nothing goes to those that are ``missing``.
    """

    def __init__(self, venues: Mapping[str, Venue], missing: Container[str] = ()) -> None:
        self._of_all = dict(venues)
        here = {("" if n == 0 else name): name for n, name in enumerate(venues)}
        self._names = [name for name in venues if name not in missing]
        self.places = {where: venues[name] for where, name in here.items() if name not in missing}
        rows = [(where, venues[name].capabilities) for where, name in here.items()]
        self._row = replace(weakest([row for _, row in rows]), places=tuple(rows))
        self.meter = SeveralMeters({name: each.meter for name, each in venues.items()})

    @property
    def capabilities(self) -> Capabilities:
        return self._row

    @property
    def fence_ns(self) -> int:
        return max(each.fence_ns for each in self.places.values())

    @property
    def lag_ns(self) -> int:
        return max(each.lag_ns for each in self.places.values())

    # ------------------------------------------------------------------ what all are asked

    async def connect(self) -> dict[str, Instrument]:
        return _listed(await self._all(lambda each: each.connect()))

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        return _held(await self._all(lambda each: each.balances()))

    async def reach(self) -> "Reached":
        """As the function `reach`."""
        told, failed = await self._told(_opened)
        if not told:
            raise _worst(failed)
        return Reached(
            SeveralVenues(self._of_all, {each.venue for each in failed.values()}),
            _listed((where, listed) for where, (listed, _) in told),
            _held((where, held) for where, (_, held) in told),
            failed,
        )

    async def marks(self) -> Mapping[str, Decimal]:
        told = await self._all(lambda each: each.marks())
        return {at(asset, where): px for where, marks in told for asset, px in marks.items()}

    async def clock_offset_ms(self) -> float:
        told = await self._all(lambda each: each.clock_offset_ms())
        return max((offset for _, offset in told), key=abs)

    async def unasked(self) -> Sequence[Unasked]:
        told = await self._all(lambda each: each.unasked())
        return [_said(each, where) for where, done in told for each in done]

    async def key_rights(self) -> KeyRights:
        rights = [each for _, each in await self._all(lambda each: each.key_rights())]
        return KeyRights(
            trades=all(each.trades for each in rights),
            withdraws=any(each.withdraws for each in rights),
            fees_elsewhere=any(each.fees_elsewhere for each in rights),
        )

    async def unfit(self) -> Sequence[str]:
        told = await self._all(lambda each: each.unfit())
        return [f"{where or self._names[0]}: {why}" for where, reasons in told for why in reasons]

    async def prepare(self) -> None:
        await self._all(lambda each: each.prepare())

    async def resting(self, tag: str) -> Sequence[Resting]:
        told = await self._all(lambda each: each.resting(tag))
        return [replace(each, symbol=at(each.symbol, where)) for where, rows in told for each in rows]

    async def _all(self, ask: Callable[[Venue], Awaitable[Answer]]) -> list[tuple[str, Answer]]:
        """Ask every venue at the same time, and wait for all of them whatever one of them says."""
        told, failed = await self._told(ask)
        if failed:
            raise _worst(failed)
        return told

    async def _told(
        self, ask: Callable[[Venue], Awaitable[Answer]]
    ) -> tuple[list[tuple[str, Answer]], dict[str, VenueError]]:
        """As `_all`; also what those said that gave no answer."""
        asked = [ask(each) for each in self.places.values()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        told, failed = [], {}
        for name, where, answer in zip(self._names, self.places, answers, strict=True):
            if isinstance(answer, VenueError):
                answer.venue = name
                failed[where] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                told.append((where, answer))
        return told, failed

    # ------------------------------------------------------------------ one order

    def know(self, cid: str, iid: bytes) -> None:
        # which one has it only its symbol says; the others never tell of it
        for venue in self.places.values():
            venue.know(cid, iid)

    async def send(self, intent: Intent) -> SendResult:
        if (venue := self.places.get(exchange_of(intent.symbol))) is None:
            return _nowhere(intent)
        return _answered(await venue.send(_plain(intent)), exchange_of(intent.symbol))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        if (venue := self.places.get(exchange_of(intent.symbol))) is None:
            return _nowhere(intent)
        return _answered(await venue.cancel(_plain(intent)), exchange_of(intent.symbol))

    async def look_up(self, intent: Intent) -> Acked | Absent:
        if (venue := self.places.get(exchange_of(intent.symbol))) is None:
            raise VenueError(_nowhere(intent).detail)
        found = await venue.look_up(_plain(intent))
        return _acked(found, exchange_of(intent.symbol)) if isinstance(found, Acked) else found

    # ------------------------------------------------------------------ the streams

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        standing = set()

        def stands(where: str) -> None:
            standing.add(where)
            if len(standing) == len(self.places):
                on_ready()

        def of(where: str, venue: Venue) -> asyncio.Future[None]:
            hear: OnFact = on_fact if not where else lambda fact: on_fact(_said(fact, where))
            return asyncio.ensure_future(venue.follow(hear, lambda: stands(where)))

        following = [of(where, venue) for where, venue in self.places.items()]
        try:
            await asyncio.gather(*following)
        finally:
            for each in following:
                each.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def hears(self) -> bool:
        return all(await asyncio.gather(*(each.hears() for each in self.places.values())))

    async def close(self) -> None:
        for ended in await asyncio.gather(
            *(each.close() for each in self.places.values()), return_exceptions=True
        ):
            if isinstance(ended, BaseException):
                raise ended


class Reached(NamedTuple):
    """What answers of a venue, what it lists, what the account holds there, and why others are missing."""

    venue: Venue
    instruments: dict[str, Instrument]
    assets: tuple[tuple[str, Decimal], ...]
    missing: Mapping[str, VenueError]


async def reach(venue: Venue) -> Reached:
    """Connect to a venue, of several to those that answer, which are then traded as one without the others.

    Raises
    ------
    VenueError
        When nobody answers.
    """
    if isinstance(venue, SeveralVenues):
        return await venue.reach()
    return Reached(venue, *await _opened(venue), {})


def places_of(venue: Venue) -> Mapping[str, Venue]:
    """Return the venues that are traded as one, by the exchange that their symbols name; one is itself."""
    return venue.places if isinstance(venue, SeveralVenues) else {"": venue}


async def _opened(venue: Venue) -> tuple[dict[str, Instrument], tuple[tuple[str, Decimal], ...]]:
    return await venue.connect(), await venue.balances()


def _listed(told: Iterable[tuple[str, Mapping[str, Instrument]]]) -> dict[str, Instrument]:
    found = {}
    for where, listed in told:
        for each in listed.values():
            symbol, base, quote = (at(name, where) for name in (each.symbol, each.base, each.quote))
            found[symbol] = replace(each, symbol=symbol, base=base, quote=quote)
    return found


def _held(told: Iterable[tuple[str, tuple[tuple[str, Decimal], ...]]]) -> tuple[tuple[str, Decimal], ...]:
    return tuple(sorted((at(asset, where), total) for where, held in told for asset, total in held))


def _worst(failed: Mapping[str, VenueError]) -> VenueError:
    # waiting helps only where nobody is turned away
    return max(failed.values(), key=lambda error: isinstance(error, Denied))


def _plain(intent: Order) -> Order:
    return replace(intent, symbol=plain(intent.symbol)) if exchange_of(intent.symbol) else intent


def _nowhere(intent: Intent | CancelIntent) -> Rejected:
    return Rejected(code=NOWHERE, detail=f"no exchange of this account trades {intent.symbol!r}")


def _answered(result: SendResult, where: str) -> SendResult:
    return _acked(result, where) if isinstance(result, Acked) else result


def _acked(order: Acked, where: str) -> Acked:
    if not where:
        return order
    event = None if order.event is None else _said(order.event, where)
    return replace(order, event=event, fills=tuple(_said(each, where) for each in order.fills))


def _said(fact: Told, where: str) -> Told:
    """Name what a venue told as everybody outside names it; a venue's own numbers are unique there alone."""
    if not where:
        return fact
    named = {each: at(name, where) for each in _NAMES if (name := getattr(fact, each, ""))}
    return replace(fact, **named)
