"""What must not meet inside: then nothing changes hands, and exits leave as if nobody had wished otherwise.

Not here: what comes of a meeting (test_crossing.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from parley.agent import Context
from parley.messages import (
    Allocation,
    Ballot,
    Book,
    Breaker,
    Cfp,
    Child,
    Decision,
    GateRefusal,
    Halt,
    Intent,
    Killed,
    Message,
    PlanLeg,
    Proposal,
    Ranking,
    Review,
    Strain,
    Verdict,
)
from parley.risk.limits import Limits, limits_of
from tests.kit import firm_kit
from tests.kit.desk_cases import BTC, StepDesk, ack, advises, silent, unless
from tests.kit.firm_kit import MINUTE, T0, D, Script, polite
from tests.kit.opposed import LEAVER, TAKER, books_of, crossings, desk_of, fill, holding, leaver, taker

CONTRACT, THIRD = "BTC/USDT:USDT", "strategy/c"
Orders = Sequence[object]


def last(desk: StepDesk) -> Decision:
    return [d for d in desk.said(Decision) if isinstance(d, Decision)][-1]


def codes(desk: StepDesk) -> list[str]:
    """What ended each rejected round."""
    found = [d for d in desk.said(Decision) if isinstance(d, Decision) and d.action == "reject"]
    return [d.reasons[0][1] for d in found]


def leaves_as_ever(desk: StepDesk, orders: Orders, qty: str = "0.1") -> None:
    """Nothing changed hands, and the exit alone went out, whole."""
    assert crossings(desk) == []
    (order,) = orders
    assert isinstance(order, Intent)
    assert (order.agent, order.side, order.qty, order.reduce_only) == (LEAVER, "sell", D(qty), True)
    assert {h.agent for h in desk.view.state.holdings} == {LEAVER}
    assert desk.firm.rounds.keys() == {order.round}


def answers(kind: type[Message], change: Callable[[Any], Message | None], stage: str = "") -> Script:
    """A polite agent whose answers of a kind about openings are changed, or left out."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and (msg.proposal.reduce_only or msg.stage != stage):
            return None
        if ctx.now < T0 + 2 * MINUTE:
            return None
        said = [change(m) if isinstance(m, kind) else m for m in polite(msg, ctx, me)]
        return [m for m in said if m is not None]

    return unless(say)


# the opening did not pass

NOTHING = {
    "capital": answers(Allocation, lambda a: replace(a, max_qty=D(0)), "capital"),
    "capital silent": answers(Allocation, lambda a: None, "capital"),
    "risk": answers(Verdict, lambda v: replace(v, ok=False, max_qty=D(0)), "risk"),
    "risk silent": answers(Verdict, lambda v: None, "risk"),
    "old verdict": answers(Verdict, lambda v: replace(v, state_version=v.state_version - 1), "risk"),
}


@pytest.mark.parametrize("why", NOTHING)
def test_what_capital_and_risk_do_not_grant_meets_nobody(why: str) -> None:
    desk = holding(scripts={f"{why.split()[0].replace('old', 'risk')}/a": NOTHING[why]})
    leaves_as_ever(desk, desk.close())
    assert [d.agent for d in desk.said(Decision) if isinstance(d, Decision)][1:] == [TAKER, LEAVER]


def test_what_the_gate_refuses_meets_nobody() -> None:
    desk = holding()
    desk.firm.gatekeeper.limits = tight(desk, max_order_notional="0.01")
    leaves_as_ever(desk, desk.close())
    assert codes(desk) == ["max_order_notional"]


def tight(desk: StepDesk, **over: object) -> Limits:
    """The limits of the gate alone, of the same version: the agents know nothing of them."""
    return replace(limits_of(over), version=desk.firm.gatekeeper.limits.version)


def test_the_gate_is_asked_for_the_whole_quantity_though_it_would_be_bought_in_parts() -> None:
    """Ten parts of which each would pass; all of it as one order would not."""
    parts = tuple(Child(qty=D("0.02"), delay_ms=60_000 * n) for n in range(10))

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and msg.stage == "execution" and msg.proposal.agent == TAKER:
            return advises(style="twap", split=parts, px_limit=D(50_010), tif="IOC")(msg, ctx, me)
        return None

    for most, met in (("0.05", 0), ("0.5", 1)):
        desk = holding(b=taker("0.2"), scripts={"execution/a": unless(say)})
        desk.firm.gatekeeper.limits = tight(desk, max_order_notional=most)
        desk.close()
        assert len(crossings(desk)) == met
        assert codes(desk) == ([] if met else ["not_crossed"])


@pytest.mark.parametrize("ranking", [None, 0.2])
def test_without_meta_or_a_quorum_the_exit_goes_first(ranking: float | None) -> None:
    def change(said: Any) -> Message | None:
        return None if ranking is None else replace(said, quorum=ranking)

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if not isinstance(msg, Ballot) or ctx.now < T0 + 2 * MINUTE:
            return None
        said = [change(m) if isinstance(m, Ranking) else m for m in polite(msg, ctx, me)]
        return [m for m in said if m is not None]

    desk = holding(scripts={"meta/a": unless(say)})
    leaves_as_ever(desk, desk.close())
    assert codes(desk) == []


