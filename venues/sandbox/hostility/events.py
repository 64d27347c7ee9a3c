"""The way of an event from the venue to its listeners: it may get lost, come twice, or behind its neighbour.

Problem: a stream is believed because it was always complete. A client that builds its books from one has to
notice a hole, to count nothing twice, and not to take an older state for a newer one.

Two kinds of way: an account's (`AccountWay`: orders, executions, balances) and a stream's of the market
(`MarketWay`: differences of a book, trades). Not here: what events say, who listens. Invariant: what happens
to an event depends on the seed, its stream and its number there; a held event comes behind the next one of
its stream, or after `HELD_S` without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from venues.sandbox.hostility.chance import drawn, names_of
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.settings import EventShares, MarketShares
from venues.sandbox.keyed_random import KeyedRandom

HELD_S = 0.1
_EVENT_FATES = names_of(EventShares())
_MARKET_FATES = names_of(MarketShares())
Deliver = Callable[[], None]


class PrivateWay(Protocol):
    """How an account's event comes to its listeners."""

    def tell(self, account: str, kind: str, subject: str, deliver: Deliver) -> None:
        """Deliver an event about `subject`, a client order id or nothing, once, twice, later or never."""


class PublicWay(Protocol):
    """How an event of the market comes to its listeners."""

    def tell_difference(self, stream: str, number: int, before: int, deliver: Deliver) -> None:
        """Deliver the book's difference `number`, which follows on `before`, once, twice or never."""

    def tell_trade(self, stream: str, number: int, deliver: Deliver) -> None:
        """Deliver a trade once or twice."""

    def told(self, stream: str, newest: int) -> int:
        """How far listeners to differences are, when `newest` is the last one."""


class StraightWay:
    """Everything comes, once and at once."""

    def tell(self, account: str, kind: str, subject: str, deliver: Deliver) -> None:
        deliver()

    def tell_difference(self, stream: str, number: int, before: int, deliver: Deliver) -> None:
        deliver()

    def tell_trade(self, stream: str, number: int, deliver: Deliver) -> None:
        deliver()

    def told(self, stream: str, newest: int) -> int:
        return newest


class AccountWay:
    """Loses, repeats and swaps an account's events; `flush` writes what was delivered by the clock."""

    def __init__(self, shares: EventShares, seed: int, notes: Notes) -> None:
        self._shares = shares
        self._seed = seed
        self._notes = notes
        self._numbers: dict[str, int] = {}
        self._held: dict[str, tuple[Deliver, asyncio.TimerHandle]] = {}
        self.flush: Callable[[], None] = lambda: None

    def tell(self, account: str, kind: str, subject: str, deliver: Deliver) -> None:
        number = self._numbers[account] = self._numbers.get(account, 0) + 1
        dice = KeyedRandom(self._seed, "event", account, number)
        what = drawn(self._shares, _EVENT_FATES, dice)
        behind = self._take(account)
        if what == "swapped" and behind is not None:
            what = ""  # its neighbour comes behind it already
        if what:
            self._notes.write(
                f"event_{what}", account=account, event_number=number, kind=kind, client_order_id=subject
            )
        match what:
            case "swapped":
                self._hold(account, deliver)
            case "duplicated":
                deliver()
                if behind is None and dice.below(2):
                    self._hold(account, deliver)  # the second time when something else was told
                else:
                    deliver()
            case "":
                deliver()
        if behind is not None:
            behind()

    def stop(self) -> None:
        """Deliver nothing more by the clock."""
        for account in list(self._held):
            self._take(account)

    def _hold(self, account: str, deliver: Deliver) -> None:
        handle = asyncio.get_running_loop().call_later(HELD_S, self._release, account)
        self._held[account] = deliver, handle

    def _take(self, account: str) -> Deliver | None:
        held = self._held.pop(account, None)
        if held is None:
            return None
        held[1].cancel()
        return held[0]

    def _release(self, account: str) -> None:
        deliver, _ = self._held.pop(account)
        deliver()
        self.flush()


class MarketWay:
    """Loses and repeats differences of books, and repeats trades."""

    def __init__(self, shares: MarketShares, seed: int, notes: Notes) -> None:
        self._shares = shares
        self._seed = seed
        self._notes = notes
        self._behind: dict[str, int] = {}  # where listeners are whose last difference was lost

    def tell_difference(self, stream: str, number: int, before: int, deliver: Deliver) -> None:
        what = drawn(self._shares, _MARKET_FATES, KeyedRandom(self._seed, "difference", stream, number))
        if what:
            self._notes.write(f"difference_{what}", stream=stream, update=number)
        if what == "lost":
            self._behind.setdefault(stream, before)
            return
        self._behind.pop(stream, None)
        deliver()
        if what == "duplicated":
            deliver()

    def tell_trade(self, stream: str, number: int, deliver: Deliver) -> None:
        deliver_again = drawn(self._shares, ("duplicated",), KeyedRandom(self._seed, "trade", stream, number))
        if deliver_again:
            self._notes.write("trade_duplicated", stream=stream, trade=number)
            deliver()
        deliver()

    def told(self, stream: str, newest: int) -> int:
        return self._behind.get(stream, newest)
