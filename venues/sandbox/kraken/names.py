"""How Kraken calls assets and pairs: XXBT, XBT and BTC are one asset, XXBTZUSD, XBTUSD and BTC/USD one pair.

Assets of the first years have a letter before their name, X for coins and Z for money; a pair's id has the
long names where both have one. WebSocket v2 says BTC and DOGE as everybody does. Not here: what is asked
about them. Invariant: each listed pair has exactly one id, one other name and one name on sockets.
"""

from __future__ import annotations

from collections.abc import Mapping

from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import SymbolMarket

_OWN = {"BTC": "XBT", "DOGE": "XDG"}
_COINS = ("BTC", "DOGE", "ETC", "ETH", "LTC", "XLM", "XMR", "XRP", "ZEC")
_MONEY = ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")


def alt_name(asset: str) -> str:
    """The short name of an asset."""
    return _OWN.get(asset, asset)


def asset_id(asset: str) -> str:
    """The name of an asset in lists and balances."""
    if asset in _COINS:
        return f"X{alt_name(asset)}"
    return f"Z{asset}" if asset in _MONEY else asset


def pair_alt_name(instrument: Instrument) -> str:
    """The pair's other name, which requests may use as well."""
    return alt_name(instrument.base) + alt_name(instrument.quote)


def pair_id(instrument: Instrument) -> str:
    """The pair's id."""
    both = asset_id(instrument.base), asset_id(instrument.quote)
    is_old = both != (instrument.base, instrument.quote) and all(
        asset in _COINS + _MONEY for asset in (instrument.base, instrument.quote)
    )
    return "".join(both) if is_old else pair_alt_name(instrument)


def old_socket_name(instrument: Instrument) -> str:
    """The pair's name on sockets of version 1, which lists show."""
    return f"{alt_name(instrument.base)}/{alt_name(instrument.quote)}"


def markets_by_name(exchange: Exchange) -> Mapping[str, SymbolMarket]:
    """All listed pairs, by id and by the other name."""
    found = {}
    for market in exchange.markets.values():
        found[pair_alt_name(market.instrument)] = market
        found[pair_id(market.instrument)] = market
    return found


def markets_by_symbol(exchange: Exchange) -> Mapping[str, SymbolMarket]:
    """All listed pairs by their name on sockets of version 2."""
    return {market.instrument.pair: market for market in exchange.markets.values()}


def order_number(order_id: int) -> str:
    """The venue's number of an order."""
    return _number("O", order_id)


def trade_number(trade_id: int) -> str:
    """The venue's number of an execution."""
    return _number("T", trade_id)


def read_number(text: str) -> int | None:
    """What a number of an order or an execution stands for, None if it is none."""
    digits = text[1:].replace("-", "")
    if len(text) != 19 or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def _number(letter: str, value: int) -> str:
    digits = f"{value:016d}"
    return f"{letter}{digits[:5]}-{digits[5:10]}-{digits[10:]}"
