"""What the gate asks of what is held beside an order and before it: what moves with it, and since when it is.

Problem: two coins that fall together are one risk, and what nobody leaves was once meant for a day. The risk
agent looks at both, but an agent's word is no limit: here the gate looks itself, at what the desk folded.

Not here: how correlations are estimated (`correlation`), who leaves what is too old (`orchestrator.exits`).

Invariant: what is not known moves as one, and a rule reads nothing but its case.
"""

from parley.instruments import assets_of, coin_of, plain, symbol_of
from parley.messages import Breach
from parley.view import FirmView

from .breaches import at_most, breach
from .case import Case
from .correlation import apart, moving_with
from .exposure import DUST
from .limits import HOUR_NS


def correlated(case: Case) -> Breach | None:
    """P13: worst-case value of the order's asset and of all that moves with it, against equity."""
    cap, e = case.limits.max_correlated, case.exposure
    if not (case.buys or goes_short(case)):
        return None  # spot: what is not held cannot be sold
    if e is None or e.unpriced:
        return breach("max_correlated", "unknown", cap)
    base = coin_of(case.intent.symbol)
    return at_most("max_correlated", case.share(moving_with(base, e.by_asset, moves_apart(case))), cap)


def position_age(case: Case) -> Breach | None:
    """Nothing is added to what its agent holds for too long."""
    cap = case.limits.max_position_age_h
    if case.facts.view is None or case.own is None or not case.numbers_ok:
        return breach("max_position_age", "unknown", cap)
    since = held_since(case.facts.view, case.own.agent, case.intent.symbol)
    age = case.facts.now - since if since is not None else 0
    return breach("max_position_age", age // HOUR_NS, cap) if age > cap * HOUR_NS else None


def goes_short(case: Case) -> bool:
    """Whether an order sells what need not be held."""
    i = case.facts.instrument
    return i is not None and i.is_contract and not case.buys


def moves_apart(case: Case) -> frozenset[str]:
    """Name the assets that are known not to move with the order's."""
    e, view = case.exposure, case.facts.view
    if e is None or view is None:
        return frozenset()
    base = coin_of(case.intent.symbol)
    facts, threshold = case.facts, case.limits.correlation_threshold
    return apart(base, e.by_asset, view.state.quote, facts.correlations, threshold)


def held_since(view: FirmView, agent: str, symbol: str) -> int | None:
    """Return since when an agent holds what a symbol trades, None where it holds nothing, or dust of any age.

    Holdings are told against the account's currency, by whichever pair they were bought, and at whichever
    exchange.
    """
    wanted = plain(symbol_of(assets_of(symbol)[0], view.state.quote))
    since = []
    for holding in view.state.holdings:
        if holding.agent == agent and holding.qty and plain(holding.symbol) == wanted:
            position = view.position(holding.symbol)
            if position is None or abs(holding.qty) * position.mark >= DUST:
                since.append(holding.opened)
    return min(since, default=None)
