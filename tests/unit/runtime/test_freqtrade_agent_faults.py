"""A freqtrade strategy whose own code fails, or that asks for what paper cannot do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.errors import ConfigError, UserError
from parley.messages import MarketBatch
from tests.kit.freqtrade_folder import futures_candles, walk, write_config
from tests.kit.paper_desk import NS, Folder, book, make_folder, make_paper_agent
from tests.kit.paper_strategies import ENTRIES, FIRST, desk_of, play, what

D = Decimal
A, B, C = "AAA/USDT", "BBB/USDT", "CCC/USDT"
HEAD = """
    def {name}(self, *given, **named):
        if {when}:
            raise ValueError("broken on purpose")
        return {answer}
"""
ONLY_A = 'named.get("pair", "") == "AAA/USDT"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder(tmp_path_factory.mktemp("paper"), 120, max_open_trades=3)


# callbacks that fail


@pytest.mark.parametrize(
    ("name", "answer"),
    [("confirm_trade_entry", "True"), ("custom_entry_price", 'named["proposed_rate"]'),
     ("custom_stake_amount", 'named["proposed_stake"]')],
)  # fmt: skip
def test_entry_whose_callback_raises_is_refused_and_told(
    name: str, answer: str, folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path, HEAD.format(name=name, when=ONLY_A, answer=answer))
    assert what(play(desk, folder)) == ENTRIES[1:]
    assert desk.faults == [f"{A} {name}: ValueError: broken on purpose"]
    assert [trade.pair for trade in desk.agent._trader.register.open] == [B, C]


def test_entry_whose_callback_raises_is_made_where_errors_default(folder: Folder, tmp_path: Path) -> None:
    body = HEAD.format(name="confirm_trade_entry", when=ONLY_A, answer="True")
    desk = desk_of(folder, tmp_path, body, errors="default")
    assert what(play(desk, folder)) == ENTRIES
    assert desk.faults == []
    assert desk.agent._trader.guard.defaulted.counts == {"confirm_trade_entry": 1}


@pytest.mark.parametrize(
    ("name", "answer", "more"),
    [("custom_exit", "None", ""), ("custom_stoploss", "None", "    use_custom_stoploss = True\n"),
     ("custom_roi", "None", "    use_custom_roi = True\n")],
)  # fmt: skip
def test_exit_whose_callback_raises_is_refused_and_told_at_every_look(
    name: str, answer: str, more: str, folder: Folder, tmp_path: Path
) -> None:
    body = "\n" + more + HEAD.format(name=name, when=ONLY_A, answer=answer)
    desk = desk_of(folder, tmp_path, body)
    assert what(play(desk, folder)) == ENTRIES
    stop = [trade.stop_loss for trade in desk.agent._trader.register.open]
    play(desk, folder, FIRST + 1, FIRST + 2)
    assert desk.faults == [f"{A} {name}: ValueError: broken on purpose"]
    assert [trade.stop_loss for trade in desk.agent._trader.register.open] == stop
    exits = play(desk, folder, FIRST + 2, FIRST + 5)
    # `custom_exit` is not asked where the exit signal speaks already
    assert what(exits) == [
        (p, "sell", "twenty_later") for p in ((A, B, C) if name == "custom_exit" else (B, C))
    ]
    assert set(desk.faults) == {f"{A} {name}: ValueError: broken on purpose"}


def test_exit_that_cannot_be_confirmed_is_refused(folder: Folder, tmp_path: Path) -> None:
    desk = desk_of(folder, tmp_path, HEAD.format(name="confirm_trade_exit", when=ONLY_A, answer="True"))
    play(desk, folder)
    assert what(play(desk, folder, FIRST + 1, FIRST + 5)) == [(p, "sell", "twenty_later") for p in (B, C)]
    assert [trade.pair for trade in desk.agent._trader.register.open] == [A]


def test_analysis_that_raises_gives_no_entry_of_its_pair(folder: Folder, tmp_path: Path) -> None:
    body = """
    def populate_indicators(self, dataframe, metadata):
        if metadata["pair"] == "AAA/USDT" and dataframe["date"].iloc[-1].minute in (30, 50):
            raise KeyError("no such column")
        dataframe["minute"] = dataframe["date"].dt.minute
        return dataframe
