"""What the desk understands: roles, numbers no order can have, revisions that grow."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import validate
from parley.agent import AgentEnv
from parley.messages import (
    Allocation,
    Bound,
    Child,
    Counter,
    Leg,
    Message,
    Opinion,
    Proposal,
    Ranked,
    Ranking,
    Refuse,
    Verdict,
    Vote,
)  # fmt: skip
from parley.view import FirmView
from tests.kit.builders import make_book, make_state
from tests.kit.firm_kit import MINUTE, D, spot

BTC = "BTC/USDT"
ENV = AgentEnv(
    tenant="t",
    account="main",
    quote="USDT",
    symbols=(BTC,),
    instruments={BTC: spot(BTC)},
    tf_ns=MINUTE,
    agents=(),
)
BOOKS = {BTC: make_book(symbol=BTC, bids=((49_999.0, 5.0),), asks=((50_001.0, 5.0),))}
VIEW = FirmView(make_state())
LEG = Leg(symbol=BTC, side="buy", qty=D("0.1"), limit_px=D(50_000))
BID = Proposal(
    pid=b"p" * 16, agent="strategy/a", agent_version="1", symbol=BTC, legs=(LEG,), edge_bps=5.0, conf=0.5,
    horizon_ms=1000, stop=None, take=None, max_slippage_bps=20.0, ttl_ns=1, why="x",
)  # fmt: skip
BAD = (
    D("NaN"),
    D("sNaN"),
    D("Infinity"),
    D(-1),
    D(0),
    D("1E+999999"),
    D("1E-999999"),
    D("0.000001"),
    D(10**30),
)


def code_of(**over: object) -> str:
    return validate.proposal(replace(BID, **over), ENV, VIEW, BOOKS)


def leg_code(**over: object) -> str:
    return code_of(legs=(replace(LEG, **over),))


def test_a_sound_proposal_is_understood() -> None:
    assert code_of() == ""
    assert leg_code(limit_px=None) == ""


@pytest.mark.parametrize("bad", BAD)
def test_numbers_no_order_can_have_are_refused_and_break_nothing(bad: Decimal) -> None:
    assert leg_code(qty=bad) in ("bad_number", "off_grid")
    assert leg_code(limit_px=bad) in ("bad_number", "off_grid", "outside_collar")


@given(st.decimals(allow_nan=True, allow_infinity=True), st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimals_at_all_get_an_answer(qty: Decimal, px: Decimal) -> None:
    assert isinstance(leg_code(qty=qty, limit_px=px), str)
    assert isinstance(code_of(stop=qty, take=px), str)


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"pid": b"short"}, "bad_pid"),
        ({"legs": ()}, "bad_leg_count"),
        ({"legs": (LEG, LEG)}, "uncoupled_legs"),
        ({"conf": float("nan")}, "not_finite"),
        ({"conf": 1.1}, "out_of_range"),
        ({"edge_bps": 1e300}, "out_of_range"),
        ({"max_slippage_bps": 1e9}, "out_of_range"),
        ({"ttl_ns": 0}, "out_of_range"),
        ({"why": "x" * 257}, "bad_field"),
    ],
)
def test_each_field_out_of_range_has_its_code(over: dict[str, object], code: str) -> None:
    assert code_of(**over) == code


def test_a_leg_must_be_on_the_grid_near_the_market_and_about_something_known() -> None:
    assert leg_code(symbol="XRP/USDT") == "unknown_symbol"
    assert leg_code(side="hold") == leg_code(tif="DAY") == "unknown_enum"
    assert leg_code(qty=D("0.000015")) == leg_code(limit_px=D("50000.001")) == "off_grid"
    assert leg_code(limit_px=D(55_001)) == leg_code(limit_px=D(44_999)) == "outside_collar"
    assert validate.proposal(BID, ENV, VIEW, {BTC: replace(BOOKS[BTC], bids=())}) == "no_book"


def test_a_reduction_needs_something_to_reduce_on_the_right_side() -> None:
    assert leg_code(reduce_only=True) == "nothing_to_reduce"


def test_roles_say_what_is_theirs_in_their_own_name() -> None:
    refuse = Refuse(agent="strategy/a", code="x")
    assert validate.understood("strategy/a", "strategy", refuse) == ""
    assert validate.understood("strategy/b", "strategy", refuse) == "foreign_name"
    assert validate.understood("risk/a", "risk", replace(refuse, agent="risk/a")) == "not_its_role"
    assert validate.understood("signal/a", "signal", BID) == "not_its_role"


@pytest.mark.parametrize(
    ("revised", "code"),
    [
        (BID, ""),
        (replace(BID, legs=(replace(LEG, qty=D("0.05"), limit_px=D(49_990)),)), ""),
        (replace(BID, legs=(replace(LEG, qty=D("0.2")),)), "revision_grows"),
        (replace(BID, legs=(replace(LEG, limit_px=D(50_001)),)), "revision_grows"),
        (replace(BID, legs=(replace(LEG, limit_px=None),)), "revision_grows"),
        (replace(BID, max_slippage_bps=21.0), "revision_grows"),
        (replace(BID, legs=(replace(LEG, side="sell"),)), "revision_turns"),
        (replace(BID, legs=(replace(LEG, reduce_only=True),)), "revision_turns"),
        (replace(BID, legs=(LEG, LEG), coupled=True), "revision_turns"),
        (replace(BID, agent="strategy/b"), "revision_turns"),
    ],
)
def test_a_revision_may_only_shrink_the_risk(revised: Proposal, code: str) -> None:
    assert validate.revision(revised, BID, D("0.1")) == code


def test_a_revision_stays_within_the_counters_quantity_on_every_leg() -> None:
    assert validate.revision(BID, BID, D("0.09")) == "revision_grows"
    legs = (LEG, replace(LEG, symbol="ETH/USDT"))
    before = replace(BID, legs=legs, coupled=True)
    grown = replace(before, legs=(replace(LEG, qty=D("0.05")), replace(legs[1], qty=D("0.11"))))
    assert validate.revision(grown, before, D("0.05")) == "revision_grows"


@pytest.mark.parametrize("bad", [D("NaN"), D("Infinity"), D(-1), D("1E+999999")])
def test_reviewers_numbers_are_checked(bad: Decimal) -> None:
    pid = BID.pid
    allocation = Allocation(
        pid=pid,
        agent="capital/a",
        max_qty=bad,
        margin_reserved=D(0),
        reservation_id=b"",
        version=1,
        bounds=(),
        code="x",
    )
    verdict = Verdict(
        pid=pid,
        agent="risk/a",
        ok=True,
        max_qty=bad,
        breached=(),
        state_version=1,
        risk_epoch=0,
        valid_until=9,
    )
    counter = Counter(pid=pid, agent="execution/a", code="x", binding=False)
    assert validate.allocation(allocation, pid) == "bad_number"
    assert validate.verdict(verdict, pid, 1, 0) == "bad_number"
    assert validate.counter(replace(counter, px_limit=bad), pid) == "bad_number"
    assert validate.counter(replace(counter, split=(Child(qty=bad, delay_ms=0),)), pid) == "bad_split"
    nan = Bound(agent="capital/a", code="x", qty_max=D("NaN"))
    assert validate.allocation(replace(allocation, max_qty=D(1), bounds=(nan, nan)), pid) == "bad_number"


def test_a_verdict_is_for_one_proposal_one_state_and_a_time() -> None:
    v = Verdict(
        pid=BID.pid,
        agent="risk/a",
        ok=True,
        max_qty=D(0),
        breached=(),
        state_version=3,
        risk_epoch=0,
        valid_until=10,
    )
    assert validate.verdict(v, BID.pid, 3, 9) == ""
    assert validate.verdict(v, b"other", 3, 9) == "unknown_pid"
    assert validate.verdict(v, BID.pid, 4, 9) == "stale_version"
    assert validate.verdict(v, BID.pid, 3, 10) == "expired_verdict"


def test_votes_opinions_rankings_and_splits_have_ranges() -> None:
    pids = frozenset({BID.pid})
    vote = Vote(pid=BID.pid, agent="signal/a", score=0.5, conf=0.5)
    assert validate.vote(vote, pids) == ""
    assert validate.vote(replace(vote, pid=b"x"), pids) == "unknown_pid"
    assert validate.vote(replace(vote, score=float("nan")), pids) == "out_of_range"
    opinion = Opinion(
        oid=b"o",
        agent="signal/a",
        symbol=BTC,
        direction=1.0,
        conf=1.0,
        horizon_ms=1,
        valid_from=0,
        valid_to=1,
        model_version="1",
        why="",
    )
    assert validate.opinion(opinion, ENV) == ""
    assert validate.opinion(replace(opinion, valid_to=0), ENV) == "bad_validity"
    assert validate.opinion(replace(opinion, direction=1.5), ENV) == "out_of_range"
    assert validate.opinion(replace(opinion, symbol="X/Y"), ENV) == "unknown_symbol"
    ranking = Ranking(
        round=b"r",
        ranked=(Ranked(pid=BID.pid, score=1.0, size=1.0),),
        margin_of_win=0.0,
        weights_version=0,
        quorum=1.0,
    )
    assert validate.ranking(ranking, b"r", pids) == ""
    assert validate.ranking(ranking, b"q", pids) == "wrong_round"
    assert validate.ranking(replace(ranking, ranked=ranking.ranked * 2), b"r", pids) == "unknown_pid"
    assert validate.ranking(replace(ranking, quorum=float("inf")), b"r", pids) == "out_of_range"
    counter = Counter(pid=BID.pid, agent="execution/a", code="x", binding=False)
    for child in (Child(qty=D(1), delay_ms=-1), Child(qty=D(1), delay_ms=10**12)):
        assert validate.counter(replace(counter, split=(child,)), BID.pid) == "bad_split"
    assert validate.counter(replace(counter, style="peg"), BID.pid) == "unknown_enum"


def test_every_role_has_words_and_only_message_types_are_words() -> None:
    for words in validate.MAY_SAY.values():
        assert words
        assert words <= set(Message.__args__)
