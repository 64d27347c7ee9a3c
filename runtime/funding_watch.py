"""Asks a venue what it did to an account by itself, and tells each payment and each forced trade once.

Problem: a venue books funding and liquidates with no order of ours. Its private stream says a new balance,
which may be of several things, and is lost when the stream is; its lists name each by a number.

Not here: booking it (`parley.ledger`), comparing balances (`account_watch`), forced trades that the stream
tells at once (`venues.ccxt_venue`).

Invariant: a payment is told once in the journal's life; what was before the account's opening balance was
read is told as a ``prior`` payment, of nothing where it was a trade, and is in that balance.
"""

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from parley.messages import Fill, FundingPaid
from parley.money import ZERO
from runtime.lastlook import Counters
from venues.port import Unasked, Venue, VenueError

log = logging.getLogger(__name__)

_MOST_LOOKS: Final = 5
_FRESH_S: Final = 1.0


class FundingWatch:
    """``known`` are the numbers told in earlier lives; ``say`` journals what it is given and tells it."""

    def __init__(
        self, venue: Venue, known: Iterable[str], say: Callable[[Unasked], None], every_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._venue = venue
        self._known = set(known)
        self._say = say
        self._every_s = every_s
        self._clock = clock
        self._looked = -_FRESH_S

    async def run(self) -> None:
        """Look at what the venue did until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def refresh(self) -> None:
        """Look, unless that was done a moment ago: before balances are held against what was told."""
        if self._clock() >= self._looked + _FRESH_S:
            await self.look()

    async def look(self) -> None:
        """Tell what is new; a venue that does not answer is asked again later."""
        self._looked = self._clock()
        try:
            done = await self._venue.unasked()
        except VenueError as error:
            log.warning("funding_not_read cause=%s", error)
            return
        self.tell(done)

    def tell(self, done: Sequence[Unasked], *, prior: bool = False) -> None:
        """Tell what was not told; a trade that the stream told as well is dropped by who hears it."""
        for each in done:
            if (ref := reference(each)) not in self._known:
                self._known.add(ref)
                self._say(_prior(each, ref) if prior else each)


def reference(done: Unasked) -> str:
    """Return the number by which a payment or a forced trade is known."""
    return f"trade|{done.symbol}|{done.trade_id}" if isinstance(done, Fill) else done.ref


def counted(counters: Counters, done: Iterable[Unasked], known: Iterable[str]) -> Counters:
    """Return what counters would be with everything that was not told yet, of an earlier life's ``known``."""
    told, after = set(known), copy.deepcopy(counters)
    for each in done:
        if reference(each) in told:
            continue
        if isinstance(each, Fill):
            after.filled(each)
        else:
            after.paid(each)
    return after


def _prior(done: Unasked, ref: str) -> FundingPaid:
    if isinstance(done, FundingPaid):
        return replace(done, prior=True)
    return FundingPaid(
        account=done.account, symbol=done.symbol, amount=ZERO, asset=done.fee_asset, t=done.t, ref=ref,
        prior=True,
    )  # fmt: skip


async def before_opening(venue: Venue) -> tuple[tuple[tuple[str, Decimal], ...], Sequence[Unasked]]:
    """Return balances, and what the venue did before: nothing fell between the two readings.

    Raises
    ------
    VenueError
        When the venue does not answer, or payments never stand still.
    """
    done = await venue.unasked()
    for _ in range(_MOST_LOOKS):
        assets = await venue.balances()
        again = await venue.unasked()
        if [*map(reference, again)] == [*map(reference, done)]:
            return assets, done
        done = again
    raise VenueError("funding: payments came each time the balances were read")
