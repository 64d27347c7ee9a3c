"""How KuCoin spot is asked and what it tells: requests, answers, refusals, and its streams.

Problem: KuCoin takes any signed request up to 5 s after its time; what an order needs is its own deadline
(`clientTimestamp` and `allowMaxTimeWindow`), which only orders of the high-frequency endpoints have. Its
private stream tells a trade without its fee (`kucoin_trades`).

Not here: reading an order's fields and looking one up (`kucoin_orders`), what all venues share (`ccxt_venue`,
`ccxt_feed`). Invariant: only what was refused for certain is `Rejected`; every order goes out with its
deadline.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import ZERO, Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.kucoin_client import BOOKS, kucoin_instrument
from venues.kucoin_orders import fill_of, look_up, open_orders, told_event, verdict
from venues.kucoin_trades import TradeRows
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, VenueError
from venues.words import Account, Placing, Raw, SpotWords, UnsentError

_PRIVATE: Final = frozenset({"/spotMarket/tradeOrders"})
_MOST_SYMBOLS: Final = 50
_MOST_FEES: Final = 10
_PING: Final = {"id": "heard", "type": "ping"}


class KucoinOrders(SpotWords):
    """One account of high-frequency trading; `client` is what `kucoin_client.make_client` returns."""

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._pongs = Pongs(_PING)
        self._trades = TradeRows(client)

    async def connect(self) -> dict[str, Instrument]:
        if await asked("account mode", self._client.is_uta_enabled()):
            raise VenueError("account mode: expected a classic account, this key has a unified one")
        opened = (await asked("account type", self._client.privateGetHfAccountsOpened()))["data"]
        if opened is not True:
            raise VenueError(f"account type: expected one for high-frequency trading, opened was {opened!r}")
        fees: dict[str, tuple[Decimal, Decimal]] = {}
        ids = [str(self._client.market_id(each)) for each in self._account.symbols if self._is_listed(each)]
        for at in range(0, len(ids), _MOST_FEES):
            query = {"symbols": ",".join(ids[at : at + _MOST_FEES])}
            for each in (await asked("fees", self._client.privateGetTradeFees(query)))["data"]:
                fees[str(each["symbol"])] = exact(each["makerFeeRate"]), exact(each["takerFeeRate"])
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: kucoin_instrument(market, self._account.venue, fees),
        )

    def _is_listed(self, symbol: str) -> bool:
        return symbol in self._client.markets

    async def balances(self) -> dict[str, Decimal]:
        rows = (await asked("balance", self._client.privateGetAccounts()))["data"]
        # an account that was opened for high frequency as one of its own is called so; if not, it is "trade"
        kind = "trade_hf" if any(each["type"] == "trade_hf" for each in rows) else "trade"
        return {str(each["currency"]): exact(each["balance"]) for each in rows if each["type"] == kind}

    async def key_rights(self) -> KeyRights:
        # https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-apikey-info
        answer = await asked("rights of the key", self._client.privateGetUserApiKey())
        said = answer["data"]["permission"]
        if not isinstance(said, str):
            raise TypeError(f"permission was {said!r}")
        rights = {each.strip() for each in said.split(",")}
        # Transfer is the right to send money to an address, InnerTransfer moves it between own accounts
        withdraws = "Transfer" in rights or any("withdraw" in each.lower() for each in rights)
        return KeyRights(trades="Spot" in rights, withdraws=withdraws)

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        client = self._client
        try:
            request = client.create_spot_order_request(
                placing.symbol, placing.kind, placing.side, placing.qty, placing.px, placing.params
            )
        except ccxt.BaseError as error:
            raise UnsentError(line(error)) from error
        # the documentation wants the very time of the signature, which ccxt makes before it suspends
        deadline = {
            "clientTimestamp": int(client.nonce()), "allowMaxTimeWindow": int(client.options["recvWindow"]),
        }  # fmt: skip
        taken = (await client.privatePostHfOrdersSync({**request, **deadline}))["data"]
        return Acked(venue_id=str(taken["orderId"]), t_venue=int(taken["orderTime"]) * MS)

    async def cancel(self, intent: CancelIntent) -> Acked:
        client = self._client
        request = {"clientOid": intent.cid, "symbol": client.market_id(intent.symbol)}
        taken = (await client.privateDeleteHfOrdersSyncClientOrderClientOid(request))["data"]
        # it says neither the venue's id nor a time
        return Acked(venue_id=str(taken["clientOid"]), t_venue=int(client.nonce()) * MS)

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        return verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._account.symbols, tag)

    async def stands(self) -> bool:
        return _confirmed(self._client, _PRIVATE) and await self._pongs.stands(self._client, _PRIVATE)

    async def spoken(self) -> None:
        if (socket := socket_of(self._client, _PRIVATE)) is not None:
            with contextlib.suppress(*NO_PONG):
                await self._pongs.ping(socket)

    def lacks(self) -> bool:
        return self._trades.lacks()

    async def complete(self) -> None:
        await self._trades.complete()

    def is_whole(self, raw: Raw) -> bool:
        return self._trades.is_whole(raw)

    def client_ids(self, raw: Raw) -> Sequence[str]:
        return (str(raw.get("clientOid", "")),)

    def venue_id(self, raw: Raw) -> str:
        return str(raw["orderId"])

    def market(self, raw: Raw) -> str:
        return str(raw["symbol"])

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["type"]), str(raw.get("filledSize")), str(raw["ts"])

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        return told_event(iid, symbol, raw, self._trades.of(str(raw["orderId"])))

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        row = self._trades.row(str(raw["orderId"]), str(raw["tradeId"]))
        return fill_of(iid, symbol, row, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        # ccxt keeps one state of an order, and an older one that comes again takes its place
        filled = exact(raw.get("remainSize") or "1") == ZERO
        ended = {**raw, "type": "filled", "status": "done"}
        return self.event(iid, symbol, ended) if filled else None


class KucoinMarket:
    """Public streams: all on one socket, whose address and token the venue gives. Books are told whole."""

    most_symbols = _MOST_SYMBOLS

    def __init__(self) -> None:
        self._pongs = Pongs(_PING)

    def book_number(self, book: Mapping[str, Any]) -> int:
        return -1 if book["timestamp"] is None else int(book["timestamp"])

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        ids = [str(client.market_id(each)) for each in symbols]
        bar = client.timeframes[timeframe]
        names = {
            "book": [f"{BOOKS}:{each}" for each in ids],
            "trade": [f"/market/match:{each}" for each in ids],
            "candle": [f"/market/candles:{each}_{bar}" for each in ids],
        }
        wanted = [name for each in streams for name in names[each]]
        return _confirmed(client, wanted) and await self._pongs.stands(client, wanted)


def _confirmed(client: Any, names: Collection[str]) -> bool:
    """Whether the venue acknowledged every request for these: until then ccxt keeps its number as well."""
    socket = socket_of(client, names)
    return socket is not None and not any(
        isinstance(each, str) and each in names for each in list(socket.subscriptions.values())
    )
