"""Endpoints of an account of contracts: settings of symbols, balances, positions, brackets, income.

Not here: signatures (already checked), orders (`orders_api`), modes of the whole account (`modes_api`).
Invariant: leverage and margin type change only where no open position or order is left with less margin than
it needs.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm import errors as contract_errors
from venues.sandbox.binance_usdm.account_bodies import AccountBodies, brackets_body
from venues.sandbox.binance_usdm.modes_api import ModesApi
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.lists import Lists
from venues.sandbox.perpetual.assembly import Perpetuals
from venues.sandbox.perpetual.positions import Position
from venues.sandbox.perpetual.purses import cross, isolated
from venues.sandbox.refusals import Reason
from venues.sandbox.units import MONEY_ONE, ONE, money_text

_INCOME_KINDS = ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "INSURANCE_CLEAR", "TRANSFER")
_SUCCESS = {"code": 200, "msg": "success"}


class AccountApi:
    """Each handler gets the account that signed."""

    def __init__(
        self,
        exchange: Exchange,
        perpetuals: Perpetuals,
        lists: Lists,
        fees: tuple[str, str],
        modes: ModesApi,
    ) -> None:
        self._exchange = exchange
        self._modes = modes
        self._perpetuals = perpetuals
        self._margins = perpetuals.margins
        self._lists = lists
        self._fees = fees
        self._bodies = AccountBodies(perpetuals.margins, perpetuals.asset)

    def change_leverage(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/leverage"""
        position = self._position(account, params)
        leverage = params.integer("leverage")
        if leverage is None:
            raise errors.missing("leverage")
        brackets = self._margins.brackets[position.symbol]
        if not 1 <= leverage <= brackets.most_leverage:
            raise contract_errors.bad_leverage(leverage)
        if position.qty and position.is_isolated and leverage < position.leverage:
            raise contract_errors.no_leverage_reduction()
        cap, before = brackets.cap(leverage), position.leverage
        larger = max(
            self._margins.exposure(account, position, True, 0),
            self._margins.exposure(account, position, False, 0),
        )
        if larger > cap:
            raise contract_errors.spelled(Reason.TOO_LARGE_FOR_LEVERAGE)
        position.leverage = leverage
        if leverage < before and self._margins.available(account) < 0:
            position.leverage = before
            raise contract_errors.leverage_needs_margin()
        self._note(account, position)
        return {
            "leverage": leverage,
            "maxNotionalValue": str(cap // MONEY_ONE),
            "symbol": position.symbol,
        }

    def change_margin_type(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/marginType"""
        position = self._position(account, params)
        wrong = errors.VenueError(-1130, "Data sent for parameter 'marginType' is not valid.")
        is_isolated = params.choice("marginType", ("ISOLATED", "CROSSED"), wrong) == "ISOLATED"
        if is_isolated is position.is_isolated:
            raise contract_errors.same_margin_type()
        if is_isolated and self._modes.of(account).has_many_assets:
            raise contract_errors.no_isolated_margin()
        if position.qty:
            raise contract_errors.has_position()
        if self._exchange.open_orders(account, position.symbol):
            raise contract_errors.has_orders()
        position.is_isolated = is_isolated
        self._note(account, position)
        return _SUCCESS

    def change_margin(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/positionMargin: add to an isolated position's wallet (1), or take from it (2)"""
        position = self._position(account, params)
        amount, way = params.units("amount") * ONE, params.integer("type")
        if way not in (1, 2):
            raise errors.VenueError(-1130, "Data sent for parameter 'type' is not valid.")
        if not position.qty or not position.is_isolated:
            raise errors.VenueError(-4054, "Cannot add position margin: position is 0.")
        own = isolated(account.name, position.symbol)
        if way == 1:
            if self._margins.available(account) < amount:
                raise errors.VenueError(-2019, "Margin is insufficient.")
            self._perpetuals.purses.move(cross(account.name), own, amount, "margin")
        else:
            wallet = self._margins.wallet(account, position)
            left = wallet - amount + min(0, self._margins.unrealised(position))
            if left < self._margins.initial(position):
                raise errors.VenueError(-2019, "Margin is insufficient.")
            self._perpetuals.purses.move(own, cross(account.name), amount, "margin")
        self._note(account, position)
        return _SUCCESS | {"amount": money_text(amount), "type": way}

    def brackets(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/leverageBracket"""
        if params.optional_symbol() is not None:
            symbol = self._position(account, params).symbol
            return [brackets_body(symbol, self._margins.brackets[symbol])]
        return [brackets_body(symbol, one) for symbol, one in self._margins.brackets.items()]

    def symbol_config(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/symbolConfig"""
        return [
            {
                "symbol": each.symbol,
                "marginType": "ISOLATED" if each.is_isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": each.leverage,
                "maxNotionalValue": str(self._margins.brackets[each.symbol].cap(each.leverage) // MONEY_ONE),
            }
            for each in self._chosen(account, params)
        ]

    def commission(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/commissionRate"""
        maker, taker = self._fees
        symbol = self._position(account, params).symbol
        return {"symbol": symbol, "makerCommissionRate": maker, "takerCommissionRate": taker}

    def balance(self, account: Account, params: Params) -> object:
        """GET /fapi/v2/balance and v3"""
        return [self._bodies.balance(account, self._now())]

    def account_v2(self, account: Account, params: Params) -> object:
        """GET /fapi/v2/account"""
        told = self._bodies.account(account, self._now(), True)
        return told | {"multiAssetsMargin": self._modes.of(account).has_many_assets}

    def account_v3(self, account: Account, params: Params) -> object:
        """GET /fapi/v3/account"""
        return self._bodies.account(account, self._now(), False)

    def risk_v2(self, account: Account, params: Params) -> object:
        """GET /fapi/v2/positionRisk"""
        return [self._bodies.risk(account, each, True) for each in self._chosen(account, params)]

    def risk_v3(self, account: Account, params: Params) -> object:
        """GET /fapi/v3/positionRisk: positions and orders only"""
        chosen = self._chosen(account, params)
        return [
            self._bodies.risk(account, each, False) for each in chosen if self._bodies.shows(account, each)
        ]

    def income(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/income"""
        symbol, kind = params.optional_symbol(), params.optional("incomeType")
        if kind is not None and kind not in _INCOME_KINDS:
            raise errors.VenueError(-1130, "Data sent for parameter 'incomeType' is not valid.")
        start, end = params.integer("startTime"), params.integer("endTime")
        rows = [
            {
                "symbol": each.symbol,
                "incomeType": each.kind,
                "income": money_text(each.amount),
                "asset": self._perpetuals.asset,
                "info": each.kind,
                "time": each.t,
                "tranId": number,
                "tradeId": "" if each.trade_id is None else str(each.trade_id),
            }
            for number, each in enumerate(self._perpetuals.settlement.income[account.name], 1)
            if symbol in (None, each.symbol)
            and kind in (None, each.kind)
            and (start is None or each.t >= start)
            and (end is None or each.t <= end)
        ]
        limit = self._lists.rows(params.limit(100, 1000))
        return rows[:limit] if start is not None else rows[-limit:]

    def coins(self, account: Account, params: Params) -> object:
        """GET /sapi/v1/capital/config/getall"""
        assets = set(account.free) | {
            asset
            for market in self._exchange.markets.values()
            for asset in (market.instrument.base, market.instrument.quote)
        }
        return [
            {
                "coin": asset,
                "name": asset,
                "depositAllEnable": False,
                "withdrawAllEnable": False,
                "free": "0",
                "locked": "0",
                "freeze": "0",
                "withdrawing": "0",
                "ipoing": "0",
                "ipoable": "0",
                "storage": "0",
                "isLegalMoney": False,
                "trading": True,
                "networkList": [],
            }
            for asset in sorted(assets)
        ]

    def _now(self) -> int:
        return max(1, self._exchange.clock)

    def _note(self, account: Account, position: Position) -> None:
        """Write new settings of a position, and tell its wallet."""
        self._perpetuals.settlement.touch(account, position.symbol, "MARGIN_TYPE_CHANGE")
        self._perpetuals.settlement.close_group()

    def _position(self, account: Account, params: Params) -> Position:
        position = self._margins.positions.of(account.name).get(params.symbol())
        if position is None:
            raise errors.invalid_symbol()
        return position

    def _chosen(self, account: Account, params: Params) -> list[Position]:
        if params.optional_symbol() is not None:
            return [self._position(account, params)]
        return list(self._margins.positions.of(account.name).values())
