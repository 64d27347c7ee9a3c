"""How Binance spot is asked and what it tells: requests, answers, refusals, and its streams.

Binance answers a send with the order's state and what traded at once; ccxt's exception class says whether a
request was refused before it could act.

Not here: reading an order's fields and looking one up (`binance_orders`), what all venues share
(`ccxt_venue`, `ccxt_feed`). Invariant: only what the venue itself refused before acting, or ccxt refused
before sending, is `Rejected`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.binance_client import account_fees, binance_instrument
from venues.binance_orders import look_up, open_orders, order_event
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked
from venues.words import Account, Placing, Raw

# The request was turned away before it could act. InvalidNonce is the venue's "outside of recvWindow".
_DEFINITIVE: Final = (
    ccxt.InsufficientFunds,
    ccxt.InvalidOrder,
    ccxt.BadRequest,
    ccxt.OperationRejected,
    ccxt.AuthenticationError,
    ccxt.ArgumentsRequired,
    ccxt.NotSupported,
    ccxt.InvalidNonce,
)
_MOST_SYMBOLS: Final = 200


class BinanceOrders:
    """One account; `client` is what `binance_client.make_client` returns."""

    kind = "spot"

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account

    async def connect(self) -> dict[str, Instrument]:
        balance = await asked("balance", self._client.fetch_balance())
        fees = account_fees(balance)
        return instruments_of(
            self._client,
            self._account.symbols,
            lambda market: binance_instrument(market, self._account.venue, fees),
        )

    async def balances(self) -> dict[str, Decimal]:
        balance = await asked("balance", self._client.fetch_balance())
        return {
            str(each["asset"]): exact(each["free"]) + exact(each["locked"])
            for each in balance["info"]["balances"]
        }

    async def key_rights(self) -> KeyRights:
        # https://developers.binance.com/docs/wallet/account/api-key-permission
        rights = await asked("rights of the key", self._client.sapiGetAccountApiRestrictions())
        burn = await asked("fees in BNB", self._client.sapiGetBnbBurn())
        return KeyRights(
            trades=rights["enableSpotAndMarginTrading"] is True,
            withdraws=rights["enableWithdrawals"] is not False,
            fees_elsewhere=burn["spotBNBBurn"] is not False,
        )

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        order = await self._client.create_order(
            placing.symbol, placing.kind, placing.side, placing.qty, placing.px, placing.params
        )
        raw = order["info"]
        t_venue = int(raw["transactTime"]) * MS
        venue_id = str(raw["orderId"])
        # What trades within the request took liquidity.
        fills = tuple(
            Fill(
                trade_id=str(each["tradeId"]), venue=self._account.venue, account=self._account.name,
                iid=intent.iid, venue_id=venue_id, symbol=intent.symbol, side=intent.side,
                qty=exact(each["qty"]), px=exact(each["price"]), fee=exact(each["commission"]),
                fee_asset=str(each["commissionAsset"]), liquidity="taker", t=t_venue,
            )
            for each in raw.get("fills", ())
        )  # fmt: skip
        return Acked(venue_id=venue_id, t_venue=t_venue, event=_answered(intent, raw, t_venue), fills=fills)

    async def cancel(self, intent: CancelIntent) -> Acked:
        order = await self._client.cancel_order("", intent.symbol, {"clientOrderId": intent.cid})
        raw = order["info"]
        t_venue = int(raw.get("transactTime") or 0) * MS
        return Acked(venue_id=str(raw["orderId"]), t_venue=t_venue, event=_answered(intent, raw, t_venue))

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        if not isinstance(error, _DEFINITIVE):
            return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")
        if isinstance(error, ccxt.DuplicateOrderId) or "Duplicate" in str(error):
            # The venue has an order of this id: some send arrived.
            return Ambiguous(cause=f"duplicate: {line(error)}")
        return Rejected(code=_code(error), detail=line(error))

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> Sequence[Resting]:
        client = self._client
        return await open_orders(client, client.privateGetOpenOrders, self._account.symbols, tag)

    async def unasked(self) -> Sequence[Unasked]:
        return ()

    async def stands(self) -> bool:
        # ccxt notes the account type when it asks; only an answer on that socket shows that the stream
        # stands.
        sockets = list(self._client.clients.values())
        return any("spot" in each.subscriptions and each.last_message_at is not None for each in sockets)

    async def spoken(self) -> None:
        """Wait for nothing: the answer to a send holds what traded at once."""

    def client_ids(self, raw: Raw) -> Sequence[str]:
        # In a report of a cancel `c` is the cancel's own id and `C` the order's.
        return [str(raw[key]) for key in ("C", "c") if raw.get(key)]

    def venue_id(self, raw: Raw) -> str:
        return str(raw["i"])

    def market(self, raw: Raw) -> str:
        return str(raw["s"])

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["X"]), str(raw["z"]), str(raw["E"])

    def seq(self, raw: Raw) -> int:
        return int(raw.get("I") or 0)

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        t = int(raw["T"]) * MS
        return order_event(iid, str(raw["i"]), symbol, raw["X"], raw["z"], raw["Z"], t, self.seq(raw))

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return Fill(
            trade_id=str(raw["t"]), venue=self._account.venue, account=self._account.name, iid=iid,
            venue_id=str(raw["i"]), symbol=symbol, side=str(raw["S"]).lower(), qty=exact(raw["l"]),
            px=exact(raw["L"]), fee=exact(raw["n"]), fee_asset=str(raw["N"]),
            liquidity="maker" if raw["m"] else "taker", t=int(raw["T"]) * MS,
        )  # fmt: skip

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return None


class BinanceMarket:
    """Public streams: each kind on a socket of its own, books numbered by the venue."""

    most_symbols = _MOST_SYMBOLS

    def book_number(self, book: Mapping[str, Any]) -> int:
        nonce = book["nonce"]
        return -1 if nonce is None else int(nonce)

    async def stands(
        self, client: Any, streams: Sequence[str], symbols: Sequence[str], timeframe: str
    ) -> bool:
        sockets = list(client.clients.values())
        return len(sockets) >= len(streams) and all(each.last_message_at is not None for each in sockets)


def _answered(intent: Intent | CancelIntent, raw: Raw, t_venue: int) -> OrderEvent:
    return order_event(
        intent.iid, str(raw["orderId"]), intent.symbol, raw["status"], raw["executedQty"],
        raw["cummulativeQuoteQty"], t_venue,
    )  # fmt: skip


def _code(error: Exception) -> str:
    words = "".join(f"_{each.lower()}" if each.isupper() else each for each in type(error).__name__)
    return "venue:" + words.lstrip("_")
