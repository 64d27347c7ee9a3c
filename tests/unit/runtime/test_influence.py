"""Who changed what: every cut is credited to whoever caused it, and a round counts once for each role."""

from decimal import Decimal as D

import pytest

from agents.capital import Bounds
from parley.agent import ROLES
from parley.messages import (
    Allocation,
    Bound,
    Counter,
    Decision,
    Message,
    PlanLeg,
    Proposal,
    Ranked,
    Ranking,
    WeightUpdate,
)
from runtime.influence import CHANGES, InfluenceFold, by_role
from tests.kit.small_journal import (
    CAPITAL,
    EXECUTION,
    META,
    RISK,
    ROUNDS,
    TECHNICAL,
    TREND,
    instrument,
    proposal,
    run_config,
)  # fmt: skip

ROUND = ROUNDS[0]


def fold(*said: tuple[Message, str], round_: bytes = ROUND) -> dict[str, dict[str, int]]:
    counting = InfluenceFold(run_config().agents)
    for message, sender in said:
        counting.take(message, round_, sender)
    return by_role(counting.counts)


def allocation(bid: Proposal, **bounds: str) -> Allocation:
    """What capital says: its bounds by code, the least decides."""
    found = sorted((D(qty), code) for code, qty in bounds.items())
    most, code = found[0]
    who = {"wanted": bid.agent}
    return Allocation(
        pid=bid.pid, agent=CAPITAL, max_qty=most, margin_reserved=D(0), reservation_id=b"", version=1,
        code=code,
        bounds=tuple(Bound(agent=who.get(c, CAPITAL), code=c, qty_max=qty) for qty, c in found),
    )  # fmt: skip


BID = proposal(ROUND, "buy", "4", "1001")


@pytest.mark.parametrize(
    ("bounds", "capital", "meta"),
    [
        ({"wanted": "4", "kelly": "5"}, (0, 0), (0, 0)),
        ({"wanted": "4", "kelly": "2"}, (1, 0), (0, 0)),
        ({"wanted": "4", "kelly": "4", "meta_size": "2"}, (0, 0), (1, 0)),
        ({"wanted": "4", "kelly": "6", "meta_size": "3"}, (0, 0), (1, 0)),
        ({"wanted": "4", "kelly": "9", "meta_size": "6"}, (0, 0), (0, 0)),  # cut, but not below the wish
        ({"wanted": "4", "kelly": "3", "meta_size": "1"}, (1, 0), (1, 0)),  # 4 to 3, then 3 to 1
        ({"wanted": "4", "kelly": "2", "meta_size": "2"}, (1, 0), (0, 0)),  # the same lot: meta took nothing
        ({"wanted": "3.9", "kelly": "5"}, (0, 0), (0, 0)),  # the lot took it off the wish, nobody else
        ({"wanted": "4", "kelly": "0", "meta_size": "0"}, (0, 1), (0, 0)),
        ({"wanted": "4", "kelly": "0.1", "below_exchange_min": "0"}, (0, 1), (0, 0)),
        ({"wanted": "4", "kelly": "4", "meta_size": "0.1", "below_exchange_min": "0"}, (0, 0), (0, 1)),
        ({"wanted": "0.1", "kelly": "4", "meta_size": "2", "below_exchange_min": "0"}, (0, 1), (0, 0)),
        ({"wanted": "4", "no_open_trade_left": "0"}, (0, 1), (0, 0)),
    ],
)
def test_a_cut_is_credited_to_whoever_took_the_step(
    bounds: dict[str, str], capital: tuple[int, int], meta: tuple[int, int]
) -> None:
    counts = fold((BID, TREND), (allocation(BID, **bounds), CAPITAL))

    assert (counts["capital"]["cut"], counts["capital"]["zero"]) == capital
    assert (counts["meta"]["cut"], counts["meta"]["zero"]) == meta
    assert counts["capital"]["rounds_changed"] == (capital != (0, 0))
    assert counts["meta"]["rounds_changed"] == (meta != (0, 0))