def test_a_breaker_that_trips_meanwhile_stops_it() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and ctx.now == T0 + 2 * MINUTE and not msg.proposal.reduce_only:
            until = ctx.now + 9 * MINUTE
            found = Breaker(agent=me, name="test", action="pause", until=until, value="1", cap="0")
            return (found, *polite(msg, ctx, me))
        return None

    desk = holding(scripts={"risk/a": unless(say)})
    leaves_as_ever(desk, desk.close())
    assert codes(desk) == ["breaker"]


# what the market or a person says


@pytest.mark.parametrize(
    "book",
    [
        books_of(bids=()),
        books_of(asks=()),
        books_of(asks=((49_000.0, 5.0),)),
        books_of(bids=((float("nan"), 5.0),)),
    ],
    ids=["no bids", "no asks", "crossed", "no number"],
)  # fmt: skip
def test_without_a_usable_book_nothing_changes_hands(book: dict[str, Book]) -> None:
    desk = holding()
    desk.close(books=book)
    assert crossings(desk) == []
    assert {h.agent for h in desk.view.state.holdings} == {LEAVER}


def test_on_old_data_nothing_changes_hands() -> None:
    desk = holding()
    desk.close(age_ms=3_600_000.0)
    assert crossings(desk) == []


def test_of_an_old_book_nothing_changes_hands() -> None:
    desk = holding(limits={"max_book_age_ms": 30_000})
    desk.close(books=books_of(t=T0))
    assert crossings(desk) == []


STOPS: dict[str, Message] = {
    "reduce only": Halt(scope="*", mode="REDUCE_ONLY", by="me", why=""),
    "strained": Strain(source="disk", level=3),
    "buyer killed": Killed(standing=((f"bot:{TAKER}", "block", ""),), t=1),
    "symbol killed": Killed(standing=((f"symbol:{BTC}", "block", ""),), t=1),
    "leaver killed": Killed(standing=((f"bot:{LEAVER}", "block", ""),), t=1),
    "halted": Halt(scope="*", mode="HALT", by="me", why=""),
}


@pytest.mark.parametrize("why", STOPS)
def test_while_a_person_or_a_kill_stops_either_of_them_nothing_changes_hands(why: str) -> None:
    desk = holding()
    desk.admit(STOPS[why], "user")
    orders = desk.close()
    assert crossings(desk) == []
    assert all(isinstance(o, Intent) and o.reduce_only for o in orders if why != "leaver killed")
    if why in ("reduce only", "strained", "buyer killed"):
        leaves_as_ever(desk, orders)


def test_a_leaver_that_is_flattened_by_a_kill_leaves_outside() -> None:
    desk = holding()
    sent = desk.admit(Killed(standing=((f"bot:{LEAVER}", "flatten", ""),), t=1), "user")
    sent += desk.close()
    assert crossings(desk) == []
    assert (LEAVER, "sell") in {(o.agent, o.side) for o in sent if isinstance(o, Intent)}


# what the leaver has there


def test_an_urgent_exit_lets_nobody_go_first() -> None:
    desk = holding(a=leaver(urgency="urgent"))
    leaves_as_ever(desk, desk.close())
    assert codes(desk) == []


def test_an_exit_waits_until_its_stop_at_the_venue_is_gone() -> None:
    stop = replace_opening(stop=D(48_000))
    desk = desk_of(stop, venue_stops=True)
    (bought,) = desk.close()
    (guard,) = desk.tell(desk.filled(bought, px=bought.ref_px, fee="none"), ack(bought))
    desk.tell(ack(guard))
    orders = desk.close()
    assert crossings(desk) == []
    assert LEAVER not in {o.agent for o in orders if isinstance(o, Intent) and o.trigger is None}


def replace_opening(**over: Any) -> Script:
    """A leaver whose purchase carries these fields."""

    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
        said = leaver()(msg, ctx, me)
        if isinstance(msg, Cfp) and ctx.now == T0 + MINUTE:
            return [replace(m, **over) for m in said]  # type: ignore[type-var]
        return said

    return say


