"""How Hyperliquid spot is asked and what it tells: signed actions, answers, refusals, an account's streams.

Problem: ccxt signs an order without the deadline that the venue knows (`expiresAfter`), and would add a
builder and his fee. So an order is put together here from ccxt's own parts, the order and the signature,
and posted with ccxt. What ccxt rounds in silence, a quantity or a price, is noticed and not sent. There are
no market orders: one is an IOC limit, off the mid of the decision by `SLIPPAGE` at most.

Executions may come without the cloid (its documentation lists none for them), so the venue's number leads to
it: known from the answer, from the order's own message, or from ccxt's cache.

Not here: reading an order's fields and looking one up (`hyperliquid_orders`), market data
(`hyperliquid_market`). Invariant: only what was refused for certain is `Rejected`; every action goes out with
its deadline; the private key is in no text.
"""

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt
import msgspec

from parley.instruments import Instrument
from parley.messages import CancelIntent, Fill, Intent, OrderEvent
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.hyperliquid_client import hyperliquid_instrument, signer_of
from venues.hyperliquid_cloids import cloid_of
from venues.hyperliquid_orders import fill_of, look_up, open_orders, order_event, verdict
from venues.pongs import NO_PONG, Pongs, socket_of
from venues.port import Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked, VenueError
from venues.words import Account, Placing, Raw, UnsentError

SLIPPAGE: Final = "0.05"  # of ccxt and of the venue's own SDK for market orders
PING: Final = {"method": "ping"}
# …/api/info-endpoint#query-a-users-abstraction-state; with portfolio margin an account borrows by itself
_MODES: Final = ("default", "disabled", "dexAbstraction", "unifiedAccount")
_MOST_KNOWN: Final = 50_000


