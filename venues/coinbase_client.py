"""The unmodified ccxt.pro Coinbase client for spot, with what it lacks put beside it; and what it lists.

Problem: ccxt has neither candles nor own executions as streams of Coinbase, because the venue has neither:
its candle channel knows five minutes only, and its private channel tells how much of an order was executed
and not by which trades. Both are read by request when the streams that there are say that something is new
(`coinbase_candles`, `coinbase_executions`), and offered under ccxt's names for them.

Not here: orders (`coinbase_words`, `coinbase_orders`). Invariant: as `ccxt_client`: the ccxt object inside is
neither subclassed nor patched, and whatever is not named here is its own.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.errors import ConfigError
from parley.instruments import Instrument
from venues.ccxt_client import ClientMaker, exact
from venues.coinbase_candles import Candles
from venues.coinbase_executions import Executions
from venues.coinbase_urls import override_urls


class CoinbaseClient:
    """What a `CcxtVenue` and a `CcxtFeed` take for a client; ``inner`` is ccxt's."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.inner = ccxt.pro.coinbase(config)
        self._candles = Candles(self.inner)
        self._executions = Executions(self.inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def has(self) -> Mapping[str, Any]:
        """What can be asked for: what ccxt can, and what is here."""
        return {**self.inner.has, "watchOHLCVForSymbols": True, "watchMyTrades": True}

    @property
    def ohlcvs(self) -> Mapping[str, Mapping[str, Sequence[Sequence[float]]]]:
        """Rows of candles by symbol and timeframe, oldest first."""
        return self._candles.rows

    async def watch_ohlcv_for_symbols(self, wanted: Sequence[Sequence[str]]) -> None:
        """Read candles of (symbol, timeframe) as they become; ends with an error alone."""
        await self._candles.follow(wanted)

    @property
    def orders(self) -> Collection[Mapping[str, Any]]:
        """States of orders whose executions are all in ``myTrades``, oldest first."""
        return self._executions.orders

    @property
    def myTrades(self) -> Collection[Mapping[str, Any]]:
        """Executions, oldest first."""
        return self._executions.trades

    async def watch_orders(self) -> None:
        """Wait for a message of the private stream."""
        await self._executions.heard()

    async def watch_my_trades(self) -> None:
        """Wait until executions that the private stream told of have been read."""
        await self._executions.read()

    def hears(self) -> bool:
        """Whether the venue answered to the private subscription on the socket that there is now."""
        return self._executions.stands()

    async def fetch_time(self) -> int:
        """Return the venue's time in ms; ccxt's own method of this name cuts it to seconds."""
        return int((await self.inner.v3PublicGetBrokerageTime())["epochMillis"])

    async def close(self) -> None:
        """Let go of all connections."""
        self._candles.close()
        await self.inner.close()


make_client: Final = ClientMaker(CoinbaseClient, override_urls, {})


def coinbase_instrument(market: Mapping[str, Any], venue: str, maker: Decimal, taker: Decimal) -> Instrument:
    """Read a listed product with the fees of the account's tier.

    Raises
    ------
    ConfigError
        When its book is another product's: what happens there is told under that one's name.
    """
    listed = market["info"]
    if listed.get("alias"):
        raise ConfigError(
            f"symbol: expected a product with a book of its own, was {market['symbol']!r}, which is another "
            f"name of {listed['alias']!r}"
        )
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(listed["price_increment"]), lot=exact(listed["base_increment"]),
        min_qty=exact(listed["base_min_size"]), max_qty=exact(listed["base_max_size"]),
        min_notional=exact(listed["quote_min_size"]), maker_fee=maker, taker_fee=taker,
    )  # fmt: skip
