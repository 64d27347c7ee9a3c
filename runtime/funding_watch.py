"""Asks a venue what was paid and received for holding contracts, and tells each payment once.

Problem: a venue books funding by itself, with no order of ours. Its private stream says a new balance, which
may be of several things, and is lost when the stream is; its list names each payment by a number.

Not here: booking it (`parley.ledger`), comparing balances (`account_watch`).

Invariant: a payment is told once in the journal's life; what was paid before the account's opening balance
was read is told as ``prior``, and is in that balance.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from parley.messages import FundingPaid
from venues.port import Venue, VenueError

log = logging.getLogger(__name__)

_MOST_LOOKS: Final = 5


class FundingWatch:
    """``known`` are the numbers told in earlier lives; ``say`` journals a payment and tells the desk."""

    def __init__(
        self, venue: Venue, known: Iterable[str], say: Callable[[FundingPaid], None], every_s: float = 20.0
    ) -> None:
        self._venue = venue
        self._known = set(known)
        self._say = say
        self._every_s = every_s

    async def run(self) -> None:
        """Look for payments until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def look(self) -> None:
        """Tell what is new; a venue that does not answer is asked again later."""
        try:
            payments = await self._venue.funding()
        except VenueError as error:
            log.warning("funding_not_read cause=%s", error)
            return
        self.tell(payments)

    def tell(self, payments: Sequence[FundingPaid], *, prior: bool = False) -> None:
        """Tell those of the payments that were not told."""
        for paid in payments:
            if paid.ref not in self._known:
                self._known.add(paid.ref)
                self._say(replace(paid, prior=True) if prior else paid)


async def before_opening(venue: Venue) -> tuple[tuple[tuple[str, Decimal], ...], Sequence[FundingPaid]]:
    """Return balances, and the payments that are in them: none fell between the two readings.

    Raises
    ------
    VenueError
        When the venue does not answer, or payments never stand still.
    """
    payments = await venue.funding()
    for _ in range(_MOST_LOOKS):
        assets = await venue.balances()
        again = await venue.funding()
        if [each.ref for each in again] == [each.ref for each in payments]:
            return assets, payments
        payments = again
    raise VenueError("funding: payments came each time the balances were read")
