"""How Hyperliquid names pairs, tokens and sides: coin `@1`, asset 10001, token `UBTC`, side `B`.

Bitcoin and others are there as tokens of a bridge with names of their own. Not here: what is asked about
them. Invariant: each listed pair has exactly one coin and one asset, and each asset of the engine one
token.
"""

from __future__ import annotations

from venues.sandbox.exchange import Exchange
from venues.sandbox.instrument import Instrument
from venues.sandbox.matching import SymbolMarket
from venues.sandbox.units import DECIMALS, ONE

_WRAPPED = {"BTC": ("UBTC", "Unit Bitcoin"), "ETH": ("UETH", "Unit Ethereum"), "SOL": ("USOL", "Unit Solana")}
_FIRST_ASSET = 10_000
_MOST_DIGITS = 5


class Names:
    """Coins and tokens of an exchange's pairs."""

    def __init__(self, exchange: Exchange) -> None:
        self.markets = {f"@{n}": market for n, market in enumerate(exchange.markets.values())}
        self._coins = {market.instrument.symbol: coin for coin, market in self.markets.items()}
        assets = [
            each for one in self.markets.values() for each in (one.instrument.quote, one.instrument.base)
        ]
        self.tokens = {asset: number for number, asset in enumerate(dict.fromkeys(assets))}

    def coin(self, instrument: Instrument) -> str:
        """The pair's name in questions, answers and streams."""
        return self._coins[instrument.symbol]

    def of_asset(self, asset: int) -> SymbolMarket | None:
        """The pair an action means."""
        return self.markets.get(f"@{asset - _FIRST_ASSET}")


def token(asset: str) -> str:
    """The token's name."""
    return _WRAPPED[asset][0] if asset in _WRAPPED else asset


def full_name(asset: str) -> str | None:
    """What the token's name stands for, None for most."""
    return _WRAPPED[asset][1] if asset in _WRAPPED else None


def size_decimals(instrument: Instrument) -> int:
    """Decimals of a pair's quantities."""
    return DECIMALS - (len(str(instrument.lot)) - 1)


def is_price(instrument: Instrument, price: int) -> bool:
    """Whether the venue takes a price: five significant digits or whole, and not too many decimals."""
    if price % ONE == 0:
        return True
    digits = str(price).rstrip("0")
    decimals = DECIMALS - (len(str(price)) - len(digits))
    return len(digits) <= _MOST_DIGITS and decimals <= DECIMALS - size_decimals(instrument)
