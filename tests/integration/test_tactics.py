"""`parley run` over a market made for it: every tactic of the execution agent is used, and the books agree.

Tactics and limits are the defaults; the market is `tests.kit.made_market`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from parley.messages import CancelIntent, Intent
from parley.risk.limits import Limits
from tests.kit.made_market import Worked, parley, run_made_market, worked_of

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_made_market(tmp_path_factory.mktemp("tactics"))


@pytest.fixture(scope="module")
def worked(told: Any) -> list[Worked]:
    return worked_of(told["journal"])


def of_style(worked: Sequence[Worked], style: str) -> list[Worked]:
    return [leg for leg in worked if leg.plan.style == style]


def test_urgent_exits_leave_by_market_and_nothing_else_does(worked: list[Worked]) -> None:
    orders = [leg.orders for leg in of_style(worked, "market")]

    assert orders
    for (order,) in orders:
        assert (order.style, order.px, order.reduce_only) == ("market", None, True)
        assert order.ref_px is not None


def test_entries_that_take_what_is_there_are_immediate_limits(worked: list[Worked]) -> None:
    taking = [leg for leg in of_style(worked, "limit") if leg.plan.tif == "IOC"]

    assert taking
    assert all(order.px is not None and order.tif == "IOC" for leg in taking for order in leg.orders)


def test_resting_orders_are_quoted_anew_when_the_market_leaves_them(worked: list[Worked]) -> None:
    resting = of_style(worked, "post_only")
    requoted = [leg for leg in resting if len([o for o in leg.orders if o.style == "post_only"]) > 1]

    assert len(resting) > len(requoted) > 0
    assert any("behind" in leg.whys for leg in requoted)
    followed = 0
    for leg in requoted:
        first, cancel, second = leg.sent[:3]
        assert isinstance(first, Intent)
        assert isinstance(cancel, CancelIntent)
        assert isinstance(second, Intent)
        assert (cancel.iid, second.pid, second.leg, second.child) == (first.iid, first.pid, first.leg, 1)
        assert first.px is not None
        assert second.px is not None
        followed += second.px > first.px if first.side == "buy" else second.px < first.px
    assert followed


def test_orders_the_gate_would_refuse_go_in_children_that_it_passes(worked: list[Worked]) -> None:
    split = of_style(worked, "twap")
    most = float(Limits().max_book_share)

    assert any(leg.share > most for leg in split)
    assert any(len(leg.orders) > 1 for leg in split)
    for leg in split:
        first = leg.orders[0]
        assert first.qty == leg.plan.children[0].qty
        assert leg.share * float(first.qty / leg.plan.qty) < most
        assert {(order.style, order.tif) for order in leg.orders} == {("limit", "IOC")}


def test_ledger_and_exchange_agree_and_a_replay_is_identical(told: Any, worked: list[Worked]) -> None:
    assert told["ledger_equals_exchange"] is True
    assert told["equity_is_reproduced"]
    assert told["orders"] == sum(len(leg.orders) for leg in worked)
    again = parley(Path(told["journal"]).parents[2], "replay", told["journal"])
    assert again["decisions_identical"] == again["decisions"] == told["rounds"]
    assert again["intents_identical"] == again["intents"] == told["orders"]
    assert again["mismatches"] == []
