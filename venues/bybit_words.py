"""How Bybit v5 spot is asked and what it tells: requests, answers, refusals, and its streams.

Problem: Bybit acknowledges a request and tells the outcome on the private stream, so an answer to a send
holds no fills; and ccxt's own `create_order` asks a question first. Here the request is made and sent in
one go, and what its answer means is read from Bybit's own code (`bybit_orders.verdict`).

Not here: reading an order's fields and looking one up (`bybit_orders`), how a stop is placed and cancelled
(`bybit_stops`), what all venues share (`ccxt_venue`, `ccxt_feed`).

Invariant: only what was refused for certain, or never sent, is `Rejected`.
"""

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.execution.protective import REACHED
from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, FundingPaid, Intent, OrderEvent
from venues.bybit_client import bybit_instrument
from venues.bybit_orders import fill_of, look_up, open_orders, order_event, verdict
from venues.bybit_stops import BeyondError, BybitStops
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, VenueError
from venues.words import Account, Placing, Raw, UnsentError

_SPOT: Final = {"category": "spot"}
_PRIVATE: Final = frozenset({"orders", "myTrades"})
_MOST_SYMBOLS: Final = 10
_PING: Final = {"op": "ping", "req_id": "heard"}


class BybitOrders:
    """One unified account; `client` is what `bybit_client.make_client` returns."""

    kind = "spot"

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._pongs = Pongs(_PING)
        self._stops = BybitStops(client)

    async def connect(self) -> dict[str, Instrument]:
        unified = await asked("account type", self._client.is_unified_enabled())
        if not unified[1]:
            raise VenueError("account type: expected a unified trading account, this key has another one")
        answer = await asked("fees", self._client.privateGetV5AccountFeeRate(dict(_SPOT)))
        fees = {
            str(each["symbol"]): (exact(each["makerFeeRate"]), exact(each["takerFeeRate"]))
            for each in answer["result"]["list"]
        }
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: bybit_instrument(market, self._account.venue, fees),
        )

    async def balances(self) -> dict[str, Decimal]:
        query = {"accountType": "UNIFIED"}
        answer = await asked("balance", self._client.privateGetV5AccountWalletBalance(query))
        coins = [coin for wallet in answer["result"]["list"] for coin in wallet["coin"]]
        return {str(each["coin"]): exact(each["walletBalance"] or "0") for each in coins}

    async def key_rights(self) -> KeyRights:
        # https://bybit-exchange.github.io/docs/v5/user/apikey-info
        answer = await asked("rights of the key", self._client.privateGetV5UserQueryApi())
        told = answer["result"]
        rights = told["permissions"]
        return KeyRights(
            trades=str(told["readOnly"]) == "0" and "SpotTrade" in rights["Spot"],
            withdraws="Withdraw" in rights["Wallet"],
        )

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        try:
            request = self._client.create_order_request(
                placing.symbol, placing.kind, placing.side, placing.qty, placing.px, placing.params
            )
        except ccxt.BaseError as error:
            raise UnsentError(line(error)) from error
        if intent.trigger is not None:
            return _taken(await self._stops.place(intent, request))
        self._stops.learn(intent)
        return _taken(await self._client.privatePostV5OrderCreate(request))

    async def cancel(self, intent: CancelIntent) -> Acked:
        request = {**_SPOT, "symbol": self._client.market_id(intent.symbol), "orderLinkId": intent.cid}
        return _taken(await self._stops.cancel(intent, request))

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        if isinstance(error, BeyondError):
            return Rejected(code=REACHED, detail=str(error))
        return verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        self._stops.learn(intent)
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._account.symbols, tag)

    async def unasked(self) -> Sequence[FundingPaid]:
        return ()

    async def stands(self) -> bool:
        return await self._pongs.stands(self._client, _PRIVATE)

    async def spoken(self) -> None:
        if (socket := socket_of(self._client, _PRIVATE)) is not None:
            with contextlib.suppress(*NO_PONG):
                await self._pongs.ping(socket)

    def client_ids(self, raw: Raw) -> Sequence[str]:
        return (str(raw["orderLinkId"]),)

    def venue_id(self, raw: Raw) -> str:
        return str(raw["orderId"])

    def market(self, raw: Raw) -> str:
        return str(raw["symbol"]) if raw.get("category") == "spot" else ""

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["orderStatus"]), str(raw["cumExecQty"]), str(raw["updatedTime"])

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        return order_event(iid, symbol, raw)

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return fill_of(iid, symbol, raw, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return None


class BybitMarket:
    """Public streams: all on one socket. ccxt drops a book's own numbers, so its wall time numbers it."""

    most_symbols = _MOST_SYMBOLS

    def __init__(self) -> None:
        self._pongs = Pongs(_PING)

    def book_number(self, book: Mapping[str, Any]) -> int:
        return -1 if book["timestamp"] is None else int(book["timestamp"])

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        # ccxt's own names of what it subscribed to
        names = {
            "book": [f"orderbook:{each}" for each in symbols],
            "trade": [f"trade:{each}" for each in symbols],
            "candle": [f"ohlcv::{each}::{timeframe}" for each in symbols],
        }
        return await self._pongs.stands(client, [name for each in streams for name in names[each]])


def _taken(answer: Mapping[str, Any]) -> Acked:
    return Acked(venue_id=str(answer["result"]["orderId"]), t_venue=int(answer["time"]) * MS)
