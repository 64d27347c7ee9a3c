"""The questions of `/info`: what is listed and traded, and what anybody may ask about an account.

Who asks is nobody's business there: an account is its address. Not here: HTTP. Invariant: nothing from after
the market clock is visible, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from venues.sandbox.accounts import Account
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.hyperliquid import errors
from venues.sandbox.hyperliquid.actions import Json, whole
from venues.sandbox.hyperliquid.bodies import (
    balances_body,
    candle_body,
    context,
    decimals_of,
    fill_body,
    full_order,
    levels,
    listing,
    status,
    token_body,
)
from venues.sandbox.hyperliquid.names import Names, full_name
from venues.sandbox.hyperliquid.signing import Signers
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.orders import Fill, Order
from venues.sandbox.session import MarketSession
from venues.sandbox.wall import VenueClock

MOST_LEVELS = 20
_MOST_CANDLES = 5000
_PAGE = 2000
_CHEAP = frozenset({"l2Book", "orderStatus", "spotClearinghouseState", "exchangeStatus"})
_DEAR = frozenset({"userRole"})


class InfoApi:
    """Answers by `type`."""

    def __init__(
        self, exchange: Exchange, session: MarketSession, intervals: Mapping[str, int], names: Names,
        signers: Signers, lists: Lists, rates: tuple[str, str], wall: VenueClock,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._session = session
        self._intervals = intervals
        self._names = names
        self._signers = signers
        self._lists = lists
        self._rates = rates
        self._wall = wall
        self._answers: dict[str, Callable[[Json], object]] = {
            "exchangeStatus": lambda query: {"specialStatuses": None, "time": wall.ms()},
            "spotMeta": lambda query: self._meta(),
            "spotMetaAndAssetCtxs": lambda query: [
                self._meta(), [context(names, market) for market in names.markets.values()],
            ],
            "candleSnapshot": self._candles,
            "l2Book": self._book,
            "userAbstraction": lambda query: "default",
            "userRole": lambda query: signers.role(_user(query)),
            "userFees": self._fees,
            "spotClearinghouseState": self._balances,
            "orderStatus": self._order,
            "userFillsByTime": self._fills_by_time,
        }  # fmt: skip

    def weight(self, query: Json) -> int:
        """What a question costs of the address's limit, without its rows."""
        kind = query.get("type")
        return 2 if kind in _CHEAP else 60 if kind in _DEAR else 20

    def answer(self, query: Json) -> object:
        """Answer a question."""
        kind = query.get("type")
        if not isinstance(kind, str) or kind not in self._answers:
            raise errors.Malformed
        return self._answers[kind](query)

    def fills(self, account: Account) -> list[tuple[Order, Fill]]:
        """All executions of an account, oldest first."""
        found = [
            (order, fill)
            for order in self._exchange.by_account[account.name]
            if self._lists.shows(order)
            for fill in order.fills
        ]
        return sorted(found, key=lambda one: one[1].trade_id)

    def _meta(self) -> object:
        markets = list(self._names.markets.values())
        return {
            "universe": [listing(self._names, market, number) for number, market in enumerate(markets)],
            "tokens": [
                token_body(asset, number, decimals_of(markets, asset), full_name(asset))
                for asset, number in self._names.tokens.items()
            ],
        }

    def _market(self, coin: object) -> SymbolMarket:
        market = self._names.markets.get(coin) if isinstance(coin, str) else None
        if market is None:
            raise errors.Malformed
        return market

    def _candles(self, query: Json) -> object:
        asked = query.get("req")
        if not isinstance(asked, dict):
            raise errors.Malformed
        market, interval = self._market(asked.get("coin")), asked.get("interval")
        length = self._intervals.get(interval) if isinstance(interval, str) else None
        if length is None:
            raise errors.Malformed
        rows = self._session.histories[market.instrument.symbol].rows(
            length, whole(asked.get("startTime")), whole(asked.get("endTime")), _MOST_CANDLES,
            self._exchange.clock,
        )  # fmt: skip
        return [candle_body(str(asked["coin"]), str(interval), bar, 0) for bar in rows]

    def _book(self, query: Json) -> object:
        market = self._market(query.get("coin"))
        sides = [list(side.items())[:MOST_LEVELS] for side in (market.book.bids, market.book.asks)]
        return {
            "coin": query["coin"],
            "time": self._wall.ms(),
            "levels": [levels(sides[0]), levels(sides[1])],
        }

    def _fees(self, query: Json) -> object:
        _user(query)
        maker, taker = self._rates
        return {
            "userCrossRate": taker, "userAddRate": maker, "userSpotCrossRate": taker,
            "userSpotAddRate": maker, "activeReferralDiscount": "0.0", "dailyUserVlm": [],
        }  # fmt: skip

    def _balances(self, query: Json) -> object:
        account = self._signers.account_at(_user(query))
        return {"balances": []} if account is None else balances_body(self._names, account)

    def _order(self, query: Json) -> object:
        account, asked = self._signers.account_at(_user(query)), query.get("oid")
        order = None
        if account is not None and isinstance(asked, str):
            order = self._exchange.find_anywhere(account, None, asked.lower())
        elif account is not None:
            order = self._exchange.find_anywhere(account, whole(asked), "")
        if order is None or not self._lists.shows(order):
            return {"status": "unknownOid"}
        body = full_order(self._names.coin(order.instrument), order)
        told = {"order": body, "status": status(order), "statusTimestamp": order.updated_ms}
        return {"status": "order", "order": told}

    def _fills_by_time(self, query: Json) -> object:
        account = self._signers.account_at(_user(query))
        end = query.get("endTime")
        first, last = whole(query.get("startTime")), self._wall.ms() if end is None else whole(end)
        found = [] if account is None else self.fills(account)
        within = [(order, fill) for order, fill in found if first <= fill.t <= last]
        return [
            fill_body(self._names.coin(order.instrument), order, fill)
            for order, fill in within[: self._lists.rows(_PAGE)]
        ]


def _user(query: Json) -> str:
    user = query.get("user")
    if not isinstance(user, str) or len(user) != 42:
        raise errors.Malformed
    return user
