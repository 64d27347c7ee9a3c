"""What the gate asks of stops that a venue holds, of everything else that would sell what they guard, and of
what would stand in their way.

Not here: their words, grid and collar, which are those of every order (`rules`).

Invariant: a rule reads nothing but its case.
"""

from decimal import Decimal

from parley.execution.protective import is_reached
from parley.messages import Breach

from .breaches import breach
from .case import ZERO, Case


def protective(case: Case) -> Breach | None:
    """A holding has its stop at the venue or leaves by another order, never both.

    A stop only reduces, sells no more than its holder holds beside all that sells it already, has its limit
    beyond its trigger, and its trigger beyond the market.
    """
    i = case.intent
    own = [o for o in case.guards if o.agent == i.agent]
    if case.state is None:
        return breach("guarded", "unknown", "gone")
    if own:
        return breach("guarded", own[0].cid, "gone")
    if i.trigger is None:
        return None
    book, view = case.facts.book, case.facts.view
    if not (i.reduce_only and case.numbers_ok and case.book_ok and book and view and i.px is not None):
        return breach("stop", "unusable", "reduce_only")
    holding = view.holding(i.agent, i.symbol)
    held = holding.qty if holding is not None and holding.qty.is_finite() else ZERO
    if held == 0 or case.buys == (held > 0):
        return breach("stop_holding", held, "held")
    orders = [o for o in view.orders(i.symbol) if o.agent == i.agent and o.side == i.side and o.iid != i.iid]
    leaving = sum((o.qty - o.filled for o in orders), ZERO)
    leaving += sum((r.qty_left for r in view.reserved(i.agent, i.symbol) if r.side == i.side), ZERO)
    if i.qty + leaving > abs(held):
        return breach("stop_holding", i.qty + leaving, abs(held))
    if not is_reached(i.side, i.trigger, i.px):
        return breach("stop_limit", i.px, i.trigger)
    px = Decimal(repr(book.asks[0][0] if case.buys else book.bids[0][0]))
    return breach("stop_reached", px, i.trigger) if is_reached(i.side, i.trigger, px) else None


def out_of_reach(case: Case) -> Breach | None:
    """No order rests where an own stop on the other side would look for somebody to trade with.

    Woken up it would meet that order instead of a stranger, and a venue that lets nobody trade with himself
    ends one of the two: if it is the stop, nothing guards. So the stop wins, whatever `self_match_prevention`
    says. What does not rest is in nobody's way.
    """
    i = case.intent
    if case.state is None or not case.numbers_ok:
        return breach("stop_reach", "unknown", "none")
    if i.trigger is not None or i.px is None or i.tif != "GTC":
        return None
    for o in case.state.orders:
        if o.symbol == i.symbol and o.side != i.side and reaches(o.side, o.trigger, o.px, i.px):
            return breach("stop_reach", i.px, f"{o.trigger}..{o.px}")
    return None


def reaches(side: str, trigger: Decimal | None, limit: Decimal | None, px: Decimal) -> bool:
    """Whether a stop, once woken up, may trade at a price: from its trigger to its limit, both included."""
    if trigger is None or not is_reached(side, trigger, px):
        return False
    return limit is None or is_reached(side, px, limit)
