"""A round told from its journal: nothing that was said is missing, the binding word comes first."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from parley.ids import show_round
from runtime.commands.explain import show
from runtime.explain import explain
from runtime.history import open_journal
from runtime.output import plain
from runtime.story import Story
from tests.kit.small_journal import CAPITAL, EXECUTION, RISK, ROUNDS, TECHNICAL, TREND, write_journal


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> list[Story]:
    reader = open_journal(write_journal(tmp_path_factory.mktemp("explain") / "desk.journal"))
    return [explain(reader, round_) for round_ in ROUNDS]


def printed(story: Story) -> str:
    out = StringIO()
    show(story, Console(file=out, width=120))
    return out.getvalue()


def test_round_nobody_bid_in_tells_who_was_asked_and_why_not(stories: list[Story]) -> None:
    story = stories[0]

    assert (story.outcome, story.reason, story.asked) == ("hold", "desk: no_bids", (TREND,))
    assert [(said.agent, said.code, said.detail) for said in story.refusals] == [
        (TREND, "no_setup", "fast below slow")
    ]
    assert "strategy/trend: no_setup fast below slow" in printed(story)


def test_proposal_is_told_with_its_evidence_and_its_place(stories: list[Story]) -> None:
    (bid,) = stories[1].bids

    assert (bid.agent, bid.why, bid.chosen, bid.score, bid.size) == (TREND, "cross_up", True, 0.3, 0.5)
    assert [(e.agent, e.direction, e.regime) for e in bid.evidence] == [(TECHNICAL, 0.4, "trend_up")]


def test_votes_carry_the_weights_of_the_version_they_were_ranked_under(stories: list[Story]) -> None:
    assert [(vote.agent, vote.score, vote.weight) for vote in stories[1].votes] == [
        (TECHNICAL, 0.4, 0.75),
        (TREND, 1.0, 0.25),
    ]


def test_who_cut_the_quantity_and_by_which_bound_comes_first(stories: list[Story]) -> None:
    story = stories[1]

    assert [(bound.agent, bound.code, bound.qty_max) for bound in story.bounds] == [
        (CAPITAL, "budget", Decimal(2)),
        (CAPITAL, "kelly", Decimal(3)),
    ]
    assert (story.qty, story.qty_wanted) == (Decimal(2), Decimal(4))
    assert [(c.agent, c.binding, c.style) for c in story.counters] == [
        (EXECUTION, False, "market"),
        ("desk", True, None),
    ]
    assert [reply.action for reply in story.replies] == ["accept"]


def test_order_is_told_with_its_fills_fees_and_what_the_round_earned(stories: list[Story]) -> None:
    story = stories[1]
    (order,) = story.orders

    assert (order.state, order.filled, order.avg_px) == ("FILLED", Decimal(2), Decimal(1001))
    assert story.fees == {"ETH": Decimal("0.002")}
    # the exit in round 4 is credited to the entry; its own fee is not
    assert (story.pnl, stories[3].pnl) == (Decimal("195.8"), Decimal("-2.1978"))


def test_round_risk_refused_names_limit_value_and_cap(stories: list[Story]) -> None:
    story = stories[2]
    (verdict,) = story.verdicts

    assert (story.outcome, story.reason) == ("reject", "risk/main: max_position (0.3 > 0.25)")
    assert (verdict.agent, verdict.ok, verdict.breached[0].limit) == (RISK, False, "max_position")
    assert story.orders == []
    assert "max_position: 0.3, limit 0.25" in printed(story)


@pytest.mark.parametrize("index", range(4))
def test_told_round_is_json_with_names_instead_of_positions(stories: list[Story], index: int) -> None:
    told = json.loads(json.dumps(plain(stories[index])))

    assert told["round"] == show_round(ROUNDS[index])
    assert all(isinstance(bound, dict) for bound in told["bounds"])
    assert all(isinstance(leg, dict) for bid in told["bids"] for leg in bid["legs"])
    assert all(isinstance(fill, dict) for order in told["orders"] for fill in order["fills"])


@pytest.mark.parametrize("index", range(4))
def test_printed_round_names_itself_and_its_end(stories: list[Story], index: int) -> None:
    text = printed(stories[index])

    assert text.startswith(show_round(ROUNDS[index]))
    assert stories[index].outcome in text.splitlines()[0]
