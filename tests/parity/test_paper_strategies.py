"""A freqtrade strategy that hears the market candle by candle trades what its backtest trades.

Compared are entries (pair, candle, tag) and exits by the strategy's own word (pair, candle, reason), and the
amounts and prices of both, where the venue fills at the opening price. Stops and profit tables are switched
off: a backtest looks for them inside candles, a live strategy at the prices it hears of.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.preparing import prepare
from tests.kit.paper_desk import NO_STOPS, Folder, PaperDesk, make_folder, make_paper_agent, options_of

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
FORCED = "force_exit"
ROWS = 400


def of_trade(trade: Any) -> tuple[Any, ...]:
    return (
        trade.pair, str(trade.open_date)[:19], trade.open_rate, round(trade.amount, 8),
        trade.enter_tag or "",
    )  # fmt: skip


def ms_of(trade: Any) -> int:
    return int(trade.open_date.timestamp() * 1000)


def of_exit(trade: Any) -> tuple[Any, ...]:
    return (*of_trade(trade), str(trade.close_date)[:19], trade.close_rate, trade.exit_reason)


def backtest(folder: Folder, strategy: str) -> list[Any]:
    prepared = prepare(options_of(folder, strategy))
    (loaded,) = prepared.strategies
    return list(simulate_strategy(prepared, analyse(prepared, loaded)).trades.itertuples())


def orders_of(trade: Any) -> list[tuple[Any, ...]]:
    return [
        (
            o.ft_order_side,
            o.order_filled_date,
            round(o.safe_amount_after_fee, 8),
            o.safe_price,
            o.ft_order_tag,
        )
        for o in trade.orders
        if o.filled
    ]


def their_orders_of(trade: Any) -> list[tuple[Any, ...]]:
    """The same of a backtest; a part and the rest that it sells at one candle's opening are one order here.

    For live, freqtrade looks for exits before it looks for adjustments, and in a backtest after.
    """
    found: list[tuple[Any, ...]] = []
    for o in trade.orders:
        if o["ft_order_tag"] == FORCED:
            continue
        when = pd.Timestamp(o["order_filled_timestamp"], unit="ms", tz="UTC").to_pydatetime()
        order = (o["ft_order_side"], when, round(o["amount"], 8), o["safe_price"], o["ft_order_tag"])
        if found and found[-1][:2] == order[:2] == ("sell", when):
            order = (*order[:2], round(found.pop()[2] + order[2], 8), *order[3:])
        found.append(order)
    return found


def test_additions_and_partial_exits_are_those_of_the_backtest(tmp_path: Path) -> None:
    first, rows = 60, 237
    folder = make_folder(tmp_path, rows, **NO_STOPS)
    desk = PaperDesk(make_paper_agent(folder, "Averaging", first))
    for batch in folder.batches(first, rows - 1):
        desk.play(batch)
    register = desk.agent._trader.register
    last = folder.t_ms(rows - 1)
    ours = {(t.pair, ms_of(t)): orders_of(t) for t in (*register.closed, *register.open) if ms_of(t) < last}
    theirs = {(t.pair, ms_of(t)): their_orders_of(t) for t in backtest(folder, "Averaging")}
    assert min(t for _, t in theirs) > folder.t_ms(first)
    assert ours == theirs
    tags = [order[-1] for orders in ours.values() for order in orders]
    assert tags.count("third_2") >= 2
    assert tags.count("third_3") >= 1
    assert tags.count("took_half") >= 1
    assert not desk.faults


@pytest.mark.parametrize(
    "strategy",
    [
        "GuardedDips",
        pytest.param("TrendCross", marks=pytest.mark.long),
        pytest.param("BandReversion", marks=pytest.mark.long),
        pytest.param("OldNames", marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_strategy_trades_in_paper_what_it_trades_in_a_backtest(strategy: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, ROWS, **NO_STOPS)
    startup = {"TrendCross": 60, "BandReversion": 40, "OldNames": 40, "GuardedDips": 30}[strategy]
    agent = make_paper_agent(folder, strategy, startup)
    desk = PaperDesk(agent)
    for batch in folder.batches(startup, ROWS - 1):
        desk.play(batch)
    theirs = backtest(folder, strategy)
    trades = agent._trader.register
    # a backtest enters nothing at its last candle
    all_of_them, last = [*trades.closed, *trades.open], folder.t_ms(ROWS - 1)
    ours = {of_trade(trade) for trade in all_of_them if ms_of(trade) < last}
    assert ours == {of_trade(t) for t in theirs}
    assert {of_exit(t) for t in trades.closed} == {of_exit(t) for t in theirs if t.exit_reason != FORCED}
    assert len(theirs) > 3
    assert not desk.faults
