"""What Kraken's private stream did not tell while it was broken, read from the venue's histories.

Problem: a new stream begins with what is open and, if at all, the last fifty executions, and ccxt sorts a
message that holds both by its first report. So an order that traded or ended in between would stay open here.
When a stream stands in another's place, the closed orders and the executions since the newest report are
asked for (https://docs.kraken.com/api/docs/rest-api/get-trade-history), and put into ccxt's caches by its own
handlers, as if they had been told.

Not here: what reports mean (`kraken_orders`). Invariant: the stream counts as whole again only after both
histories were read to their ends.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from venues.ccxt_client import MS, asked
from venues.kraken_orders import seconds
from venues.kraken_turns import Turns
from venues.pongs import socket_of
from venues.port import VenueError

PRIVATE: Final = frozenset({"executions"})
_MOST_PAGES: Final = 40
_AGAIN_S: Final = 1.0
_MARGIN_S: Final = 1
Raw = Mapping[str, Any]


class Missed:
    """Of one account; ``heard_at`` is told the time of each report, ns."""

    def __init__(self, client: Any, turns: Turns) -> None:
        self._client = client
        self._turns = turns
        self._socket: object = None
        self._newest = 0
        self._due = False
        self._not_before = 0.0

    def heard_at(self, t: int) -> None:
        """Note when a report was made that the stream brought."""
        if not self._due:
            self._newest = max(self._newest, t)

    def mixed(self) -> None:
        """Note that an execution was found where ccxt keeps only the last report of an order."""
        self._due = True

    def lacks(self) -> bool:
        """Whether something may have been missed, and it is time to ask for it."""
        socket = socket_of(self._client, PRIVATE)
        if socket is not None and socket is not self._socket:
            # of the first one nothing was missed: what is older is looked up at the start
            self._due |= self._socket is not None
            self._socket = socket
        return self._due and socket is not None and time.monotonic() >= self._not_before

    async def complete(self) -> None:
        """Read both histories; raises `VenueError`, and then it is still to be done."""
        self._not_before = time.monotonic() + _AGAIN_S
        socket = socket_of(self._client, PRIVATE)
        since = {"start": str(max(0, self._newest // (1000 * MS) - _MARGIN_S))}
        closed = await self._whole("closed orders", self._client.privatePostClosedOrders, "closed", since)
        whole = since | {"consolidate_taker": "false"}
        trades = await self._whole("own executions", self._client.privatePostTradesHistory, "trades", whole)
        if socket is None or socket is not socket_of(self._client, PRIVATE):
            return  # broken again: more may have been missed
        for number, raw in sorted(closed.items(), key=lambda each: seconds(each[1]["closetm"])):
            self._client.handle_orders(socket, {"data": [self._ended(number, raw)]})
        for number, raw in sorted(trades.items(), key=lambda each: seconds(each[1]["time"])):
            self._client.handle_my_trades(socket, {"data": [self._executed(number, raw)]})
        self._due = False

    async def _whole(self, what: str, ask: Any, key: str, query: Raw) -> dict[str, Raw]:
        rows: dict[str, Raw] = {}
        for _ in range(_MOST_PAGES):
            async with self._turns.turn():
                answer = (await asked(what, ask({**query, "ofs": str(len(rows))})))["result"]
            before = len(rows)
            rows |= answer[key]
            if len(rows) >= int(answer["count"]):
                return rows
            if len(rows) == before:
                break
        raise VenueError(f"{what}: they did not end within {_MOST_PAGES} pages")

    def _ended(self, number: str, raw: Raw) -> dict[str, Any]:
        return {
            "order_id": number, "cl_ord_id": raw.get("cl_ord_id"),
            "symbol": self._symbol(raw["descr"]["pair"]), "exec_type": raw["status"],
            "order_status": "filled" if raw["status"] == "closed" else raw["status"],
            "cum_qty": raw["vol_exec"], "avg_price": raw["price"], "reason": raw.get("reason"),
            "timestamp": self._client.iso8601(seconds(raw["closetm"]) // MS),
        }  # fmt: skip

    def _executed(self, number: str, raw: Raw) -> dict[str, Any]:
        symbol = self._symbol(raw["pair"])
        return {
            "order_id": raw["ordertxid"], "exec_id": number, "exec_type": "trade", "symbol": symbol,
            "trade_id": raw["trade_id"], "side": raw["type"], "last_qty": raw["vol"],
            "last_price": raw["price"], "liquidity_ind": "m" if raw["maker"] else "t",
            "fees": [{"asset": symbol.split("/")[1], "qty": raw["fee"]}],
            "timestamp": self._client.iso8601(seconds(raw["time"]) // MS),
        }  # fmt: skip

    def _symbol(self, pair: str) -> str:
        return str(self._client.resolve_market_by_altname_or_id(pair)["symbol"])
