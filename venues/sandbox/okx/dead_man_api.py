"""The endpoint that sets the account's timer: OKX cancels what is pending when it is not called again.

https://www.okx.com/docs-v5/en/#order-book-trading-trade-post-cancel-all-after. With a tag a timer covers the
orders of that tag alone. Not here: the timers (`sandbox.dead_man`). Invariant: only what is shown among plain
orders is covered, so a stop is not until it was set off.
"""

from __future__ import annotations

import re
from typing import Final

from venues.sandbox.accounts import Account
from venues.sandbox.dead_man import DeadManTimers
from venues.sandbox.okx import errors
from venues.sandbox.okx.algos import is_plain
from venues.sandbox.okx.params import Params
from venues.sandbox.okx.tags import Tags
from venues.sandbox.orders import Order
from venues.sandbox.wall import VenueClock

_LEAST_S, _MOST_S = 10, 120
_TAG: Final = re.compile(r"[a-zA-Z0-9]{1,16}")


class DeadManApi:
    """Sets timers; an order's tag is what it was placed with."""

    def __init__(self, timers: DeadManTimers, tags: Tags, wall: VenueClock) -> None:
        self._timers = timers
        self._tags = tags
        self._wall = wall

    def cancel_all_after(self, account: Account, params: Params) -> list[object]:
        """POST /api/v5/trade/cancel-all-after"""
        params.text("timeOut")
        seconds, tag = params.integer("timeOut"), params.get("tag")
        if seconds is None or not (seconds == 0 or _LEAST_S <= seconds <= _MOST_S):
            raise errors.bad_parameter("timeOut")
        if tag is not None and not _TAG.fullmatch(tag):
            raise errors.bad_parameter("tag")

        def covers(order: Order) -> bool:
            return is_plain(order) and tag in (None, self._tags.of(order))

        self._timers.begin(account, tag or "", seconds * 1000, covers)
        now = self._wall.ms()
        over = now + seconds * 1000 if seconds else 0
        return [{"triggerTime": str(over), "tag": tag or "", "ts": str(now)}]
