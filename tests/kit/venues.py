"""The spot venues that have an adapter, as tests meet them: one row each, so that a story is told of any.

Not here: what a test expects there; ccxt's clients (`tests.kit.okx` and its like); venues without an adapter
(`tests.kit.generic`); contracts (`tests.kit.usdm`). Invariant: a row says how an exchange is started and how
it is asked, never what it does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from parley.messages import Intent
from tests.kit import coinbase, hyperliquid, kraken
from tests.kit.bybit import bybit_client
from tests.kit.kucoin import kucoin_client
from tests.kit.okx import okx_client
from tests.kit.sandbox import ACCOUNT, SandboxProcess, sandbox
from tests.kit.units import LIMITS, gateway_config, make_intent
from venues.adapters import ADAPTERS


async def _by_ticker(client: Any, symbol: str) -> str:
    told = (await client.fetch_ticker(symbol))["info"]
    return str(told["last"] if "last" in told else told["lastPrice"])


async def _by_kraken_ticker(client: Any, symbol: str) -> str:
    return str((await client.fetch_ticker(symbol))["info"]["c"][0])


async def _by_coinbase_market(client: Any, symbol: str) -> str:
    return str((await client.load_markets())[symbol]["info"]["price"])


async def _by_hyperliquid_market(client: Any, symbol: str) -> str:
    return str((await client.load_markets())[symbol]["info"]["markPx"])


@dataclass(frozen=True)
class SpotVenue:
    """One venue.

    ``client`` opens an unmodified ccxt.pro client of the account, ``told_last`` asks it what was paid last in
    a pair. ``account`` and ``market`` replace the sandbox's own, ``gateway`` is what the configuration of a
    gateway there needs beside the name, and ``tick`` that of a price of BTC.
    """

    name: str
    client: Callable[..., AbstractAsyncContextManager[Any]]
    told_last: Callable[[Any, str], Awaitable[str]] = _by_ticker
    account: Mapping[str, Any] = field(default_factory=lambda: ACCOUNT)
    market: Mapping[str, Any] | None = None
    gateway: Mapping[str, object] = field(default_factory=dict)
    quote: str = "USDT"
    tick: Decimal = Decimal("0.01")

    @property
    def btc(self) -> str:
        """The pair that orders are in."""
        return f"BTC/{self.quote}"

    @property
    def keys(self) -> dict[str, str]:
        """The account's keys, as a gateway's file has them."""
        passphrase = str(self.account.get("passphrase", ""))
        return {
            "api_key": self.account["api_key"], "secret": self.account["secret"], "passphrase": passphrase,
        }  # fmt: skip

    def wire_id(self, cid: str) -> str:
        """Return what the venue calls an order with this client order id."""
        return ADAPTERS[self.name].wire_id(cid)

    @contextlib.asynccontextmanager
    async def sandbox(
        self, feed: Mapping[str, Any] | None = None, **config: Any
    ) -> AsyncIterator[SandboxProcess]:
        """Run an exchange that speaks as this venue."""
        market = feed or self.market
        config = {"protocol": self.name, "accounts": [dict(self.account)]} | config
        async with sandbox(dict(market) if market else None, **config) as process:
            yield process

    async def last_price(self, process: SandboxProcess, symbol: str) -> Decimal:
        """Ask what was paid last."""
        async with self.client(process) as asking:
            return Decimal(await self.told_last(asking, symbol))

    def gateway_config(
        self, folder: Path, process: SandboxProcess, venue_over: Mapping[str, object], **over: object
    ) -> dict[str, object]:
        """Make the configuration of a gateway with the account's keys; its venue is called as it is."""
        limits = {
            name: {self.quote if asset == "USDT" else asset: most for asset, most in by_asset.items()}
            for name, by_asset in LIMITS.items()
        }
        target = {"exchange": self.name, "name": self.name, **self.gateway, **venue_over}
        config = gateway_config(folder, process, target, **({"limits": limits} | over))
        (folder / "keys.json").write_text(json.dumps(self.keys))
        return config


class Orders:
    """Makes orders in BTC at a venue where ``last`` was paid last; they are numbered from ``first`` on.

    What a hostile exchange does to an order depends on its number: whoever counts from the same number meets
    the same.
    """

    def __init__(self, venue: SpotVenue, last: Decimal, first: int = 1) -> None:
        self.venue = venue
        self.last = last
        self._next = first

    def px(self, share: str) -> Decimal:
        """Return a share of the last price, on a tick."""
        return (self.last * Decimal(share)).quantize(self.venue.tick)

    def market(self, **over: Any) -> Intent:
        """Make a market order to buy."""
        self._next += 1
        fields = {"venue": self.venue.name, "symbol": self.venue.btc, "ref_px": self.last} | over
        return make_intent(self._next - 1, **fields)

    def limit(self, share: str = "0.9", **over: Any) -> Intent:
        """Make a limit order to buy at a share of the last price; below it, it rests."""
        return self.market(**({"style": "limit", "tif": "GTC", "px": self.px(share)} | over))


VENUES = {
    each.name: each
    for each in (
        SpotVenue("binance", SandboxProcess.client),
        SpotVenue("bybit", bybit_client),
        SpotVenue("okx", okx_client),
        SpotVenue("kucoin", kucoin_client),
        SpotVenue(
            "kraken", kraken.kraken_client, _by_kraken_ticker, account=kraken.ACCOUNTS[0],
            gateway={"granted": 1000},
        ),
        SpotVenue(
            "coinbase", coinbase.coinbase_client, _by_coinbase_market,
            account=ACCOUNT | {"secret": coinbase.PEM}, gateway={"granted": 1000},
        ),
        SpotVenue(
            "hyperliquid", hyperliquid.hyperliquid_client, _by_hyperliquid_market,
            account=hyperliquid.ACCOUNT, market=hyperliquid.USDC_FEED,
            gateway={"symbols": [hyperliquid.BTC, "ETH/USDC"], "granted": 100_000}, quote="USDC",
            tick=Decimal(1),
        ),
    )
}  # fmt: skip
"""By ccxt's names."""


async def last_price(process: SandboxProcess, symbol: str, exchange: str) -> Decimal:
    """Ask an exchange that speaks as one of the venues what was paid last."""
    return await VENUES[exchange].last_price(process, symbol)
