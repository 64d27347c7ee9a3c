"""Two strategies of which one leaves what the other buys, in one round, at a desk of a real firm.

Not here: what must come of it (tests/unit/orchestrator/test_crossing.py and its neighbours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from parley.agent import Agent, AgentEnv, AgentSpec, Context
from parley.messages import Book, Cfp, Crossed, Intent, Message, Proposal, Refuse
from tests.kit.desk_cases import BTC, StepDesk, ack, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, Scripted, polite, proposal

LEAVER, TAKER = "strategy/a", "strategy/b"
BUYS, MEETS = 1, 2  # the steps at which the one buys, and both meet
PART = "0.04"  # what the buyer of a journal wants of the leaver's 0.1
STOP, TAKE = D(49_000), D(52_000)


def leaver(qty: str = "0.1", at: int = MEETS, me: str = LEAVER, **over: Any) -> Script:
    """Make a strategy that buys at the first step and leaves ``qty`` of it at a later one."""

    def say(msg: Message, ctx: Context, _: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        step = (ctx.now - T0) // MINUTE
        if step == BUYS and not msg.reduce_only:
            return (proposal(me, ctx, BTC, "buy", D("0.2")),)  # capital allows half
        held = ctx.view.holding(me, BTC)
        if step < at or held is None or held.qty < D(qty):
            return (Refuse(agent=me, code="waits"),)
        return (changed(proposal(me, ctx, BTC, "sell", D(qty), reduce_only=True), over),)

    return unless(say)


def taker(qty: str = "0.1", at: int = MEETS, me: str = TAKER, **over: Any) -> Script:
    """Make a strategy that wants to buy so that ``qty`` is decided: capital allows half of what is wanted."""

    def say(msg: Message, ctx: Context, _: str) -> Sequence[Message] | None:
        if not isinstance(msg, Cfp):
            return None
        if (ctx.now - T0) // MINUTE != at or msg.reduce_only:
            return (Refuse(agent=me, code="waits"),)
        bid = replace(proposal(me, ctx, BTC, "buy", D(qty) * 2), stop=STOP, take=TAKE)
        return (changed(bid, over),)

    return unless(say)


def make(spec: AgentSpec, env: AgentEnv) -> Agent:
    """Make an agent of such a desk anew: the factory that a journal's configuration names."""
    scripts = {LEAVER: leaver(), TAKER: taker(PART)}
    return Scripted(spec, scripts.get(spec.id, polite))


def changed(bid: Proposal, over: dict[str, Any]) -> Proposal:
    """Change fields of a proposal; those named ``leg_...`` of its leg."""
    leg = {name.removeprefix("leg_"): value for name, value in over.items() if name.startswith("leg_")}
    rest = {name: value for name, value in over.items() if not name.startswith("leg_")}
    return replace(bid, legs=(replace(bid.legs[0], **leg),), **rest)


def desk_of(a: Script | None = None, b: Script | None = None, **over: Any) -> StepDesk:
    """Give a desk at which both sit, before the first step; more scripts by ``scripts``."""
    scripts = {LEAVER: a or leaver(), TAKER: b or taker(), **over.pop("scripts", {})}
    return StepDesk(scripts, **{"crossing": True, **over})


def fill(desk: StepDesk, orders: Sequence[object]) -> list[Intent]:
    """Fill orders at the mid without a fee, and give them."""
    sent = [order for order in orders if isinstance(order, Intent)]
    for order in sent:
        desk.tell(desk.filled(order, px=order.ref_px, fee="none"), ack(order))
    return sent


def holding(a: Script | None = None, b: Script | None = None, **over: Any) -> StepDesk:
    """Give a desk whose leaver holds 0.1, before the step at which both meet."""
    desk = desk_of(a, b, **over)
    (bought,) = fill(desk, desk.close())
    assert (bought.agent, bought.side, bought.qty) == (LEAVER, "buy", D("0.1"))
    return desk


def crossings(desk: StepDesk) -> list[Crossed]:
    """Give what changed hands inside."""
    return [message for message in desk.said(Crossed) if isinstance(message, Crossed)]


def books_of(**over: Any) -> dict[str, Book]:
    """Give a book of the step at which both meet, with these fields."""
    t = T0 + 2 * MINUTE
    made = {"symbol": BTC, "t": t, "seq": 9, "bids": ((49_999.0, 5.0),), "asks": ((50_001.0, 5.0),)}
    return {BTC: Book(**{**made, **over})}
