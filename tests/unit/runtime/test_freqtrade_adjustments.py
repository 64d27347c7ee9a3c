"""A freqtrade strategy that buys more of what it holds and sells parts: each is an offer and a round."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import pytest
from freqtrade.persistence import LocalTrade

from parley.messages import Analysed, Book, MarketBatch
from tests.kit.paper_desk import NS, Folder, PaperDesk, book, make_folder, make_paper_agent
from tests.kit.paper_strategies import ENTRIES, FIRST, desk_of, play, what

D = Decimal
A, B, C = "AAA/USDT", "BBB/USDT", "CCC/USDT"
LOT = D("1e-8")
# Entered when the candle of 02:30 closes, at 02:35, and left at 02:55.
BODY = """
    position_adjustment_enable = True
    max_entry_position_adjustment = 1

    def adjust_trade_position(self, trade, current_time, **_):
        if trade.pair != "AAA/USDT":
            return None
        match current_time.minute:
            case 40:
                return (50.0, "more")
            case 45:
                return 60.0
            case 50:
                return -trade.stake_amount / 3
        return None
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder(tmp_path_factory.mktemp("paper"), 120, max_open_trades=3)


def adjusting(folder: Folder, tmp_path: Path, body: str = BODY) -> PaperDesk:
    desk = desk_of(folder, tmp_path, body)
    assert what(play(desk, folder)) == ENTRIES
    return desk


def step(desk: PaperDesk, folder: Folder, row: int) -> list[tuple[str, str, str]]:
    return what(play(desk, folder, FIRST + row, FIRST + row + 1))


def trade_of(desk: PaperDesk, pair: str = A) -> LocalTrade:
    register = desk.agent._trader.register
    (found,) = [trade for trade in (*register.open, *register.closed) if trade.pair == pair]
    return found


def price(folder: Folder, row: int) -> Decimal:
    return D(repr(float(folder.frames[A]["open"].iloc[FIRST + 1 + row])))


def test_more_and_a_part_less_are_offers_and_their_fills_orders_of_the_trade(
    folder: Folder, tmp_path: Path
) -> None:
    desk = adjusting(folder, tmp_path)
    assert step(desk, folder, 1) == [(A, "buy", "more")]
    more = desk.proposals[-1][1]
    assert not more.reduce_only
    assert abs(more.legs[0].qty * price(folder, 1) - 50) < D("0.001")
    first, second = (order.safe_amount for order in trade_of(desk).orders)
    trade = trade_of(desk)
    assert trade.amount == pytest.approx(first + second, abs=1e-12)
    assert trade.stake_amount == pytest.approx(150, rel=1e-6)
    between = sorted((float(price(folder, 0)), float(price(folder, 1))))
    assert between[0] < trade.open_rate < between[1]
    # ... twice is one more than it allows itself
    assert step(desk, folder, 2) == []
    assert step(desk, folder, 3) == [(A, "sell", "partial_exit")]
    part = desk.proposals[-1][1]
    assert part.reduce_only
    assert part.legs[0].qty == (D(repr(first + second)) / 3).quantize(LOT, ROUND_FLOOR)
    assert trade_of(desk).is_open
    left = trade_of(desk).amount
    assert left == pytest.approx(float(D(repr(first + second)) - part.legs[0].qty), abs=1e-12)
    assert set(step(desk, folder, 4)) == {(pair, "sell", "twenty_later") for pair in (A, B, C)}
    (rest,) = [bid for _, bid in desk.proposals[-3:] if bid.symbol == A]
    assert float(rest.legs[0].qty) == left
    assert [o.ft_order_tag for o in trade_of(desk).orders] == [
        "half_hour", "more", "partial_exit", "twenty_later",
    ]  # fmt: skip
    assert not trade_of(desk).is_open
    assert not desk.faults


def test_addition_that_was_refused_leaves_the_trade_as_it_was(folder: Folder, tmp_path: Path) -> None:
    desk = adjusting(folder, tmp_path)
    amount, rate = trade_of(desk).amount, trade_of(desk).open_rate
    desk.denied = frozenset({A})
    assert step(desk, folder, 1) == [(A, "buy", "more")]
    assert (trade_of(desk).amount, trade_of(desk).open_rate) == (amount, rate)
    assert trade_of(desk).is_open
    assert not desk.agent._trader._gone
    # It does not count as one it had, and one without a tag says what it is.
    desk.denied = frozenset()
    assert step(desk, folder, 2) == [(A, "buy", "pos_adjust")]
    assert trade_of(desk).stake_amount == pytest.approx(160, rel=1e-6)


def test_part_that_was_not_sold_stays_and_the_exit_sells_all(folder: Folder, tmp_path: Path) -> None:
    desk = adjusting(folder, tmp_path)
    step(desk, folder, 1)
    step(desk, folder, 2)
    amount = trade_of(desk).amount
    desk.denied = frozenset({A})
    assert step(desk, folder, 3) == [(A, "sell", "partial_exit")]
    assert trade_of(desk).amount == amount
    assert trade_of(desk).exit_reason is None
    desk.denied = frozenset()
    step(desk, folder, 4)
    (rest,) = [bid for _, bid in desk.proposals[-3:] if bid.symbol == A]
    assert float(rest.legs[0].qty) == amount


