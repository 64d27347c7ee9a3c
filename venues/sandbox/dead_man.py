"""Timers that cancel an account's orders when it says nothing in time; venues spell them differently.

They run by the machine's clock, as API time does (`wall`), not by the market's: a client is silent in its own
time, however fast the market is played.

Not here: how they are asked for (the protocols). Invariant: a timer acts once, on what is open then, and the
truth log says when one was set and, with the reason ``dead_man``, what it cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.orders import Order

REASON: Final = "dead_man"


class DeadManTimers:
    """Timers by account and scope; ``flush`` writes to the streams what was told between requests."""

    def __init__(self, exchange: Exchange, flush: Callable[[], None]) -> None:
        self._exchange = exchange
        self._flush = flush
        self._running: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def begin(self, account: Account, scope: str, ms: int, covers: Callable[[Order], bool]) -> None:
        """Set a timer anew, for the account's open orders that it ``covers`` when it runs out; 0: end it."""
        key = account.name, scope
        self._exchange.truth.write(
            REASON, self._exchange.clock, {"account": account.name, "scope": scope, "ms": ms}
        )
        if (earlier := self._running.pop(key, None)) is not None:
            earlier.cancel()
        if ms:
            over = partial(self._over, account, key, covers)
            self._running[key] = asyncio.get_running_loop().call_later(ms / 1000, over)

    def stop(self) -> None:
        """End all timers: nothing is cancelled any more."""
        for handle in self._running.values():
            handle.cancel()
        self._running.clear()

    def _over(self, account: Account, key: tuple[str, str], covers: Callable[[Order], bool]) -> None:
        del self._running[key]
        for order in self._exchange.open_orders(account, None):
            if covers(order):
                self._exchange.cancel(order, order.request.client_order_id, REASON)
        self._flush()
