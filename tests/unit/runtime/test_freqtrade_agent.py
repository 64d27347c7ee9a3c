"""The agent around a freqtrade strategy: what it says at the table, what it does with bad news."""

from __future__ import annotations

import math
import threading
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.messages import Bar, Cfp, Decision, MarketBatch, PlanLeg
from parley.view import FirmView
from tests.kit.builders import make_state
from tests.kit.candles import held
from tests.kit.paper_desk import NS, TF_NS, Folder, book, make_folder
from tests.kit.paper_strategies import ENTRIES, FIRST, desk_of, play, what

D = Decimal
A, B, C = "AAA/USDT", "BBB/USDT", "CCC/USDT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder(tmp_path_factory.mktemp("paper"), 120, max_open_trades=3)


# what it says


def test_closed_candle_with_a_signal_becomes_a_round_and_a_proposal(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    bids = play(desk, folder)
    assert what(bids) == ENTRIES
    bid = bids[0]
    price = D(repr(float(folder.frames[A]["open"].iloc[FIRST + 1])))
    assert bid.legs[0].tif == "IOC"
    assert price < bid.legs[0].limit_px <= price * D("1.00052")
    assert abs(bid.legs[0].qty * price - 100) < D("0.001")
    assert [trade.pair for trade in desk.agent._trader.register.open] == [A, B, C]


def test_exit_sells_all_that_was_bought_and_only_reduces(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    entries = play(desk, folder)
    exits = play(desk, folder, FIRST + 1, FIRST + 5)
    assert what(exits) == [(pair, "sell", "twenty_later") for pair in (A, B, C)]
    assert all(bid.reduce_only for bid in exits)
    assert [bid.legs[0].qty for bid in exits] == [bid.legs[0].qty for bid in entries]
    assert not desk.agent._trader.register.open
    assert [trade.exit_reason for trade in desk.agent._trader.register.closed] == ["twenty_later"] * 3


def test_entry_cut_to_a_part_is_a_smaller_trade(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    desk.part = D("0.25")
    bids = play(desk, folder)
    trades = desk.agent._trader.register.open
    assert [t.amount for t in trades] == pytest.approx([float(bid.legs[0].qty) / 4 for bid in bids], abs=1e-8)
    assert [t.stake_amount for t in trades] == pytest.approx([25.0] * 3, rel=1e-6)
    desk.part = D(1)
    amounts = [trade.amount for trade in trades]
    exits = play(desk, folder, FIRST + 1, FIRST + 5)
    assert [float(bid.legs[0].qty) for bid in exits] == amounts


def test_fee_taken_out_of_what_was_bought_is_not_sold(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    desk.fee_in_base = True
    entries = play(desk, folder)
    exits = play(desk, folder, FIRST + 1, FIRST + 5)
    left = [(bid.legs[0].qty * D("0.999")).quantize(D("0.00000001"), ROUND_FLOOR) for bid in entries]
    assert [bid.legs[0].qty for bid in exits] == left
    assert [trade.fee_open for trade in desk.agent._trader.register.closed] == [0.001] * 3
    assert not desk.agent._trader.register.open


def test_exit_never_asks_for_more_than_the_account_has(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    entries = play(desk, folder)
    amounts = dict(zip((A, B, C), [bid.legs[0].qty for bid in entries], strict=True))
    holdings = tuple(
        held(symbol=pair, qty=str((amount * share).quantize(D("0.00000001"))))
        for (pair, amount), share in zip(amounts.items(), (D("0.999"), D("0.5"), D(1)), strict=True)
    )
    desk.view = FirmView(make_state(holdings=holdings, state_version=3))
    exits = play(desk, folder, FIRST + 1, FIRST + 5)
    # a little less is a fee nobody told of; half of it gone is nothing to guess about
    assert [(bid.symbol, bid.legs[0].qty) for bid in exits] == [(A, holdings[0].qty), (C, holdings[2].qty)]
    assert [trade.pair for trade in desk.agent._trader.register.open] == [B]


def test_entry_that_was_refused_leaves_no_trade_and_frees_its_slot(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    desk.denied = frozenset({A, B, C})
    assert what(play(desk, folder)) == ENTRIES
    register = desk.agent._trader.register
    assert not register.open
    assert not register.closed
    desk.denied = frozenset()
    assert what(play(desk, folder, FIRST + 1, FIRST + 7)) == ENTRIES  # at the next half hour, and not before


def test_exit_that_was_refused_is_wanted_again_at_the_next_prices(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    play(desk, folder)
    desk.denied = frozenset({A})
    assert what(play(desk, folder, FIRST + 1, FIRST + 5))[0] == (A, "sell", "twenty_later")
    desk.denied = frozenset()
    t = folder.t_ms(FIRST + 5)
    again = desk.play(MarketBatch(step=99, t=(t + 1000) * NS, books=folder.books(FIRST + 5)))
    assert what(again) == [(A, "sell", "twenty_later")]


def test_stop_is_left_at_a_price_inside_the_candle(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path, "\n    stoploss = -0.02\n")
    play(desk, folder)
    t = folder.t_ms(FIRST + 1) + 60_000
    low = folder.frames[A]["open"].iloc[FIRST + 1] * 0.97
    bids = desk.play(MarketBatch(step=99, t=t * NS, books=(book(A, low),)))
    assert what(bids) == [(A, "sell", "stop_loss")]


def test_no_more_trades_are_opened_than_the_configuration_allows(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path, max_open_trades=2)
    assert what(play(desk, folder)) == ENTRIES[:2]


def test_entry_nobody_called_for_is_gone_with_its_candle(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    first, second = folder.batches(FIRST, FIRST + 2)
    desk.now = first.t
    desk.tell(first)
    assert len(desk.agent._trader.register.open) == 3
    desk.now = second.t
    assert desk.tell(second) == ()
    desk.negotiate(A)
    assert desk.refusals[-1].code == "no_offer"
    assert not desk.agent._trader.register.open


def test_call_for_reductions_only_gets_no_entry(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    (batch,) = folder.batches(FIRST, FIRST + 1)
    desk.now = batch.t
    desk.tell(batch)
    desk.negotiate(A, reduce_only=True)
    assert desk.refusals[-1].code == "reduce_only"


def test_position_the_desk_leaves_by_itself_is_closed_for_the_strategy_too(
    folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path)
    play(desk, folder)
    trade = desk.agent._trader.register.open[0]
    bid = desk.proposals[0][1]
    sold = msgspec.structs.replace(
        bid, pid=b"p" * 16, legs=(msgspec.structs.replace(bid.legs[0], side="sell", reduce_only=True),)
    )
    for message in desk.outcome(b"r" * 16, sold):
        desk.tell(message)
    assert trade in desk.agent._trader.register.closed
    assert trade.exit_reason == "desk"


def test_fill_that_comes_after_the_end_is_still_held(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    desk.part = D(0)
    (bid, *_) = play(desk, folder)
    assert not desk.agent._trader.register.open
    desk.part = D("0.5")
    round_ = desk.agent._works.over[0].round
    _, fill, _ = desk.outcome(round_, bid)
    desk.tell(fill)
    desk.tell(fill)  # and once more
    (trade,) = desk.agent._trader.register.open
    assert trade.pair == A
    assert trade.amount == pytest.approx(float(bid.legs[0].qty) / 2, rel=1e-6)


def test_exit_that_fills_in_parts_is_wanted_for_the_rest(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    play(desk, folder)
    desk.part = D("0.5")
    exits = play(desk, folder, FIRST + 1, FIRST + 5)
    register = desk.agent._trader.register
    assert [t.amount for t in register.open] == pytest.approx(
        [float(bid.legs[0].qty) / 2 for bid in exits], abs=2e-8
    )
    desk.part = D(1)
    t = folder.t_ms(FIRST + 5) + 1000
    rest = desk.play(MarketBatch(step=99, t=t * NS, books=folder.books(FIRST + 5)))
    assert what(rest) == [(pair, "sell", "twenty_later") for pair in (A, B, C)]
    assert not register.open
    assert len(register.closed) == 3


# bad news


def bad(bar: Bar, **over: Any) -> Bar:
    return msgspec.structs.replace(bar, **over)


@pytest.mark.parametrize(
    "over",
    [
        {"close": math.nan},
        {"high": math.inf},
        {"low": -1.0},
        {"volume": math.nan},
        {"high": 0.0001},
        {"t_open": 1},
        {"tf_ns": TF_NS * 2},
        {"symbol": "ZZZ/USDT"},
    ],
    ids=str,
)
def test_candle_that_cannot_be_one_is_not_traded_on(
    over: dict[str, Any], folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path)
    bars = folder.bars(FIRST)
    batch = MarketBatch(
        step=1, t=folder.t_ms(FIRST + 1) * NS, bars=(bad(bars[0], **over), *bars[1:]),
        books=folder.books(FIRST + 1),
    )  # fmt: skip
    assert what(desk.play(batch)) == ENTRIES[1:]
    assert desk.agent._trader.window.last_ms(A) == folder.t_ms(FIRST - 1)
    assert not desk.faults


@pytest.mark.parametrize(
    "levels",
    [((), ()), (((math.nan, 1.0),), ((10.0, 1.0),)), (((11.0, 1.0),), ((10.0, 1.0),))],
    ids=["missing", "nan", "crossed"],
)
def test_pair_without_a_usable_book_is_neither_entered_nor_left(
    levels: tuple[Any, Any], folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path)
    none = msgspec.structs.replace(book(A, 10.0), bids=levels[0], asks=levels[1])
    batch = next(folder.batches(FIRST, FIRST + 1))
    batch = msgspec.structs.replace(batch, books=(none, *batch.books[1:]))
    assert what(desk.play(batch)) == ENTRIES[1:]
    play(desk, folder, FIRST + 1, FIRST + 4)
    batch = next(folder.batches(FIRST + 4, FIRST + 5))
    none = msgspec.structs.replace(none, symbol=B)
    bids = desk.play(msgspec.structs.replace(batch, books=(none,)))
    assert what(bids) == [(C, "sell", "twenty_later")]
    assert not desk.faults


def test_candle_that_repeats_is_not_acted_on_twice(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    desk.denied = frozenset({A, B, C})
    batch = next(folder.batches(FIRST, FIRST + 1))
    assert what(desk.play(batch)) == ENTRIES
    assert desk.play(msgspec.structs.replace(batch, t=batch.t + NS)) == []
    other = tuple(bad(bar, close=bar.open) for bar in batch.bars)
    assert desk.play(msgspec.structs.replace(batch, bars=other, t=batch.t + 2 * NS)) == []
    assert desk.agent._trader.window.frame(A)["close"].iloc[-1] == batch.bars[0].close


def test_candle_after_a_gap_is_not_entered_and_the_gap_is_filled(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path)
    play(desk, folder)
    play(desk, folder, FIRST + 1, FIRST + 5)  # left again
    desk.agent._trader.register.locks.clear()
    # rows 35 and 36 of one pair are missing, 36 asks for an entry; so does 36 of the others
    for row in (FIRST + 5, FIRST + 6):
        bars = folder.bars(row, (B, C))
        bids = desk.play(
            MarketBatch(step=row, t=folder.t_ms(row + 1) * NS, bars=bars, books=folder.books(row + 1))
        )
    assert what(bids) == ENTRIES[1:]
    row = FIRST + 12  # the next half hour: the first candle of the pair after the gap
    desk.play(
        MarketBatch(
            step=row, t=folder.t_ms(row + 1) * NS, bars=folder.bars(row, (A,)), books=folder.books(row + 1)
        )
    )
    assert A not in {bid.symbol for t, bid in desk.proposals if t >= folder.t_ms(row + 1)}
    frame = desk.agent._trader.window.frame(A)
    assert (frame["date"].diff().dropna().dt.total_seconds() == 300).all()
    assert frame["volume"].iloc[-2] == 0.0
    assert frame["close"].iloc[-2] == frame["close"].iloc[-8]


def test_strategy_that_is_not_warm_does_not_enter(tmp_path: Path) -> None:
    made = make_folder(tmp_path, 20)
    desk = desk_of(made, tmp_path, "\n    startup_candle_count = 10\n", begin=4)
    bids = play(desk, made, 4, 19)
    assert bids
    assert desk.proposals[0][0] == made.t_ms(13)  # the candle of row 12 is the first with ten before it


def test_decision_on_something_never_wanted_is_told_and_changes_nothing(
    folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path)
    leg = PlanLeg(symbol=A, side="buy", qty=D(1), style="market", px=D(1), tif="IOC", reduce_only=False)
    desk.tell(
        Decision(
            round=b"?" * 16, symbol=A, pid=b"?" * 16, agent="strategy/x", action="accept", qty=D(1), px=D(1),
            score=0.0, margin_of_win=0.0, weights_version=0, quorum=0.0, reasons=(), plan=(leg,),
        )
    )  # fmt: skip
    assert not desk.agent._trader.register.open
    play(desk, folder)
    assert desk.faults == [f"{A} decision: a buy was decided that was never wanted"]


def test_question_is_answered_while_the_strategy_still_looks_at_the_news(
    folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path)
    agent = desk.agent
    with agent._at_work:  # somebody is at work; a call from another thread must not wait for that
        asked = Cfp(
            symbols=(A,), budget_hint=D(1), horizon_ms=1, min_edge_bps=0.0, state_version=0, t=1,
            to_agents=("strategy/x",), round=b"r" * 16,
        )  # fmt: skip
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(desk.tell(asked)))
        thread.start()
        thread.join(5)
    assert answers
