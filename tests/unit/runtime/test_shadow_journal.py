"""What a strategy wanted, was granted and got, out of the records of a run."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from backtest.divergence import Word
from parley.agent import AgentSpec
from parley.messages import (
    AgentFaulted,
    Analysed,
    AnalysisReady,
    Bar,
    Book,
    Cfp,
    CounterReply,
    Intent,
    Late,
    Leg,
    MarketBatch,
    Message,
    NotUnderstood,
    Shed,
    Shutdown,
    Silence,
    Trigger,
    VenueReject,
    Void,
)
from runtime.history import Entry
from runtime.shadow_journal import HOST, RunHeard
from runtime.shadow_words import SEAT, Heard
from tests.kit.builders import make_decision, make_fill, make_proposal

ME = "strategy/Dips"
PAIR = "BTC/USDT"
TF = 300_000_000_000
T = 1_767_225_600_000_000_000
MS = T // 1_000_000
ROUND, PID, IID = b"r" * 16, b"p" * 16, b"i" * 16
FILLED = make_fill(qty="0.1", px="60000", fee="6", fee_asset="USDT")
INTENT = Intent(
    iid=IID, cid="c", round=ROUND, pid=PID, leg=0, child=0, account="main", venue="binance", symbol=PAIR,
    side="buy", qty=Decimal("0.1"), px=None, style="limit", tif="IOC", reduce_only=False, send_by=0, epoch=1,
    reservation_id=b"", risk_hash=b"",
)  # fmt: skip


def ready(t_candle: int = T - TF) -> AnalysisReady:
    return AnalysisReady(agent=ME, symbol=PAIR, tf_ns=TF, t_candle=t_candle, result_hash=b"")


def batch(t: int = T, *, bid: float = 60_000.0, bars: tuple[Bar, ...] = ()) -> MarketBatch:
    book = Book(symbol=PAIR, t=t, seq=1, bids=((bid, 1.0),), asks=((bid + 1, 1.0),))
    return MarketBatch(step=1, t=t, bars=bars, books=(book,))


def bar(t_open: int) -> Bar:
    return Bar(symbol=PAIR, tf_ns=TF, t_open=t_open, open=1.0, high=3.0, low=0.5, close=2.0, volume=9.0)


TRIGGER = Trigger(source=ME, symbol=PAIR, kind="analysis", payload_hash=b"", md_seq=1, t=T)
CALL = Cfp(symbols=(PAIR,), budget_hint=Decimal(1), horizon_ms=1, min_edge_bps=0.0, state_version=1, t=T)
OFFER = make_proposal(
    pid=PID, agent=ME, symbol=PAIR, why="dip", legs=(Leg(symbol=PAIR, side="buy", qty=Decimal("0.1")),)
)
TAKEN = make_decision(round=ROUND, pid=PID, agent=ME, qty=Decimal("0.1"), qty_wanted=Decimal("0.1"), t=T)
REFUSED = make_decision(
    round=ROUND, pid=PID, agent=ME, action="reject", qty=Decimal(0), t=T,
    reasons=(("risk/main", "max_position", "12 > 10"),),
)  # fmt: skip
ROUTE: tuple[Message, ...] = (batch(), Analysed(agent=ME, ready=(ready(),)), TRIGGER, CALL, OFFER)


def heard(*messages: Message, factory: str = HOST, mute: tuple[str, ...] = ()) -> tuple[RunHeard, Heard]:
    made = RunHeard([AgentSpec(id=ME, role="strategy", factory=factory)], TF, mute)
    made.take(Entry(n, ROUND, "desk", 0, 0, b"", message) for n, message in enumerate(messages, 1))
    return made, made.strategies[ME]


def only(*messages: Message, factory: str = HOST, mute: tuple[str, ...] = ()) -> Word:
    (word,) = heard(*messages, factory=factory, mute=mute)[1].words(MS + 1)
    return word


def test_order_that_was_filled_is_one_word() -> None:
    word = only(*ROUTE, TAKEN, INTENT, FILLED)
    assert (word.pair, word.side, word.why, word.t_ms, word.due_ms) == (PAIR, "buy", "dip", MS, MS)
    assert (word.wanted, word.granted, word.filled, word.price) == (0.1, 0.1, 0.1, 60_000.0)
    assert word.fee == pytest.approx(0.001)
    assert word.lost == ""


def test_order_nobody_could_place_is_told_as_a_matter_of_fills() -> None:
    line = f"{PAIR} buy 0.0001: the venue takes no such order: below_min_qty"
    word = only(batch(), Analysed(agent=ME, dropped=(line,)))
    assert (word.pair, word.side, word.due_ms) == (PAIR, "", MS)
    assert (word.lost, word.objection) == ("fill", line)


def test_executions_are_added_up_and_fees_are_of_what_was_turned_over() -> None:
    half = make_fill(trade_id="t2", qty="0.1", px="61000", fee="0.0002", fee_asset="BTC")
    word = only(*ROUTE, TAKEN, INTENT, FILLED, half)
    assert (word.filled, word.price) == (0.2, 60_500.0)
    assert word.fee == pytest.approx((6 + 0.0002 * 61_000) / 12_100)
    unknown = only(*ROUTE, TAKEN, INTENT, make_fill(fee="1", fee_asset="BNB"))
    assert math.isnan(unknown.fee)


def test_analysis_of_an_older_candle_is_due_when_that_closed() -> None:
    word = only(batch(), Analysed(agent=ME, ready=(ready(T - 3 * TF),)), TRIGGER, OFFER, TAKEN)
    assert (word.t_ms, word.due_ms) == (MS, MS - 2 * TF // 1_000_000)


def test_seat_of_a_backtest_says_its_reason_bare() -> None:
    seated = (batch(), ready(T), TRIGGER)
    bare = make_proposal(pid=PID, agent=ME, why="entry")
    assert only(*seated, bare, TAKEN, factory=SEAT).why == ""
    assert only(*seated, bare, TAKEN, factory=SEAT).due_ms == MS
    assert only(*ROUTE[:-1], bare, TAKEN).why == "entry"


@pytest.mark.parametrize("factory", [HOST, SEAT])
def test_exit_of_that_name_is_forced_only_where_the_candles_end(factory: str) -> None:
    left = make_proposal(
        pid=PID, agent=ME, why="force_exit", legs=(Leg(symbol=PAIR, side="sell", qty=Decimal("0.1")),)
    )
    _, strategy = heard(batch(), ready(T), TRIGGER, left, TAKEN, factory=factory)
    assert strategy.words(MS) == []
    (word,) = strategy.words(MS + TF // 1_000_000)  # a strategy's custom_exit may say so, too
    assert (word.side, word.why) == ("sell", "force_exit")


def test_what_the_desk_refused_or_cut_names_who_objected() -> None:
    word = only(*ROUTE, REFUSED)
    assert (word.granted, word.lost, word.objection) == (0.0, "desk", "risk/main: max_position (12 > 10)")
    late = only(*ROUTE, make_decision(round=ROUND, pid=PID, agent=ME, action="expired", qty=Decimal(0), t=T))
    assert late.lost == "latency"


def test_desk_that_was_too_slow_is_late_and_says_who() -> None:
    def unheard(who: str) -> Message:
        return make_decision(
            round=ROUND,
            pid=PID,
            agent=ME,
            action="reject",
            qty=Decimal(0),
            t=T,
            reasons=((who, "silent", ""),),
        )

    missed = Silence(agent="capital/main", stage="counter"), Silence(agent="signal/x", stage="votes")
    word = only(*ROUTE, *missed, unheard("capital"))
    assert (word.lost, word.objection) == ("latency", "capital/main did not answer in time")
    slept = only(*ROUTE, unheard("risk"))  # nobody asks one that sleeps
    assert (slept.lost, slept.objection) == ("latency", "risk did not answer in time")
    meant = only(*ROUTE, *missed, unheard("capital"), mute=("capital",))  # as the settings want it
    assert (meant.lost, meant.objection) == ("desk", "capital: silent")
    # Another's proposal was taken; that a third said nothing cost this one nothing.
    other = make_decision(
        round=ROUND, pid=b"q" * 16, agent="strategy/other", qty=Decimal(1), t=T,
        reasons=(("strategy/third", "silent", ""),),
    )  # fmt: skip
    assert only(*ROUTE, other).lost == "desk"


def test_offer_the_desk_does_not_understand_is_the_strategys_mistake() -> None:
    wrong = NotUnderstood(agent=ME, code="more_than_held", detail="Proposal")
    word = only(*ROUTE, wrong, make_decision(round=ROUND, pid=b"", action="hold", qty=Decimal(0)))
    assert (word.granted, word.lost) == (0.0, "code")
    assert "more_than_held" in word.objection


def test_order_of_a_round_decided_for_another_is_refused() -> None:
    other = make_decision(round=ROUND, pid=b"q" * 16, agent="strategy/other", qty=Decimal(1), t=T)
    assert only(*ROUTE, other).granted == 0.0


def test_revised_proposal_is_still_what_was_wanted_first() -> None:
    less = make_proposal(
        pid=b"q" * 16, agent=ME, parent_pid=PID, legs=(Leg(symbol=PAIR, side="buy", qty=Decimal("0.05")),)
    )
    reply = CounterReply(pid=PID, agent=ME, action="revise", proposal=less)
    taken = make_decision(round=ROUND, pid=b"q" * 16, agent=ME, qty=Decimal("0.05"), t=T)
    word = only(*ROUTE, reply, taken)
    assert (word.wanted, word.granted, word.lost) == (0.1, 0.05, "desk")


def test_venue_and_commit_that_failed_are_told_from_the_desk() -> None:
    rejected = VenueReject(iid=IID, code="-2010", definitive=True, detail="no balance")
    assert only(*ROUTE, TAKEN, INTENT, rejected).lost == "fill"
    assert only(*ROUTE, TAKEN, INTENT, Void(round=ROUND, iids=(IID,), why="late")).lost == "latency"


def test_word_that_was_never_asked_for_is_kept_with_its_cause() -> None:
    shed = Shed(symbol=PAIR, kind="analysis", code="halted", detail="by hand", t=T)
    word = only(*ROUTE[:2], shed)
    assert (word.side, word.due_ms, word.lost) == ("", MS, "desk")
    assert "halted by hand" in word.objection
    silent = only(
        *ROUTE[:4], Silence(agent=ME, stage="bids"), make_decision(round=ROUND, pid=b"", action="hold")
    )
    assert (silent.side, silent.lost) == ("", "latency")
    reducing = Cfp(**{name: getattr(CALL, name) for name in CALL.__struct_fields__} | {"reduce_only": True})
    only_reducing = only(*ROUTE[:3], reducing, make_decision(round=ROUND, pid=b"", action="hold"))
    assert (only_reducing.side, only_reducing.lost) == ("", "desk")
    nobody = make_decision(round=ROUND, pid=b"", action="hold")
    assert heard(*ROUTE[:4], nobody)[1].words(MS + 1) == []
    late = only(batch(), Analysed(agent=ME, ready=(ready(T - 3 * TF),)), TRIGGER, CALL, nobody)
    assert (late.lost, late.due_ms) == ("latency", MS - 2 * TF // 1_000_000)
    assert "600 s after" in late.objection


def test_faults_are_of_their_pair_and_last_while_it_is_quarantined() -> None:
    said = f"{PAIR} custom_exit: ValueError: x; ETH/USDT custom_exit: KeyError: y"
    faulted = AgentFaulted(agent=ME, cause=1, error=said, strikes=1, quarantined=False)
    first, second = heard(batch(bars=(bar(T - TF),)), faulted)[1].faults
    assert (first.pair, first.t_ms, first.until_ms) == (PAIR, MS, MS)
    assert second.pair == ""  # a pair nobody has heard of
    over = AgentFaulted(agent=ME, cause=1, error="x", strikes=3, quarantined=True)
    assert heard(batch(), over)[1].faults[0].until_ms > 1 << 60
    away = heard(batch(), Late(agent=ME, stage="tell", msg_hash=b"", by_ns=0))[1].faults[0]
    assert (away.cause, away.t_ms) == ("latency", MS)


def test_strategy_that_sleeps_is_late_until_it_is_asked_again() -> None:
    asleep = AgentFaulted(
        agent=ME,
        cause=1,
        error="asleep for 2 s: it was late or silent too often",
        strikes=0,
        quarantined=False,
    )
    made, strategy = heard(batch(), asleep)
    made.take([Entry(3, b"", "hub", 0, 1_900_000_000, b"", batch(T + TF))])
    made.take([Entry(4, b"", "hub", 0, 2_100_000_000, b"", batch(T + 2 * TF))])
    (fault,) = strategy.faults
    assert (fault.cause, fault.t_ms, fault.until_ms) == ("latency", MS, MS + TF // 1_000_000)


def test_analysis_of_one_that_slept_then_is_late_although_it_is_awake_when_the_next_news_comes() -> None:
    error = "asleep for 2 s: it was late or silent too often"
    asleep = AgentFaulted(agent=ME, cause=1, error=error, strikes=0, quarantined=False)
    made, strategy = heard(batch(), asleep)
    said = Analysed(agent=ME, ready=(ready(),))
    made.take([Entry(3, b"", "outside", 0, 1_900_000_000, b"", said)])
    made.take([Entry(4, b"", "hub", 0, 2_100_000_000, b"", batch(T + TF))])
    (word,) = strategy.blind
    assert (word.lost, word.objection) == ("latency", "it slept, for it had been late too often")


def test_analysis_for_which_no_round_was_opened_is_told() -> None:
    word = only(*ROUTE[:2], batch(T + TF))
    assert (word.side, word.lost, word.due_ms) == ("", "desk", MS)


def test_position_that_the_desk_leaves_is_its_word() -> None:
    exit_ = make_proposal(pid=PID, agent=ME, agent_version="desk", why="flatten")
    trigger = Trigger(source="flatten", symbol=PAIR, kind="cmd", payload_hash=b"", md_seq=1, t=T)
    assert only(batch(), trigger, exit_, TAKEN).is_foreign


def test_candles_and_rates_are_those_of_the_batches() -> None:
    made, _ = heard(
        batch(T, bid=10.0),
        batch(T + TF // 2, bid=12.0),
        batch(T + TF, bid=8.0, bars=(bar(T),)),
        Shutdown(why="x", flatten=False, t=0),
    )
    assert made.candles == {PAIR: {MS: (1.0, 3.0, 0.5, 2.0, 9.0)}}
    length = TF // 1_000_000
    assert made.rates(PAIR, MS, MS + length) == (
        8.0,
        12.0,
    )  # what is bid as it closes is still of that candle
    assert made.rates(PAIR, MS + length, MS + 2 * length) == (8.0, 8.0)
    assert made.rates(PAIR, MS + 2 * length, MS + 3 * length) is None
    assert made.is_over
    assert (made.first_ms, made.last_ms) == (MS, MS)