def test_codes_are_those_capital_writes() -> None:
    found = Bounds(CAPITAL)
    found.add("kelly", D(4))
    found.scale(0.5, instrument())
    qty, code, who = found.least

    said = Allocation(
        pid=BID.pid, agent=CAPITAL, max_qty=qty, margin_reserved=D(0), reservation_id=b"", version=1,
        code=code,
        bounds=tuple(Bound(agent=w, code=c, qty_max=q) for q, c, w in sorted(found.found)),
    )  # fmt: skip
    assert who == CAPITAL
    assert fold((BID, TREND), (said, CAPITAL))["meta"]["cut"] == 1


def test_reduction_gets_what_it_asks_for_so_capital_cut_nothing() -> None:
    bid = proposal(ROUND, "sell", "4", "1001")

    counts = fold((bid, TREND), (allocation(bid, held="1"), CAPITAL))

    assert counts["capital"] == {"rounds_changed": 0, "cut": 0, "zero": 0}


def test_round_of_several_cuts_counts_once() -> None:
    cut = allocation(BID, wanted="4", kelly="2")
    counting = InfluenceFold(run_config().agents)
    for round_ in ROUNDS[:2]:
        for message, sender in ((BID, TREND), (cut, CAPITAL), (cut, CAPITAL)):
            counting.take(message, round_, sender)

    assert by_role(counting.counts)["capital"] == {"rounds_changed": 2, "cut": 2, "zero": 0}


def test_every_role_shows_the_rounds_it_changed() -> None:
    counts = fold()

    assert set(counts) == set(CHANGES) == set(ROLES)
    for role, names in CHANGES.items():
        assert counts[role]["rounds_changed"] == 0
        assert set(names) < set(counts[role])


def decision(**over: object) -> Decision:
    plan = PlanLeg(
        symbol=BID.symbol, side="buy", qty=D(1), style="limit", px=D(1001), tif="IOC", reduce_only=False
    )
    fields: dict[str, object] = {
        "round": ROUND, "symbol": BID.symbol, "pid": BID.pid, "agent": TREND, "action": "accept",
        "qty": D(1), "px": None, "score": 0.0, "margin_of_win": 0.0, "weights_version": 1, "quorum": 1.0,
        "reasons": (), "proposals": 1, "t": 1, "plan": (plan,),
    }  # fmt: skip
    return Decision(**(fields | over))  # type: ignore[arg-type]


def ranking(version: int) -> Ranking:
    ranked = (Ranked(pid=BID.pid, score=0.1, size=1.0),)
    return Ranking(round=ROUND, ranked=ranked, margin_of_win=0.0, weights_version=version, quorum=1.0)


def test_changes_of_each_role_are_seen() -> None:
    weights = WeightUpdate(version=1, weights=((TECHNICAL, 0.6), (TREND, 0.4)), evidence=(1, 2))
    advice = Counter(pid=BID.pid, agent=EXECUTION, code="x", binding=False, tif="IOC")
    capped = Bound(agent=RISK, code="max_position", qty_max=D(1))
    votes = ((TECHNICAL, BID.pid, 0.4, 0.5),)
    counts = fold(
        (weights, META), (BID, TREND), (ranking(1), META),
        (allocation(BID, wanted="4", kelly="2"), CAPITAL), (advice, EXECUTION),
        (decision(bounds=(capped,), votes=votes), "desk"),
    )  # fmt: skip

    changed = {role: told["rounds_changed"] for role, told in counts.items()}
    assert changed == dict.fromkeys(ROLES, 1) | {"arbitrage": 0}


def test_a_cap_of_risk_counts_where_all_of_it_changed_hands_inside() -> None:
    capped = Bound(agent=RISK, code="max_position", qty_max=D(1))
    counts = fold((BID, TREND), (decision(bounds=(capped,), plan=()), "desk"))
    assert counts["risk"]["capped"] == 1


def test_vote_of_no_weight_changed_nothing() -> None:
    weights = WeightUpdate(version=1, weights=((TECHNICAL, 0.5), (TREND, 0.5)), evidence=(1, 2))
    votes = ((TECHNICAL, BID.pid, 0.0, 0.5), (TECHNICAL, BID.pid, 0.4, 0.0))
    counts = fold((weights, META), (BID, TREND), (ranking(1), META), (decision(votes=votes), "desk"))

    assert counts["signal"] == {"rounds_changed": 0, "votes_counted": 1, "votes_weighed": 0}
    assert counts["meta"]["rounds_changed"] == 0, "equal weights are nobody's opinion"
