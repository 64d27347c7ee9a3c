"""How any venue is asked through ccxt's unified methods, and what it is believed: as little as possible.

Problem: an exception class of ccxt says what an error is about and not whether the venue acted before it.
Only two things are certain without knowing the venue: a request that ccxt never made, and that there was not
enough money. Everything else leaves an order in doubt.

Not here: reading orders and looking one up (`generic_orders`), what all venues share (`ccxt_venue`).
Invariant: what ccxt is not known to send exactly as it was meant is not sent.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import ccxt

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.generic_client import UnifiedClient
from venues.generic_orders import event_of, fill_of, instrument_of, look_up, open_orders
from venues.port import NOT_FOUND, Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked, VenueError
from venues.words import Account, Placing, Raw, UnsentError


class NotOpenError(Exception):
    """The venue said to a cancel that it has no such order."""


class GenericOrders:
    """One spot account at a venue nobody certified."""

    kind = "spot"

    def __init__(self, client: UnifiedClient, account: Account) -> None:
        self._client = client
        self._account = account
        client.follow_only(account.symbols)

    async def connect(self) -> dict[str, Instrument]:
        if missing := self._client.means.missing:
            raise VenueError(
                f"orders cannot be traded at {self._client.id!r}: ccxt has no {', '.join(missing)}"
            )
        mode = int(self._client.precisionMode)
        return instruments_of(
            self._client, self._account.symbols,
            lambda market: instrument_of(market, self._account.venue, mode),
        )  # fmt: skip

    async def balances(self) -> dict[str, Decimal]:
        totals = (await asked("balance", self._client.fetch_balance()))["total"]
        return {str(asset): exact(total) for asset, total in totals.items() if total is not None}

    async def key_rights(self) -> KeyRights:
        raise VenueError(f"ccxt has no unified way to ask {self._client.id!r} what a key may do")

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        client, params = self._client, self._params(placing)
        px = None if placing.px is None else float(placing.px)
        before = self._last_request()
        with client.ids.sending(intent.cid):
            try:
                order = await client.create_order(
                    placing.symbol, placing.kind, placing.side, float(placing.qty), px, params
                )
            except Exception as error:
                if _same(before, self._last_request()):
                    raise UnsentError(line(error)) from error
                raise
            venue_id = str(order["id"] or "")
            if not venue_id:
                raise ValueError("the answer names no order")
            client.ids.learn(intent.cid, venue_id)
        return Acked(venue_id=venue_id, t_venue=int(order.get("timestamp") or 0) * MS)

    def _params(self, placing: Placing) -> dict[str, str | bool]:
        """Return the parameters, if ccxt is known to send the order exactly as it was meant."""
        means, params = self._client.means, dict(placing.params)
        if placing.kind == "market":
            if placing.side == "buy" and not means.exact_buys:
                raise UnsentError(
                    f"ccxt does not say that market buys at {means.venue!r} are of the base asset"
                )
            return params
        wanted = "PO" if params.get("postOnly") else str(params.get("timeInForce", "GTC"))
        if wanted != "GTC" and wanted not in means.in_force:
            raise UnsentError(f"ccxt does not say that {means.venue!r} takes {wanted}: it could rest instead")
        if wanted not in means.in_force:
            params.pop("timeInForce", None)
        return params

    def _last_request(self) -> tuple[object, object, object]:
        exchange = self._client.exchange
        return exchange.last_request_url, exchange.last_request_headers, exchange.last_request_body

    async def cancel(self, intent: CancelIntent) -> Acked:
        client = self._client
        venue_id = client.ids.venue_id(intent.cid) or await self._listed(intent)
        try:
            await client.cancel_order(venue_id, intent.symbol)
        except ccxt.OrderNotFound as error:
            raise NotOpenError(line(error)) from error
        return Acked(venue_id=venue_id, t_venue=0)

    async def _listed(self, intent: CancelIntent) -> str:
        try:
            rows = await asked("open orders", self._client.fetch_open_orders(intent.symbol))
        except VenueError as error:
            raise UnsentError(f"the venue's id of the order is not known: {error}") from error
        for each in rows:
            if self._client.is_called(each, intent.cid):
                return str(each["id"])
        raise UnsentError(f"no open order of {intent.symbol} is called {intent.cid}: no id to cancel by")

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        if isinstance(error, NotOpenError):
            return Rejected(code=NOT_FOUND, detail=str(error))
        if isinstance(error, ccxt.InsufficientFunds):
            return Rejected(code="venue:insufficient_funds", detail=line(error))
        if isinstance(error, ccxt.DuplicateOrderId):
            return Ambiguous(cause=f"duplicate: {line(error)}")
        return Ambiguous(cause=f"{type(error).__name__}: {line(error)}")

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._account.symbols, tag)

    async def unasked(self) -> Sequence[Unasked]:
        return ()

    async def stands(self) -> bool:
        return self._client.follows("watch_orders") and self._client.follows("watch_my_trades")

    async def spoken(self) -> None:
        """Wait for nothing: nothing unified says that a stream has told everything."""

    def client_ids(self, raw: Raw) -> Sequence[str]:
        cid = self._client.owner(raw, "order" if "order" in raw else "id")
        return (cid,) if cid else ()

    def venue_id(self, raw: Raw) -> str:
        return str(raw["order"] if "order" in raw else raw["id"])

    def market(self, raw: Raw) -> str:
        listed: Mapping[str, Any] = self._client.markets.get(raw["symbol"], {})
        return str(listed["id"]) if listed.get(self.kind) else ""

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["status"]), str(raw["filled"]), str(raw.get("lastUpdateTimestamp"))

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        return event_of(iid, symbol, raw)

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return fill_of(iid, self._client.markets[symbol], raw, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return None


def _same(before: Sequence[object], after: Sequence[object]) -> bool:
    """Whether no request was made in between: ccxt notes each before it sends it, with texts of its own."""
    return all(one is other for one, other in zip(before, after, strict=True))
