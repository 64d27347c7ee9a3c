"""What trades cost that KuCoin's private stream told of: asked for, because the stream does not say.

Problem: a `match` of `/spotMarket/tradeOrders` has a price, a size and no fee. The list of executions has all
of it. So a trade of the stream is only the news that there is one, and is told when its row has been read;
an order's state is held back as long, because who hears of an end has heard of the trades before.

Not here: reading a row (`kucoin_orders`), how often may be asked (`ccxt_venue`).

Invariant: what nobody could complete in time is let go, so that it is noticed as unreadable and asked for in
the ordinary way; nothing is held back forever.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from venues.kucoin_orders import executions
from venues.port import VenueError

log = logging.getLogger(__name__)
Raw = Mapping[str, Any]

_PATIENCE_S: Final = 15.0
_PAUSE_FIRST_S: Final = 0.1
_PAUSE_MOST_S: Final = 2.0
_AT_ONCE: Final = 2  # orders; as many as one look-up pays for
_LOOK_BEHIND: Final = 32
_MOST_ORDERS: Final = 2000
_MOST_SEEN: Final = 50_000


class _Waiting:
    """An order of which trades were told whose rows are not there yet."""

    def __init__(self, pair: str, now: float) -> None:
        self.pair = pair
        self.trades: set[str] = set()
        self.until = now + _PATIENCE_S
        self.due = now
        self.pause = _PAUSE_FIRST_S


class TradeRows:
    """Rows of the executions of an account's orders, by order; `client` is ccxt's, whose cache is read."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._rows: OrderedDict[str, dict[str, Raw]] = OrderedDict()
        self._waiting: dict[str, _Waiting] = {}
        self._seen: set[tuple[str, str]] = set()

    def of(self, order_id: str) -> Sequence[Raw]:
        """Return the rows of an order that are known."""
        return tuple(self._rows.get(order_id, {}).values())

    def row(self, order_id: str, trade_id: str) -> Raw:
        """Return the row of a trade; `KeyError` when nobody could read it."""
        return self._rows[order_id][trade_id]

    def is_whole(self, raw: Raw) -> bool:
        """Whether every trade that was told of a message's order has its row, or never will."""
        self._notice()
        waiting = self._waiting.get(str(raw.get("orderId")))
        return waiting is None or self._clock() > waiting.until

    def lacks(self) -> bool:
        """Whether there is something to ask for now."""
        self._notice()
        return bool(self._due())

    async def complete(self) -> None:
        """Ask for the rows of one or two orders.

        Raises
        ------
        VenueError
            When the venue does not answer; it is asked again later.
        """
        self._notice()
        for order_id in self._due()[:_AT_ONCE]:
            waiting = self._waiting[order_id]
            # until it has answered nobody else asks
            waiting.due = self._clock() + waiting.pause
            waiting.pause = min(waiting.pause * 2, _PAUSE_MOST_S)
            try:
                rows = await executions(self._client, waiting.pair, order_id)
                self._keep(order_id, {str(each["tradeId"]): each for each in rows})
            except (KeyError, TypeError, ValueError) as error:
                raise VenueError(f"own executions: an answer nobody can read: {error!r}") from error
            if waiting.trades <= self._rows[order_id].keys():
                self._waiting.pop(order_id, None)

    def _due(self) -> list[str]:
        now = self._clock()
        for order_id in [one for one, each in self._waiting.items() if now > each.until + _PATIENCE_S]:
            # what was let go has been noticed by now
            log.error(
                "trades_incomplete order=%s trades=%s", order_id, sorted(self._waiting[order_id].trades)
            )
            del self._waiting[order_id]
        return [one for one, each in self._waiting.items() if each.due <= now]

    def _notice(self) -> None:
        """Note the trades that are new in the cache: near its tail, but for what came again."""
        known = 0
        cache = self._client.myTrades
        for trade in reversed(cache) if cache is not None else ():
            raw = trade["info"]
            key = str(raw["orderId"]), str(raw["tradeId"])
            if key in self._seen:
                known += 1
                if known > _LOOK_BEHIND:
                    break
                continue
            self._seen.add(key)
            order_id, trade_id = key
            if trade_id not in self._rows.get(order_id, {}):
                waiting = self._waiting.setdefault(order_id, _Waiting(str(raw["symbol"]), self._clock()))
                waiting.trades.add(trade_id)
                waiting.due, waiting.pause = self._clock(), _PAUSE_FIRST_S
        if len(self._seen) > _MOST_SEEN:
            self._seen = {(str(t["info"]["orderId"]), str(t["info"]["tradeId"])) for t in cache}

    def _keep(self, order_id: str, rows: dict[str, Raw]) -> None:
        self._rows.setdefault(order_id, {}).update(rows)
        self._rows.move_to_end(order_id)
        while len(self._rows) > _MOST_ORDERS:
            self._rows.popitem(last=False)
