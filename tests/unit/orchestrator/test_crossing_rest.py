"""What is left of a purchase and of exits when a part changed hands: what is said of it, asked, and sent.

Not here: what changes hands (test_crossing.py), and when nothing may (test_crossing_refused.py).
"""

from collections.abc import Sequence

import pytest

from orchestrator.round import State
from parley.agent import Context
from parley.messages import Cfp, Decision, Intent, Message, Void
from tests.kit import firm_kit
from tests.kit.desk_cases import BTC, StepDesk, ack, refused, silent
from tests.kit.firm_kit import D, Script
from tests.kit.opposed import LEAVER, TAKER, crossings, desk_of, fill, holding, leaver, taker

THIRD = "strategy/c"


def of(desk: StepDesk, agent: str) -> Decision:
    """The last decision on a proposal of an agent."""
    return [d for d in desk.said(Decision) if isinstance(d, Decision) and d.agent == agent][-1]


def two_leavers(monkeypatch: pytest.MonkeyPatch, wanted: str, one: Script, other: Script) -> StepDesk:
    """A desk at which two hold 0.1 each and leave at step 3, where a third one buys."""
    monkeypatch.setattr(firm_kit, "TEAM", (*firm_kit.TEAM, (THIRD, "strategy")))
    desk = desk_of(leaver("0.1", at=3), silent, scripts={THIRD: taker(wanted, at=3, me=THIRD)})
    fill(desk, desk.close())
    desk.transport._hosts[LEAVER].agent._script = silent
    desk.transport._hosts[TAKER].agent._script = taker("0.1")
    fill(desk, desk.close())
    for who, script in ((LEAVER, one), (TAKER, other)):
        desk.transport._hosts[who].agent._script = script
    return desk


def test_who_left_at_the_opening_is_not_asked_again_however_many_exits_are_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, bool]] = []

    def counted(script: Script) -> Script:
        def say(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
            asked.extend([(me, msg.reduce_only)] if isinstance(msg, Cfp) else [])
            return script(msg, ctx, me)

        return say

    one, other = counted(leaver("0.1", at=3)), counted(leaver("0.1", at=3, me=TAKER))
    desk = two_leavers(monkeypatch, "0.04", one, other)

    sent = [(o.agent, o.qty) for o in desk.close() if isinstance(o, Intent)]

    assert sent == [(LEAVER, D("0.06")), (TAKER, D("0.1"))]
    assert asked == [(LEAVER, False), (TAKER, False)]
    assert (TAKER, "outranked", "") in of(desk, LEAVER).reasons


def test_a_decision_claims_what_was_got_or_ordered_and_says_why_no_more() -> None:
    desk = holding(b=taker("0.10005"))
    assert desk.close() == []
    told = of(desk, TAKER)
    assert (told.action, told.qty, told.plan) == ("accept", D("0.1"), ())
    assert told.reasons[0][1:] == ("rest_not_ordered", "below_min_notional")


def test_it_says_that_an_exit_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    dear = leaver("0.1", at=3, me=TAKER, leg_limit_px=D(50_500), leg_tif="GTC")
    desk = two_leavers(monkeypatch, "0.15", leaver("0.1", at=3), dear)
    desk.close()
    told = of(desk, THIRD)
    assert (told.action, told.qty, told.qty_wanted) == ("accept", D("0.1"), D("0.3"))
    assert told.reasons[0][1:] == ("rest_not_ordered", "an exit is left")


def test_where_all_is_got_or_ordered_nothing_is_said_of_a_rest() -> None:
    for qty in ("0.1", "0.15"):
        desk = holding(b=taker(qty))
        desk.close()
        assert of(desk, TAKER).qty == D(qty)
        assert "rest_not_ordered" not in [code for _, code, _ in of(desk, TAKER).reasons]


@pytest.mark.parametrize(("qty", "met"), [("0.1", 1), ("0.04", 1), ("0.15", 0)])
def test_what_is_wanted_whole_or_not_at_all_is_not_met_in_part(qty: str, met: int) -> None:
    desk = holding(b=taker(qty, leg_tif="FOK"))
    desk.close()
    assert len(crossings(desk)) == met
    assert of(desk, TAKER).reasons[0][1] == ("gave_way" if met else "not_crossed")


def with_a_rest() -> tuple[StepDesk, Intent]:
    """A round in which 0.1 changed hands and 0.05 is ordered."""
    desk = holding(b=taker("0.15"))
    (order,) = desk.close({BTC: 51_000.0})
    assert isinstance(order, Intent)
    assert len(crossings(desk)) == 1
    return desk, order


def test_a_round_that_traded_inside_is_not_void_when_its_order_comes_too_late() -> None:
    desk, order = with_a_rest()
    rnd = desk.firm.rounds[order.round]
    desk.admit(Void(round=order.round, iids=(order.iid,), why="late"), "journal")
    assert (rnd.state, desk.firm.rounds) == (State.DONE, {})
    assert {h.agent: h.qty for h in desk.view.state.holdings} == {TAKER: D("0.1")}
    assert desk.view.state.reservations == ()


@pytest.mark.parametrize("answer", [ack, refused])
def test_its_order_may_be_answered_like_any_other(answer: object) -> None:
    desk, order = with_a_rest()
    desk.tell(answer(order))  # type: ignore[operator]
    assert {h.agent: h.qty for h in desk.view.state.holdings} == {TAKER: D("0.1")}
