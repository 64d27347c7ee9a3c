"""Every execution algorithm over the sandbox exchange: real processes and sockets, in lock-step.

The market is `tests.kit.made_market`; the desk differs from the default in how the execution agent works.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.execution.styles import SLICED, TAKING, venue_style
from parley.instruments import Instrument
from runtime.history import config_of, open_journal
from tests.kit.made_market import Worked, parley, run_made_market, worked_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

WAYS = {
    "pov": """
[agents."execution/main"]
large = "pov"
participation = 0.15
patient = "requote"
""",
    "vwap": """
[agents."execution/main"]
large = "vwap"
max_chase_bps = 3.0
max_requotes = 2
after_chase = "give_up"
beyond_cap = "refuse"
""",
}
ZERO = Decimal(0)


class Run:
    """A finished run: what it told, its legs, its grids, and what `parley costs` makes of it."""

    def __init__(self, way: str, home: Path) -> None:
        self.way = way
        self.home = home
        self.told = run_made_market(home, WAYS[way])
        self.legs = worked_of(self.told["journal"])
        self.costs = parley(home, "costs")
        with open_journal(Path(self.told["journal"])) as reader:
            self.grids: dict[str, Instrument] = config_of(reader).instruments

    def of(self, style: str) -> list[Worked]:
        return [leg for leg in self.legs if leg.plan.style == style and leg.orders]


@pytest.fixture(scope="module", params=sorted(WAYS))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(request.param, tmp_path_factory.mktemp(f"way-{request.param}"))


def test_the_way_that_was_asked_for_is_used_and_orders_are_of_its_kind(run: Run) -> None:
    wanted = {"pov": {"pov", "requote", "iceberg"}, "vwap": {"vwap", "post_only", "iceberg"}}[run.way]

    assert wanted <= {leg.plan.style for leg in run.legs}
    for leg in run.legs:
        style = leg.plan.style
        for order in leg.orders:
            crossing = style in ("post_only", "requote") and order.tif == "IOC"  # the end of a chase
            assert order.style == ("limit" if crossing else venue_style(style))
            assert style not in TAKING or order.tif == "IOC"
    assert any(len(leg.orders) > 1 for leg in run.of(run.way))
    assert any(len(leg.orders) > 2 for leg in run.of("iceberg"))


def test_children_never_exceed_their_parent_and_each_could_be_traded_alone(run: Run) -> None:
    for leg in run.legs:
        grid = run.grids[leg.plan.symbol]
        assert sum((fill.qty for fill in leg.fills), ZERO) <= leg.plan.qty
        if leg.plan.style in SLICED:
            assert sum((child.qty for child in leg.plan.children), ZERO) == leg.plan.qty
        for order in leg.orders:
            assert order.qty <= leg.plan.qty
            assert grid.tradable(order.qty, order.px or order.ref_px or ZERO) == ""


def test_a_pov_stays_within_its_share_of_the_printed_volume(run: Run) -> None:
    if run.way != "pov":
        assert not run.of("pov")
        return
    for leg in run.of("pov"):
        decided = leg.decision.t if leg.decision is not None else 0
        done = ZERO
        for fill in sorted(leg.fills, key=lambda f: f.t):
            done += fill.qty
            # the window begins with the candle that closed when it was decided
            printed = sum(v for t, v in leg.printed.items() if decided <= t <= fill.t)
            assert float(done) <= 0.15 * printed * (1 + 1e-12)


def test_a_bounded_chase_stays_within_its_distance_and_never_crosses(run: Run) -> None:
    if run.way != "vwap":
        return
    for leg in run.of("post_only") + run.of("iceberg"):
        first = leg.plan.px
        assert first is not None
        assert {order.style for order in leg.orders} == {"post_only"}
        for order in leg.orders:
            assert order.px is not None
            worse = (order.px - first) * (1 if order.side == "buy" else -1)
            assert worse / first * 10_000 <= 3


def test_an_icebergs_slices_differ_and_follow_one_another(run: Run) -> None:
    sizes = [[child.qty for child in leg.plan.children] for leg in run.of("iceberg")]

    assert sizes
    assert all(len(set(cut)) > 1 for cut in sizes)


def test_costs_by_way_of_working_sum_exactly_and_show_in_the_round(run: Run) -> None:
    orders = run.costs["orders"]
    groups = {group["name"]: group for group in run.costs["groups"]}

    assert set(groups) == {leg.plan.style for leg in run.legs if leg.orders}
    assert len(orders) == sum(group["orders"] for group in groups.values())
    for each in [*orders, *groups.values()]:
        cost = {name: Decimal(value) for name, value in each["cost"].items()}
        total = cost.pop("total")
        assert sum(cost.values(), ZERO) == total
    fees = sum((Decimal(order["cost"]["fees"]) for order in orders), ZERO)
    assert fees > 0
    dearest = max(orders, key=lambda o: abs(Decimal(o["cost"]["total"])))
    story: dict[str, Any] = parley(run.home, "explain", dearest["round"])
    assert story["costs"] == [dearest]


def test_the_books_agree_with_the_exchange_and_a_replay_is_identical(run: Run) -> None:
    assert run.told["ledger_equals_exchange"] is True
    assert run.told["equity_is_reproduced"]
    again = parley(run.home, "replay", run.told["journal"])
    assert again["decisions_identical"] == again["decisions"] == run.told["rounds"]
    assert again["intents_identical"] == again["intents"] == run.told["orders"]
    assert again["mismatches"] == []
