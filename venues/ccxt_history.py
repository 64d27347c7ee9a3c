"""History of a venue through ccxt: pages of candles, public trades and funding rates.

Problem: a download asks for one page after the other, and has to tell a venue that cannot be reached from a
request that will never be answered.

Not here: what is asked for and where it is kept (`runtime.marketstore`). Invariant: nothing needs a key;
numbers are as ccxt gives them.
"""

from __future__ import annotations

import time
from typing import Any, Final

import ccxt

from parley.errors import ParleyError, UserError, nearest
from venues.binance_urls import override_urls

PAGE: Final = 1000
_TIMEOUT_MS: Final = 15_000
# Seconds to wait before each further try of a page; the first request of all is not repeated.
_PATIENCE: Final = (1.0, 4.0, 15.0)
_PRICES: Final = {"mark": "mark", "index": "index", "premiumIndex": "premiumIndex"}
# These give aggregated trades with ids of their own when they are asked for a time.
_AGGREGATING: Final = "binance"


class Unreachable(ParleyError):
    """The venue does not answer; what it gave before is kept."""


class History:
    """One venue's public history."""

    def __init__(self, exchange: str, address: str = "") -> None:
        if exchange not in ccxt.exchanges:
            raise UserError(f"ccxt has no exchange {exchange!r}; {nearest(exchange, list(ccxt.exchanges))}")
        if address and exchange != "binance":
            raise UserError(f"another address is for 'binance' only, such as the sandbox's; got {exchange!r}")
        self.exchange = exchange
        self._client: Any = getattr(ccxt, exchange)(
            {"enableRateLimit": not address, "timeout": _TIMEOUT_MS, "options": {"maxRetriesOnFailure": 0}}
        )
        if address:
            override_urls(self._client, address, address)

    @property
    def trade_kind(self) -> str:
        """Return what its trades are: single ones or aggregates."""
        return "aggtrades" if self.exchange.startswith(_AGGREGATING) else "trades"

    def open(self, pairs: list[str], timeframes: list[str]) -> None:
        """Load the venue's markets and see that it has what will be asked for.

        Raises
        ------
        Unreachable
            When it does not answer.
        UserError
            When it lacks a pair or a timeframe.
        """
        self._ask("load_markets", tries=1)
        for pair in pairs:
            if pair not in self._client.markets:
                raise UserError(
                    f"{self.exchange} does not list {pair!r}; {nearest(pair, list(self._client.symbols))}"
                )
        known = list(self._client.timeframes or {})
        for timeframe in timeframes:
            if timeframe not in known:
                raise UserError(f"{self.exchange} has no {timeframe!r} candles; it has {', '.join(known)}")

    def candles(self, pair: str, kind: str, timeframe: str, since_ms: int) -> list[list[float]]:
        """Return a page of candles that open at `since_ms` or later: time, open, high, low, close, volume."""
        params = {"price": _PRICES[kind]} if kind in _PRICES else {}
        page: list[list[float]] = self._ask("fetch_ohlcv", pair, timeframe, since_ms, PAGE, params)
        return page

    def newest_candle(self, pair: str, kind: str, timeframe: str) -> int | None:
        """Return when the candle opened that may still be forming; None when there is none."""
        params = {"price": _PRICES[kind]} if kind in _PRICES else {}
        rows = self._ask("fetch_ohlcv", pair, timeframe, None, 2, params)
        return int(rows[-1][0]) if rows else None

    def newest_trade(self, pair: str) -> int | None:
        """Return the time of the last trade; None when there was none."""
        rows = self._ask("fetch_trades", pair, None, 1)
        return int(rows[-1]["timestamp"]) if rows else None

    def trades(self, pair: str, since_ms: int) -> list[dict[str, Any]]:
        """Return a page of trades at `since_ms` or later."""
        page: list[dict[str, Any]] = self._ask("fetch_trades", pair, since_ms, PAGE)
        return page

    def funding(self, pair: str, since_ms: int) -> list[tuple[int, float]]:
        """Return a page of settlements at `since_ms` or later."""
        if not self._client.has.get("fetchFundingRateHistory"):
            raise UserError(f"{self.exchange} has no history of funding rates")
        page = self._ask("fetch_funding_rate_history", pair, since_ms, PAGE)
        return [(int(row["timestamp"]), float(row["fundingRate"])) for row in page]

    def _ask(self, method: str, *arguments: object, tries: int = 1 + len(_PATIENCE)) -> Any:
        for attempt in range(tries):
            try:
                return getattr(self._client, method)(*arguments)
            except ccxt.NetworkError as error:
                if attempt == tries - 1:
                    raise Unreachable(f"{self.exchange} cannot be reached: {_one_line(error)}") from error
                time.sleep(_PATIENCE[attempt])
            except ccxt.BaseError as error:
                raise UserError(f"{self.exchange} refused {method}: {_one_line(error)}") from error
        raise Unreachable(f"{self.exchange} was not asked")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
