"""What the exchange says about the pairs of a case: precision, limits, contracts, leverage tiers, funding.

Not here: prices (`candles`).

Invariant: the records have ccxt's shape, so that freqtrade's exchange classes read them unchanged.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from tests.differential.candles import Market, draw_candles
from tests.differential.case import dates
from tests.differential.dice import Dice

# ccxt's names of how a precision is meant.
DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE = 2, 3, 4
HOUR_MS = 3_600_000


def pair_name(index: int, *, is_futures: bool) -> str:
    """Return the name of the ``index``th pair of a case."""
    return f"COIN{index}/USDT:USDT" if is_futures else f"COIN{index}/USDT"


def draw_record(dice: Dice, pair: str, market: Market, precision_mode: int) -> dict[str, Any]:
    """Draw ccxt's record of ``pair``."""
    is_futures = ":" in pair
    steps = dice.whole(0, 4)
    # About how many coins make a hundred dollars, so that rounding amounts matters now and then.
    places = max(0, int(np.ceil(np.log10(market.price)))) + steps
    if precision_mode == TICK_SIZE:
        # Mostly the tick of the candles, at times a coarser one as after a change of the venue's rules.
        tick = market.tick * dice.pick((1, 1, 1, 5, 10))
        precision: dict[str, Any] = {"amount": dice.pick((float(f"1e-{places}"), 0.5)), "price": tick}
        if steps == 0 and market.price < 1:
            precision["amount"] = 1.0
    elif precision_mode == DECIMAL_PLACES:
        precision = {"amount": places, "price": market.decimals}
    else:
        precision = {"amount": 3 + steps, "price": dice.whole(4, 8)}
    least = dice.pick((None, 1.0, 5.0, 10.0))
    base, quote = pair.split(":")[0].split("/")
    return {
        "id": base + quote, "symbol": pair, "base": base, "quote": quote, "active": True,
        "settle": quote if is_futures else None, "type": "swap" if is_futures else "spot",
        "spot": not is_futures, "swap": is_futures, "future": False, "margin": False, "option": False,
        "contract": is_futures, "linear": is_futures or None, "inverse": False if is_futures else None,
        "contractSize": dice.pick((1.0, 1.0, 0.01, 10.0)) if is_futures else None,
        "precision": precision,
        "limits": {
            "amount": {"min": dice.pick((None, 0.0001)), "max": None},
            "cost": {"min": least, "max": dice.pick((None, None, 20_000.0))},
            "price": {"min": None, "max": None},
            "leverage": {"min": 1, "max": 125},
        },
        "taker": dice.pick((0.0004, 0.001)), "maker": dice.pick((0.0002, 0.0005)), "info": {},
        "percentage": True, "tierBased": False, "feeSide": "get",
    }  # fmt: skip


def draw_tiers(dice: Dice) -> list[dict[str, Any]]:
    """Draw the leverage tiers of a pair: maintenance margin rises with the position's size."""
    edges = [0.0, 5_000.0, 25_000.0, 250_000.0, 1e9]
    most = dice.pick((10.0, 20.0, 50.0, 125.0))
    rate = dice.pick((0.004, 0.01, 0.025))
    tiers: list[dict[str, Any]] = []
    amount = 0.0
    for index, (low, high) in enumerate(pairwise(edges)):
        own = round(rate * (1 + index / 2), 4)
        if tiers:
            amount += low * (own - tiers[-1]["maintenanceMarginRate"])
        tiers.append({
            "tier": index + 1, "minNotional": low, "maxNotional": high, "maintenanceMarginRate": own,
            "maxLeverage": max(round(most / (1 + index), 1), 1.0), "info": {"cum": str(round(amount, 4))},
        })  # fmt: skip
    return tiers


def draw_funding(
    dice: Dice, market: Market, start_ms: int, end_ms: int, funding_ms: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw (funding rates every ``funding_ms``, hourly mark candles) around the time of the case."""
    start = start_ms - start_ms % (24 * HOUR_MS)
    count = int((end_ms - start) // HOUR_MS) + 2
    mark = draw_candles(dice.part("mark"), market, start, HOUR_MS, count)
    stamps = np.arange(start, end_ms + 1, funding_ms)
    rates = np.round(dice.numbers.normal(0.0, dice.pick((0.0001, 0.003)), len(stamps)), 8)
    kept = dice.numbers.random(len(stamps)) >= dice.pick((0.0, 0.0, 0.1))
    funding = pd.DataFrame({"date": dates(stamps[kept]), "open": rates[kept]})
    for name in ("high", "low", "close", "volume"):
        funding[name] = 0.0
    return funding, mark