class HyperliquidOrders:
    """One account; `client` is what `hyperliquid_client.make_client` returns."""

    kind = "spot"

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account
        self._pongs = Pongs(PING)
        address = client.walletAddress.lower()
        self._private = frozenset({f"subscribe:orderUpdates::{address}", f"subscribe:userFills::{address}"})
        self._cloids: dict[str, str] = {}  # by the venue's number
        self._under_way = 0
        self._assets = {"USDC": "USDC"}  # by the venue's token, of what is traded

    async def connect(self) -> dict[str, Instrument]:
        signer_of(self._client)
        mode = str(await self._info("account mode", "userAbstraction")).strip('"')
        if mode not in _MODES:
            raise VenueError(f"account mode: expected one that does not borrow, was {mode!r}")
        said = await self._info("fees", "userFees")
        fees = exact(said["userSpotAddRate"]), exact(said["userSpotCrossRate"])
        found = instruments_of(
            self._client,
            self._account.symbols,
            lambda market: hyperliquid_instrument(market, self._account.venue, fees),
        )
        for symbol in found:
            self._assets[self._only(symbol)["baseName"]] = found[symbol].base
        return found

    async def balances(self) -> dict[str, Decimal]:
        answer = await self._info("balances", "spotClearinghouseState")
        found = {}
        for each in answer["balances"]:
            token = str(each["coin"])
            # anybody may send a token that is called as one of ours
            other = f"{token} (token {each['token']})" if token in self._assets.values() else token
            found[self._assets.get(token, other)] = exact(each["total"])
        return found

    async def key_rights(self) -> KeyRights:
        # …/api/info-endpoint#query-a-users-role; an API wallet trades and cannot withdraw
        signer, address = signer_of(self._client), self._client.walletAddress
        if signer == address:
            return KeyRights(trades=True, withdraws=True)
        role = await self._info("rights of the key", "userRole", user=signer)
        is_ours = role["role"] == "agent" and str(role["data"]["user"]).lower() == address
        return KeyRights(trades=is_ours, withdraws=False)

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        cloid, order = self._order(intent, placing)
        self._under_way += 1
        try:
            nonce, answer = await self._act({"type": "order", "orders": [order], "grouping": "na"})
            number = _number_in(answer)
            self._know(number, cloid)
        finally:
            self._under_way -= 1
        return Acked(venue_id=number, t_venue=nonce * MS)  # the answer has no time

    async def cancel(self, intent: CancelIntent) -> Acked:
        cloid = _cloid_or_unsent(intent.cid)
        asset = int(self._client.market(intent.symbol)["baseId"])
        nonce, answer = await self._act(
            {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": cloid}]}
        )
        if answer["response"]["data"]["statuses"] != ["success"]:
            raise ccxt.ExchangeError(msgspec.json.encode(answer).decode())
        known = next((number for number, each in self._cloids.items() if each == cloid), "")
        return Acked(venue_id=known, t_venue=nonce * MS)

    def _only(self, symbol: str) -> Raw:
        """Return the one market of a symbol; what is wrapped may be called as a token of its own."""
        listed = [each for all_ in self._client.markets_by_id.values() for each in all_]
        same: list[Raw] = [each for each in listed if each["symbol"] == symbol]
        if len(same) != 1:
            names = ", ".join(sorted(str(each["id"]) for each in same))
            raise VenueError(f"markets: expected one {symbol}, were {names}")
        return same[0]

    def _order(self, intent: Intent, placing: Placing) -> tuple[str, dict[str, Any]]:
        cloid = _cloid_or_unsent(intent.cid)
        if placing.params.get("timeInForce", "GTC") not in ("GTC", "IOC"):
            raise UnsentError(f"expected GTC or IOC, got {placing.params['timeInForce']!r}")
        px = placing.px if intent.ref_px is None or placing.px is not None else f"{intent.ref_px:f}"
        if px is None:
            raise UnsentError("a market order is a limit around ref_px, and there is none")
        params = {**placing.params, "clientOrderId": cloid, "slippage": SLIPPAGE}
        try:
            order: dict[str, Any] = self._client.create_order_request(
                placing.symbol, placing.kind, placing.side, placing.qty, px, params
            )
        except ccxt.BaseError as error:
            raise UnsentError(line(error)) from error
        if exact(order["s"]) != exact(placing.qty):
            raise UnsentError(f"quantity {placing.qty} has more decimals than the venue takes")
        if placing.px is not None and exact(order["p"]) != exact(placing.px):
            raise UnsentError(f"price {placing.px} has more digits than the venue takes at that height")
        return cloid, order

    async def _act(self, action: dict[str, Any]) -> tuple[int, Any]:
        """Sign an action with its deadline and post it, once; returns its nonce, too."""
        client = self._client
        nonce = int(client.incrementing_nonce())
        expires = int(client.milliseconds()) + int(client.options["recvWindow"])
        try:
            signature = client.sign_l1_action(action, nonce, None, expires)
        except Exception as error:  # noqa: BLE001 - what a library says of a key might hold some of it
            raise UnsentError(f"the action could not be signed: {type(error).__name__}") from None
        request = {"action": action, "nonce": nonce, "signature": signature, "expiresAfter": expires}
        return nonce, await client.privatePostExchange(request)

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        return verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        account = self._account
        found = await look_up(self._client, intent, venue=account.venue, account=account.name)
        if isinstance(found, Acked) and (cloid := cloid_of(intent.cid)):
            self._know(found.venue_id, cloid)
        return found

    async def resting(self, tag: str) -> Sequence[Resting]:
        return await open_orders(self._client, self._account.symbols, tag)

    async def unasked(self) -> Sequence[Unasked]:
        return ()

    async def stands(self) -> bool:
        return await self._pongs.stands(self._client, self._private)

    async def spoken(self) -> None:
        if (socket := socket_of(self._client, self._private)) is not None:
            with contextlib.suppress(*NO_PONG):
                await self._pongs.ping(socket)

    def client_ids(self, raw: Raw) -> Sequence[str]:
        entry = raw.get("order", raw)
        number = str(entry["oid"])
        if cloid := entry.get("cloid"):
            self._know(number, str(cloid))
        elif "cloid" not in entry and number not in self._cloids:
            self._search(number)
        return (self._cloids[number],) if number in self._cloids else ()

    def venue_id(self, raw: Raw) -> str:
        return str(raw.get("order", raw)["oid"])

    def market(self, raw: Raw) -> str:
        return str(raw.get("order", raw)["coin"])

    def version(self, raw: Raw) -> tuple[str, ...]:
        return str(raw["status"]), str(raw["order"]["sz"]), str(raw["statusTimestamp"])

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        return order_event(iid, symbol, raw)

    def fill(self, iid: bytes, symbol: str, raw: Raw) -> Fill:
        return fill_of(self._client, iid, symbol, raw, self._account.venue, self._account.name)

    def end(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent | None:
        return None

    def _search(self, number: str) -> None:
        """Look for the cloid of an execution that came without one and before anything else of its order.

        Raises
        ------
        KeyError
            When it may be one of ours whose answer is not here yet: a gap, after which all is looked up.
        """
        for each in reversed(self._client.orders or ()):
            if each["id"] == number and each["clientOrderId"]:
                self._know(number, str(each["clientOrderId"]))
                return
        if self._under_way:
            raise KeyError(f"cloid of {number}")

    def _know(self, number: str, cloid: str) -> None:
        self._cloids[number] = cloid
        if len(self._cloids) > _MOST_KNOWN:
            del self._cloids[next(iter(self._cloids))]

    async def _info(self, what: str, kind: str, user: str = "") -> Any:
        query = {"type": kind, "user": user or self._client.walletAddress}
        return await asked(what, self._client.publicPostInfo(query))


def _cloid_or_unsent(cid: str) -> str:
    cloid = cloid_of(cid)
    if cloid is None:
        raise UnsentError(f"expected a client order id of 31 as `parley.ids` makes them, got {cid!r}")
    return cloid


def _number_in(answer: Mapping[str, Any]) -> str:
    """Return the venue's number of the order that an answer says it took."""
    (status,) = answer["response"]["data"]["statuses"]
    for kind in ("resting", "filled"):
        if isinstance(status, dict) and kind in status:
            return str(status[kind]["oid"])
    raise ccxt.ExchangeError(msgspec.json.encode(answer).decode())
