"""Make an unmodified ccxt.pro client, and read the raw texts it keeps.

ccxt parses numbers into floats; money must stay exact, so whatever becomes a `Decimal` is read from the
venue's own text in ``info``. Not here: what a venue lists and how (`binance_client`, `bybit_client`).
Invariant: nothing of ccxt is subclassed or patched; only addresses, keys and documented options differ from
the default.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import ccxt

from parley.errors import ConfigError, nearest
from parley.instruments import Instrument
from venues.port import Denied, VenueError

MS: Final = 1_000_000
# Kept per symbol until they are read; the hub reads after every message, so this is minutes of slack.
_TRADES_KEPT: Final = 10_000


def api_keys(api_key: str, secret: str, passphrase: str) -> Mapping[str, str]:
    """Return keys as ccxt calls them for most venues."""
    return {"apiKey": api_key, "secret": secret, "password": passphrase}  # most have no third part


class ClientMaker(NamedTuple):
    """Makes clients of a ccxt.pro class, ``kind``, with the venue's own ``options`` and names of keys.

    Our own budget limits the rate (settled 9), and no request is ever repeated by the client (trap T3).
    """

    kind: Callable[[dict[str, Any]], Any]
    override_urls: Callable[[Any, str, str], None]
    options: Mapping[str, Any]
    credentials: Callable[[str, str, str], Mapping[str, str]] = api_keys

    def __call__(
        self,
        rest: str,
        ws: str,
        *,
        api_key: str = "",
        secret: str = "",
        passphrase: str = "",
        recv_window_ms: int = 2000,
        timeout_ms: int = 10_000,
    ) -> Any:
        """Return a client; empty `rest` and `ws` leave the addresses of the real exchange."""
        client = self.kind(
            {
                **self.credentials(api_key, secret, passphrase),
                "enableRateLimit": False,
                "timeout": timeout_ms,
                "options": {
                    "defaultType": "spot",
                    "recvWindow": recv_window_ms,
                    "maxRetriesOnFailure": 0,
                    "tradesLimit": _TRADES_KEPT,
                    **self.options,
                },
            }
        )
        if rest or ws:
            self.override_urls(client, rest, ws)
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


def exact(text: object) -> Decimal:
    """Return the number a venue's text says, without trailing zeros."""
    return Decimal(str(text)).normalize() + Decimal(0)


def plain(number: Decimal) -> str:
    """Write a number as a venue takes it: no exponent, no trailing zeros."""
    return f"{number.normalize():f}"


def line(error: Exception) -> str:
    """Return what an exception says on one line."""
    return " ".join(str(error).split())[:300]


async def asked(what: str, request: Awaitable[Any]) -> Any:
    """Await a request that may be repeated; every failure of it is a `VenueError`."""
    try:
        return await request
    except ccxt.BaseError as error:
        kind = Denied if isinstance(error, ccxt.AuthenticationError) else VenueError
        raise kind(f"{what}: {type(error).__name__}: {line(error)}") from error
