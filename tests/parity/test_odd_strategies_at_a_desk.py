"""Strategies at a desk that are not what one expects, and that none of them knows what comes later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from backtest.seated import SeatedStrategy
from freqtrade_bridge.options import Options
from parley.errors import UserError
from parley.messages import Decision, decode, decode_envelope
from runtime.desk_backtest import DeskResult
from runtime.desk_strategies import alone, run_seated_backtest
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.settings import load_settings
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import START, STRATEGIES, spot_candles, write_config

# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)
ODD = """
import sys

from freqtrade.strategy import IStrategy


class Often(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {"0": 0.5}
    stoploss = -0.2

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe.index % 20 == 3, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe


class Forces(Often):
    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        if (current_time - trade.open_date_utc).total_seconds() >= 3000:
            return "force_exit"
        return None


class Moves(Often):
    def bot_loop_start(self, current_time, **kwargs):
        self.stoploss = -0.01 if current_time.hour % 2 else -0.2


class Quits(Often):
    def confirm_trade_entry(self, pair, **kwargs):
        sys.exit(0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("odd")
    spot_candles(made / "candles", 900)
    (made / "user" / "strategies").mkdir(parents=True)
    (made / "user" / "strategies" / "odd.py").write_text(ODD)
    write_config(made / "config.json")
    return made


def options(folder: Path, *names: str) -> Options:
    return Options(
        user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
        strategy_list=names,
    )  # fmt: skip


def at_the_desk(
    chosen: Options, journal: Path, *, consent: bool = True
) -> tuple[DeskResult, list[SeatedStrategy]]:
    settings = load_settings(None, {"journal": journal})
    return run_seated_backtest(settings, chosen, UNWATCHED, consent=consent)


def test_an_exit_called_like_the_one_at_the_end_is_not_sold_twice(folder: Path, tmp_path: Path) -> None:
    result, (player,) = at_the_desk(options(folder, "Forces"), tmp_path / "desk.journal")

    assert (player.trades["exit_reason"] == "force_exit").sum() > 20
    assert player.left == 0
    assert result.ledger_equals_exchange
    assert {name for name, amount in result.assets.items() if amount} == {"USDT"}  # nothing is held


@pytest.mark.parametrize(
    ("name", "why"), [("Moves", "changes its stoploss while it runs"), ("Quits", "must not end the process")]
)
def test_who_cannot_sit_there_is_named(name: str, why: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"strategy '{name}' .*{why}"):
        at_the_desk(options(folder, "Often", name), tmp_path / "desk.journal")
    with pytest.raises(UserError, match=rf"strategy '{name}' .*{why}"):
        alone(options(folder, "Often", name), UNWATCHED, foresight=False)


def test_no_decision_about_a_strategys_offer_knows_the_future(folder: Path, tmp_path: Path) -> None:
    # The same candles up to noon, and others after it: until then nothing may differ.
    noon = START + pd.Timedelta(hours=36)
    other = tmp_path / "candles"
    other.mkdir()
    for path in (folder / "candles").glob("*.feather"):
        frame = pd.read_feather(path)
        later = frame.index[frame["date"] >= noon]
        prices = ["open", "high", "low", "close"]
        first = frame.loc[later[0], "open"]
        frame.loc[later, prices] = frame.loc[later[::-1], prices].to_numpy()
        frame.loc[later[0], prices] = first  # the opening at noon is known at noon, and nothing else
        frame.to_feather(other / path.name)
    told = []
    names = ("TrendCross", "BandReversion", "Averaging")
    for number, candles in enumerate((folder / "candles", other)):
        chosen = replace(options(folder, *names), datadir=candles, strategy_path=STRATEGIES)
        result, _ = at_the_desk(chosen, tmp_path / f"{number}.journal", consent=False)
        told.append((decisions(result.journal), result.summary.fingerprint))
    (before, one), (then, two) = told
    until = int(noon.timestamp()) * 10**9

    assert len([each for each in before if each.t <= until]) > 20
    assert [each for each in before if each.t <= until] == [each for each in then if each.t <= until]
    assert one != two


def decisions(journal: Path) -> list[Decision]:
    with JournalReader(journal) as reader:
        found = [decode(decode_envelope(each.body).body) for each in reader.records(kinds=kinds("Decision"))]
    return [each for each in found if isinstance(each, Decision)]
