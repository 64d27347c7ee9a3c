"""Leaving without a market under limits of the tree that count by market time, which stands still then."""

import pytest

from parley.messages import GateRefusal, Halt, Heartbeat, Intent
from tests.kit.desk_cases import BTC, StepDesk, ack, refused
from tests.kit.firm_kit import T0, D
from tests.unit.orchestrator.test_stopping import holder

SECOND = 1_000_000_000
BOTS = ("strategy/a", "strategy/b")


def blind(tree: dict[str, object]) -> StepDesk:
    """A desk that leaves what its two bots hold alike, while nothing more comes from the market."""
    desk = StepDesk(dict.fromkeys(BOTS, holder), limits={"tree": tree})
    for _ in BOTS:
        for order in desk.close():
            assert isinstance(order, Intent)
            desk.tell(desk.filled(order, px=D(50_000)), ack(order))
    assert len(desk.view.state.holdings) == 2
    desk.close(minutes=10)
    desk.admit(Halt(scope="*", mode="FLATTEN", by="me", why=""), "user")
    return desk


def beat(desk: StepDesk, after_s: float) -> list[Intent]:
    desk.mono += int(after_s * SECOND)
    alive = Heartbeat(unit="gateway", incarnation=1, epoch=1, head=b"", t=T0, offset_ms=1.0)
    return [o for o in desk.admit(alive, "gateway") if isinstance(o, Intent)]


@pytest.mark.parametrize("node", ["platform", "account", f"symbol:{BTC}", *(f"bot:{b}" for b in BOTS)])
@pytest.mark.parametrize("limits", [{"orders_per_s": 1}, {"duplicate_window_ms": 60_000}])
def test_exits_without_a_market_are_tried_until_they_pass(node: str, limits: dict[str, object]) -> None:
    desk = blind({node: limits})
    for n in range(5):
        orders = beat(desk, 5.5)
        assert [o.agent for o in orders] == list(BOTS), n
        for order in orders:
            desk.tell(refused(order))
    assert desk.said(GateRefusal) == []
    for order in beat(desk, 5.5):
        desk.tell(desk.filled(order, px=D(1_000)), ack(order))
    assert all(p.qty < D("0.001") for p in desk.view.state.positions)


def test_with_a_market_the_same_limits_count() -> None:
    desk = blind({"account": {"duplicate_window_ms": 600_000}})
    first = desk.close()
    assert len(first) == 2
    for order in first:
        desk.tell(refused(order))
    assert desk.close() == []
    assert {m.code for m in desk.said(GateRefusal)} == {"account duplicate"}  # type: ignore[attr-defined]
