"""Gateways that break the protocol in one way each: what the campaign must find, or it proves nothing.

They are made in the forked child by wrapping, like the places; product code knows nothing of them, and
everything else of them is real.

Not here: who finds them (tools/chaos). Invariant: a mutant differs from the gateway in what its name says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from parley.messages import CancelIntent, Intent
from runtime import doubts
from runtime.gateway_log import GatewayLog
from runtime.passing import Passing
from runtime.resolution import Doubt, Fate, Sight
from venues.ccxt_venue import CcxtVenue
from venues.port import Ambiguous, SendResult

_LATE_RECORD_S: Final = 0.02


def _retry_with_the_same_id() -> None:
    """Send again, once, under the same client order id, when nobody knows what became of the first."""
    send = CcxtVenue.send

    async def twice(venue: CcxtVenue, intent: Intent) -> SendResult:
        first = await send(venue, intent)
        return await send(venue, intent) if isinstance(first, Ambiguous) else first

    CcxtVenue.send = twice  # type: ignore[method-assign, assignment]


def _three_look_ups_then_reject() -> None:
    """Take the third look-up without a trace for a no, whenever it was."""
    learn = doubts.learn

    def hasty(doubt: Doubt, sight: Sight, began: int) -> Fate:
        fate = learn(doubt, sight, began)
        return Fate.NOT_ACCEPTED if sight is Sight.ABSENT and doubt.looks >= 3 else fate

    doubts.learn = hasty
    doubts.next_look = lambda doubt, now: now + 30_000_000


def _record_after_send() -> None:
    """Send first; the attempt is written a little later."""
    attempt: Callable[..., None] = GatewayLog.attempt

    def late(log: GatewayLog, intent: Intent | CancelIntent, *more: Any) -> None:
        *given, done = more
        asyncio.get_running_loop().call_later(_LATE_RECORD_S, partial(attempt, log, intent, *given, _ignore))
        done(log._writer.next_seq, True)

    GatewayLog.attempt = late  # type: ignore[method-assign, assignment]


def _ignore(seq: int, is_first: bool) -> None:
    pass


def _gate_skipped() -> None:
    """Let every order pass the last look."""
    Passing.refusal = lambda *_: None  # type: ignore[method-assign]


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    "retry_with_the_same_id": _retry_with_the_same_id,
    "three_look_ups_then_reject": _three_look_ups_then_reject,
    "record_after_send": _record_after_send,
    "gate_skipped": _gate_skipped,
}
