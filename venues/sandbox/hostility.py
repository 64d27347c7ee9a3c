"""What a venue does to its clients at its worst, switched on by the configuration; off, nothing differs.

Problem: a platform that was only ever answered in time has proved nothing about money. A request for a new
order may be executed although nobody hears of it, may be executed after its client gave up, or may not be
executed although it looks the same from outside; and lists may not show yet what exists.

Only requests for new orders over REST are treated so; the private stream says what happened, at once.
Not here: matching, and what a protocol answers (`Failed`, `Throttled`).
Invariant: what happens to a request depends on the seed and its client order id alone, and is written to the
truth log before the client can notice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from venues.sandbox.accounts import Account
from venues.sandbox.config import HostilityConfig
from venues.sandbox.keyed_random import KeyedRandom
from venues.sandbox.orders import Order
from venues.sandbox.refusals import Denied
from venues.sandbox.truth import TruthLog

_PARTS = 1_000_000
Execute = Callable[[], object]
CheckFresh = Callable[[], None]


class Unanswered(Exception):
    """The connection is to be closed without an answer."""


class Failed(Exception):
    """The order was executed, and the client is to hear of an internal error."""


class Throttled(Exception):
    """The order was not executed, because there were too many requests."""


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

    def meet(
        self, account: Account, client_id: str | None, execute: Execute, check_fresh: CheckFresh
    ) -> object:
        """Answer a request for a new order, or not; `check_fresh` says whether it is still in its window.

        Raises
        ------
        Unanswered, Failed, Throttled
            When a hostile fate was chosen for it.
        Denied
            As `execute`.
        """
        what, delay_ms = self._chosen(client_id or "")
        if what:
            self._write(account, client_id, what, delay_ms)
        match what:
            case "throttled":
                raise Throttled
            case "dropped":
                raise Unanswered
            case "late":
                self._execute_later(account, client_id, execute, check_fresh, delay_ms)
                raise Unanswered
        try:
            answer = execute()
        except Denied:
            if what == "lost":
                raise Unanswered from None
            raise
        if what == "lost":
            raise Unanswered
        if what == "failed":
            raise Failed
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

    def _execute_later(
        self,
        account: Account,
        client_id: str | None,
        execute: Execute,
        check_fresh: CheckFresh,
        delay_ms: int,
    ) -> None:
        def run() -> None:
            self._late.discard(handle)
            try:
                if not self._config.past_window:
                    check_fresh()
                execute()
            except Denied as error:
                self._write(account, client_id, f"late_refused:{error.code}", delay_ms)
            self.after_late()

        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, run)
        self._late.add(handle)

    def _write(self, account: Account, client_id: str | None, what: str, delay_ms: int) -> None:
        self._truth.write(
            "hostile",
            self._clock(),
            {
                "account": account.name,
                "client_order_id": client_id,
                "what": what,
                "delay_ms": delay_ms,
            },
        )
