"""How Coinbase Advanced Trade is asked and what it tells: requests, answers, and its streams.

Problem: the venue has no field for how long a request may be under way, and ccxt's token of a request is good
for two minutes. But a token's expiry is its maker's to choose: each request that changes something goes out
with one that ends with our window. Orders are cancelled by the venue's id alone, and neither the answer to a
request nor the private stream holds executions, so what became of an order is asked for after each answer.

Not here: reading an order's fields and looking one up (`coinbase_orders`), what all venues share
(`ccxt_venue`, `ccxt_feed`). Invariant: only what was refused for certain is `Rejected`; each request that
changes something carries a token of its own that ends, in whole seconds, no later than our window.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt
import msgspec

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.ccxt_client import asked, exact, instruments_of, line
from venues.coinbase_client import coinbase_instrument
from venues.coinbase_lists import order_of, order_of_client
from venues.coinbase_orders import answered, fill, look_up, open_orders, told_event, verdict
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked, VenueError
from venues.words import Account, Placing, Raw, UnsentError

log = logging.getLogger(__name__)

_ORDERS: Final = "brokerage/orders"
_CANCELS: Final = "brokerage/orders/batch_cancel"
_TOKEN_S: Final = 120  # what ccxt adds to the time that it is given
_PEM: Final = "-----BEGIN"
_MOST_SYMBOLS: Final = 50
_MOST_KNOWN: Final = 50_000


class CoinbaseOrders:
    """One trading account; `client` is what `coinbase_client.make_client` returns."""

    kind = "spot"

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._numbers: dict[str, str] = {}  # the venue's ids of orders, by ours

    async def connect(self) -> dict[str, Instrument]:
        if not str(self._client.secret).startswith(_PEM):
            raise VenueError(
                "key: expected a private key of P-256 as PEM text, as Coinbase gives it for ECDSA (ES256); "
                "others sign another way"
            )
        # https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/fees/get-transaction-summary
        summary = await asked("fees", self._client.v3PrivateGetBrokerageTransactionSummary())
        tier = summary["fee_tier"]
        maker, taker = exact(tier["maker_fee_rate"]), exact(tier["taker_fee_rate"])
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: coinbase_instrument(market, self._account.venue, maker, taker),
        )

    async def balances(self) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = {}
        cursor: dict[str, str] = {}
        while True:
            query = {"limit": 250, **cursor}
            page = await asked("balance", self._client.v3PrivateGetBrokerageAccounts(query))
            for row in page["accounts"]:
                total = exact(row["available_balance"]["value"]) + exact(row["hold"]["value"])
                totals[str(row["currency"])] = totals.get(str(row["currency"]), Decimal(0)) + total
            if not page["has_next"]:
                return totals
            if cursor.get("cursor") == page["cursor"]:
                raise VenueError(f"balance: the same page again, after {page['cursor']!r}")
            cursor = {"cursor": page["cursor"]}

    async def key_rights(self) -> KeyRights:
        # https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/data-api/get-api-key-permissions
        said = await asked("rights of the key", self._client.v3PrivateGetBrokerageKeyPermissions())
        trades, moves = said["can_trade"], said["can_transfer"]
        if not isinstance(trades, bool) or not isinstance(moves, bool):
            raise TypeError(f"can_trade was {trades!r}, can_transfer {moves!r}")
        return KeyRights(trades=trades, withdraws=moves)

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        request = {
            "client_order_id": intent.cid,
            "product_id": self._client.market_id(placing.symbol),
            "side": placing.side.upper(),
            "order_configuration": _configuration(placing),
        }
        answer = await self._in_time(_ORDERS, request)
        if answer.get("success") is not True:  # ccxt raises for these when they come with a reason
            raise ccxt.ExchangeError(msgspec.json.encode(answer).decode())
        number = str(answer["success_response"]["order_id"])
        self._know(intent.cid, number)
        return await self._became(intent.iid, intent.symbol, number)

    async def cancel(self, intent: CancelIntent) -> Acked:
        number = self._numbers.get(intent.cid)
        if number is None:
            market = self._client.market_id(intent.symbol)
            raw = await order_of_client(self._client, intent.cid, market)
            if raw is None:
                raise ccxt.OrderNotFound(f"no order {intent.cid} of {intent.symbol}: nothing was cancelled")
            number = str(raw["order_id"])
            self._know(intent.cid, number)
        answer = await self._in_time(_CANCELS, {"order_ids": [number]})
        (result,) = answer["results"]
        if result["success"] is not True:
            reason = msgspec.json.encode({"cancel_failure_reason": result["failure_reason"]}).decode()
            raise ccxt.ExchangeError(f"order {number}: {reason}")
        return await self._became(intent.iid, intent.symbol, number)

    async def _in_time(self, path: str, request: Raw) -> Any:
        """Make a request with a token that ends with our window; nothing is awaited before it goes out."""
        client = self._client
        window_ms = int(client.options["recvWindow"])
        if window_ms < 1000:
            raise UnsentError(
                f"the window was {window_ms} ms, and tokens of Coinbase end with a whole second"
            )
        try:
            signed = client.sign(path, ["v3", "private"], "POST", request)
            ends = (time.time_ns() // 1_000_000 + window_ms) // 1000
            token = client.create_auth_token(ends - _TOKEN_S, "POST", signed["url"])
        except (ccxt.BaseError, ValueError, TypeError) as error:
            raise UnsentError(line(error)) from error
        headers = {**signed["headers"], "Authorization": f"Bearer {token}"}
        return await client.fetch(signed["url"], "POST", headers, signed["body"])

    async def _became(self, iid: bytes, symbol: str, number: str) -> Acked:
        """Ask what became of an order that the venue took; if that fails, the stream will tell."""
        account = self._account
        try:
            raw = await order_of(self._client, number)
            return await answered(self._client, iid, symbol, raw, venue=account.venue, account=account.name)
        except (VenueError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            log.info("order_not_told_yet number=%s cause=%r", number, error)
            return Acked(venue_id=number, t_venue=time.time_ns())

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        return verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        found = await look_up(self._client, intent, venue=account.venue, account=account.name)
        if isinstance(found, Acked):
            self._know(intent.cid, found.venue_id)
        return found

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._account.symbols, tag)

    async def unasked(self) -> Sequence[Unasked]:
        return ()

    async def stands(self) -> bool:
        return bool(self._client.hears())

    async def spoken(self) -> None:
        """Wait for nothing: the answer to a send or cancel was asked for what it did."""

    def client_ids(self, raw: Raw) -> Sequence[str]:
        return (str(raw.get("order", raw)["client_order_id"]),)

    def venue_id(self, raw: Raw) -> str:
        return str(raw["order_id"])

    def market(self, raw: Raw) -> str:
        return str(raw["product_id"])

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["status"]), str(raw["cumulative_quantity"])

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        self._know(str(raw["client_order_id"]), str(raw["order_id"]))
        return told_event(iid, symbol, raw)

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return fill(iid, symbol, raw, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return None

    def _know(self, cid: str, number: str) -> None:
        self._numbers[cid] = number
        if len(self._numbers) > _MOST_KNOWN:
            del self._numbers[next(iter(self._numbers))]


class CoinbaseMarket:
    """Public streams on one socket; the venue numbers messages and ccxt keeps no number, but their times."""

    most_symbols = _MOST_SYMBOLS

    def __init__(self) -> None:
        self._pongs = Pongs("")
        self._standing: object = None

    def book_number(self, book: Mapping[str, Any]) -> int:
        told = book["timestamp"]
        return -1 if told is None else int(told)

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        # candles come from trades that say when to ask
        channels = {"level2" if each == "book" else "market_trades" for each in streams}
        socket = socket_of(client, [f"{channel}::{each}" for channel in channels for each in symbols])
        if socket is None:
            return False
        if self._standing is not socket:
            try:
                await self._pongs.ping(_Framed(socket))
            except NO_PONG:
                return False
            self._standing = socket
        return True


class _Framed:
    """A socket whose pings are frames of the protocol below, because the venue has no message for them."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    @property
    def lastPong(self) -> Any:
        return self._socket.lastPong

    async def send(self, message: object) -> None:
        if self._socket.connection is None:
            raise ConnectionError("the socket is not connected yet")
        await self._socket.connection.ping()


def _configuration(placing: Placing) -> dict[str, dict[str, str | bool]]:
    if placing.kind == "market":
        return {"market_market_ioc": {"base_size": placing.qty}}
    terms: dict[str, str | bool] = {"base_size": placing.qty, "limit_price": str(placing.px)}
    match placing.params.get("timeInForce"):
        case "IOC":
            return {"sor_limit_ioc": terms}
        case "FOK":
            return {"limit_limit_fok": terms}
        case "GTC" | None:
            return {"limit_limit_gtc": {**terms, "post_only": placing.params.get("postOnly") is True}}
        case other:
            raise UnsentError(f"expected GTC, IOC or FOK, was {other!r}")
