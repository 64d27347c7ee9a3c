"""The endpoint that sets a contract's countdown: its open orders are cancelled unless it is set anew.

https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api: Auto-Cancel All Open
Orders. The documentation does not say whether conditional orders that wait are among them; here they are not,
as with the cancel of all open orders. Not here: the timers (`sandbox.dead_man`).

Invariant: a countdown concerns one contract of one account.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.binance import errors
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm import bodies
from venues.sandbox.dead_man import DeadManTimers
from venues.sandbox.exchange import Exchange
from venues.sandbox.orders import Order

_MOST_MS = 86_400_000


class CountdownApi:
    """Sets countdowns."""

    def __init__(self, exchange: Exchange, timers: DeadManTimers) -> None:
        self._exchange = exchange
        self._timers = timers

    def countdown(self, account: Account, params: Params) -> object:
        """POST /fapi/v1/countdownCancelAll"""
        market = self._exchange.markets.get(params.symbol())
        if market is None:
            raise errors.invalid_symbol()
        params.text("countdownTime")
        ms = params.integer("countdownTime", 0, _MOST_MS) or 0
        symbol = market.instrument.symbol

        def covers(order: Order) -> bool:
            return order.instrument.symbol == symbol and bodies.is_plain(order)

        self._timers.begin(account, symbol, ms, covers)
        return {"symbol": symbol, "countdownTime": str(ms)}
