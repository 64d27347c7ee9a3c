"""How many trades may be open: one setting, `[desk] max_open_trades`, and who else may say a number.

Problem: the desk shares out its budget by this number, the limits enforce it and capital makes stakes of it.
Three numbers that are set apart drift apart, so all three come from `[desk]` unless a table names its own.

Not here: counting open trades (risk, the gate and capital do).

Invariant: the limits never allow more than the desk; when a round ends by this number, `binding` names the
setting it came from.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from parley.agent import AgentSpec
from parley.risk.limits import limits_of
from runtime.run_config import RunConfig
from runtime.settings import Settings

KEY: Final = "max_open_trades"
# The codes by which capital, risk or the gate say that the number is reached.
CODES: Final = frozenset({"no_open_trade_left", KEY})


def shared_limits(settings: Settings) -> dict[str, object]:
    """Give `[limits]` with the desk's number in it, or their own where that is tighter."""
    most = settings.desk.max_open_trades
    own = limits_of(settings.limits).max_open_trades if KEY in settings.limits else most
    return {**settings.limits, KEY: min(own, most)}


def shared_params(spec: AgentSpec, settings: Settings) -> AgentSpec:
    """Give an agent of capital the desk's number, unless its own parameters name one."""
    if spec.role != "capital":
        return spec
    return replace(spec, params={KEY: settings.desk.max_open_trades, **spec.params})


def notes(settings: Settings) -> tuple[str, ...]:
    """Say which of a user's own numbers does not count."""
    most = settings.desk.max_open_trades
    said = []
    if KEY in settings.limits and (own := limits_of(settings.limits).max_open_trades) > most:
        said.append(f"[limits] {KEY} {own} is looser than [desk] {KEY} {most}, which binds")
    return tuple(said)


def binding(run: RunConfig) -> str:
    """Name the setting that binds in a run, and what the others say."""
    # Capital is asked before risk, so at the same number it is the one that refuses.
    bounds = [
        (f'[agents."{spec.id}"] {KEY}', most)
        for spec in run.agents
        if spec.role == "capital" and (most := _count(spec.params)) is not None
    ]
    bounds.append((f"[limits] {KEY}", limits_of(run.limits).max_open_trades))
    tightest = min(most for _, most in bounds)
    desk = (f"[desk] {KEY}", run.desk.max_open_trades)
    name = desk[0] if desk[1] == tightest else next(name for name, most in bounds if most == tightest)
    others = [f"{other} {most}" for other, most in (desk, *bounds) if most != tightest]
    return f"{name} {tightest}" + (f" (looser: {', '.join(others)})" if others else "")


def _count(params: Mapping[str, object]) -> int | None:
    found = params.get(KEY)
    return None if found is None else limits_of({KEY: found}).max_open_trades
