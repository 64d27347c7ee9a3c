"""The meta-decision agent: who is followed, how far, and how its weights come from outcomes."""

from __future__ import annotations

import itertools
import math
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.meta import MetaAgent, loss, make
from parley.agent import AgentEnv, AgentSpec, Context
from parley.bus import EMPTY_STATE
from parley.errors import ConfigError
from parley.messages import Ballot, Leg, MarketBatch, Outcome, Proposal, Ranking, Vote, WeightUpdate
from parley.view import FirmView
from tests.kit.builders import make_bar, make_instrument, make_proposal, make_vote

MINUTE = 60_000_000_000
ROSTER = ("signal/book", "signal/trend", "strategy/ema", "strategy/rsi")


def make_env(*agents: str) -> AgentEnv:
    return AgentEnv(
        tenant="t", account="main", quote="USDT", symbols=("BTC/USDT",),
        instruments={"BTC/USDT": make_instrument()}, tf_ns=MINUTE,
        agents=tuple((a, a.split("/")[0]) for a in sorted(agents or ROSTER)),
    )  # fmt: skip


def make_meta(*agents: str, **params: object) -> MetaAgent:
    return make(AgentSpec(id="meta/hedge", role="meta", factory="", params=params), make_env(*agents))


def context(seq: int = 1, now: int = 0) -> Context:
    return Context(now=now, view=FirmView(EMPTY_STATE), seq=seq, seed=1, agent="meta/hedge")


def bid(name: str, *, side: str = "buy", reduce_only: bool = False, **over: object) -> Proposal:
    leg = Leg(symbol="BTC/USDT", side=side, qty=Decimal("0.1"), reduce_only=reduce_only)
    return make_proposal(pid=name.encode(), agent=f"strategy/{name}", legs=(leg,), **over)


def vote(agent: str, pid: bytes, score: float, conf: float = 0.6, *, abstain: bool = False) -> Vote:
    return make_vote(agent=agent, pid=pid, score=score, conf=conf, abstain=abstain)


def ballot(proposals: list[Proposal], votes: list[Vote], **over: object) -> Ballot:
    own = [vote(p.agent, p.pid, 1.0, p.conf) for p in proposals]
    plain: dict[str, object] = {"weights_version": 0, "t": 0}
    return Ballot(
        round=b"r" * 16, stage="rank", proposals=tuple(proposals), votes=(*votes, *own), **(plain | over)
    )  # type: ignore[arg-type]


def ranked(meta: MetaAgent, asked: Ballot) -> Ranking:
    (answer,) = meta.handle(asked, context())
    assert isinstance(answer, Ranking)
    return answer


def outcome(agent: str, worth: float, *, n: int = 0, t: int = 0, **over: object) -> Outcome:
    plain: dict[str, object] = {
        "round": n.to_bytes(4, "big"), "pid": b"p", "agent": agent, "kind": "vote", "symbol": "BTC/USDT",
        "regime": "", "horizon_ms": 60_000, "control": False, "score": 1.0, "conf": 1.0,
        "markout_bps_net": worth, "sigma_bps": 50.0, "realised_bps": 0.0, "t": t,
    }  # fmt: skip
    return Outcome(**(plain | over))  # type: ignore[arg-type]


def teach(meta: MetaAgent, outcomes: list[Outcome], first_seq: int = 1) -> list[WeightUpdate]:
    updates = []
    for seq, item in enumerate(outcomes, first_seq):
        updates += meta.handle(item, context(seq, item.t))
    assert all(isinstance(u, WeightUpdate) for u in updates)
    return updates  # type: ignore[return-value]


def history(trials: int, good: str = "signal/trend", bad: str = "signal/book") -> list[Outcome]:
    """One trial a minute in which one voter is right and another wrong."""
    return [
        outcome(agent, worth, n=n, t=n * MINUTE)
        for n in range(trials)
        for agent, worth in ((good, 60.0), (bad, -60.0))
    ]


# ranking


def test_a_young_desk_follows_a_supported_proposal() -> None:
    asked = ballot([bid("ema")], [vote("signal/trend", b"ema", 0.5), vote("signal/book", b"ema", 0.2)])

    answer = ranked(make_meta(), asked)

    assert [r.pid for r in answer.ranked] == [b"ema"]
    assert 0 < answer.ranked[0].size <= 1
    assert answer.quorum == 1.0


