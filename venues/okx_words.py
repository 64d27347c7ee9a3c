"""How OKX v5 spot is asked and what it tells: requests, answers, refusals, and its streams.

Problem: OKX acknowledges a request and tells the outcome on the private stream, so an answer to a send holds
no fills. Its window for the time of a request is 30 s for everybody; what an order needs is its own deadline,
the header `expTime`, and ccxt sends headers only from its property `headers`.

Not here: reading an order's fields and looking one up (`okx_orders`), stops (`okx_stops`), what all venues
share (`ccxt_venue`, `ccxt_feed`). Invariant: only what was refused for certain is `Rejected`; every order
that is no stop goes out with its deadline.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt
import msgspec

from parley.errors import ConfigError
from parley.instruments import ZERO, Instrument
from parley.messages import CancelIntent, Fill, FundingPaid, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.okx_client import okx_instrument
from venues.okx_orders import look_up, open_orders, order_event, told_fill, verdict
from venues.okx_stops import OkxStops, client_ids
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, VenueError
from venues.words import Account, Placing, Raw, UnsentError

_PRIVATE: Final = frozenset({"orders", "orders::myTrades"})
_MOST_SYMBOLS: Final = 50
_PING: Final = "ping"
_DEADLINE: Final = "expTime"
_TAG: Final = "parley"  # of orders that are no stops: by it the dead man's switch knows them
# Accounts that do not borrow by themselves: spot mode, and futures mode.
_MODES: Final = ("1", "2")
_LONGEST_BAR_S: Final = 4 * 3600
_SOCKET_OF: Final = {"book": "public", "trade": "public", "candle": "business"}


class OkxOrders:
    """One trading account; `client` is what `okx_client.make_client` returns."""

    kind = "spot"

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._pongs = Pongs(_PING)
        self._stops = OkxStops(client, account)
        self._plain: set[str] = set()  # client ids of orders that are no stops

    async def connect(self) -> dict[str, Instrument]:
        config = (await asked("account mode", self._client.privateGetAccountConfig()))["data"][0]
        mode, borrows = config.get("acctLv"), config.get("enableSpotBorrow")
        if mode not in _MODES or borrows is not False:
            raise VenueError(
                "account mode: expected spot or futures mode (acctLv 1 or 2) that does not borrow, was "
                f"acctLv {mode!r}, enableSpotBorrow {borrows!r}"
            )
        answer = await asked("fees", self._client.privateGetAccountTradeFee({"instType": "SPOT"}))
        fees = _fees(answer["data"][0])
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: okx_instrument(market, self._account.venue, fees),
        )

    async def balances(self) -> dict[str, Decimal]:
        answer = await asked("balance", self._client.privateGetAccountBalance())
        rows = [row for account in answer["data"] for row in account["details"]]
        return {str(each["ccy"]): exact(each["cashBal"] or "0") for each in rows}

    async def key_rights(self) -> KeyRights:
        # https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration
        answer = await asked("rights of the key", self._client.privateGetAccountConfig())
        said = answer["data"][0]["perm"]
        if not isinstance(said, str):
            raise TypeError(f"perm was {said!r}")
        rights = said.split(",")
        return KeyRights(trades="trade" in rights, withdraws="withdraw" in rights)

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        if intent.trigger is not None:
            return await self._stops.place(intent)
        try:
            request = self._client.create_order_request(
                placing.symbol, placing.kind, placing.side, placing.qty, placing.px, placing.params
            )
        except ccxt.BaseError as error:
            raise UnsentError(line(error)) from error
        self._plain.add(intent.cid)
        request["tag"] = _TAG
        return _taken(await self._in_time(self._client.privatePostTradeOrder, request))

    async def cancel(self, intent: CancelIntent) -> Acked:
        if self._stops.knows(intent.cid):
            return await self._stops.cancel(intent)
        request = {"instId": self._client.market_id(intent.symbol), "clOrdId": intent.cid}
        try:
            return _taken(await self._in_time(self._client.privatePostTradeCancelOrder, request))
        except ccxt.BaseError as error:
            said = verdict(error)
            # what a kill takes back must not use up the limits with questions for stops
            if intent.cid in self._plain or not isinstance(said, Rejected) or said.code != NOT_FOUND:
                raise
        return await self._stops.cancel(intent)  # an earlier life may have placed one

    async def _in_time(self, ask: Callable[[Raw], Awaitable[Any]], request: Raw) -> Any:
        """Make a request with its deadline.

        ccxt reads its headers before it first suspends, so each request gets its own; one that is made while
        it waits may get this one too, and venue and client both leave it alone there.
        """
        window = int(self._client.options["recvWindow"])
        self._client.headers[_DEADLINE] = str(int(self._client.nonce()) + window)
        try:
            return await ask(request)
        finally:
            self._client.headers.pop(_DEADLINE, None)

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        return verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        if intent.trigger is not None:
            return await self._stops.look_up(intent)
        self._plain.add(intent.cid)
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> Sequence[Resting]:
        # one that is set off goes from the stops to the orders and never back: in this order none is missed
        symbols = self._account.symbols
        stops = [each for symbol in symbols for each in await self._stops.resting(symbol, tag)]
        found = await open_orders(self._client, symbols, tag)
        shown = {each.cid for each in found}
        return [*found, *(each for each in stops if each.cid not in shown)]

    async def set_dead_man(self, symbol: str, seconds: int) -> None:
        # https://www.okx.com/docs-v5/en/#order-book-trading-trade-post-cancel-all-after: with a tag, "orders
        # with other tags or no tags will remain unaffected": stops, what they become, what a person placed
        request = {"timeOut": str(seconds), "tag": _TAG}
        answer = await asked("dead man's switch", self._client.privatePostTradeCancelAllAfter(request))
        row = answer["data"][0]
        if row.get("tag") != _TAG:
            # whoever does not know the tag may have set the timer of the whole account: stops, a person's
            # orders. That one goes off at once.
            wrong = f"dead man's switch: asked for the tag {_TAG!r}, was told {row!r}"
            try:
                await asked("its end", self._client.privatePostTradeCancelAllAfter({"timeOut": "0"}))
            except VenueError as error:
                raise VenueError(f"{wrong}; {error}") from None
            raise VenueError(wrong)
        if (int(row["triggerTime"]) > 0) != (seconds > 0):
            raise VenueError(f"dead man's switch: asked for {seconds} s of {_TAG!r}, was told {row!r}")

    async def unasked(self) -> Sequence[FundingPaid]:
        return ()

    async def stands(self) -> bool:
        return await self._pongs.stands(self._client, _PRIVATE)

    async def spoken(self) -> None:
        if (socket := socket_of(self._client, _PRIVATE)) is not None:
            with contextlib.suppress(*NO_PONG):
                await self._pongs.ping(socket)

    def client_ids(self, raw: Raw) -> Sequence[str]:
        return client_ids(raw)

    def venue_id(self, raw: Raw) -> str:
        return str(raw["ordId"])

    def market(self, raw: Raw) -> str:
        return str(raw["instId"]) if raw.get("instType") == "SPOT" else ""

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["state"]), str(raw["accFillSz"]), str(raw["uTime"])

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        return order_event(iid, symbol, raw)

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return told_fill(iid, symbol, raw, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return order_event(iid, symbol, raw) if raw["state"] == "filled" else None


class OkxMarket:
    """Public streams: books and trades on one socket, candles on another; books numbered by the venue."""

    most_symbols = _MOST_SYMBOLS

    def __init__(self) -> None:
        self._pongs = {name: Pongs(_PING) for name in _SOCKET_OF.values()}

    def book_number(self, book: Mapping[str, Any]) -> int:
        nonce = book["nonce"]
        return -1 if nonce is None else int(nonce)

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        if "candle" in streams and client.parse_timeframe(timeframe) > _LONGEST_BAR_S:
            raise ConfigError(
                f"timeframe: expected at most 4h at OKX, was {timeframe!r}: its longer candles open at "
                "midnight of Hong Kong"
            )
        # ccxt's own names of what it subscribed to
        bar = client.timeframes[timeframe]
        names = {
            "book": [f"books:{each}" for each in symbols],
            "trade": [f"trades:{each}" for each in symbols],
            "candle": [f"multi:candle{bar}:{each}" for each in symbols],
        }
        for socket in sorted({_SOCKET_OF[each] for each in streams}):
            wanted = [name for each in streams if _SOCKET_OF[each] == socket for name in names[each]]
            if not await self._pongs[socket].stands(client, wanted):
                return False
        return True


def _fees(row: Mapping[str, Any]) -> dict[str, tuple[Decimal, Decimal]]:
    # what is paid is negative
    found = {"": (ZERO - exact(row["maker"]), ZERO - exact(row["taker"]))}
    if row.get("makerUSDC") and row.get("takerUSDC"):
        found["USDC"] = (ZERO - exact(row["makerUSDC"]), ZERO - exact(row["takerUSDC"]))
    return found


def _taken(answer: Mapping[str, Any]) -> Acked:
    row = answer["data"][0]
    if row["sCode"] != "0":  # ccxt raises for these unless the venue says that a part of them worked
        raise ccxt.ExchangeError(msgspec.json.encode(answer).decode())
    return Acked(venue_id=str(row["ordId"]), t_venue=int(row["ts"]) * MS)