def test_a_leaver_with_a_working_order_there_meets_nobody() -> None:
    """It sells half of it already, at a price of its own."""
    first = leaver("0.05", at=2, leg_limit_px=D(50_500), leg_tif="GTC")
    then = leaver("0.05", at=3)
    now = {"script": first}
    desk = desk_of(
        lambda msg, ctx, me: now["script"](msg, ctx, me), taker("0.05", at=3),
        scripts={"execution/a": silent},
    )  # fmt: skip
    fill(desk, desk.close())
    (resting,) = desk.close()
    desk.tell(ack(resting))
    now["script"] = then
    desk.close()
    assert crossings(desk) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (leaver(leg_limit_px=D("50_000.01")), taker()),
        (leaver(), taker(leg_limit_px=D("49_999.99"))),
        (leaver(), taker(leg_limit_px=D("49_999"), leg_post_only=True, leg_tif="GTC")),
    ],
    ids=["leaver wants more", "buyer pays less", "buyer rests"],
)
def test_at_a_price_either_does_not_want_nothing_changes_hands(a: Script, b: Script) -> None:
    desk = holding(a, b)
    desk.close()
    assert crossings(desk) == []
    assert codes(desk) == []  # nobody went first in vain
    assert "accept" not in [
        d.action for d in desk.said(Decision) if isinstance(d, Decision) and d.agent == TAKER
    ]


def test_a_price_that_advice_made_too_low_meets_nobody() -> None:
    def say(msg: Message, ctx: Context, me: str) -> Sequence[Message] | None:
        if isinstance(msg, Review) and msg.stage == "execution" and not msg.proposal.reduce_only:
            return advises(px_limit=D(49_999))(msg, ctx, me) if ctx.now > T0 + MINUTE else None
        return None

    desk = holding(scripts={"execution/a": unless(say)})
    leaves_as_ever(desk, desk.close())
    assert codes(desk) == ["not_crossed"]


@pytest.mark.parametrize("qty", ["0.00009", "0.09995"])
def test_nothing_too_small_to_be_an_order_is_given_and_no_such_rest_is_left(qty: str) -> None:
    """Below 5 USDT is no order: the one is 4.50, the other would leave 2.50 that cannot be sold."""
    desk = holding(b=taker(qty))
    leaves_as_ever(desk, desk.close())
    assert codes(desk) in (["below_min_notional"], ["not_crossed"])


def test_the_rest_of_a_purchase_that_is_too_small_is_not_bought() -> None:
    desk = holding(b=taker("0.10005"))
    assert desk.close() == []
    (met,) = crossings(desk)
    assert met.qty == D("0.1")
    assert last(desk).plan == ()
    assert desk.said(GateRefusal) == []


def test_what_could_be_bought_at_several_exchanges_meets_the_exit_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An opening that exits were put behind is for them: it is shared out over no books before."""

    def routed(plan: tuple[PlanLeg, ...], bid: Proposal, _: Limits) -> tuple[PlanLeg, ...]:
        if bid.agent != TAKER:
            return plan
        return tuple(replace(plan[0], qty=plan[0].qty / 2) for _ in range(2))

    desk = holding()
    monkeypatch.setattr(desk.firm.routing, "routed", routed)
    assert desk.close() == []
    assert [met.qty for met in crossings(desk)] == [D("0.1")]


def test_contracts_do_not_meet() -> None:
    def on_contract(script: Script) -> Script:
        def say(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
            said = script(replace(msg, symbols=(CONTRACT,)) if isinstance(msg, Cfp) else msg, ctx, me)
            return [_renamed(m, ctx, me) for m in said]

        return say

    desk = StepDesk(
        {LEAVER: on_contract(leaver()), TAKER: on_contract(taker())}, symbols=(CONTRACT,), crossing=True
    )  # fmt: skip
    prices = {CONTRACT: 50_000.0}
    fill(desk, desk.close(prices))
    desk.close(prices)
    assert crossings(desk) == []


def _renamed(message: Message, ctx: Context, me: str) -> Message:
    legs = getattr(message, "legs", None)
    if legs is None:
        return message
    return replace(  # type: ignore[type-var]
        message, symbol=CONTRACT, legs=tuple(replace(leg, symbol=CONTRACT) for leg in legs)
    )


def test_nothing_is_ordered_while_an_exit_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It meets the one, the other wants more than the mid: an order to buy would stand in its way."""
    monkeypatch.setattr(firm_kit, "TEAM", (*firm_kit.TEAM, (THIRD, "strategy")))
    dear = leaver("0.1", at=3, me=TAKER, leg_limit_px=D(50_500), leg_tif="GTC")
    desk = desk_of(leaver("0.1", at=3), silent, scripts={THIRD: taker("0.15", at=3, me=THIRD)})
    fill(desk, desk.close())
    desk.transport._hosts[LEAVER].agent._script = silent
    desk.transport._hosts[TAKER].agent._script = taker("0.1")
    fill(desk, desk.close())
    desk.transport._hosts[LEAVER].agent._script = leaver("0.1", at=3)
    desk.transport._hosts[TAKER].agent._script = dear
    orders = [o for o in desk.close() if isinstance(o, Intent)]
    assert [(c.seller, c.buyer, c.qty) for c in crossings(desk)] == [(LEAVER, THIRD, D("0.1"))]
    assert [(o.agent, o.side, o.qty) for o in orders] == [(TAKER, "sell", D("0.1"))]


def test_no_refusal_is_said_of_an_order_that_was_never_meant() -> None:
    desk = holding(b=taker("0.15"))
    desk.close()
    assert desk.said(GateRefusal) == []
