"""What becomes of requests for new orders and of cancels.

Problem: a request may be carried out although nobody hears of it, may be carried out after its client gave
up, or may not be although it looks the same from outside.

Only requests over REST are treated so; the private stream says what happened. Not here: matching, and what a
protocol answers (`Failed`, `Throttled`).
Invariant: what happens depends on the seed and the order's client id alone, of a cancel also on how many were
asked for before, so that one that is repeated gets through. Only the first requests may be told otherwise
(`HostilityConfig.first`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from venues.sandbox.accounts import Account
from venues.sandbox.hostility.chance import drawn, names_of
from venues.sandbox.hostility.notes import Notes
from venues.sandbox.hostility.settings import CancelShares, HostilityConfig
from venues.sandbox.keyed_random import KeyedRandom
from venues.sandbox.refusals import Denied

_ORDER_FATES = ("lost", "failed", "late", "dropped", "throttled")
_NO_CANCELS = CancelShares()
_CANCEL_FATES = names_of(_NO_CANCELS)
Execute = Callable[[], object]
CheckFresh = Callable[[], None]


class Unanswered(Exception):
    """The connection is to be closed without an answer."""


class Failed(Exception):
    """The request was carried out, and the client is to hear of an internal error."""


class Throttled(Exception):
    """The request was not carried out, because there were too many."""


class RequestFates:
    """Decides about each request for a new order and each cancel."""

    def __init__(self, config: HostilityConfig, seed: int, notes: Notes) -> None:
        self._config = config
        self._seed = seed
        self._notes = notes
        self._late: set[asyncio.TimerHandle] = set()
        self._cancels: dict[tuple[str, str], int] = {}
        self._first = iter(config.first)
        self._first_cancels = iter(config.first_cancels)
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
        dice = KeyedRandom(self._seed, "hostility", client_id or "")
        what = next(self._first, None) or drawn(self._config, _ORDER_FATES, dice)
        delay_ms = self._delay_ms(what, dice)
        note = partial(self._notes.write, account=account.name, client_order_id=client_id, delay_ms=delay_ms)
        if what:
            note(what)
        if what == "late":
            refused = partial(_note_refusal, note, "late_refused")
            self._execute_later(execute, check_fresh, delay_ms, refused)
            raise Unanswered
        return _undergo(what, execute)

    def meet_cancel(
        self, account: Account, named: Callable[[], str], execute: Execute, check_fresh: CheckFresh
    ) -> object:
        """Answer a request to cancel, or not; `named` says the client id of its order.

        Raises
        ------
        Unanswered, Failed, Throttled, Denied
            As `meet`.
        """
        if self._config.cancels == _NO_CANCELS and not self._config.first_cancels:
            return execute()
        client_id = named()
        attempt = self._cancels.get((account.name, client_id), 0) + 1
        self._cancels[account.name, client_id] = attempt
        dice = KeyedRandom(self._seed, "cancel", client_id, attempt)
        what = next(self._first_cancels, None) or drawn(self._config.cancels, _CANCEL_FATES, dice)
        delay_ms = self._delay_ms(what, dice)
        note = partial(
            self._notes.write, account=account.name, client_order_id=client_id, attempt=attempt,
            delay_ms=delay_ms,
        )  # fmt: skip
        if what:
            note(f"cancel_{what}")
        if what == "late":
            refused = partial(_note_refusal, note, "cancel_late_refused")
            self._execute_later(execute, check_fresh, delay_ms, refused)
            raise Unanswered
        return _undergo(what, execute)

    def stop(self) -> None:
        """Execute nothing more."""
        for handle in self._late:
            handle.cancel()

    def _delay_ms(self, what: str, dice: KeyedRandom) -> int:
        return 1 + dice.below(self._config.late_ms) if what == "late" else 0

    def _execute_later(
        self, execute: Execute, check_fresh: CheckFresh, delay_ms: int, refused: Callable[[Denied], None]
    ) -> None:
        def run() -> None:
            self._late.discard(handle)
            try:
                if not self._config.past_window:
                    check_fresh()
                execute()
            except Denied as error:
                refused(error)
            self.after_late()

        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, run)
        self._late.add(handle)


def _note_refusal(note: Callable[[str], None], what: str, error: Denied) -> None:
    note(f"{what}:{error.code}")


def _undergo(what: str, execute: Execute) -> object:
    match what:
        case "throttled":
            raise Throttled
        case "dropped":
            raise Unanswered
    try:
        answer = execute()
    except Denied:
        if what == "lost":
            raise Unanswered from None
        raise
    match what:
        case "lost":
            raise Unanswered
        case "failed":
            raise Failed
    return answer