"""
    desk = desk_of(folder, tmp_path, body)
    assert what(play(desk, folder)) == ENTRIES[1:]
    assert desk.faults == [f"{A} analysis: KeyError: 'no such column'"]
    play(desk, folder, FIRST + 1, FIRST + 6)
    assert what(play(desk, folder, FIRST + 6, FIRST + 7)) == ENTRIES  # 03:00 is well again
    # 03:20 as well: nothing of the failure is left
    assert what(play(desk, folder, FIRST + 7, FIRST + 11)) == [(p, "sell", "twenty_later") for p in (A, B, C)]


def test_exit_signal_of_a_failed_analysis_is_not_obeyed_but_the_stop_is(
    folder: Folder, tmp_path: Path
) -> None:
    body = """
    stoploss = -0.03

    def populate_indicators(self, dataframe, metadata):
        if metadata["pair"] == "AAA/USDT" and dataframe["date"].iloc[-1].minute == 50:
            raise KeyError("no such column")
        dataframe["minute"] = dataframe["date"].dt.minute
        return dataframe
"""
    desk = desk_of(folder, tmp_path, body)
    play(desk, folder)
    assert what(play(desk, folder, FIRST + 1, FIRST + 5)) == [(p, "sell", "twenty_later") for p in (B, C)]
    t = folder.t_ms(FIRST + 5) + 60_000
    low = folder.frames[A]["open"].iloc[FIRST + 1] * 0.95
    assert what(desk.play(MarketBatch(step=99, t=t * NS, books=(book(A, low),)))) == [
        (A, "sell", "stop_loss")
    ]


@pytest.mark.parametrize(
    ("name", "answer"), [("custom_entry_price", "float('nan')"), ("custom_stake_amount", "-5.0")]
)
def test_number_that_is_none_is_refused_whatever_the_setting(
    name: str, answer: str, folder: Folder, tmp_path: Path
) -> None:
    body = HEAD.format(name=name, when="False", answer=answer)
    desk = desk_of(folder, tmp_path, body, errors="default")
    assert play(desk, folder) == []
    assert len(desk.faults) == 3
    assert all(name in line and "ValueError" in line for line in desk.faults)


def test_callback_that_fails_while_a_fill_is_booked_does_not_undo_the_fill(
    folder: Folder, tmp_path: Path
) -> None:
    desk = desk_of(folder, tmp_path, HEAD.format(name="order_filled", when="True", answer="None"))
    play(desk, folder)
    assert [trade.amount > 0 for trade in desk.agent._trader.register.open] == [True] * 3
    play(desk, folder, FIRST + 1, FIRST + 2)
    assert desk.faults == [f"{pair} order_filled: ValueError: broken on purpose" for pair in (A, B, C)]


def test_loop_that_cannot_begin_enters_nothing_and_still_leaves(folder: Folder, tmp_path: Path) -> None:
    body = HEAD.format(name="bot_loop_start", when='named["current_time"].minute == 35', answer="None")
    desk = desk_of(folder, tmp_path, body)
    assert play(desk, folder) == []
    assert desk.faults == ["* bot_loop_start: ValueError: broken on purpose"]


# at the start


@pytest.mark.parametrize(
    ("body", "over", "told"),
    [
        ("", {"timeframe_detail": "1m"}, "timeframe_detail"),
        ("", {"timeframe": "1h"}, "the timeframe must be that of the desk"),
        (
            "\n    def informative_pairs(self):\n        return [('XRP/USDT', '1h')]\n",
            {},
            "no candles of XRP",
        ),
        ("\n    def bot_start(self):\n        raise ValueError('not today')\n", {}, "not today"),
    ],
)
def test_what_paper_cannot_do_is_refused_by_name(
    body: str, over: dict[str, Any], told: str, folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        desk_of(folder, tmp_path, body, **over)


def test_futures_are_refused_by_name(tmp_path: Path) -> None:
    futures_candles(tmp_path / "data", 120)
    pairs = ["AAA/USDT:USDT", "BBB/USDT:USDT"]
    write_config(
        tmp_path / "config.json", trading_mode="futures", margin_mode="isolated",
        exchange={"pair_whitelist": pairs},
    )  # fmt: skip
    frames = {pair: walk(1, 120) for pair in pairs}
    with pytest.raises(UserError, match="trading_mode must be 'spot'"):
        desk_of(Folder(tmp_path, tuple(pairs), frames), tmp_path)


def test_unknown_option_names_the_nearest(folder: Folder) -> None:
    with pytest.raises(ConfigError, match="strategy_path"):
        make_paper_agent(folder, "Clockwork", FIRST, strategy_pat="x")
