"""How Binance's USD-M contracts are asked and what they tell: requests, answers, refusals, and the streams.

Problem: a margin account can be in modes in which a position is not one number (hedge mode), several assets
margin it, or a position has a purse of its own. The ledger knows one position per contract and one wallet, so
the account is put into that mode before anything is traded, or refused.

Not here: reading an order's fields and looking one up (`binance_usdm_orders`), stops (`binance_usdm_stops`),
what is the same on the spot market (`binance_words`). Invariant: as there.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt

from parley.execution.protective import REACHED
from parley.instruments import Instrument
from parley.messages import Fill, FundingPaid, Intent, OrderEvent
from venues.binance_orders import open_orders, order_event
from venues.binance_usdm_client import held, marks_of, sharing, usdm_instrument
from venues.binance_usdm_orders import event_of, fills_of, look_up
from venues.binance_usdm_stops import AlgoStops, is_algo
from venues.binance_words import BinanceOrders
from venues.ccxt_client import MS, asked, exact, instruments_of, line
from venues.port import FORCED, Absent, Acked, Ambiguous, KeyRights, Rejected, Resting, Unasked, VenueError
from venues.words import Account, Placing, Raw

_CODE: Final = re.compile(r'"code":\s*(-\d+)')
# The venue has an order of this id: some send arrived.
_DUPLICATE: Final = -4116
_NO_MARGIN: Final = -2019
_WOULD_TRIGGER: Final = -2021
# What the venue refused before acting, and ccxt has only a general error for.
# https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code
_REFUSED: Final = frozenset(
    {-2018, -2020, -2022, -2023, -2024, -2025, -2026, -2027, -2028, -4001, -4002, -4003, -4004, -4005, -4013,
     -4014, -4015, -4016, -4023, -4024, -4045, -4061, -4118, -4120, -4131, -4136, -4140, -4164, -5021, -5022,
     -5028}
)  # fmt: skip
_AS_IT_IS: Final = '"code":-4046'
_INCOME_PAGE: Final = 1000
_FORCED_PAGE: Final = 100
# What is paid without a trade of ours: for holding, and at a liquidation to or by the insurance fund.
_PAYMENTS: Final = ("FUNDING_FEE", "INSURANCE_CLEAR")
Terms = tuple[tuple[Decimal, Decimal], Sequence[Mapping[str, Any]]]


class UsdmOrders(BinanceOrders):
    """One account of contracts, one way and cross margin; `client` is `binance_usdm_client.make_client`'s."""

    kind = "swap"

    def __init__(self, client: Any, account: Account) -> None:
        super().__init__(client, account)
        self._stops = AlgoStops(client, account)
        self._closed: dict[tuple[str, str], tuple[Fill, ...]] = {}  # by the venue's own order, as it stood

    async def connect(self) -> dict[str, Instrument]:
        client = self._client
        # what is not listed is named below, before anything is asked of it
        listed = [each for each in sorted(self._account.symbols) if each in client.markets]
        if len(listed) == len(self._account.symbols):
            terms = {symbol: await self._terms(symbol) for symbol in listed}
        else:
            terms = {}
        venue, leverage = self._account.venue, self._account.leverage

        def read(market: Mapping[str, Any]) -> Instrument:
            return usdm_instrument(market, venue, leverage, *terms[market["symbol"]])

        return instruments_of(client, self._account.symbols, read)

    async def _terms(self, symbol: str) -> Terms:
        """Return a contract's fees and brackets."""
        client, leverage = self._client, self._account.leverage
        market = {"symbol": client.market_id(symbol)}
        listed = await asked(f"brackets of {symbol}", client.fapiPrivateGetLeverageBracket(market))
        row = listed[0] if isinstance(listed, list) else listed
        if (most := int(row["brackets"][0]["initialLeverage"])) < leverage:
            raise VenueError(f"{symbol}: expected a leverage of at most {most}, was {leverage}")
        fees = await asked(f"fees of {symbol}", client.fapiPrivateGetCommissionRate(market))
        rates = exact(fees["makerCommissionRate"]), exact(fees["takerCommissionRate"])
        return rates, row["brackets"]

    async def unfit(self) -> list[str]:
        client = self._client
        sides = await asked("position mode", client.fapiPrivateGetPositionSideDual())
        assets = await asked("margin mode", client.fapiPrivateGetMultiAssetsMargin())
        account = await asked("account", client.fapiPrivateV2GetAccount())
        wrong = []
        if (said := sides["dualSidePosition"]) is not False:
            wrong.append(f"account mode: expected one-way positions, was dualSidePosition {said!r}")
        if (said := assets["multiAssetsMargin"]) is not False:
            wrong.append(f"account mode: expected margin of one asset, was multiAssetsMargin {said!r}")
        if (said := account.get("canTrade", True)) is not True:
            wrong.append(f"the account may not trade: canTrade is {said!r}")
        if others := sharing(account, self._ids()):
            wrong.append(f"cross positions in {', '.join(others)} share the wallet: isolate or close them")
        return wrong

    async def prepare(self) -> None:
        if wrong := await self.unfit():
            raise VenueError("; ".join(wrong))
        for symbol in sorted(self._account.symbols):
            await self._set(symbol)

    async def _set(self, symbol: str) -> None:
        """Put a contract into the mode that the ledger knows."""
        client, leverage = self._client, self._account.leverage
        market = {"symbol": client.market_id(symbol)}
        try:
            await client.fapiPrivatePostMarginType({**market, "marginType": "CROSSED"})
        except ccxt.BaseError as error:
            if _AS_IT_IS not in "".join(str(error).split()):
                raise VenueError(f"margin type of {symbol}: {type(error).__name__}: {line(error)}") from error
        wanted = {**market, "leverage": leverage}
        set_to = await asked(f"leverage of {symbol}", client.fapiPrivatePostLeverage(wanted))
        if int(set_to["leverage"]) != leverage:
            raise VenueError(f"leverage of {symbol}: expected {leverage}, was {set_to['leverage']}")

    async def balances(self) -> dict[str, Decimal]:
        account = await asked("account", self._client.fapiPrivateV2GetAccount())
        return held(account, self._ids())

    async def marks(self) -> dict[str, Decimal]:
        ids = self._ids()
        # one costs a tenth of all, and ten or more of them no less
        query = {"symbol": next(iter(ids))} if len(ids) == 1 else {}
        told = await asked("marks", self._client.fapiPublicGetPremiumIndex(query))
        return marks_of(told if isinstance(told, list) else [told], ids)

    async def key_rights(self) -> KeyRights:
        rights = await asked("rights of the key", self._client.sapiGetAccountApiRestrictions())
        burn = await asked("fees in BNB", self._client.fapiPrivateGetFeeBurn())
        return KeyRights(
            trades=rights["enableFutures"] is True,
            withdraws=rights["enableWithdrawals"] is not False,
            fees_elsewhere=burn["feeBurn"] is not False,
        )

    async def place(self, intent: Intent, placing: Placing) -> Acked:
        if intent.trigger is not None:
            return await self._stops.place(intent, placing)
        order = await self._client.create_order(
            placing.symbol, placing.kind, placing.side, placing.qty, placing.px,
            {**placing.params, "newOrderRespType": "RESULT"},
        )  # fmt: skip
        raw = order["info"]
        account = self._account
        fills: tuple[Fill, ...] = ()
        # The answer says how much traded, not in which trades; if they cannot be had now, the stream tells.
        with contextlib.suppress(VenueError):
            fills = await fills_of(self._client, intent.iid, intent.symbol, raw, account.venue, account.name)
        traded = sum((each.qty for each in fills), Decimal(0))
        event = event_of(intent.iid, intent.symbol, raw) if traded == exact(raw["executedQty"]) else None
        return Acked(
            venue_id=str(raw["orderId"]), t_venue=int(raw["updateTime"]) * MS, event=event, fills=fills
        )

    async def cancel(self, intent: Any) -> Acked:
        if self._stops.knows(intent.cid):
            return await self._stops.cancel(intent)
        market = {"symbol": self._client.market_id(intent.symbol), "origClientOrderId": intent.cid}
        try:
            raw = await self._client.fapiPrivateDeleteOrder(market)
        except ccxt.OrderNotFound:
            # an earlier life may have placed it as a stop
            return await self._stops.cancel(intent)
        event = event_of(intent.iid, intent.symbol, raw)
        return Acked(venue_id=str(raw["orderId"]), t_venue=event.t, event=event)

    def verdict(self, error: Exception) -> Rejected | Ambiguous:
        found = _CODE.search(str(error))
        code = int(found[1]) if found else 0
        if code == _DUPLICATE:
            return Ambiguous(cause=f"duplicate: {line(error)}")
        if code == _NO_MARGIN:
            return Rejected(code="venue:insufficient_funds", detail=line(error))
        if code == _WOULD_TRIGGER:
            return Rejected(code=REACHED, detail=line(error))
        if code in _REFUSED:
            return Rejected(code=f"venue:{code}", detail=line(error))
        return super().verdict(error)

    async def look_up(self, intent: Intent) -> Acked | Absent:
        if intent.trigger is not None:
            return await self._stops.look_up(intent)
        account = self._account
        return await look_up(self._client, intent, venue=account.venue, account=account.name)

    async def resting(self, tag: str) -> list[Resting]:
        client = self._client
        found = await open_orders(client, client.fapiPrivateGetOpenOrders, self._account.symbols, tag)
        for symbol in self._account.symbols:
            found += await self._stops.resting(symbol, tag)
        return found

    async def set_dead_man(self, symbol: str, seconds: int) -> None:
        # https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/Auto-Cancel-All-Open-Orders
        try:
            market, wanted = self._client.market_id(symbol), seconds * 1000
        except ccxt.BaseError as error:
            raise VenueError(f"dead man's switch: {error}") from error
        request = {"symbol": market, "countdownTime": wanted}
        said = await asked("dead man's switch", self._client.fapiPrivatePostCountdownCancelAll(request))
        if said["symbol"] != market or int(said["countdownTime"]) != wanted:
            raise VenueError(f"dead man's switch: asked for {wanted} ms of {market}, was told {said!r}")

    async def stands(self) -> bool:
        # a listen key's stream confirms nothing: that the connection stands is all there is to know
        sockets = [each for url, each in self._client.clients.items() if self._is_private(url)]
        return any(each.connected.done() and not each.connected.cancelled() for each in sockets)

    def _is_private(self, url: str) -> bool:
        keys = [each.get("listenKey") for each in self._client.options.values() if isinstance(each, dict)]
        return any(key and key in url for key in keys)

    def client_ids(self, raw: Raw) -> Sequence[str]:
        return self._stops.client_ids(raw)

    def venue_id(self, raw: Raw) -> str:
        return str(raw["aid"] if is_algo(raw) else raw["i"])

    def version(self, raw: Raw) -> tuple[str, ...]:
        if is_algo(raw):
            return str(raw["X"]), str(raw.get("ai")), str(raw["T"])
        return str(raw["X"]), str(raw["z"]), str(raw["T"])

    def seq(self, raw: Raw) -> int:
        return 0

    def event(self, iid: bytes, symbol: str, raw: Raw) -> OrderEvent:
        if is_algo(raw):
            return self._stops.event(iid, symbol, raw)
        cost = str(exact(raw["ap"]) * exact(raw["z"]))
        return order_event(iid, str(raw["i"]), symbol, raw["X"], raw["z"], cost, int(raw["T"]) * MS)

    async def unasked(self) -> list[Unasked]:
        """Return funding, fees of liquidations, and the trades of liquidations of the last week.

        Raises
        ------
        VenueError
            When the venue does not say, or not all of it.
        """
        ids = self._ids()
        paid = []
        for kind in _PAYMENTS:
            query = {"incomeType": kind, "limit": _INCOME_PAGE}
            paid += await asked(kind, self._client.fapiPrivateGetIncome(query))
        try:
            payments = [_payment(each, ids, self._account.name) for each in paid if each["symbol"] in ids]
            return [*sorted(payments, key=lambda each: each.t), *await self._forced(ids)]
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise VenueError(f"funding: an answer nobody can read: {error!r}") from error

    def _ids(self) -> dict[str, str]:
        """Return the traded symbols by the venue's ids."""
        return {str(self._client.market_id(each)): each for each in self._account.symbols}

    async def _forced(self, ids: Mapping[str, str]) -> list[Fill]:
        """Return the trades of the venue's own orders; those of one that has ended are asked for once."""
        client, account = self._client, self._account
        orders = await asked("forced orders", client.fapiPrivateGetForceOrders({"limit": _FORCED_PAGE}))
        fills: list[Fill] = []
        for raw in orders:
            if raw["symbol"] not in ids:
                continue
            key = str(raw["orderId"]), str(raw["executedQty"])
            if key not in self._closed:
                symbol = ids[raw["symbol"]]
                self._closed[key] = await fills_of(client, FORCED, symbol, raw, account.venue, account.name)
            fills += self._closed[key]
        return fills


def _payment(raw: Mapping[str, Any], ids: Mapping[str, str], account: str) -> FundingPaid:
    return FundingPaid(
        account=account, symbol=ids[raw["symbol"]], amount=exact(raw["income"]), asset=str(raw["asset"]),
        t=int(raw["time"]) * MS, ref=f"{raw['tranId']}",
    )  # fmt: skip
