"""One unified account at Bybit spot (or its sandbox) through ccxt.pro, as a gateway sees it.

Problem: Bybit acknowledges a request and tells the outcome on the private stream, so an answer to a send
holds no fills; and ccxt's own `create_order` asks a question first. Here the request is made and sent in
one go, and what its answer means is read from Bybit's own code (`bybit_orders.verdict`).

Not here: when to send and what then (the gateway); reading an order's fields (`bybit_orders`).

Invariant: a request to place or cancel leaves this module at most once per call; the client order id is
always the intent's; only what was refused for certain is `Rejected`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.bybit_client import bybit_instrument
from venues.bybit_orders import fill_of, look_up, order_event, verdict
from venues.capabilities import capabilities_of, wrong_cid
from venues.ccxt_client import MS, exact, instruments_of, plain
from venues.ccxt_orders import asked, line
from venues.ccxt_stream import Reading, UserStream
from venues.port import Absent, Acked, Ambiguous, OnFact, Rejected, SendResult, VenueError

log = logging.getLogger(__name__)

_CAPABILITIES: Final = capabilities_of("bybit")
_TOPICS: Final = frozenset({"orders", "myTrades"})
_SPOT: Final = {"category": "spot"}


class BybitVenue:
    """A unified account at Bybit spot. `client` is what `bybit_client.make_client` returns."""

    def __init__(
        self,
        client: Any,
        *,
        symbols: Sequence[str],
        account: str,
        name: str,
        recv_window_ms: int,
        lag_ms: int,
    ) -> None:
        self._client = client
        self._symbols = tuple(symbols)
        self._account = account
        self._name = name
        self._recv_window_ms = recv_window_ms
        self._lag_ms = lag_ms
        self._iids: dict[str, bytes] = {}
        self._foreign: set[str] = set()
        self._pinged: dict[int, object] = {}

    @property
    def fence_ns(self) -> int:
        return self._recv_window_ms * MS

    @property
    def lag_ns(self) -> int:
        return self._lag_ms * MS

    @property
    def foreign(self) -> int:
        return len(self._foreign)

    async def connect(self) -> dict[str, Instrument]:
        await asked("markets", self._client.load_markets())
        unified = await asked("account type", self._client.is_unified_enabled())
        if not unified[1]:
            raise VenueError("account type: expected a unified trading account, this key has another one")
        answer = await asked("fees", self._client.privateGetV5AccountFeeRate(dict(_SPOT)))
        fees = {
            str(each["symbol"]): (exact(each["makerFeeRate"]), exact(each["takerFeeRate"]))
            for each in answer["result"]["list"]
        }
        return instruments_of(
            self._client, self._symbols, lambda market: bybit_instrument(market, self._name, fees)
        )

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        query = {"accountType": "UNIFIED"}
        answer = await asked("balance", self._client.privateGetV5AccountWalletBalance(query))
        coins = [coin for wallet in answer["result"]["list"] for coin in wallet["coin"]]
        totals = {str(each["coin"]): exact(each["walletBalance"] or "0") for each in coins}
        return tuple((asset, total) for asset, total in sorted(totals.items()) if total)

    async def clock_offset_ms(self) -> float:
        before = time.time_ns()
        venue_ms = await asked("time", self._client.fetch_time())
        return float(venue_ms - (before + time.time_ns()) / 2 / MS)

    def know(self, cid: str, iid: bytes) -> None:
        self._iids[cid] = iid

    async def send(self, intent: Intent) -> SendResult:
        if wrong := wrong_cid(_CAPABILITIES, intent.cid):
            return Rejected(code="venue:client_id", detail=wrong)
        self._iids[intent.cid] = intent.iid
        params: dict[str, str | bool] = {"clientOrderId": intent.cid}
        if intent.style == "post_only":
            params["postOnly"] = True
        elif intent.style == "limit":
            params["timeInForce"] = intent.tif
        kind = "market" if intent.style == "market" else "limit"
        price = None if intent.px is None else plain(intent.px)
        try:
            request = self._client.create_order_request(
                intent.symbol, kind, intent.side, plain(intent.qty), price, params
            )
        except ccxt.BaseError as error:
            # Nothing was sent yet.
            return Rejected(code="venue:request", detail=line(error))
        return await _outcome(self._client.privatePostV5OrderCreate(request))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        request = {**_SPOT, "symbol": self._client.market_id(intent.symbol), "orderLinkId": intent.cid}
        return await _outcome(self._client.privatePostV5OrderCancel(request))

    async def look_up(self, intent: Intent) -> Acked | Absent:
        return await look_up(self._client, intent, venue=self._name, account=self._account)

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        stream = UserStream(self._client, Reading(_version_of, self._event_of, self._fill_of), lambda: 0)
        await stream.follow(self._stands, on_fact, on_ready)

    async def _stands(self) -> bool:
        # ccxt notes a topic when it asks for it and not when the venue agrees. A socket answers in order, so
        # the answer to a ping that was sent after both topics shows that both stand.
        for socket in list(self._client.clients.values()):
            if set(socket.subscriptions) >= _TOPICS:
                if id(socket) not in self._pinged:
                    self._pinged[id(socket)] = socket.lastPong
                    await socket.send({"op": "ping", "req_id": "stands"})
                return bool(socket.lastPong != self._pinged[id(socket)])
        return False

    def _event_of(self, raw: Mapping[str, Any]) -> OrderEvent | None:
        iid, symbol = self._iid_of(raw), self._symbol_of(raw)
        return None if iid is None or symbol is None else order_event(iid, symbol, raw)

    def _fill_of(self, raw: Mapping[str, Any]) -> Fill | None:
        iid, symbol = self._iid_of(raw), self._symbol_of(raw)
        if iid is None or symbol is None:
            return None
        return fill_of(iid, symbol, raw, self._name, self._account)

    def _iid_of(self, raw: Mapping[str, Any]) -> bytes | None:
        found = self._iids.get(str(raw["orderLinkId"]))
        if found is None:
            self._foreign.add(str(raw["orderId"]))
        return found

    def _symbol_of(self, raw: Mapping[str, Any]) -> str | None:
        if raw.get("category") != "spot":
            return None
        markets = self._client.markets_by_id.get(raw["symbol"], ())
        return next((str(each["symbol"]) for each in markets if each["spot"]), None)

    async def close(self) -> None:
        await self._client.close()


def _version_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return str(raw["orderStatus"]), str(raw["cumExecQty"]), str(raw["updatedTime"])


async def _outcome(request: Awaitable[Any]) -> SendResult:
    try:
        answer = await request
        return Acked(venue_id=str(answer["result"]["orderId"]), t_venue=int(answer["time"]) * MS)
    except asyncio.CancelledError:
        # The request may be under way; who cancels wants to know the state, not an exception.
        return Ambiguous(cause="cancelled")
    except Exception as error:  # noqa: BLE001 - whatever went wrong after the send leaves the order in doubt
        log.warning("send_failed cause=%r", error)
        return verdict(error)
