"""Make the unmodified ccxt.pro client, and read the raw texts it keeps.

ccxt parses numbers into floats; money must stay exact, so whatever becomes a `Decimal` is read from the
venue's own text in ``info``. Not here: orders (`ccxt_venue`), market data (`ccxt_feed`). Invariant: nothing
of ccxt is subclassed or patched; only addresses, keys and documented options differ from the default.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.errors import ConfigError, nearest
from parley.instruments import Instrument
from venues.binance_urls import override_urls

MS: Final = 1_000_000
# Kept per symbol until they are read; the hub reads after every message, so this is minutes of slack.
_TRADES_KEPT: Final = 10_000


def make_client(
    rest: str,
    ws: str,
    *,
    api_key: str = "",
    secret: str = "",
    recv_window_ms: int = 2000,
    timeout_ms: int = 10_000,
) -> Any:
    """Return a ccxt.pro binance client; empty `rest` and `ws` leave the addresses of the real exchange.

    Our own budget limits the rate (settled 9), and no request is ever repeated by the client (trap T3).
    """
    client = ccxt.pro.binance(
        {
            "apiKey": api_key,
            "secret": secret,
            "enableRateLimit": False,
            "timeout": timeout_ms,
            "options": {
                "defaultType": "spot",
                "recvWindow": recv_window_ms,
                "maxRetriesOnFailure": 0,
                "tradesLimit": _TRADES_KEPT,
            },
        }
    )
    if rest or ws:
        override_urls(client, rest, ws)
    return client


def instruments_of(
    client: Any, symbols: Iterable[str], read: Callable[[Mapping[str, Any]], Instrument]
) -> dict[str, Instrument]:
    """Read the instruments of `symbols` from the loaded markets, each with `read`.

    Raises
    ------
    ConfigError
        When a symbol is not listed; names the nearest one.
    """
    listed = client.markets
    found = {}
    for symbol in sorted(symbols):
        if symbol not in listed:
            raise ConfigError(f"the venue does not list {symbol!r}; {nearest(symbol, list(client.symbols))}")
        found[symbol] = read(listed[symbol])
    return found


def binance_instrument(
    market: Mapping[str, Any], venue: str, fees: tuple[Decimal, Decimal] | None
) -> Instrument:
    """Read a listed pair of Binance; `fees` is (maker, taker) of the account."""
    filters = {each["filterType"]: each for each in market["info"]["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    maker, taker = fees or (Decimal(str(market["maker"])), Decimal(str(market["taker"])))
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(price["tickSize"]), lot=exact(lot["stepSize"]), min_qty=exact(lot["minQty"]),
        max_qty=exact(lot["maxQty"]), min_notional=exact(notional["minNotional"]),
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip


def exact(text: object) -> Decimal:
    """Return the number a venue's text says, without trailing zeros."""
    return Decimal(str(text)).normalize() + Decimal(0)


def plain(number: Decimal) -> str:
    """Write a number as a venue takes it: no exponent, no trailing zeros."""
    return f"{number.normalize():f}"


def account_fees(balance: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """Read (maker, taker) of the account from a raw balance answer, if it says them."""
    rates = balance.get("info", {}).get("commissionRates")
    if not rates:
        return None
    return exact(rates["maker"]), exact(rates["taker"])
