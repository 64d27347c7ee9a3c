"""Markets and leverage tiers without an exchange: from a JSON file, else made up from the pairs' names.

Problem: freqtrade asks the exchange for precision, limits and fees before it simulates; a backtest here asks
nobody. Where the numbers matter the user gives ccxt's own tables as files; where they are made up they are
fine enough not to bind (freqtrade takes the price step of a backtest from the candles anyway).

Not here: what freqtrade does with a market (`exchange`). Invariant: the same pairs give the same markets on
every machine.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import ccxt

from parley.errors import DataError, UserError, nearest

Market = dict[str, Any]

PAIR: Final = re.compile(
    r"(?P<base>[^/:\s*()\[\]|]+)/(?P<quote>[^/:\s*()\[\]|]+)(?::(?P<settle>[^/:\s*()\[\]|]+))?"
)
_STEP: Final = 1e-8
_DIGITS: Final = 8
_SIGNIFICANT: Final = 15
# The least an order must be worth, by quote currency; others have no such limit.
_LEAST_COST: Final = {"BTC": 0.0001, "ETH": 0.001, "BNB": 0.01} | dict.fromkeys(
    ("USDT", "USDC", "BUSD", "USD", "EUR", "DAI", "TUSD", "FDUSD"), 5.0
)
# Of a perpetual whose exchange ships no table: notional from, to, maintenance rate, leverage.
_TIERS: Final = (
    (0.0, 50_000.0, 0.01, 50.0, 0.0),
    (50_000.0, 250_000.0, 0.025, 20.0, 750.0),
    (250_000.0, 1_000_000.0, 0.05, 10.0, 7_000.0),
    (1_000_000.0, 5_000_000.0, 0.1, 5.0, 57_000.0),
    (5_000_000.0, 50_000_000.0, 0.25, 2.0, 807_000.0),
)


def read_markets(path: Path) -> dict[str, Market]:
    """Read markets as `ccxt.Exchange.load_markets` gives them: an object by pair, or a list.

    Raises
    ------
    DataError
        When a market has no name, precision or limits.
    """
    content = _read_json(path)
    listed = content if isinstance(content, list) else list(content.values())
    markets: dict[str, Market] = {}
    for position, market in enumerate(listed):
        if not isinstance(market, dict) or not isinstance(market.get("symbol"), str):
            raise DataError(
                f"{path}: market {position} must be an object with a 'symbol', was {market!r:.80}"
            )
        for key in ("base", "quote", "precision", "limits"):
            if key not in market:
                raise DataError(
                    f"{path}: market {market['symbol']!r} must have {key!r}, has {sorted(market)}"
                )
        markets[market["symbol"]] = market
    return markets


def read_tiers(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read leverage tiers as `ccxt.Exchange.fetch_leverage_tiers` gives them, or freqtrade's cache of
    them."""
    content = _read_json(path)
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        content = content["data"]
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object of lists by pair, was {type(content).__name__}")
    for pair, tiers in content.items():
        for tier in tiers:
            for key in ("minNotional", "maxNotional", "maintenanceMarginRate", "maxLeverage"):
                if key not in tier:
                    raise DataError(f"{path}: a tier of {pair!r} must have {key!r}, has {sorted(tier)}")
    return content


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, {error}") from error


def made_up_markets(
    pairs: Iterable[str], api: ccxt.Exchange, *, futures: bool, swap: str
) -> dict[str, Market]:
    """Return a market for every pair name, with the exchange's own standard fees and precision mode.

    ``swap`` is what freqtrade calls the exchange's perpetuals. They are in order of their names: a pattern of
    a pair list stands for them in the order they have here, and a folder names its files in any.
    """
    named = sorted({pair for pair in pairs if PAIR.fullmatch(pair)})
    return {pair: _made_up(pair, api, futures=futures, swap=swap) for pair in named}


def _made_up(pair: str, api: ccxt.Exchange, *, futures: bool, swap: str) -> Market:
    named = PAIR.fullmatch(pair)
    if named is None:
        raise UserError(f"expected a pair such as 'BTC/USDT' or 'BTC/USDT:USDT', was {pair!r}")
    base, quote, settle = named["base"], named["quote"], named["settle"]
    perpetual = settle is not None
    step = {ccxt.TICK_SIZE: _STEP, ccxt.SIGNIFICANT_DIGITS: _SIGNIFICANT}.get(api.precisionMode, _DIGITS)
    maker, taker = _fees(api, perpetual=perpetual)
    none = {"min": None, "max": None}
    return {
        "id": base + quote, "symbol": pair, "base": base, "quote": quote, "settle": settle,
        "baseId": base, "quoteId": quote, "settleId": settle, "active": True,
        "type": "swap" if perpetual else "spot", "spot": not perpetual, "margin": False, "swap": perpetual,
        "future": perpetual and swap == "future", "option": False, "contract": perpetual,
        "linear": settle == quote if perpetual else None, "inverse": settle == base if perpetual else None,
        "contractSize": 1.0 if perpetual else None, "maker": maker, "taker": taker, "percentage": True,
        "tierBased": False, "feeSide": "quote" if perpetual else "get",
        "precision": {"amount": step, "price": step},
        "limits": {
            "amount": dict(none), "price": dict(none), "leverage": dict(none), "market": dict(none),
            "cost": {"min": _LEAST_COST.get(quote), "max": None},
        },
        "info": {},
    }  # fmt: skip


def _fees(api: ccxt.Exchange, *, perpetual: bool) -> tuple[float | None, float | None]:
    fees = api.fees.get("linear") or api.fees.get("swap") or api.fees if perpetual else api.fees
    trading = fees.get("trading", api.fees.get("trading", {}))
    return trading.get("maker"), trading.get("taker")


def made_up_tiers() -> list[dict[str, Any]]:
    """Return the tiers of a perpetual nobody has a table for."""
    return [
        {
            "minNotional": least, "maxNotional": most, "maintenanceMarginRate": rate, "maxLeverage": leverage,
            "info": {"cum": deducted},
        }
        for least, most, rate, leverage, deducted in _TIERS
    ]  # fmt: skip


def require_markets(wanted: Iterable[str], markets: Mapping[str, Market], path: Path) -> None:
    """Refuse a pair that the user's own table of markets does not have."""
    for pair in wanted:
        if PAIR.fullmatch(pair) and pair not in markets:
            raise UserError(f"{path}: there is no market {pair!r}, {nearest(pair, sorted(markets))}")
