"""What the kernel's tables say of each pair: turns of its rows, precisions, limits, margin steps.

Problem: hundreds of pairs with thirty fields each are slow to set one by one; here a field is set for all
pairs at once, and what many pairs share (a precision as a grid) is worked out once.

Not here: candles and signals, who owns the arrays (`tables`).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parley.kernels import codes, exact
from parley.kernels.records import TICK, TIER
from parley.kernels.settings import DECIMAL_PLACES, TICK_SIZE, PairSpec, SimulationSettings

TIERS_ALONE = ("okx", "myokx")
"""Venues whose largest stake freqtrade takes from the last margin tier alone, for spot from nowhere."""
_NONE = math.nan
_NEVER = 1 << 62
_RESERVES = {"min_cost_entry": -0.05, "min_cost_adjust": 0.0, "min_cost_position": -0.1}
"""The stop freqtrade assumes where it asks for the least stake."""


class Steps(NamedTuple):
    """At which steps of time the rows of pairs have their turn."""

    first: NDArray[np.int64]
    """The step of row 0 where rows follow each other without a gap."""
    irregular: list[NDArray[np.int64] | None]
    """The step of every row, of the other pairs."""
    alive: NDArray[np.int64]
    """The step of row 1, at which a pair comes to life."""
    are_exact: bool
    """Whether every row has its turn at the step of its date."""


def steps_of(
    dates: Sequence[NDArray[np.int64]], gaps: NDArray[np.int64], start_ms: int, timeframe: int
) -> Steps:
    """When the rows of each pair have their turn."""
    first = np.zeros(len(dates), np.int64)
    alive = np.full(len(dates), _NEVER)
    irregular: list[NDArray[np.int64] | None] = [None] * len(dates)
    are_exact = True
    for at, (times, missing) in enumerate(zip(dates, gaps.tolist(), strict=True)):
        if len(times) < 2:
            continue
        offset = int(times[0]) - start_ms
        if offset % timeframe == 0 and missing == 0:
            first[at] = offset // timeframe
            alive[at] = first[at] + 1
            continue
        # A row's turn is the first step that is not before its date, and a step of its own.
        rows = np.arange(len(times))
        due = -((start_ms - times) // timeframe)
        due[0] = 0
        steps = np.maximum.accumulate(due - rows) + rows
        are_exact &= bool((start_ms + steps[1:] * timeframe == times[1:]).all())
        irregular[at] = steps
        alive[at] = steps[1]
    return Steps(first, irregular, alive, are_exact)


def set_ticks(
    pairs: NDArray[np.void], specs: Sequence[PairSpec], settings: SimulationSettings
) -> NDArray[np.void]:
    """The precisions of prices, the market's first, then those seen in the candles."""
    rows: list[tuple[Any, ...]] = []
    places = []
    for spec in specs:
        places.append(len(rows))
        rows.append(_tick(-_NEVER, spec.price_precision, settings.precision_mode_price))
        rows += [_tick(since, tick, TICK_SIZE) for since, tick in spec.price_ticks]
    pairs["first_tick"] = places
    pairs["tick_count"] = np.diff([*places, len(rows)])
    return np.array(rows, TICK)


def _tick(since: int, precision: float | None, mode: int) -> tuple[Any, ...]:
    return since, *way_of(precision, mode), mode == TICK_SIZE, 0.0 if precision is None else precision, mode


def set_tiers(pairs: NDArray[np.void], specs: Sequence[PairSpec]) -> NDArray[np.void]:
    """The margin steps."""
    rows: list[tuple[float, ...]] = []
    places = []
    for spec in specs:
        places.append(len(rows))
        rows += [
            (
                tier.min_notional,
                _NONE if tier.max_notional is None else tier.max_notional,
                tier.maintenance_margin_rate,
                tier.max_leverage,
                _NONE if tier.maintenance_amount is None else tier.maintenance_amount,
            )
            for tier in spec.leverage_tiers
        ]
    pairs["first_tier"] = places
    pairs["tier_count"] = np.diff([*places, len(rows)])
    return np.array(rows or [(0.0,) * len(TIER.names or ())], TIER)


def set_limits(pairs: NDArray[np.void], specs: Sequence[PairSpec], settings: SimulationSettings) -> None:
    """Precisions of amounts and what the venue takes."""
    ways = [way_of(spec.amount_precision, settings.precision_mode) for spec in specs]
    for place, name in enumerate(("amount_way", "amount_step", "amount_scale")):
        pairs[name] = [way[place] for way in ways]
    pairs["contract_size"] = [spec.contract_size or 1.0 for spec in specs]
    pairs["taker_fee"] = [_NONE if spec.taker_fee is None else spec.taker_fee for spec in specs]
    pairs["inverse"] = [spec.inverse for spec in specs]
    least = np.array([_amount(spec.cost_min, spec.contract_size) for spec in specs])
    for name, stoploss in _RESERVES.items():
        reserve = (1.0 + settings.amount_reserve_percent) / (1 - abs(stoploss))
        pairs[name] = least * max(min(reserve, 1.5), 1)
    pairs["min_amount"] = [_amount(spec.amount_min, spec.contract_size) for spec in specs]
    if settings.exchange in TIERS_ALONE:
        pairs["max_cost"] = pairs["max_amount"] = _NONE
        return
    pairs["max_cost"] = [_amount(spec.cost_max, spec.contract_size) for spec in specs]
    pairs["max_amount"] = [_amount(spec.amount_max, spec.contract_size) for spec in specs]


def _amount(contracts: float | None, size: float | None) -> float:
    """A limit in contracts as an amount."""
    if contracts is None:
        return _NONE
    if size and size != 1:
        return exact.value_with_fee(contracts, size, 0.0)
    return contracts


@lru_cache(maxsize=4096)
def way_of(precision: float | None, mode: int) -> tuple[int, float, float]:
    """How a precision is applied: way, step and scale of its grid."""
    if precision is None:
        return codes.UNROUNDED, 0.0, 0.0
    if mode == DECIMAL_PLACES:
        places = int(precision)
        return (codes.GRID, 1.0, 10.0**places) if 0 <= places <= 14 else (codes.ODD, 0.0, 0.0)
    if mode == TICK_SIZE:
        digits, places = exact.number(precision)
        if places < 0:
            digits, places = digits * 10**-places, 0
        if 0 < digits < 10**6 and places <= 14:
            return codes.GRID, float(digits), 10.0**places
    return codes.ODD, 0.0, 0.0
