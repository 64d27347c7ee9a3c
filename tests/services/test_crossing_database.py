"""What changed hands inside, in the read model and at the API: a round's page tells it, and no void hides it.

Not here: what the journal's own readers tell (tests/integration/test_crossing_journal.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.agent import AgentSpec
from parley.ids import show_round
from parley.messages import Intent, Void
from tests.kit.api_process import ApiProcess
from tests.kit.database import fresh_database, rows
from tests.kit.desk_cases import BTC
from tests.kit.desk_journal import write
from tests.kit.firm_kit import SUBSCRIPTIONS, TEAM
from tests.kit.opposed import LEAVER, TAKER, crossings, holding, taker
from tests.kit.shipping import ShipperProcess, differences

AGENTS = tuple(
    AgentSpec(id=i, role=r, factory="tests.kit.opposed:make", subscriptions=SUBSCRIPTIONS) for i, r in TEAM
)


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_round_tells_what_changed_hands_though_its_order_came_too_late(tmp_path: Path, batch: int) -> None:
    desk = holding(b=taker("0.15"))
    (order,) = [o for o in desk.close({BTC: 51_000.0}) if isinstance(o, Intent)]
    desk.admit(Void(round=order.round, iids=(order.iid,), why="late"), "journal")
    (met,) = crossings(desk)
    path = write(tmp_path / "desk.journal", desk, agents=AGENTS)
    database = fresh_database()
    shipper = ShipperProcess(tmp_path, database, path, batch=batch).start()
    shipper.wait_shipped(path)
    assert shipper.stop() == 0

    assert differences(database, path) == []
    assert (met.round, "accept") in rows(database, "rounds", "round, outcome")
    process = ApiProcess(tmp_path, database)
    try:
        told = process.start().get(f"/api/v1/rounds/{show_round(met.round)}").body
    finally:
        process.kill()
    assert (told["outcome"], told["agent"], told["qty"]) == ("accept", TAKER, "0.15")
    assert [(each["seller"], each["buyer"], each["qty"], each["px"]) for each in told["crossed"]] == [
        (LEAVER, TAKER, "0.1", "51000")
    ]
