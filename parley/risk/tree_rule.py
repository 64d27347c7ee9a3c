"""How the gate asks the limit tree: an order and what is known beside it, in the tree's own terms.

Not here: the tree (`tree`), what its nodes use (`loads`), the other rules (`rules`).

Invariant: no exit waits for a count that only market time brings down while market time stands still.
"""

from decimal import Decimal

from msgspec.structs import replace

from parley.instruments import assets_of
from parley.messages import Breach

from .breaches import breach
from .case import ZERO, Case
from .holding_rules import goes_short, held_since, moves_apart
from .loads import BotUse, Sent, of_account, without
from .tree import Ask, path_of, refusal


def limit_tree(case: Case) -> Breach | None:
    """P13: the nodes an order passes, from the platform to its symbol; the tightest names itself."""
    tree = case.limits.tree
    if not tree:
        return None
    if case.facts.view is None or case.prices is None or case.facts.counters is None or not case.numbers_ok:
        return breach("limit_tree", "unknown", "view")
    unit = case.prices.of(assets_of(case.intent.symbol)[1])
    if unit is None or case.worst_px is None or case.start is None:
        # an exit without a market is not what the tree is for
        return None if case.is_blind_exit else breach("limit_tree", "unknown", "price")
    counters, intent, bot = case.facts.counters, case.intent, case.facts.bot or BotUse()
    recent = tuple([Sent(r.symbol, r.side, r.qty, r.t) for r in counters.recent])
    orders_1s = counters.orders_1s
    if case.is_without_market:
        # as in `duplicate` and `order_rate`: it is tried again at the same market time
        recent, orders_1s, bot = (), 0, replace(bot, orders_1s=0)
    view = without(case.facts.view, intent.reservation_id, b"")
    load = of_account(view, case.prices, recent=recent, orders_1s=orders_1s)
    if intent.trigger is not None:
        load = replace(load, resting=())  # as in `self_match`
    agent = case.own.agent if case.own is not None else intent.agent if intent.trigger is not None else ""
    # a child stands for all that its reservation may still send
    qty = max(intent.qty, case.own.qty_left) if case.own is not None else intent.qty
    ask = Ask(
        symbol=intent.symbol, side=intent.side, qty=qty, px=case.worst_px * unit, mid=case.start * unit,
        depth=Decimal(repr(case.depth)), now=case.facts.now, reduce_only=intent.reduce_only,
        goes_short=goes_short(case), unit=unit, apart=moves_apart(case),
        held_since=held_since(view, agent, intent.symbol), beside=case.facts.beside or ZERO,
    )  # fmt: skip
    no = refusal(path_of(tree, load, view, case.prices, agent, intent.symbol, bot), ask)
    return breach(f"{no.node} {no.limit}", no.value, no.cap) if no is not None else None
