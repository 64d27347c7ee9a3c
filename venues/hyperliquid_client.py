"""Make the unmodified ccxt.pro Hyperliquid client for spot, and read what it lists.

An account is an address; what signs for it is an Ethereum private key, its own or that of an API wallet which
the account approved. In the file of keys `api_key` is the address and `secret` the private key.

ccxt would, on its first private request, approve a fee for a builder of its own, set itself as referrer and
attach that builder to every order. Nobody asked for that: the options below make it believe that it was done,
and orders are made without it (`hyperliquid_words`).

Not here: orders. Invariant: as `ccxt_client`, and no action is signed that this package did not write.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt
import ccxt.pro

from parley.errors import ConfigError
from parley.instruments import Instrument
from venues.ccxt_client import ClientMaker, exact
from venues.hyperliquid_urls import override_urls

_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
# https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/tick-and-lot-size: at most five
# significant digits, or a whole number; for spot never more than 8 decimals less those of the size.
_DIGITS: Final = 5
_MOST_DECIMALS: Final = 8
# A price may double before orders on the grid of `connect` have a digit too many.
_ROOM: Final = 2
# The venue lists neither a smallest value (it refuses below 10) nor a largest quantity.
_LEAST: Final = Decimal(10)
_MOST: Final = Decimal(10) ** 12


def credentials(api_key: str, secret: str, passphrase: str) -> Mapping[str, str]:
    """Return keys as ccxt calls them here; an address may come without its 0x."""
    address = api_key.lower()
    return {"walletAddress": "0x" + address.removeprefix("0x") if address else "", "privateKey": secret}


make_client: Final = ClientMaker(
    ccxt.pro.hyperliquid,
    override_urls,
    {"fetchMarkets": {"types": ["spot"]}, "approvedBuilderFee": True, "builderFee": False, "refSet": True},
    credentials,
)


def signer_of(client: Any) -> str:
    """Return the address whose key signs.

    Raises
    ------
    ConfigError
        When the address of the account or the private key is none; the key is not told.
    """
    if not _ADDRESS.fullmatch(client.walletAddress or ""):
        raise ConfigError(f"api_key: expected an address (0x, 40 hex digits), was {client.walletAddress!r}")
    key = client.privateKey or ""
    if not _KEY.fullmatch(key):
        raise ConfigError(f"secret: expected a private key of 64 hex digits, was a text of {len(key)}")
    try:
        return str(client.eth_get_address_from_private_key(key)).lower()
    except ValueError:
        raise ConfigError("secret: expected a private key of secp256k1, was out of its range") from None


def hyperliquid_instrument(
    market: Mapping[str, Any], venue: str, fees: tuple[Decimal, Decimal]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker).

    Raises
    ------
    ConfigError
        When it is not a pair in USDC, or has no price yet from which its tick could be told.
    """
    symbol, listed = market["symbol"], market["info"]
    if not market["spot"] or market["quote"] != "USDC":
        raise ConfigError(
            f"hyperliquid: expected pairs in USDC, got {symbol!r}; try --quote USDC --crosses none"
        )
    mid = listed.get("midPx") or listed.get("markPx")
    if mid is None:
        raise ConfigError(f"hyperliquid: {symbol!r} has no price yet")
    lot = exact(market["precision"]["amount"])
    maker, taker = fees
    return Instrument(
        symbol=symbol, venue=venue, base=market["base"], quote=market["quote"],
        tick=tick_at(exact(mid), lot), lot=lot, min_qty=lot, max_qty=_MOST, min_notional=_LEAST,
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip


def tick_at(mid: Decimal, lot: Decimal) -> Decimal:
    """Return a grid on which every price up to twice `mid` is one the venue takes; `lot` is a power of 10."""
    decimals = _DIGITS - 1 - (mid * _ROOM).adjusted()
    return Decimal(1).scaleb(-max(0, min(decimals, _MOST_DECIMALS + lot.adjusted())))