def test_a_proposal_most_vote_against_is_dropped_below_the_threshold() -> None:
    asked = ballot([bid("ema")], [vote("signal/trend", b"ema", -1.0), vote("signal/book", b"ema", -1.0)])

    answer = ranked(make_meta(), asked)

    assert answer.ranked == ()
    assert answer.dropped == ((b"ema", "below_threshold"),)


def test_an_exit_is_ranked_first_whatever_the_votes_say() -> None:
    exit_ = bid("rsi", side="sell", reduce_only=True)
    asked = ballot([bid("ema"), exit_], [vote(a, b"rsi", -1.0, 1.0) for a in ("signal/book", "signal/trend")])

    answer = ranked(make_meta(), asked)

    assert answer.ranked[0].pid == b"rsi"
    assert answer.ranked[0].size == 1.0
    assert {d.agent for d in answer.dissent} == {"signal/book", "signal/trend"}


def test_an_urgent_exit_precedes_a_patient_one() -> None:
    patient = bid("ema", side="sell", reduce_only=True, urgency="patient", conf=1.0)
    urgent = bid("rsi", side="sell", reduce_only=True, urgency="urgent", conf=0.1)

    answer = ranked(make_meta(), ballot([patient, urgent], []))

    assert [r.pid for r in answer.ranked] == [b"rsi", b"ema"]


def test_opposite_proposals_are_netted_and_equal_ones_cancel() -> None:
    buy, sell = bid("ema", conf=0.6), bid("rsi", side="sell", conf=0.6)
    strong = bid("ema", conf=0.9)

    even = ranked(make_meta(), ballot([buy, sell], []))
    uneven = ranked(make_meta(), ballot([strong, sell], []))
    alone = ranked(make_meta(), ballot([strong], []))

    assert {code for _, code in even.dropped} == {"opposed"}
    assert [r.pid for r in uneven.ranked] == [b"ema"]
    assert uneven.ranked[0].score < alone.ranked[0].score


def test_of_equal_scores_the_smaller_risk_comes_first() -> None:
    meta = make_meta()
    near = bid("ema", stop=Decimal(59_700), conf=0.8)
    far = bid("rsi", stop=Decimal(50_000), conf=0.8)
    meta.handle(MarketBatch(step=1, t=0, bars=(make_bar(close=60_000.0),)), context())

    assert [r.pid for r in ranked(meta, ballot([far, near], [])).ranked] == [b"ema", b"rsi"]


def test_size_grows_with_the_score_and_never_exceeds_one() -> None:
    sizes = [
        ranked(make_meta(), ballot([bid("ema", conf=c)], [])).ranked[0].size for c in (0.3, 0.4, 0.6, 1.0)
    ]

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1]
    assert sizes[-1] == 1.0


def test_dear_trades_score_less() -> None:
    meta = make_meta()
    cheap = ranked(meta, ballot([bid("ema", horizon_ms=86_400_000, edge_bps=400.0)], []))
    dear = ranked(meta, ballot([bid("ema", edge_bps=5.0)], []))

    assert dear.ranked[0].score < cheap.ranked[0].score


def test_quorum_is_the_weight_of_signals_that_answered_an_abstention_counting() -> None:
    abstains = [vote("signal/book", b"ema", 0.0, 0.0, abstain=True)]

    assert ranked(make_meta(), ballot([bid("ema")], abstains)).quorum == pytest.approx(2 / 3)
    assert ranked(make_meta(), ballot([bid("ema")], [])).quorum == pytest.approx(1 / 3)


def test_a_cycle_needs_nobodys_opinion() -> None:
    legs = tuple(Leg(symbol=s, side="buy", qty=Decimal(1)) for s in ("BTC/USDT", "ETH/BTC", "ETH/USDT"))
    cycle = make_proposal(pid=b"c", agent="arbitrage/x", legs=legs, coupled=True, conf=0.9, edge_bps=40.0)

    answer = ranked(make_meta(*ROSTER, "arbitrage/x"), ballot([cycle], []))

    assert answer.quorum == 1.0
    assert [r.pid for r in answer.ranked] == [b"c"]


