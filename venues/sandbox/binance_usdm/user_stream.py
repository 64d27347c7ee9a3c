"""Private events of contracts: orders, algo orders, and wallets with positions.

Not here: who listens (`binance.user_stream`), what an event means for the books. Invariant: an event only
goes to connections that proved to own the account.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.accounts import Account
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.user_stream import UserStreams
from venues.sandbox.binance_usdm import bodies
from venues.sandbox.connections import StreamHub
from venues.sandbox.exchange import Exchange
from venues.sandbox.hostility.events import PrivateWay
from venues.sandbox.orders import Fill, Order
from venues.sandbox.perpetual.assembly import Perpetuals
from venues.sandbox.perpetual.purses import cross
from venues.sandbox.units import money_text, text8
from venues.sandbox.wall import VenueClock

# What the engine calls an execution, where contracts have another word.
_KINDS: Final = {"TRADE_PREVENTION": "EXPIRED"}


class ContractUserStreams(UserStreams):
    """Who listens to which account, and the texts of the events."""

    def __init__(
        self, hub: StreamHub, exchange: Exchange, way: PrivateWay, wall: VenueClock, perpetuals: Perpetuals
    ) -> None:
        super().__init__(hub, exchange, way, wall)
        self._perpetuals = perpetuals
        perpetuals.settlement.changed = self.changed

    def named_key(self, account: Account, params: Params) -> str:
        """An account has one listen key, and requests need not name it."""
        sent = params.optional("listenKey")
        mine = (key for key, owner in self._listen_keys.items() if owner is account)
        return sent or next(mine, "")

    def report(self, order: Order, kind: str, fill: Fill | None) -> None:
        """ORDER_TRADE_UPDATE, and ALGO_UPDATE of an order that waits for a price"""
        if not self._listeners.get(order.account.name):
            return
        client_id = order.request.client_order_id
        was_algo = order.request.type in bodies.STOPS.values()
        # what the matching says of the plain order comes first, as a rule
        if bodies.is_plain(order):
            body = _order_update(order, kind, fill, self._wall.ms(), self._exchange.clock)
            self._tell(order.account, body, client_id)
        if was_algo and (not order.triggered or kind == "NEW" or not order.is_open):
            body = _algo_update(order, self._wall.ms(), self._exchange.clock)
            self._tell(order.account, body, client_id)

    def changed(self, account: Account, symbols: list[str], why: str) -> None:
        """ACCOUNT_UPDATE"""
        if not self._listeners.get(account.name):
            return
        margins = self._perpetuals.margins
        self._tell(
            account,
            {
                "e": "ACCOUNT_UPDATE",
                "E": self._wall.ms(),
                "T": self._exchange.clock,
                "a": {
                    "m": why,
                    "B": [
                        {
                            "a": self._perpetuals.asset,
                            "wb": money_text(margins.wallets(account)),
                            "cw": money_text(margins.purses.amounts[cross(account.name)]),
                            "bc": "0",
                        }
                    ],
                    "P": [self._position(account, symbol) for symbol in symbols],
                },
            },
            "",
        )

    def _position(self, account: Account, symbol: str) -> dict[str, object]:
        margins = self._perpetuals.margins
        position = margins.positions.of(account.name)[symbol]
        return {
            "s": symbol,
            "pa": text8(position.qty),
            "ep": text8(position.entry),
            "bep": text8(position.entry),
            "cr": money_text(position.realised),
            "up": money_text(margins.unrealised(position)),
            "mt": "isolated" if position.is_isolated else "cross",
            "iw": money_text(margins.wallet(account, position) if position.is_isolated else 0),
            "ps": "BOTH",
            "ma": self._perpetuals.asset,
        }


def _order_update(order: Order, kind: str, fill: Fill | None, wall: int, clock: int) -> dict[str, object]:
    request = order.request
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": wall,
        "T": clock,
        "o": {
            "s": order.instrument.symbol,
            "c": request.client_order_id,
            "S": request.side,
            "o": "LIQUIDATION" if order.is_liquidation else bodies.type_of(order),
            "f": bodies.time_in_force(order),
            "q": text8(order.qty),
            "p": text8(request.price),
            "ap": bodies.average(order),
            "sp": text8(request.stop_price),
            "x": "CALCULATED" if order.is_liquidation and fill else _KINDS.get(kind, kind),
            "X": order.status,
            "i": order.id,
            "l": text8(fill.qty if fill else 0),
            "z": text8(order.cum_qty),
            "L": text8(fill.price if fill else 0),
            "N": fill.fee_asset if fill else order.instrument.settle,
            "n": money_text(fill.fee if fill else 0),
            "T": fill.t if fill else clock,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": bool(fill and fill.maker),
            "R": request.reduce_only,
            "wt": bodies.working_type(order),
            "ot": bodies.asked_type(order),
            "ps": "BOTH",
            "cp": request.close_position,
            "rp": money_text(fill.realised if fill else 0),
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": "EXPIRE_TAKER",
            "pm": "NONE",
            "gtd": 0,
        },
    }


def _algo_update(order: Order, wall: int, clock: int) -> dict[str, object]:
    request = order.request
    number = bodies.plain_number(order)
    why = {"rm": "Reduce Only reject"} if bodies.is_rejected(order) else {}
    return {
        "e": "ALGO_UPDATE",
        "E": wall,
        "T": clock,
        "o": {
            "caid": request.client_order_id,
            "aid": bodies.algo_number(order),
            "at": "CONDITIONAL",
            "o": bodies.asked_type(order),
            "s": order.instrument.symbol,
            "S": request.side,
            "ps": "BOTH",
            "f": bodies.time_in_force(order),
            "q": text8(order.qty),
            "X": bodies.algo_status(order),
            "ai": number,
            "ap": bodies.average(order),
            "aq": text8(order.cum_qty),
            "act": bodies.type_of(order) if number else "0",
            "tp": text8(request.stop_price),
            "p": text8(request.price),
            "V": "EXPIRE_TAKER",
            "wt": bodies.working_type(order),
            "pm": "NONE",
            "cp": request.close_position,
            "pP": False,
            "R": request.reduce_only,
            "tt": clock if order.triggered else 0,
            "gtd": 0,
        }
        | why,
    }
