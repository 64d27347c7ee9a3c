"""Endpoints of what is set for a whole account of contracts: position mode, margin assets, fees in BNB.

The settings are kept, told and stand in the way of what they forbid; what they would allow is not there: in
hedge mode no order is taken, margin is of one asset in either mode, and fees are paid in it.

Not here: settings of a symbol (`account_api`). Invariant: a mode changes only where no position or order
stands against it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm import errors as contract_errors
from venues.sandbox.exchange import Exchange
from venues.sandbox.perpetual.margin import Margins

_SUCCESS: Final = {"code": 200, "msg": "success"}


@dataclass(slots=True)
class Modes:
    """Of one account, as a new one has them."""

    is_hedged: bool = False
    has_many_assets: bool = False
    burns_bnb: bool = False


class ModesApi:
    """Each handler gets the account that signed."""

    def __init__(self, exchange: Exchange, margins: Margins) -> None:
        self._exchange = exchange
        self._margins = margins
        self._modes: dict[str, Modes] = defaultdict(Modes)

    def of(self, account: Account) -> Modes:
        """What an account has set."""
        return self._modes[account.name]

    def check_order(self, account: Account, params: Params) -> None:
        """Refuse an order that names no side of the position in hedge mode, or one in any other."""
        side = params.optional("positionSide") or "BOTH"
        if (side == "BOTH") is self.of(account).is_hedged:
            raise contract_errors.wrong_position_side()
        if side != "BOTH":
            raise errors.VenueError(-1000, "Positions of hedge mode are not part of the sandbox.")

    def position_side(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/positionSide/dual"""
        return {"dualSidePosition": self.of(account).is_hedged}

    def change_position_side(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/positionSide/dual"""
        wanted, modes = _flag(params, "dualSidePosition"), self.of(account)
        if wanted is modes.is_hedged:
            raise contract_errors.same_position_side()
        if self._exchange.open_orders(account, None):
            raise errors.VenueError(-4067, "Position side cannot be changed if there exists open orders.")
        if self._has_positions(account):
            raise errors.VenueError(-4068, "Position side cannot be changed if there exists position.")
        modes.is_hedged = wanted
        return _SUCCESS

    def multi_assets(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/multiAssetsMargin"""
        return {"multiAssetsMargin": self.of(account).has_many_assets}

    def change_multi_assets(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/multiAssetsMargin"""
        wanted, modes = _flag(params, "multiAssetsMargin"), self.of(account)
        if wanted is modes.has_many_assets:
            raise contract_errors.same_assets_mode()
        if self._exchange.open_orders(account, None):
            raise errors.VenueError(-4170, "Unable to adjust Multi-Assets Mode with open orders.")
        if wanted and self._margins.held(account, crossed=False):
            raise contract_errors.isolated_positions()
        modes.has_many_assets = wanted
        return _SUCCESS

    def fee_burn(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/feeBurn: whether fees are paid in BNB where there is some"""
        return {"feeBurn": self.of(account).burns_bnb}

    def change_fee_burn(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/feeBurn"""
        self.of(account).burns_bnb = _flag(params, "feeBurn")
        return _SUCCESS

    def account_config(self, account: Account, params: Params) -> object:
        """GET /fapi/v1/accountConfig"""
        modes = self.of(account)
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": False,
            "canWithdraw": False,
            "dualSidePosition": modes.is_hedged,
            "updateTime": 0,
            "multiAssetsMargin": modes.has_many_assets,
            "tradeGroupId": -1,
        }

    def _has_positions(self, account: Account) -> bool:
        return any(self._margins.held(account, crossed) for crossed in (True, False))


def _flag(params: Params, name: str) -> bool:
    wrong = errors.VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return params.choice(name, ("true", "false"), wrong) == "true"
