"""The adapter for any venue, on unmodified ccxt.pro classes of which there is a certified one too.

Not here: starting the exchange (`tests.kit.sandbox`). Invariant: the generic adapter gets nothing that the
certified one is made of but, for Binance, the addresses: its protocol has more in them than a host.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.kit.sandbox import KEY, PASSPHRASE, SECRET, SandboxProcess
from venues import binance_urls
from venues.adapters import ADAPTERS, generic_adapter, venue_of
from venues.ccxt_client import ClientMaker
from venues.ccxt_feed import CcxtFeed
from venues.ccxt_venue import CcxtVenue
from venues.generic_client import UnifiedClient
from venues.words import Account

WINDOW_MS = 5000
GRANTED = 1000  # requests in a second: ccxt's own pauses are not what these tests are about


def maker(exchange: str) -> ClientMaker:
    """Return what makes generic clients of a venue."""
    made = generic_adapter(exchange).make_client
    if exchange != "binance":
        return made
    return made._replace(
        override_urls=lambda client, rest, ws: binance_urls.override_urls(client.exchange, rest, ws)
    )


def client_of(exchange: str, process: SandboxProcess) -> UnifiedClient:
    """Return a generic client with the sandbox account's keys."""
    made: UnifiedClient = maker(exchange)(
        process.rest, process.ws, api_key=KEY, secret=SECRET, passphrase=PASSPHRASE,
        recv_window_ms=WINDOW_MS,
    )  # fmt: skip
    return made


def generic_venue(exchange: str, process: SandboxProcess, symbols: Sequence[str]) -> CcxtVenue:
    """Return an account at a venue, spoken to by unified methods only."""
    adapter, client = generic_adapter(exchange), client_of(exchange, process)
    account = Account(name="main", venue=exchange, symbols=tuple(symbols))
    return CcxtVenue(
        client, adapter.orders(client, account), client.means.row, adapter.limits(GRANTED),
        recv_window_ms=WINDOW_MS, lag_ms=0,
    )  # fmt: skip


def generic_feed(exchange: str, rest: str, ws: str, **options: Any) -> CcxtFeed:
    """Return market data of a venue, read by unified methods only."""
    return CcxtFeed(maker(exchange)(rest, ws), generic_adapter(exchange).market(), **options)


@contextlib.asynccontextmanager
async def connected(
    exchange: str, process: SandboxProcess, symbols: Sequence[str], *, generic: bool
) -> AsyncIterator[CcxtVenue]:
    """Connect an account, by the generic or by the certified adapter."""
    if generic:
        venue = generic_venue(exchange, process, symbols)
    else:
        client = ADAPTERS[exchange].make_client(
            process.rest, process.ws, api_key=KEY, secret=SECRET, passphrase=PASSPHRASE,
            recv_window_ms=WINDOW_MS,
        )  # fmt: skip
        account = Account(name="main", venue=exchange, symbols=tuple(symbols))
        venue = venue_of(exchange, client, account, recv_window_ms=WINDOW_MS, lag_ms=0, granted=GRANTED)
    try:
        await venue.connect()
        yield venue
    finally:
        await venue.close()
