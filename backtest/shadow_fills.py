"""What became of one order beside what a simulation takes for granted: all of it, at its price and fee.

Not here: which order belongs to which trade (`shadow_execution`). Invariant: one order has at most one cause,
that of the first hand it went through: the strategy's amount, the desk's cut, the venue's fill.
"""

from dataclasses import dataclass, field

from backtest.divergence import CODE, DESK, FILL, Figure, Tolerances, Word
from backtest.market_time import at


@dataclass(slots=True)
class Fills:
    """What the orders compared cost, bps against the simulation's prices, and how many they were."""

    slippage_bps: list[float] = field(default_factory=list)
    entries: int = 0
    exits: int = 0


@dataclass(frozen=True, slots=True)
class Other:
    """A cause with its sentence."""

    cause: str
    sentence: str
    figures: dict[str, Figure]


def differs_in_fill(
    word: Word, rate: float, stake: float, fee: float, tolerances: Tolerances, fills: Fills
) -> Other | None:
    """Tell in what an order that was filled differs from the simulation's.

    rate: the simulation's price. stake: its amount of money, 0 where it depends on what was earned before.
    """
    paid = (word.price / rate - 1) * 1e4 * (1 if word.side == "buy" else -1)
    least = 1 - tolerances.amount
    kind = "entry" if word.side == "buy" else "exit"
    if stake and abs(word.wanted * word.price / stake - 1) > tolerances.amount + abs(paid) / 1e4:
        wanted = word.wanted * word.price
        return Other(
            CODE,
            f"the run stakes {wanted:g} at {at(word.t_ms)}, the backtest {stake:g}",
            {"run": wanted, "backtest": stake},
        )
    if word.granted < word.wanted * least or word.filled < word.granted * least:
        return lost(word, kind)
    if abs(paid) > tolerances.fill_bps:
        return Other(
            FILL,
            f"the {kind} of {at(word.t_ms)} was filled at {word.price:g}, {paid:+.1f} bps against the"
            f" backtest's {rate:g}",
            {"run": word.price, "backtest": rate, "bps": paid},
        )
    fills.slippage_bps.append(paid)
    dearer = (word.fee - fee) * 1e4
    if abs(dearer) > tolerances.fee_bps:
        return Other(
            FILL,
            f"the {kind} of {at(word.t_ms)} paid a fee of {word.fee:.4%}, the backtest takes {fee:.4%}",
            {"run": word.fee, "backtest": fee, "bps": dearer},
        )
    return None


def lost(word: Word, kind: str) -> Other:
    """Say who let an order become less than it was, or nothing."""
    figures: dict[str, Figure] = {"wanted": word.wanted, "granted": word.granted, "filled": word.filled}
    if word.is_foreign:
        return Other(DESK, f"the desk left the position by itself at {at(word.t_ms)}: {word.why}", {})
    said = f": {word.objection}" if word.objection else ""
    when = at(word.t_ms)
    if word.lost == CODE:
        return Other(CODE, f"the {kind} of {when} could not be taken{said}", figures)
    if word.granted < word.wanted:
        made = f"cut the {kind} of {when} to {word.granted:g} of {word.wanted:g}"
        made = made if word.granted else f"refused the {kind} of {when}"
        return Other(word.lost or DESK, f"the desk {made}{said}", figures)
    share = f"{word.filled:g} of {word.granted:g}" if word.filled else "nothing"
    return Other(word.lost or FILL, f"of the {kind} of {when} {share} was filled{said}", figures)
