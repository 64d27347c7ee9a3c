"""What a venue does to its clients at its worst, switched on by the configuration; off, nothing differs.

Problem: a platform that was only ever answered in time has proved nothing about money. A request for a new
order may be executed although nobody hears of it, may be executed after its client gave up, or may not be
executed although it looks the same from outside; and lists may not show yet what exists.

Only ``POST /api/v3/order`` is treated so; the user stream says what happened, at once. Not here: matching.
Invariant: what happens to a request depends on the seed and its client order id alone, and is written to the
truth log before the client can notice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from venues.sandbox import errors
from venues.sandbox.accounts import Account
from venues.sandbox.authentication import check_timestamp, wall_ms
from venues.sandbox.config import HostilityConfig
from venues.sandbox.keyed_random import KeyedRandom
from venues.sandbox.orders import Order
from venues.sandbox.params import Params
from venues.sandbox.truth import TruthLog

_PARTS = 1_000_000
Execute = Callable[[Account, Params], object]


class Unanswered(Exception):
    """The connection is to be closed without an answer."""


class Hostility:
    """Decides about each new order's request, and about what lists show."""

    def __init__(self, config: HostilityConfig, seed: int, truth: TruthLog, clock: Callable[[], int]) -> None:
        self._config = config
        self._seed = seed
        self._truth = truth
        self._clock = clock
        self._accepted: dict[int, float] = {}
        self._late: set[asyncio.TimerHandle] = set()
        self.after_late: Callable[[], None] = lambda: None

    def meet(self, account: Account, params: Params, execute: Execute) -> object:
        """Answer a request for a new order, or not.

        Raises
        ------
        Unanswered
            When nobody is to hear what became of it.
        VenueError
            As `execute`; 503 after it was executed, 429 instead of executing it.
        """
        what, delay_ms = self._chosen(params.optional("newClientOrderId") or "")
        if what:
            self._write(account, params, what, delay_ms)
        match what:
            case "throttled":
                raise errors.VenueError(-1003, "Too many requests; please use the websocket.", 429)
            case "dropped":
                raise Unanswered
            case "late":
                self._execute_later(account, params, execute, delay_ms)
                raise Unanswered
        try:
            answer = execute(account, params)
        except errors.VenueError:
            if what == "lost":
                raise Unanswered from None
            raise
        if what == "lost":
            raise Unanswered
        if what == "failed":
            raise errors.VenueError(-1000, "An unknown error occurred while processing the request.", 503)
        return answer

    def accepted(self, order: Order) -> None:
        """Note when an order came to exist."""
        if self._config.lookup_lag_ms:
            self._accepted[order.id] = time.monotonic()

    def shows(self, order: Order) -> bool:
        """Whether queries see an order by now."""
        since = self._accepted.get(order.id)
        return since is None or time.monotonic() - since >= self._config.lookup_lag_ms / 1000

    def stop(self) -> None:
        """Execute nothing more."""
        for handle in self._late:
            handle.cancel()

    def _chosen(self, client_id: str) -> tuple[str, int]:
        config, dice = self._config, KeyedRandom(self._seed, "hostility", client_id)
        at = dice.below(_PARTS) / _PARTS
        for what in ("lost", "failed", "late", "dropped", "throttled"):
            share = getattr(config, what)
            if at < share:
                return what, 1 + dice.below(config.late_ms) if what == "late" else 0
            at -= share
        return "", 0

    def _execute_later(self, account: Account, params: Params, execute: Execute, delay_ms: int) -> None:
        def run() -> None:
            self._late.discard(handle)
            try:
                if not self._config.past_window:
                    check_timestamp(params, wall_ms())
                execute(account, params)
            except errors.VenueError as error:
                self._write(account, params, f"late_refused:{error.code}", delay_ms)
            self.after_late()

        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, run)
        self._late.add(handle)

    def _write(self, account: Account, params: Params, what: str, delay_ms: int) -> None:
        self._truth.write(
            "hostile",
            self._clock(),
            {
                "account": account.name,
                "client_order_id": params.optional("newClientOrderId"),
                "what": what,
                "delay_ms": delay_ms,
            },
        )
