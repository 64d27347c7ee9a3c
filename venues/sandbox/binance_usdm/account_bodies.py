"""How Binance shows balances, positions and brackets.

Not here: orders (`bodies`), what the figures mean (`perpetual.margin`). Invariant: every number is exact
decimal text; positions that are empty show zeros.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.perpetual.brackets import Brackets
from venues.sandbox.perpetual.margin import Margins
from venues.sandbox.perpetual.positions import Position
from venues.sandbox.perpetual.purses import cross
from venues.sandbox.units import MONEY_ONE, ONE, money_text, text8

Row = dict[str, object]


def brackets_body(symbol: str, brackets: Brackets) -> Row:
    """One symbol of GET /fapi/v1/leverageBracket; numbers, not texts, as Binance has it there."""
    return {
        "symbol": symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": number,
                "initialLeverage": each.leverage,
                "notionalCap": each.cap // MONEY_ONE,
                "notionalFloor": each.floor // MONEY_ONE,
                "maintMarginRatio": each.rate / ONE,
                "cum": each.cum / MONEY_ONE,
            }
            for number, each in enumerate(brackets.rows, 1)
        ],
    }


class AccountBodies:
    """Figures of accounts in one asset."""

    def __init__(self, margins: Margins, asset: str) -> None:
        self._margins = margins
        self._asset = asset

    def balance(self, account: Account, now_ms: int) -> Row:
        """One asset of GET /fapi/v3/balance."""
        margins = self._margins
        available = money_text(max(0, margins.available(account)))
        return {
            "accountAlias": account.name,
            "asset": self._asset,
            "balance": money_text(margins.wallets(account)),
            "crossWalletBalance": money_text(margins.purses.amounts[cross(account.name)]),
            "crossUnPnl": money_text(sum(map(margins.unrealised, margins.held(account, True)))),
            "availableBalance": available,
            "maxWithdrawAmount": available,
            "marginAvailable": True,
            "updateTime": now_ms,
        }

    def asset(self, account: Account, now_ms: int) -> Row:
        """One asset of GET /fapi/v3/account."""
        margins, balance = self._margins, self.balance(account, now_ms)
        positions = [each for each in margins.positions.of(account.name).values() if each.qty]
        unrealised = sum(map(margins.unrealised, positions))
        initial = sum(map(margins.initial, positions))
        orders = sum(
            margins.for_orders(account, each) for each in margins.positions.of(account.name).values()
        )
        return {
            "asset": self._asset,
            "walletBalance": balance["balance"],
            "unrealizedProfit": money_text(unrealised),
            "marginBalance": money_text(margins.wallets(account) + unrealised),
            "maintMargin": money_text(sum(map(margins.maintenance, positions))),
            "initialMargin": money_text(initial + orders),
            "positionInitialMargin": money_text(initial),
            "openOrderInitialMargin": money_text(orders),
            "crossWalletBalance": balance["crossWalletBalance"],
            "crossUnPnl": balance["crossUnPnl"],
            "availableBalance": balance["availableBalance"],
            "maxWithdrawAmount": balance["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": now_ms,
        }

    def account(self, account: Account, now_ms: int, with_settings: bool) -> Row:
        """GET /fapi/v3/account, and of v2 with leverage and margin type of every symbol."""
        asset = self.asset(account, now_ms)
        held = self._margins.positions.of(account.name).values()
        shown = [each for each in held if with_settings or each.qty or self._has_orders(account, each)]
        totals = {
            "totalInitialMargin": asset["initialMargin"],
            "totalMaintMargin": asset["maintMargin"],
            "totalWalletBalance": asset["walletBalance"],
            "totalUnrealizedProfit": asset["unrealizedProfit"],
            "totalMarginBalance": asset["marginBalance"],
            "totalPositionInitialMargin": asset["positionInitialMargin"],
            "totalOpenOrderInitialMargin": asset["openOrderInitialMargin"],
            "totalCrossWalletBalance": asset["crossWalletBalance"],
            "totalCrossUnPnl": asset["crossUnPnl"],
            "availableBalance": asset["availableBalance"],
            "maxWithdrawAmount": asset["maxWithdrawAmount"],
        }
        settings: Row = {}
        if with_settings:
            settings = {
                "feeTier": 0,
                "canTrade": True,
                "canDeposit": False,
                "canWithdraw": False,
                "multiAssetsMargin": False,
                "updateTime": 0,
            }
        positions = [self._account_position(account, each, with_settings) for each in shown]
        return settings | totals | {"assets": [asset], "positions": positions}

    def risk(self, account: Account, position: Position, with_settings: bool) -> Row:
        """One position of GET /fapi/v3/positionRisk, and of v2 with leverage and margin type."""
        margins = self._margins
        mark = margins.mark(position.symbol)
        bids, asks = margins.sides(account, position.symbol)
        row = self._figures(account, position) | {
            "breakEvenPrice": text8(position.entry),
            "markPrice": text8(mark),
            "unRealizedProfit": money_text(margins.unrealised(position)),
            "liquidationPrice": text8(margins.liquidation_price(account, position)),
        }
        if with_settings:
            cap = margins.brackets[position.symbol].cap(position.leverage)
            return row | self._settings(position) | {"maxNotionalValue": money_text(cap)}
        return row | {
            "adl": 0,
            "bidNotional": money_text(bids),
            "askNotional": money_text(asks),
            "marginAsset": self._asset,
        }

    def shows(self, account: Account, position: Position) -> bool:
        """Whether a position is listed where only those in use are."""
        return bool(position.qty) or self._has_orders(account, position)

    def _has_orders(self, account: Account, position: Position) -> bool:
        return any(True for _ in self._margins.open_orders(account, position.symbol))

    def _account_position(self, account: Account, position: Position, with_settings: bool) -> Row:
        row = self._figures(account, position) | {
            "unrealizedProfit": money_text(self._margins.unrealised(position))
        }
        if not with_settings:
            return row
        bids, asks = self._margins.sides(account, position.symbol)
        cap = self._margins.brackets[position.symbol].cap(position.leverage)
        return (
            row
            | self._settings(position)
            | {
                "isolated": position.is_isolated,
                "maxNotional": money_text(cap),
                "bidNotional": money_text(bids),
                "askNotional": money_text(asks),
            }
        )

    @staticmethod
    def _settings(position: Position) -> Row:
        return {
            "leverage": str(position.leverage),
            "marginType": "isolated" if position.is_isolated else "cross",
            "isAutoAddMargin": "false",
        }

    def _figures(self, account: Account, position: Position) -> Row:
        margins = self._margins
        wallet = margins.wallet(account, position) if position.is_isolated else 0
        initial, orders = margins.initial(position), margins.for_orders(account, position)
        return {
            "symbol": position.symbol,
            "positionSide": "BOTH",
            "positionAmt": text8(position.qty),
            "entryPrice": text8(position.entry),
            "notional": money_text(position.value(margins.mark(position.symbol))),
            "isolatedMargin": money_text(
                wallet + margins.unrealised(position) if position.is_isolated and position.qty else 0
            ),
            "isolatedWallet": money_text(wallet),
            "initialMargin": money_text(initial + orders),
            "maintMargin": money_text(margins.maintenance(position)),
            "positionInitialMargin": money_text(initial),
            "openOrderInitialMargin": money_text(orders),
            "updateTime": position.updated_ms,
        }
