"""The pre-trade rules that only contracts know: one direction at a time, and far from liquidation.

Not here: what holds for everything (`rules`), what margin is (`margin`). Invariant: as `rules`.
"""

from parley.messages import Breach

from .breaches import at_most, breach
from .case import Case
from .margin import of_all


def one_way(case: Case) -> Breach | None:
    """A contract is held in one direction: what one agent opens never closes what another holds.

    Else the other's exit would find no position to reduce, and an opening be an exit that nobody decided.
    """
    i, state = case.facts.instrument, case.state
    if i is None or state is None or not case.numbers_ok:
        return breach("opposite_position", "unknown", "one_way")
    if not i.is_contract:
        return None
    if case.held != 0 and (case.held > 0) != case.buys:
        return breach("opposite_position", case.held, "one_way")
    coming = [r for r in state.reservations if r.symbol == i.symbol and r.asset == i.quote]
    other = next((r for r in coming if r.side != case.intent.side), None)
    return breach("opposite_position", other.qty_left, "one_way") if other is not None else None


def liquidation(case: Case) -> Breach | None:
    """F236, F247: with all that works done, the venue's maintenance margin is a small part of equity."""
    i, most = case.facts.instrument, case.limits.max_maintenance
    if i is None:
        return breach("max_maintenance", "unknown", most)
    if not i.is_contract:
        return None
    known = case.exposure if case.exposure is not None and not case.exposure.unpriced else None
    least = None if known is None else of_all(known.by_asset, case.facts.contracts)
    return at_most("max_maintenance", case.share(least), most)
