"""What votes and proposals turned out to be worth: horizons, directions, order, memory."""

from __future__ import annotations

import math

import pytest

from orchestrator.outcomes import Outcomes

MINUTE_MS, MS = 60_000, 1_000_000
HOUR = 3_600_000


def add(outcomes: Outcomes, **over: object) -> bool:
    plain: dict[str, object] = {
        "round": b"r", "pid": b"p", "agent": "strategy/a", "kind": "proposal", "symbol": "BTC/USDT",
        "regime": "trend", "side": 1, "score": 1.0, "conf": 0.6, "executable_px": 100.0, "horizon_ms": HOUR,
        "cost_bps": 10.0, "sigma_bps": 50.0, "t": 0,
    }  # fmt: skip
    return outcomes.add(**(plain | over))  # type: ignore[arg-type]


def test_markout_is_net_of_costs_in_the_direction_of_the_trade() -> None:
    outcomes = Outcomes(controls_ms=())
    add(outcomes, pid=b"buy")
    add(outcomes, pid=b"sell", side=-1)

    matured = outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS)

    worth = {o.pid: o.markout_bps_net for o in matured}
    assert worth[b"buy"] == pytest.approx(100 - 10)
    assert worth[b"sell"] == pytest.approx(-100 - 10)


def test_a_vote_against_is_marked_in_the_direction_of_the_trade_it_judged() -> None:
    outcomes = Outcomes(controls_ms=())
    add(outcomes, kind="vote", agent="signal/x", score=-0.8)

    (outcome,) = outcomes.mature({"BTC/USDT": 99.0}, HOUR * MS)

    assert outcome.markout_bps_net == pytest.approx(-110)
    assert outcome.score * outcome.markout_bps_net > 0


def test_nothing_matures_before_its_horizon() -> None:
    outcomes = Outcomes(controls_ms=())
    add(outcomes)

    assert outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS - 1) == []
    assert len(outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS)) == 1
    assert outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS) == []


def test_controls_mature_at_their_own_horizons_and_below_the_candle_not_at_all() -> None:
    outcomes = Outcomes(tf_ms=MINUTE_MS, controls_ms=(1_000, MINUTE_MS, HOUR))
    add(outcomes)

    (control,) = outcomes.mature({"BTC/USDT": 100.5}, MINUTE_MS * MS)
    (own,) = outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS)

    assert control.control
    assert control.sigma_bps == pytest.approx(50 / math.sqrt(60))
    assert not own.control
    assert own.horizon_ms == HOUR


def test_order_of_adding_does_not_change_what_comes_out() -> None:
    one, other = Outcomes(), Outcomes()
    names = ["signal/a", "signal/b", "strategy/c"]
    for agent in names:
        add(one, agent=agent)
    for agent in reversed(names):
        add(other, agent=agent)

    marks = {"BTC/USDT": 103.0}
    assert one.mature(marks, 2 * HOUR * MS) == other.mature(marks, 2 * HOUR * MS)


def test_a_symbol_without_a_mark_waits_but_not_for_ever() -> None:
    outcomes = Outcomes(controls_ms=())
    add(outcomes)

    assert outcomes.mature({"BTC/USDT": math.nan}, HOUR * MS) == []
    assert len(outcomes) == 1
    assert outcomes.mature({}, 3 * HOUR * MS) == []
    assert len(outcomes) == 0
    assert outcomes.dropped == 1


@pytest.mark.parametrize(
    "wrong", [{"executable_px": 0.0}, {"executable_px": math.nan}, {"side": 0}, {"horizon_ms": 0}]
)
def test_numbers_that_cannot_be_marked_are_refused(wrong: dict[str, object]) -> None:
    outcomes = Outcomes()

    assert not add(outcomes, **wrong)
    assert len(outcomes) == 0


def test_memory_is_bounded_and_the_latest_due_go_first() -> None:
    outcomes = Outcomes(controls_ms=(), max_pending=100)
    for n in range(250):
        add(outcomes, t=n * MS)

    assert len(outcomes) <= 100
    assert outcomes.dropped + len(outcomes) == 250
    assert len(outcomes.mature({"BTC/USDT": 100.0}, (HOUR + 10) * MS)) == 11


def test_realised_profit_travels_with_the_proposal_or_follows_it() -> None:
    outcomes = Outcomes(controls_ms=())
    add(outcomes, pid=b"early")
    add(outcomes, pid=b"late")
    outcomes.realised(b"early", 12.0)

    first = {o.pid: o for o in outcomes.mature({"BTC/USDT": 101.0}, HOUR * MS)}
    outcomes.realised(b"late", -7.0)
    (after,) = outcomes.mature({}, HOUR * MS + 1)

    assert first[b"early"].realised_bps == 12.0
    assert first[b"late"].realised_bps == 0.0
    assert after.realised_bps == -7.0
    assert after.control


def test_restored_outcomes_mature_like_the_originals() -> None:
    original = Outcomes()
    for n in range(20):
        add(original, pid=bytes([n]), t=n * 1_000 * MS, side=1 if n % 2 else -1)
    original.mature({"BTC/USDT": 100.2}, MINUTE_MS * MS)
    original.realised(b"\x03", 4.0)
    twin = Outcomes()
    twin.restore(original.snapshot())

    marks = {"BTC/USDT": 101.0}
    assert twin.mature(marks, 2 * HOUR * MS) == original.mature(marks, 2 * HOUR * MS)
    assert twin.snapshot() == original.snapshot()