@given(st.permutations(range(6)), st.permutations(range(3)))
def test_order_of_votes_and_proposals_does_not_matter(of_votes: list[int], of_bids: list[int]) -> None:
    bids = [bid("ema", conf=0.7), bid("rsi", conf=0.7), bid("mom", side="sell", conf=0.8)]
    votes = [vote(s, b.pid, 0.1 * n) for n, (s, b) in enumerate(itertools.product(ROSTER[:2], bids))]
    plain = ranked(make_meta(), ballot(bids, votes))

    other = ranked(make_meta(), ballot([bids[i] for i in of_bids], [votes[i] for i in of_votes]))

    assert other == plain


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats()), max_size=4))
def test_nonsense_in_numbers_never_raises(rows: list[tuple[float, float, float]]) -> None:
    bids = [bid(f"s{n}", conf=c, edge_bps=e) for n, (_, c, e) in enumerate(rows)]
    votes = [vote("signal/book", b.pid, s, c) for b, (s, c, _) in zip(bids, rows, strict=True)]

    answer = ranked(make_meta(), ballot(bids, votes))

    assert all(math.isfinite(r.score) and 0 < r.size <= 1 for r in answer.ranked)


# learning


@pytest.mark.parametrize(
    ("score", "conf", "worth", "expected"),
    [(1.0, 1.0, 200.0, 0.0), (1.0, 1.0, -200.0, 1.0), (-1.0, 1.0, -100.0, 0.0), (1.0, 0.0, 50.0, 0.5),
     (1.0, 0.5, 50.0, 0.375)],
)  # fmt: skip
def test_loss_is_half_for_nothing_said_and_scaled_by_confidence(
    score: float, conf: float, worth: float, expected: float
) -> None:
    assert loss(outcome("a", worth, score=score, conf=conf)) == pytest.approx(expected)


def test_weight_moves_to_who_is_right_by_at_most_the_daily_change() -> None:
    updates = teach(make_meta(), history(100))

    last = dict(updates[-1].weights)
    assert last["signal/trend"] == pytest.approx(0.35)  # 0.25 and 0.10 in one day
    assert last["signal/book"] < 0.16
    assert sum(last.values()) == pytest.approx(1.0)


def test_weights_stay_within_floor_and_cap_over_many_days() -> None:
    outcomes = [o for day in range(5) for o in history(100)]
    for n, o in enumerate(outcomes):
        outcomes[n] = outcome(
            o.agent, o.markout_bps_net, n=n // 2, t=n // 2 * 10 * MINUTE + n // 200 * 86_400 * 10**9
        )

    last = dict(teach(make_meta(), outcomes)[-1].weights)

    assert last["signal/trend"] == pytest.approx(0.40)
    assert last["signal/book"] == pytest.approx(0.02)


def test_an_update_names_the_outcomes_it_rests_on() -> None:
    first, second = teach(make_meta(batch=20), history(31), first_seq=7)[:2]

    assert first.version == 1
    assert first.evidence == (7, 26)
    assert second.evidence == (27, 46)


def test_stored_weights_can_be_recomputed_from_the_journaled_outcomes() -> None:
    journal = history(120)
    stored = teach(make_meta(), journal)

    assert teach(make_meta(), journal) == stored


