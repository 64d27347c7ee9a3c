"""What the strategies share: reading parameters, hearing opinions and what speaks against, pricing a bet.

Not here: any rule of a particular strategy.
"""

from collections.abc import Container, Mapping, Sequence
from math import isfinite
from typing import Final, TypeVar

import msgspec

from parley.agent import AgentSpec, params_of
from parley.messages import Opinion
from parley.strategy_source import Entry, Pass

P = TypeVar("P", bound=msgspec.Struct)
_MIRRORED: Final = {"trend_up": "trend_down", "trend_down": "trend_up"}


class Heard(msgspec.Struct, frozen=True):
    """Opinions in one: mean ``direction`` weighted by confidence, the surest ``regime``, who agrees."""

    direction: float
    regime: str
    bulls: tuple[bytes, ...]
    bears: tuple[bytes, ...]


def read_params(name: str, params: Mapping[str, object], kind: type[P]) -> P:
    """Read a strategy's parameters.

    Raises
    ------
    ConfigError
        On an unknown key (naming the nearest), a wrong type or a value out of range.
    """
    return params_of(AgentSpec(id=name, role="strategy", factory="", params=dict(params)), kind)


def hear(opinions: Sequence[Opinion]) -> Heard:
    """Join opinions; none gives direction 0 and no regime. Their order does not matter."""
    total = weighted = 0.0
    regime, surest = "", 0.0
    bulls: list[bytes] = []
    bears: list[bytes] = []
    for o in sorted(opinions, key=lambda each: each.agent):
        total += o.conf
        weighted += o.conf * o.direction
        if o.regime and o.conf > surest:
            regime, surest = o.regime, o.conf
        if o.direction > 0.0:
            bulls.append(o.oid)
        elif o.direction < 0.0:
            bears.append(o.oid)
    return Heard(weighted / total if total > 0.0 else 0.0, regime, tuple(bulls), tuple(bears))


def objection(heard: Heard, avoid: Container[str], veto: float, direction: int = 1) -> Pass | None:
    """Say why opinions forbid an entry: a regime to avoid, or a mean opinion more than ``veto`` against it.

    ``avoid`` is what a long avoids; a short avoids its mirror image.
    """
    regime = heard.regime if direction > 0 else _MIRRORED.get(heard.regime, heard.regime)
    if regime in avoid:
        return Pass("against_regime", heard.regime)
    if heard.direction * direction < -veto:
        return Pass("against_opinion", f"{heard.direction:.2f}")
    return None


def bet(
    direction: int,
    px: float,
    risk: float,
    reward: float,
    tilt: float,
    heard: Heard,
    horizon_ms: int,
    why: str,
) -> Entry | Pass:
    """Price a position from its two ends.

    Without drift a price reaches ``reward`` before ``risk`` (both distances > 0, in quote)
    with probability risk / (risk + reward): optional stopping. ``tilt`` is what the setup
    is believed to add to that, so the edge is tilt * (risk + reward) / px and nothing else.
    """
    if not (isfinite(risk) and isfinite(reward) and 0.0 < risk < px and 0.0 < reward < px):
        return Pass("no_setup", "no volatility")
    conf = min(0.95, risk / (risk + reward) + tilt)
    edge = conf * reward - (1.0 - conf) * risk
    return Entry(
        direction=direction,
        edge_bps=round(1e4 * edge / px, 2),
        conf=round(conf, 4),
        stop=px - direction * risk,
        take=px + direction * reward,
        horizon_ms=horizon_ms,
        why=why,
        evidence=heard.bulls if direction > 0 else heard.bears,
    )
