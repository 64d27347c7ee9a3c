"""Executions of Coinbase by request, asked for when the private stream says that more was executed.

Problem: the `user` channel tells how much of an order was executed and at which average, but no trade, no
number of one and no fee of one. A ledger needs each. So the state of an order waits here until the venue's
list of executions accounts for all of what it says; only then are both shown, executions first.

Not here: reading their fields (`coinbase_orders`). ``orders`` and
``trades`` stand in for ccxt's caches of these. Invariant: an order's state is shown with all executions
that it holds, or not at all; a list that stays behind for five seconds is an error, which is told as a gap.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence, ValuesView
from itertools import islice
from typing import Any, Final, NamedTuple

import ccxt

from venues.ccxt_client import exact
from venues.coinbase_lists import executions_of, sum_of
from venues.pongs import socket_of
from venues.port import VenueError

_LOOK_S: Final = 0.01
_LOOK_BEHIND: Final = 32
_WHOLE_EVERY: Final = 100
_PATIENCE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.05
_MOST_KEPT: Final = 10_000
_USER: Final = frozenset({"user"})
Raw = Mapping[str, Any]


class _Behind(NamedTuple):
    """An order that the list of executions does not account for yet: since when, and when to ask again, s."""

    since: float
    pause: float
    again: float


class Executions:
    """Of one account; ``trades`` are in the order in which they were read, an order's oldest first."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._orders: dict[str, Raw] = {}
        self.trades: deque[Raw] = deque(maxlen=_MOST_KEPT)
        self._shown: dict[str, tuple[str, str]] = {}
        self._read: dict[str, set[str]] = {}
        self._looks = 0
        self._behind: dict[str, _Behind] = {}
        self._standing: object = None

    @property
    def orders(self) -> ValuesView[Raw]:
        """The newest state of each order, the one that changed last at the end."""
        return self._orders.values()

    async def heard(self) -> None:
        """Wait for a message of the private stream."""
        await self._client.watch_orders()
        # its first message answers the subscription: what is open now
        self._standing = socket_of(self._client, _USER)

    def stands(self) -> bool:
        """Whether a message came on the socket that there is now."""
        return self._standing is not None and self._standing is socket_of(self._client, _USER)

    async def read(self) -> None:
        """Wait until something new is shown."""
        while True:
            found, failed = False, None
            for order in self._news():
                try:
                    found |= await self._take(order)
                except VenueError as error:  # of one order: the others are told first
                    failed = error
            if failed is not None:
                raise ccxt.ExchangeError(str(failed)) from failed
            if found:
                return
            await asyncio.sleep(_LOOK_S)

    def _news(self) -> list[Raw]:
        self._looks += 1
        cache: Sequence[Raw] = self._client.orders or ()
        tail = None if self._looks % _WHOLE_EVERY == 0 else _LOOK_BEHIND
        newest = [
            each
            for each in islice(reversed(cache), tail)
            if self._shown.get(each["id"]) != _state(each["info"]) and self._may_ask(str(each["id"]))
        ]
        return newest[::-1]

    async def _take(self, order: Raw) -> bool:
        """Show an order if its executions are known whole."""
        # ccxt changes the entry in its cache while executions are asked for
        number, symbol, raw = str(order["id"]), order["symbol"], order["info"]
        executed, last = exact(raw["cumulative_quantity"] or "0"), ""
        if executed:
            rows = await executions_of(self._client, number)
            if sum_of(rows) < executed:
                self._wait(number)
                return False
            known = self._read.setdefault(number, set())
            for row in rows:
                if row["trade_id"] not in known:
                    known.add(row["trade_id"])
                    self.trades.append(
                        {"symbol": symbol, "id": row["trade_id"], "info": {**row, "order": raw}}
                    )
            last = max(str(row["trade_time"]) for row in rows)
        self._behind.pop(number, None)
        self._shown[number] = _state(raw)
        # one entry of an order, as in ccxt's cache: an older state of it would count as news
        self._orders.pop(number, None)
        self._orders[number] = {"symbol": symbol, "id": number, "info": {**raw, "last_fill_time": last}}
        self._forget()
        return True

    def _may_ask(self, number: str) -> bool:
        behind = self._behind.get(number)
        return behind is None or time.monotonic() >= behind.again

    def _wait(self, number: str) -> None:
        now = time.monotonic()
        before = self._behind.pop(number, _Behind(since=now, pause=_FIRST_PAUSE_S, again=now))
        if now - before.since > _PATIENCE_S:
            raise VenueError(f"executions of order {number} are not listed after {_PATIENCE_S} s")
        again = now + before.pause
        self._behind[number] = _Behind(since=before.since, pause=before.pause * 2, again=again)

    def _forget(self) -> None:
        if len(self._shown) > _MOST_KEPT:
            # ccxt's own cache is a tenth of this: what falls out here cannot come again
            for number in list(islice(self._shown, len(self._shown) - _MOST_KEPT)):
                del self._shown[number]
                self._read.pop(number, None)
                self._orders.pop(number, None)


def _state(raw: Raw) -> tuple[str, str]:
    return str(raw["status"]), str(raw["cumulative_quantity"])