def test_arrival_order_within_a_batch_changes_nothing() -> None:
    late = [
        outcome(agent, worth, n=n, t=n // 10 * MINUTE)
        for n in range(60)
        for agent, worth in (("signal/trend", 30.0 - n), ("signal/book", n - 20.0), ("strategy/ema", 5.0))
    ]
    shuffled = list(late)
    random.Random(5).shuffle(shuffled)
    shuffled.sort(key=lambda o: o.t)

    one, other = make_meta(), make_meta()
    assert [u.weights for u in teach(one, late)] == [u.weights for u in teach(other, shuffled)]


def test_control_outcomes_teach_nothing() -> None:
    meta = make_meta()
    before = meta.snapshot()

    teach(meta, [outcome("signal/book", -60.0, control=True, n=n, t=n) for n in range(50)])

    assert meta.snapshot() == before


def test_a_ballot_is_scored_under_the_version_it_names() -> None:
    meta = make_meta(theta=0.01)
    asked = ballot([bid("ema")], [vote("signal/trend", b"ema", -0.9), vote("signal/book", b"ema", 0.9)])
    before = ranked(meta, asked)
    version = teach(meta, history(80))[-1].version

    assert ranked(meta, asked) == before
    after = ranked(meta, ballot([bid("ema")], list(asked.votes[:2]), weights_version=version))
    assert after.weights_version == version
    scores = [r.score for r in after.ranked] or [-1.0]
    assert scores[0] < before.ranked[0].score


def test_a_regime_has_weights_of_its_own() -> None:
    meta = make_meta()
    outcomes = []
    for n in range(300):
        regime = ("trend", "range")[n % 2]
        for agent in ("signal/trend", "signal/book"):
            right = agent.endswith("trend") == (regime == "trend")
            outcomes.append(outcome(agent, 60.0 if right else -60.0, n=n, t=n * MINUTE, regime=regime))
    version = teach(meta, outcomes)[-1].version
    votes = [vote("signal/trend", b"ema", 0.9), vote("signal/book", b"ema", -0.9)]

    def score(regime: str) -> float:
        answer = ranked(meta, ballot([bid("ema")], votes, weights_version=version, regime=regime))
        return answer.ranked[0].score if answer.ranked else -1.0

    assert score("trend") > score("range")


def test_a_newcomer_stays_in_shadow_until_it_has_a_record() -> None:
    meta = make_meta(min_outcomes=50)
    teach(meta, history(60))
    late = make_meta(*ROSTER, "signal/new", min_outcomes=50)
    late.restore(meta.snapshot())
    joined = [
        outcome(a, w, n=n, t=n * MINUTE)
        for n in range(60, 130)
        for a, w in (("signal/trend", 60.0), ("signal/book", -60.0), ("signal/new", 60.0))
    ]

    updates = teach(late, joined)

    weights = [dict(u.weights)["signal/new"] for u in updates]
    assert weights[0] == 0.0
    assert weights[-1] > 0.02


def test_copies_of_a_bad_voter_gain_nothing() -> None:
    def weight_of_bad(copies: int) -> float:
        bad = [f"signal/bad{i}" for i in range(copies)]
        rng = random.Random(1)
        outcomes = []
        for n in range(400):
            rows = [(a, rng.uniform(-50, 100)) for a in ROSTER]
            noise = rng.uniform(-100, 30)
            rows += [(a, noise) for a in bad]
            outcomes += [outcome(a, w, n=n, t=n * MINUTE) for a, w in rows]
        last = dict(teach(make_meta(*ROSTER, *bad, change_per_day=1.0), outcomes)[-1].weights)
        return sum(last[a] for a in bad)

    assert weight_of_bad(6) <= weight_of_bad(1) + 0.005


def test_overconfidence_lowers_the_confidence_that_counts() -> None:
    meta = make_meta()
    boast = [outcome("strategy/ema", 40.0 * (-1) ** n, n=n, t=n * MINUTE, conf=0.95) for n in range(200)]
    before = ranked(meta, ballot([bid("ema", conf=0.95)], []))
    update = teach(meta, boast)[-1]
    after = ranked(meta, ballot([bid("ema", conf=0.95)], [], weights_version=update.version))

    assert after.ranked[0].score < before.ranked[0].score - 0.2
    assert [name for name, _, _ in update.calibration] == ["strategy/ema"]


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=30))
def test_outcomes_with_nonsense_never_raise(worths: list[float]) -> None:
    meta = make_meta(batch=1)
    outcomes = [
        outcome(ROSTER[n % 4], w, n=n // 4, t=n // 4, sigma_bps=abs(w) if w == w else w)
        for n, w in enumerate(worths)
    ]

    for update in teach(meta, outcomes):
        assert sum(w for _, w in update.weights) == pytest.approx(1.0)


@pytest.mark.parametrize("cut", [0, 37, 90, 160])
def test_a_restored_agent_answers_like_the_original(cut: int) -> None:
    journal = history(100)
    original, twin = make_meta(), make_meta()
    teach(original, journal[:cut])
    twin.restore(original.snapshot())

    assert teach(twin, journal[cut:], cut + 1) == teach(original, journal[cut:], cut + 1)
    asked = ballot([bid("ema")], [vote("signal/trend", b"ema", 0.4)], weights_version=3)
    assert ranked(twin, asked) == ranked(original, asked)
    assert twin.snapshot() == original.snapshot()


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'theta'"):
        make_meta(thet=0.1)
