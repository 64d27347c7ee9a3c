"""freqtrade's exchange object over a market that is told: rates and books from memory, orders kept as
wishes.

Problem: freqtrade's bot asks its exchange for the price to trade at and hands it orders. Here the price is
the best opposite one that was told, and an order is not sent: it stays open until somebody says what became
of it.

Not here: who asks for what (`bot`), limits and lots of the desk (`runtime.freqtrade_agent`). Invariant:
without a usable book there is no rate, and freqtrade then neither enters nor leaves.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from freqtrade.exceptions import ExchangeError, PricingError
from freqtrade.exchange import Exchange
from freqtrade.wallets import Wallet, Wallets

Levels = tuple[tuple[float, float], ...]


class Quote(NamedTuple):
    """The best levels of a book as (price, base quantity), best first."""

    bids: Levels
    asks: Levels

    @property
    def is_usable(self) -> bool:
        """Whether both best prices are there, finite, and not crossed."""
        if not self.bids or not self.asks:
            return False
        (bid, bids), (ask, asks) = self.bids[0], self.asks[0]
        return 0.0 < bid <= ask < math.inf and 0.0 < bids < math.inf and 0.0 < asks < math.inf


class HeldWallets(Wallets):
    """freqtrade's wallets, which hold of a coin no more than the account does: ``held`` by currency."""

    held: ClassVar[Mapping[str, float]] = {}

    def update(self, require_update: bool = True) -> None:
        """Work out what the trades leave, and bound it by what is there."""
        super().update(require_update)
        for currency, amount in self.held.items():
            known = self._wallets.get(currency)
            if known is not None and known.total > amount:
                self._wallets[currency] = Wallet(currency, max(0.0, amount - known.used), known.used, amount)


class Venue:
    """Takes the place of everything freqtrade's exchange object would ask the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.quotes: dict[str, Quote] = {}
        self.moment_ms = 0
        self.orders = 0  # how many there were, which names them
        self.own: set[str] = set()  # those at a price of the strategy's own
        self.asked: dict[tuple[str, str], float] = {}  # the rate last told, by pair and side
        own: dict[str, Any] = {
            "get_rate": self._rate, "get_rates": self._rates, "create_order": self.order,
            "fetch_ticker": self._ticker, "fetch_l2_order_book": self._book,
            "get_trades_for_order": lambda *_, **__: [],
        }  # fmt: skip
        for name, method in own.items():
            setattr(exchange, name, method)

    def see(self, quotes: Mapping[str, Quote]) -> None:
        """Take the newest books; one that cannot be used leaves its pair without a price."""
        for pair, quote in quotes.items():
            if quote.is_usable:
                self.quotes[pair] = quote
            else:
                self.quotes.pop(pair, None)

    def set_candles(self, pair: str, timeframe: str, frame: Any) -> None:
        """Let freqtrade find a frame where it keeps what it downloaded."""
        kind = self._exchange._config["candle_type_def"]
        self._exchange._klines[pair, timeframe, kind] = frame

    def closing(self, order_id: str, status: str, fills: "Fills", moment: datetime) -> dict[str, Any]:
        """Say as ccxt would how an order ended."""
        pair, side, amount, rate, kind = fills.order
        return {
            "id": order_id, "symbol": pair, "side": side, "type": kind, "status": status, "price": rate,
            "amount": amount, "filled": fills.amount, "remaining": max(0.0, amount - fills.amount),
            "average": fills.price, "cost": fills.cost, "fee": fills.fee,
            "timestamp": None, "lastTradeTimestamp": int(moment.timestamp() * 1000), "trades": [],
        }  # fmt: skip

    def _quote(self, pair: str) -> Quote:
        quote = self.quotes.get(pair)
        if quote is None:
            raise PricingError(f"there is no usable book of {pair}")
        return quote

    def _rate(self, pair: str, *_: Any, side: str = "exit", is_short: bool = False, **__: Any) -> float:
        quote = self._quote(pair)
        buys = (side == "entry") != is_short
        rate = quote.asks[0][0] if buys else quote.bids[0][0]
        self.asked[pair, "buy" if buys else "sell"] = rate
        return rate

    def _rates(self, pair: str, refresh: bool, is_short: bool) -> tuple[float, float]:
        entry = self._rate(pair, side="entry", is_short=is_short)
        return entry, self._rate(pair, side="exit", is_short=is_short)

    def order(
        self, *, pair: str, ordertype: str, side: str, amount: float, rate: float, **_: Any
    ) -> dict[str, Any]:
        """Keep an order as a wish; returns it as ccxt would."""
        self.orders += 1
        if rate != self.asked.get((pair, side)):
            self.own.add(f"{self.orders}")
        exact = self._exchange.amount_to_precision(pair, amount)
        return {
            "id": f"{self.orders}", "symbol": pair, "side": side, "type": ordertype, "status": "open",
            "price": rate, "average": None, "amount": exact, "filled": 0.0, "remaining": exact, "cost": 0.0,
            "fee": None, "timestamp": self.moment_ms, "trades": [],
        }  # fmt: skip

    def _ticker(self, pair: str) -> dict[str, Any]:
        if pair not in self.quotes:
            raise ExchangeError(f"there is no usable book of {pair}")
        quote = self.quotes[pair]
        bid, ask = quote.bids[0][0], quote.asks[0][0]
        return {
            "symbol": pair, "bid": bid, "ask": ask, "last": (bid + ask) / 2, "timestamp": self.moment_ms,
            "bidVolume": quote.bids[0][1], "askVolume": quote.asks[0][1], "info": {},
        }  # fmt: skip

    def _book(self, pair: str, limit: int = 100) -> dict[str, Any]:
        quote = self._quote(pair)
        return {
            "symbol": pair, "timestamp": self.moment_ms,
            "bids": [list(level) for level in quote.bids[:limit]],
            "asks": [list(level) for level in quote.asks[:limit]],
        }  # fmt: skip


class Fills:
    """What was filled of one order so far; ``order`` is its pair, side, amount, price and type."""

    def __init__(self, order: tuple[str, str, float, float, str]) -> None:
        self.order = order
        self.amount = 0.0
        self.cost = 0.0
        self.fees: dict[str, float] = {}
        self.trades: list[str] = []
        self.prices: list[float] = []  # the different ones
        self.last_ms = 0

    @property
    def price(self) -> float | None:
        """The average price; None of nothing."""
        if len(self.prices) == 1:
            return self.prices[0]  # not what is left of it after two roundings
        return self.cost / self.amount if self.amount else None

    @property
    def fee(self) -> dict[str, Any] | None:
        """The fee as ccxt has it; fees in several currencies are none of them."""
        if len(self.fees) != 1:
            return None
        ((currency, cost),) = self.fees.items()
        return {"currency": currency, "cost": cost, "rate": None}
