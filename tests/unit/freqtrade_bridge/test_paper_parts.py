"""The parts under a freqtrade strategy in paper: candles as they come, market time, trades in lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from freqtrade.persistence import LocalTrade, PairLocks, Trade, pairlock_middleware
from freqtrade.strategy import interface
from freqtrade.util import datetime_helpers, dt_now

from freqtrade_bridge.paper.clock import market_time
from freqtrade_bridge.paper.register import CHANGING, PaperTrade, Register
from freqtrade_bridge.paper.saved import PACK, load_register, save_register, save_trade
from freqtrade_bridge.paper.window import Candle, Window
from tests.kit.freqtrade_folder import hourly, walk
from tests.kit.paper_desk import PaperDesk, make_folder, make_paper_agent
from tests.kit.paper_strategies import write_strategy

PAIR = "AAA/USDT"
STEP = 300_000
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


def candles(frame: pd.DataFrame) -> list[Candle]:
    return [
        Candle(PAIR, int(row.date.timestamp() * 1000), row.open, row.high, row.low, row.close, row.volume)
        for row in frame.itertuples()
    ]


def window(frame: pd.DataFrame, begin: int, limit: int = 100, hours: pd.DataFrame | None = None) -> Window:
    first = int(frame["date"].iloc[begin].timestamp() * 1000)
    return Window("5m", {PAIR: frame.iloc[:begin]}, limit, {(PAIR, "1h"): hours}, first)


def test_history_ends_where_the_run_begins_even_if_more_is_stored() -> None:
    frame = walk(1, 60)
    begin = int(frame["date"].iloc[20].timestamp() * 1000)
    made = Window("5m", {PAIR: frame}, 100, {}, begin)
    assert made.count(PAIR) == 20
    assert made.last_ms(PAIR) == begin - STEP


def test_frame_of_told_candles_is_the_stored_one() -> None:
    frame = walk(1, 60)
    made = window(frame, 20)
    for candle in candles(frame)[20:]:
        assert made.add(candle, candle.t_ms + STEP) == ""
    pd.testing.assert_frame_equal(made.frame(PAIR), frame.reset_index(drop=True))


def test_window_forgets_its_oldest_candles() -> None:
    frame = walk(1, 60)
    made = window(frame, 20, limit=30)
    for candle in candles(frame)[20:]:
        made.add(candle, candle.t_ms + STEP)
    pd.testing.assert_frame_equal(made.frame(PAIR), frame.iloc[30:].reset_index(drop=True))


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "made"])
@pytest.mark.parametrize("begin", [24, 31])
def test_hours_are_made_of_the_told_candles(stored: bool, begin: int) -> None:
    frame = walk(1, 60)
    hours = hourly(frame)
    made = window(frame, begin, hours=hours if stored else None)
    for row, candle in enumerate(candles(frame)[begin:], begin):
        made.add(candle, candle.t_ms + STEP)
        whole = hours.iloc[: (row + 1) // 12].reset_index(drop=True)
        found = made.frame(PAIR, "1h")
        assert list(found["date"]) == list(whole["date"])
        for name in ("open", "high", "low", "close", "volume"):
            assert list(found[name]) == pytest.approx(list(whole[name]))


def test_candle_that_has_not_closed_is_not_taken() -> None:
    frame = walk(1, 60)
    made = window(frame, 20)
    candle = candles(frame)[20]
    assert made.add(candle, candle.t_ms + STEP - 1) == "unfinished"
    assert made.count(PAIR) == 20


def test_gap_is_filled_and_told() -> None:
    frame = walk(1, 60)
    made = window(frame, 20)
    late = candles(frame)[23]
    assert made.add(late, late.t_ms + STEP) == "gap"
    found = made.frame(PAIR).iloc[-4:]
    before = frame["close"].iloc[19]
    assert list(found["volume"])[:3] == [0.0] * 3
    assert list(found["close"])[:3] == [before] * 3
    assert list(found["date"].diff().dropna().dt.total_seconds()) == [300.0] * 3


def test_gap_longer_than_the_window_begins_anew() -> None:
    frame = walk(1, 200)
    made = window(frame, 20, limit=50)
    late = candles(frame)[150]
    assert made.add(late, late.t_ms + STEP) == "gap"
    assert made.count(PAIR) == 1


def test_told_candles_survive_a_restart() -> None:
    frame = walk(1, 60)
    made = window(frame, 20)
    for candle in candles(frame)[20:41]:
        made.add(candle, candle.t_ms + STEP)
    other = window(frame, 20)
    other.take_told(made.told())
    pd.testing.assert_frame_equal(other.frame(PAIR), made.frame(PAIR))
    pd.testing.assert_frame_equal(other.frame(PAIR, "1h"), made.frame(PAIR, "1h"))
    assert other.told() == made.told()


def test_freqtrade_sees_market_time_inside_and_the_computer_s_outside() -> None:
    with market_time(NOW):
        assert dt_now() == NOW
        with market_time(NOW + timedelta(hours=1)):
            assert dt_now() == NOW + timedelta(hours=1)
        assert dt_now() == NOW
        assert type(dt_now()) is datetime
    for module in (datetime_helpers, pairlock_middleware, interface):
        assert vars(module)["datetime"] is datetime


def test_two_registers_do_not_see_each_other_and_leave_nothing_behind() -> None:
    one, other = Register("5m"), Register("5m")
    with one.opened(), market_time(NOW):
        trade = PaperTrade(pair=PAIR, open_rate=1.0, amount=1.0, open_date=NOW, is_open=True)
        one.number(trade)
        trade.session.add(trade)
        PairLocks.lock_pair(PAIR, NOW + timedelta(minutes=5))
        trade.set_custom_data("seen", {"n": 1})
        assert Trade.get_open_trades() == [trade]
    with other.opened():
        assert Trade.get_open_trades() == []
        assert not PairLocks.get_all_locks()
        assert Trade.get_open_trade_count() == 0
    assert LocalTrade.bt_trades_open == []
    saved = save_register(one, NOW)
    load_register(other, saved)
    with other.opened(), market_time(NOW):
        (read,) = Trade.get_open_trades()
        assert read.get_custom_data("seen") == {"n": 1}
        assert PairLocks.is_pair_locked(PAIR)
    assert save_register(other, NOW) == saved
    assert save_register(other, NOW + timedelta(hours=1))["locks"] == []


def test_closed_trades_that_do_not_change_are_packed_once_and_come_back_equal() -> None:
    one, other = Register("5m"), Register("5m")
    sizes = []
    for count in (CHANGING + PACK - 1, CHANGING + 3 * PACK):
        while len(one.closed) < count:
            add_closed(one)
        saved = save_register(one, NOW)
        sizes.append((len(saved["packed"]), len(saved["closed"]), len(json.dumps(saved))))
    first = one.packs[0]
    add_closed(one)
    saved = save_register(one, NOW)

    assert [size[:2] for size in sizes] == [(0, CHANGING + PACK - 1), (3, CHANGING)]
    assert sizes[1][2] < sizes[0][2], "twice as many trades, and less to say"
    assert one.packs[0] is first
    load_register(other, json.loads(json.dumps(saved)))
    assert [save_trade(trade) for trade in other.closed] == [save_trade(trade) for trade in one.closed]
    assert save_register(other, NOW) == saved


def add_closed(register: Register) -> None:
    with register.opened(), market_time(NOW):
        n = len(register.closed)
        trade = PaperTrade(
            pair=PAIR, open_rate=1.0 + n / 7, amount=1.0, open_date=NOW, is_open=True, fee_open=0.001,
            fee_close=0.001, stake_amount=1.0, exchange="binance",
        )  # fmt: skip
        register.number(trade)
        trade.session.add(trade)
        trade.is_open, trade.close_date, trade.close_rate, trade.close_profit_abs = False, NOW, 1.5, n / 3
        trade.session.commit()


def test_strategy_sees_longer_candles_of_another_pair_as_they_close(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, 120, stoploss=-0.9)
    body = """
    def informative_pairs(self):
        return [("BBB/USDT", "1h")]

    def populate_indicators(self, dataframe, metadata):
        dataframe["minute"] = dataframe["date"].dt.minute
        hours = self.dp.get_pair_dataframe("BBB/USDT", "1h")
        self.seen = getattr(self, "seen", []) + [(dataframe["date"].iloc[-1], hours.copy())]
        self.stored = self.dp.historic_ohlcv("BBB/USDT", "1h")
        return dataframe
"""
    write_strategy(tmp_path / "mine", body)
    agent = make_paper_agent(folder, "Clockwork", 30, strategy_path=str(tmp_path / "mine"))
    desk = PaperDesk(agent)
    for batch in folder.batches(30, 60):
        desk.play(batch)
    strategy = agent._trader._strategy
    hours = hourly(folder.frames["BBB/USDT"])
    for last, seen in strategy.seen:
        closed = hours[hours["date"] + timedelta(hours=1) <= last + timedelta(minutes=5)]
        assert list(seen["date"]) == list(closed["date"])
        assert list(seen["close"]) == pytest.approx(list(closed["close"]))
    assert strategy.stored["date"].max() <= folder.frames["BBB/USDT"]["date"].iloc[29]
    assert not desk.faults
