"""One account at Binance spot (or its sandbox) through ccxt.pro, as a gateway sees it.

Problem: ccxt answers with floats and with some forty exception types. Here quantities and prices go out
and come back as exact decimals, and every way a send can end becomes one of three answers. Only what the
venue itself refused before acting, or ccxt refused before sending, is `Rejected`; everything else, even an
exception nobody thought of, is `Ambiguous`.

Not here: when to send and what then (the gateway); reading an order's fields (`ccxt_orders`).

Invariant: a request to place or cancel leaves this module at most once per call; the client order id is
always the intent's.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.ccxt_client import MS, account_fees, binance_instrument, exact, instruments_of, plain
from venues.ccxt_orders import asked, line, look_up, order_event
from venues.ccxt_stream import Reading, UserStream
from venues.port import Absent, Acked, Ambiguous, OnFact, Rejected, SendResult

log = logging.getLogger(__name__)

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


class CcxtVenue:
    """An account at Binance spot. `client` is what `ccxt_client.make_client` returns."""

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
        self._last_seq = 0

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
        balance = await asked("balance", self._client.fetch_balance())
        fees = account_fees(balance)
        return instruments_of(
            self._client, self._symbols, lambda market: binance_instrument(market, self._name, fees)
        )

    async def balances(self) -> tuple[tuple[str, Decimal], ...]:
        balance = await asked("balance", self._client.fetch_balance())
        totals = {
            each["asset"]: exact(each["free"]) + exact(each["locked"]) for each in balance["info"]["balances"]
        }
        return tuple((asset, total) for asset, total in sorted(totals.items()) if total)

    async def clock_offset_ms(self) -> float:
        before = time.time_ns()
        venue_ms = await asked("time", self._client.fetch_time())
        return venue_ms - (before + time.time_ns()) / 2 / MS

    def know(self, cid: str, iid: bytes) -> None:
        self._iids[cid] = iid

    async def send(self, intent: Intent) -> SendResult:
        self._iids[intent.cid] = intent.iid
        params: dict[str, str | bool] = {"clientOrderId": intent.cid}
        if intent.style == "post_only":
            params["postOnly"] = True
        elif intent.style == "limit":
            params["timeInForce"] = intent.tif
        kind = "market" if intent.style == "market" else "limit"
        price = None if intent.px is None else plain(intent.px)
        request = self._client.create_order(
            intent.symbol, kind, intent.side, plain(intent.qty), price, params
        )
        return await _outcome(request, lambda order: self._placed(intent, order["info"]))

    async def cancel(self, intent: CancelIntent) -> SendResult:
        request = self._client.cancel_order("", intent.symbol, {"clientOrderId": intent.cid})
        return await _outcome(request, lambda order: self._cancelled(intent, order["info"]))

    async def look_up(self, intent: Intent) -> Acked | Absent:
        return await look_up(self._client, intent, venue=self._name, account=self._account)

    def _placed(self, intent: Intent, raw: Mapping[str, Any]) -> Acked:
        t_venue = int(raw["transactTime"]) * MS
        venue_id = str(raw["orderId"])
        # What trades within the request took liquidity.
        fills = tuple(
            Fill(
                trade_id=str(each["tradeId"]), venue=self._name, account=self._account, iid=intent.iid,
                venue_id=venue_id, symbol=intent.symbol, side=intent.side, qty=exact(each["qty"]),
                px=exact(each["price"]), fee=exact(each["commission"]),
                fee_asset=str(each["commissionAsset"]), liquidity="taker", t=t_venue,
            )
            for each in raw.get("fills", ())
        )  # fmt: skip
        event = order_event(
            intent.iid, venue_id, intent.symbol, raw["status"], raw["executedQty"],
            raw["cummulativeQuoteQty"], t_venue,
        )  # fmt: skip
        return Acked(venue_id=venue_id, t_venue=t_venue, event=event, fills=fills)

    def _cancelled(self, intent: CancelIntent, raw: Mapping[str, Any]) -> Acked:
        t_venue = int(raw.get("transactTime") or 0) * MS
        venue_id = str(raw["orderId"])
        event = order_event(
            intent.iid, venue_id, intent.symbol, raw["status"], raw["executedQty"],
            raw["cummulativeQuoteQty"], t_venue,
        )  # fmt: skip
        return Acked(venue_id=venue_id, t_venue=t_venue, event=event)

    async def follow(self, on_fact: OnFact, on_ready: Callable[[], None]) -> None:
        stream = UserStream(
            self._client, Reading(_version_of, self._event_of, self._fill_of), lambda: self._last_seq
        )
        await stream.follow(self._stands, on_fact, on_ready)

    async def _stands(self) -> bool:
        # ccxt notes the account type when it asks; only an answer on that socket shows that the stream
        # stands.
        sockets = list(self._client.clients.values())
        return any("spot" in each.subscriptions and each.last_message_at is not None for each in sockets)

    def _event_of(self, raw: Mapping[str, Any]) -> OrderEvent | None:
        self._last_seq = max(self._last_seq, int(raw.get("I") or 0))
        iid = self._iid_of(raw)
        symbol = self._symbol_of(raw)
        if iid is None or symbol is None:
            return None
        return order_event(
            iid,
            str(raw["i"]),
            symbol,
            raw["X"],
            raw["z"],
            raw["Z"],
            int(raw["T"]) * MS,
            int(raw.get("I") or 0),
        )

    def _fill_of(self, raw: Mapping[str, Any]) -> Fill | None:
        iid = self._iid_of(raw)
        symbol = self._symbol_of(raw)
        if iid is None or symbol is None:
            return None
        return Fill(
            trade_id=str(raw["t"]), venue=self._name, account=self._account, iid=iid, venue_id=str(raw["i"]),
            symbol=symbol, side=str(raw["S"]).lower(), qty=exact(raw["l"]), px=exact(raw["L"]),
            fee=exact(raw["n"]), fee_asset=str(raw["N"]), liquidity="maker" if raw["m"] else "taker",
            t=int(raw["T"]) * MS,
        )  # fmt: skip

    def _iid_of(self, raw: Mapping[str, Any]) -> bytes | None:
        # In a report of a cancel `c` is the cancel's own id and `C` the order's.
        for cid in _client_ids(raw):
            if cid in self._iids:
                return self._iids[cid]
        self._foreign.add(str(raw["i"]))
        return None

    def _symbol_of(self, raw: Mapping[str, Any]) -> str | None:
        markets = self._client.markets_by_id.get(raw["s"], ())
        return next((str(each["symbol"]) for each in markets if each["spot"]), None)

    async def close(self) -> None:
        await self._client.close()


def _version_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return str(raw["X"]), str(raw["z"]), str(raw["E"])


def _client_ids(raw: Mapping[str, Any]) -> Iterator[str]:
    for key in ("C", "c"):
        if raw.get(key):
            yield str(raw[key])


async def _outcome(request: Awaitable[Any], read: Callable[[Any], Acked]) -> SendResult:
    try:
        return read(await request)
    except _DEFINITIVE as error:
        if isinstance(error, ccxt.DuplicateOrderId) or "Duplicate" in str(error):
            # The venue has an order of this id: some send arrived.
            return Ambiguous(cause=f"duplicate: {line(error)}")
        return Rejected(code=_code(error), detail=line(error))
    except asyncio.CancelledError:
        # The request may be under way; who cancels wants to know the state, not an exception.
        return Ambiguous(cause="cancelled")
    except Exception as error:  # noqa: BLE001 - whatever went wrong after the send leaves the order in doubt
        log.warning("send_in_doubt cause=%r", error)
        return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")


def _code(error: Exception) -> str:
    words = "".join(f"_{each.lower()}" if each.isupper() else each for each in type(error).__name__)
    return "venue:" + words.lstrip("_")