def test_part_of_an_addition_and_of_a_partial_exit_is_what_was_filled(folder: Folder, tmp_path: Path) -> None:
    desk = adjusting(folder, tmp_path)
    amount = D(repr(trade_of(desk).amount))
    desk.part = D("0.25")
    step(desk, folder, 1)
    more = (desk.proposals[-1][1].legs[0].qty * desk.part).quantize(LOT)
    assert trade_of(desk).amount == float(amount + more)
    step(desk, folder, 2)
    assert step(desk, folder, 3) == [(A, "sell", "partial_exit")]
    less = (desk.proposals[-1][1].legs[0].qty * desk.part).quantize(LOT)
    assert trade_of(desk).amount == float(amount + more - less)
    assert trade_of(desk).is_open
    assert trade_of(desk).exit_reason is None


def test_fee_taken_out_of_every_entry_is_not_sold(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path, BODY)
    desk.fee_in_base = True
    entries = [*play(desk, folder), *play(desk, folder, FIRST + 1, FIRST + 2)]
    bought = [bid.legs[0].qty * D("0.999") for bid in entries if bid.symbol == A]
    assert len(bought) == 2
    assert trade_of(desk).amount == float(sum(bought).quantize(LOT, ROUND_FLOOR))


def test_addition_is_not_made_where_only_reductions_are_asked(folder: Folder, tmp_path: Path) -> None:
    desk = adjusting(folder, tmp_path)
    (batch,) = folder.batches(FIRST + 1, FIRST + 2)
    desk.now = batch.t
    (said,) = desk.tell(batch)
    assert isinstance(said, Analysed)
    assert [ready.symbol for ready in said.ready] == [A]
    desk.negotiate(A, reduce_only=True)
    assert desk.refusals[-1].code == "reduce_only"
    assert what(play(desk, folder, FIRST + 2, FIRST + 3)) == [(A, "buy", "pos_adjust")]


def test_position_is_not_adjusted_inside_a_candle_or_after_a_gap(folder: Folder, tmp_path: Path) -> None:
    desk = adjusting(folder, tmp_path)
    t = folder.t_ms(FIRST + 2) - 1000
    inside = MarketBatch(step=99, t=t * NS, books=folder.books(FIRST + 1))
    assert desk.play(inside) == []
    (_, _, batch) = folder.batches(FIRST + 1, FIRST + 4)
    assert desk.play(batch) == []  # the candles between are missing


def test_strategy_is_told_what_more_costs_and_what_less_brings(folder: Folder, tmp_path: Path) -> None:
    body = """
    position_adjustment_enable = True

    def adjust_trade_position(self, trade, current_rate, current_entry_rate, current_exit_rate, **_):
        return (50.0, f"{current_rate} {current_entry_rate} {current_exit_rate}")
"""
    desk = adjusting(folder, tmp_path, body)
    (batch,) = folder.batches(FIRST + 1, FIRST + 2)
    spread = Book(symbol=A, t=batch.t, seq=1, bids=((10.0, 1e9),), asks=((10.5, 1e9),))
    bids = desk.play(MarketBatch(step=batch.step, t=batch.t, bars=batch.bars, books=(spread,)))
    assert what(bids)[0] == (A, "buy", "10.5 10.5 10.0")
    assert D("10.5") < bids[0].legs[0].limit_px < D("10.51")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("float('nan')", "ValueError: a stake must be a number, was nan"),
        ("(-float('inf'), 'x')", "ValueError: a stake must be a number, was -inf"),
    ],
)
def test_answer_that_cannot_be_relied_on_adjusts_nothing_and_is_told(
    answer: str, told: str, folder: Folder, tmp_path: Path
) -> None:
    body = f"""
    position_adjustment_enable = True

    def adjust_trade_position(self, trade, current_time, **_):
        return {answer} if trade.pair == "AAA/USDT" else 20.0
"""
    desk = adjusting(folder, tmp_path, body)
    assert step(desk, folder, 1) == [(B, "buy", "pos_adjust"), (C, "buy", "pos_adjust")]
    assert desk.faults == [f"{A} adjust_trade_position: {told}"]


def test_exit_comes_before_an_adjustment_of_the_same_trade(folder: Folder, tmp_path: Path) -> None:
    body = BODY.replace("case 50", "case 55") + "\n    stoploss = -0.02\n"
    desk = adjusting(folder, tmp_path, body)
    low = float(price(folder, 0)) * 0.9
    (batch,) = folder.batches(FIRST + 1, FIRST + 2)
    books = (book(A, low, batch.t), *batch.books[1:])
    bids = desk.play(MarketBatch(step=batch.step, t=batch.t, bars=batch.bars, books=books))
    assert what(bids) == [(A, "sell", "stop_loss")]  # not "more", which it would have bought


def test_agent_restored_at_any_message_goes_on_adjusting(folder: Folder, tmp_path: Path) -> None:
    lived = adjusting(folder, tmp_path)
    for row in range(1, 5):
        step(lived, folder, row)
    agent = make_paper_agent(folder, "Clockwork", FIRST, strategy_path=str(tmp_path))
    for nth, (message, context) in enumerate(lived.told):
        other = make_paper_agent(folder, "Clockwork", FIRST, strategy_path=str(tmp_path))
        other.restore(agent.snapshot())
        said = list(agent.handle(message, context))
        assert list(other.handle(message, context)) == said, f"message {nth}, {type(message).__name__}"
        assert other.snapshot() == agent.snapshot(), f"message {nth}, {type(message).__name__}"
        agent = other  # the killed one never comes back
    assert agent.snapshot() == lived.agent.snapshot()
    assert len(trade_of(PaperDesk(agent)).orders) == 4
