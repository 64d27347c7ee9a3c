"""What stops a firm by itself or by a kill: the desk's own last breaker, leaving without a market, kills."""

from collections.abc import Sequence

import pytest

from parley.agent import Context
from parley.messages import (
    Breaker,
    CancelIntent,
    Cfp,
    GateRefusal,
    Halt,
    Heartbeat,
    Intent,
    Killed,
    Message,
    Refuse,
)
from tests.kit.desk_cases import BTC, StepDesk, ack, event, refused, silent
from tests.kit.firm_kit import T0, D, polite, proposal

SECOND = 1_000_000_000
CRASH = {BTC: 5_000.0}  # 24 % of the account, nine tenths of it gone: 21.6 %


def holder(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    """A strategy that buys once and never sells; of what it asks for it gets half, 12 % of the account."""
    if not isinstance(msg, Cfp):
        return polite(msg, ctx, me)
    if msg.reduce_only or ctx.view.holding(me, BTC) is not None or ctx.view.reserved(me, BTC):
        return (Refuse(agent=me, code="done"),)
    return (proposal(me, ctx, BTC, "buy", D("0.48")),)


def raises(msg: Message, ctx: Context, me: str) -> Sequence[Message]:
    raise RuntimeError("dead")


def two_holders(**scripts: object) -> StepDesk:
    """A desk whose two strategies hold 0.24 BTC each, bought at 50,000."""
    desk = StepDesk({"strategy/a": holder, "strategy/b": holder})
    for _ in range(2):
        for order in desk.close():
            assert isinstance(order, Intent)
            desk.tell(desk.filled(order, px=D(50_000)), ack(order))
    assert sum(p.qty for p in desk.view.state.positions) > D("0.479")
    for name, script in scripts.items():
        desk.transport._hosts[name.replace("_", "/")].agent._script = script
    return desk


def beat(desk: StepDesk, after_s: float) -> list[Intent | CancelIntent]:
    """Let wall time pass without a market, and let the gateway say that it is alive."""
    desk.mono += int(after_s * SECOND)
    alive = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=T0, offset_ms=1.0)
    return desk.admit(alive, "gateway")


def killed(*standing: tuple[str, str, str]) -> Killed:
    return Killed(standing=standing, t=T0)


@pytest.mark.parametrize("dead", [silent, raises])
def test_fall_of_more_than_a_fifth_flattens_although_risk_is_dead(dead: object) -> None:
    desk = two_holders(risk_a=dead, execution_a=dead, meta_a=dead)
    orders = desk.close({BTC: 8_500.0})  # 0.48 of 41,500: 19.9 %
    assert (orders, desk.view.state.trading) == ([], "ACTIVE")

    orders = desk.close(CRASH)
    assert [(o.side, o.reduce_only, o.style) for o in orders if isinstance(o, Intent)] == [
        ("sell", True, "market"), ("sell", True, "market"),
    ]  # fmt: skip
    assert desk.view.state.trading == "FLATTENING"
    stop = desk.said(Breaker)[-1]
    assert (stop.agent, stop.name, stop.action) == ("desk", "drawdown_stop", "flatten")
    assert float(stop.value) > 0.20
    for order in orders:
        desk.tell(desk.filled(order, px=D(5_000)), ack(order))
    assert all(p.qty < D("0.001") for p in desk.view.state.positions)


def test_rejected_exits_are_tried_again_and_again_while_no_market_comes() -> None:
    desk = two_holders(risk_a=raises)
    desk.close(CRASH)
    tries = 0
    for order in desk.sent[-2:]:
        desk.tell(refused(order))
    assert beat(desk, 1.0) == []  # the data are not dead yet: the next batch tries again
    for n in range(30):
        orders = beat(desk, 5.5)
        assert len(orders) == 2, n
        tries += len(orders)
        for order in orders:
            assert isinstance(order, Intent)
            assert order.reduce_only
            desk.tell(refused(order))
    assert len({o.cid for o in desk.sent}) == len(desk.sent)
    assert tries == 60
    assert desk.said(GateRefusal) == []

    for order in beat(desk, 5.5):
        desk.tell(desk.filled(order, px=D(1_000)), ack(order))
    assert all(p.qty < D("0.001") for p in desk.view.state.positions)
    assert beat(desk, 5.5) == []


def test_without_a_market_exits_of_a_firm_that_only_reduces_do_not_pass() -> None:
    desk = two_holders()
    desk.admit(Halt(scope="*", mode="REDUCE_ONLY", by="me", why=""), "user")
    assert [beat(desk, 5.5) for _ in range(3)] == [[], [], []]
    desk.admit(Halt(scope="*", mode="FLATTEN", by="me", why=""), "user")
    assert len(beat(desk, 5.5)) == 2


def test_after_a_person_resumed_the_next_fall_is_measured_from_there() -> None:
    desk = two_holders()
    for order in desk.close(CRASH):
        desk.tell(refused(order))
    desk.admit(Halt(scope="*", mode="RESUME", by="ann", why="looked"), "user")
    assert desk.view.state.trading == "ACTIVE"
    desk.close(CRASH)
    assert desk.view.state.trading == "ACTIVE"


def test_halted_firm_is_not_flattened_by_a_fall() -> None:
    desk = two_holders()
    desk.admit(Halt(scope="*", mode="HALT", by="me", why=""), "user")
    assert desk.close(CRASH) == []
    assert desk.view.state.trading == "HALTED"


def test_kill_of_the_firm_ends_what_is_worked_and_its_release_lets_it_go_on() -> None:
    desk = two_holders()
    assert desk.admit(killed(("firm", "cancel", "why")), "gateway") == []  # the gateway cancels itself
    assert desk.view.state.trading == "HALTED"
    assert desk.close() == []
    desk.admit(killed(), "gateway")
    assert desk.view.state.trading == "ACTIVE"


def test_kill_that_flattens_leaves_everything_and_opens_nothing() -> None:
    desk = two_holders()
    desk.admit(killed(("firm", "flatten", "why")), "gateway")
    assert desk.view.state.trading == "FLATTENING"
    assert {o.reduce_only for o in desk.close()} == {True}
    stricter = killed(("firm", "flatten", "why"), ("tenant:local", "block", "more"))
    desk.admit(stricter, "gateway")
    assert desk.view.state.trading == "HALTED"


def test_kill_of_a_symbol_lets_nothing_open_there_and_leaves_it_where_asked() -> None:
    desk = StepDesk({"strategy/a": holder})
    desk.admit(killed(("symbol:BTC/USDT", "block", "why")), "gateway")
    assert desk.close() == []
    assert desk.view.state.trading == "ACTIVE"
    assert desk.view.state.blocked == ("BTC/USDT",)

    desk = two_holders()
    desk.admit(killed(("symbol:ETH/USDT", "flatten", "why")), "gateway")
    assert desk.close() == []
    desk.admit(killed(("symbol:BTC/USDT", "flatten", "why")), "gateway")
    orders = desk.close()
    assert [(o.side, o.reduce_only) for o in orders if isinstance(o, Intent)] == [("sell", True)] * 2
    for order in orders:
        desk.tell(desk.filled(order), ack(order))
    assert desk.close() == []


def test_kill_closes_legs_that_still_work() -> None:
    desk = StepDesk({"strategy/a": holder})
    (resting,) = desk.close()
    desk.tell(ack(resting))
    desk.admit(killed(("firm", "cancel", "why")), "gateway")
    desk.tell(event(resting, "canceled"))
    assert desk.view.state.reservations == ()
