"""The journal of a desk's backtest beside the strategy's own: no divergence, and each injected one told.

A seat's words have the shape of those of a strategy in paper; here they are changed before they are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from typer.testing import CliRunner

from freqtrade_bridge.options import Options
from parley.errors import UserError
from runtime.cli import app
from runtime.desk_strategies import run_seated_backtest
from runtime.history import config_of, entries
from runtime.journal import JournalReader
from runtime.settings import load_settings
from runtime.shadow import Shadow, shadow_of, strategies_of
from runtime.shadow_journal import HEARD
from runtime.shadow_words import Order
from runtime.watching import UNWATCHED
from tests.kit.freqtrade_folder import STRATEGIES, spot_candles, write_config

CANDLE_MS = 300_000
QUIET = (
    "TrendCross",
    "BandReversion",
    "GuardedDips",
    "OldNames",
    "TimedExit",
    "Gatekeeper",
    "ChannelBreakout",
)
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shadow")
    spot_candles(made / "candles", 1200)
    (made / "user").mkdir()
    write_config(made / "config.json")
    return made


def journal(folder: Path, *names: str, consent: bool = True) -> Path:
    """Return the journal of a desk's backtest of some strategies, which is run when first asked for."""
    path = folder / f"{'-'.join(names)}-{consent}.journal"
    if not path.exists():
        options = Options(
            user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
            strategy_list=names, strategy_path=STRATEGIES,
        )  # fmt: skip
        run_seated_backtest(load_settings(None, {"journal": path}), options, UNWATCHED, consent=consent)
    return path


def given(folder: Path, **over: Any) -> dict[str, Any]:
    return {
        "config": (folder / "config.json",), "datadir": folder / "candles", "strategy_path": STRATEGIES,
        "user_data_dir": folder / "user", **over,
    }  # fmt: skip


def beside(
    folder: Path, path: Path, disturb: Callable[[list[Order]], None] = lambda orders: None, **over: Any
) -> Shadow:
    with JournalReader(path) as reader:
        run = config_of(reader)
        heard = strategies_of(reader, run)
        heard.take(entries(reader, HEARD))
    for each in heard.strategies.values():
        disturb(each.orders)
    return shadow_of(run, heard, given(folder, **over))


def told(found: Shadow) -> list[tuple[str, str]]:
    return [
        (each.pair, each.cause)
        for strategy in found.strategies
        for each in strategy.compared.divergences
        if not each.follows
    ]


def entry(orders: list[Order], pair: str) -> Order:
    """A filled entry in the middle of the run."""
    of_pair = [
        each for each in orders if each.proposal.symbol == pair and each.proposal.legs[0].side == "buy"
    ]
    return of_pair[len(of_pair) // 2]


def late(order: Order) -> None:
    order.t_ms += CANDLE_MS


def dear(order: Order) -> None:
    order.cost *= Decimal("1.01")


def short(order: Order) -> None:
    order.filled, order.cost = order.filled / 2, order.cost / 2


def taxed(order: Order) -> None:
    order.fee *= 2


def candles_with_another(folder: Path, made: Path, pair: str, row: int, by: float) -> Path:
    """Copy the data folder; one close (and high) is another there, by a part of it."""
    made.mkdir()
    for path in (folder / "candles").iterdir():
        frame = pd.read_feather(path)
        if path.name == f"{pair.replace('/', '_')}-5m.feather":
            frame.loc[row, ["close", "high"]] *= 1 + by
            frame.loc[row, "high"] = frame.loc[row, ["open", "high", "close"]].max()
        frame.to_feather(made / path.name)
    return made


def deaf_to(pair: str, made: Path) -> Path:
    """Copy a strategy that sees no entry of one pair any more."""
    made.mkdir()
    text = (STRATEGIES / "trend_cross.py").read_text()
    old = "        crossed = above & ~above.shift(1, fill_value=False)\n        rising"
    assert old in text
    new = old.replace("\n", f' & (metadata["pair"] != "{pair}")\n', 1)
    (made / "trend_cross.py").write_text(text.replace(old, new))
    return made


@pytest.mark.parametrize(
    "name", [*QUIET[:2], *(pytest.param(name, marks=pytest.mark.long) for name in QUIET[2:])]
)
def test_run_that_nobody_disturbed_has_no_divergence(name: str, folder: Path) -> None:
    found = beside(folder, journal(folder, name))
    (one,) = found.strategies
    assert one.compared.divergences == ()
    assert one.compared.entries == one.reference_trades >= 3
    assert one.compared.exits > 0
    assert one.compared.mean_slippage_bps == pytest.approx(0.0, abs=1e-6)
    assert one.changes == ()


def test_several_strategies_are_each_laid_beside_their_own(folder: Path) -> None:
    found = beside(folder, journal(folder, "TrendCross", "BandReversion", "ChannelBreakout"))
    assert [each.strategy for each in found.strategies] == ["TrendCross", "BandReversion", "ChannelBreakout"]
    assert told(found) == []


@pytest.mark.parametrize(
    ("how", "cause"), [(late, "latency"), (dear, "fill"), (short, "fill"), (taxed, "fill")]
)
def test_one_disturbed_order_is_one_divergence_of_its_cause(
    how: Callable[[Order], None], cause: str, folder: Path
) -> None:
    found = beside(folder, journal(folder, "TrendCross"), lambda orders: how(entry(orders, "BBB/USDT")))
    assert told(found) == [("BBB/USDT", cause)]


def test_changed_candle_of_the_reference_is_data(folder: Path, tmp_path: Path) -> None:
    other = candles_with_another(folder, tmp_path / "other", "AAA/USDT", 700, 0.04)
    found = beside(folder, journal(folder, "TrendCross"), datadir=other)
    assert {cause for _, cause in told(found)} == {"data"}
    assert told(found)[0][0] == "AAA/USDT"
    (change,) = found.strategies[0].changes
    assert change.pair == "AAA/USDT"
    assert change.what.startswith(("high", "close"))
    assert found.is_alarming


def test_changed_strategy_is_code(folder: Path, tmp_path: Path) -> None:
    changed = deaf_to("BBB/USDT", tmp_path / "changed")
    found = beside(folder, journal(folder, "TrendCross"), strategy_path=changed)
    assert told(found)
    assert set(told(found)) == {("BBB/USDT", "code")}


def test_desk_that_cuts_and_refuses_is_desk_and_no_alarm(folder: Path) -> None:
    found = beside(folder, journal(folder, "TrendCross", consent=False))
    assert {cause for _, cause in told(found)} == {"desk"}
    assert len(told(found)) > 10
    assert not found.is_alarming


def test_three_causes_in_one_run_are_each_attributed(folder: Path, tmp_path: Path) -> None:
    other = candles_with_another(folder, tmp_path / "other", "AAA/USDT", 700, 0.04)

    def disturb(orders: list[Order]) -> None:
        late(entry(orders, "BBB/USDT"))
        dear(entry(orders, "CCC/USDT"))

    found = beside(folder, journal(folder, "TrendCross"), disturb, datadir=other)
    assert {cause for pair, cause in told(found) if pair == "AAA/USDT"} == {"data"}
    assert [each for each in told(found) if each[0] != "AAA/USDT"] in (
        [("BBB/USDT", "latency"), ("CCC/USDT", "fill")],
        [("CCC/USDT", "fill"), ("BBB/USDT", "latency")],
    )


# the command


def command(*words: str) -> Any:
    return CliRunner().invoke(app, ["shadow", *words])


def words_for(folder: Path, path: Path, **over: Path) -> list[str]:
    paths = {"datadir": folder / "candles", "strategy-path": STRATEGIES, "userdir": folder / "user"} | over
    named = [word for name, place in paths.items() for word in (f"--{name}", str(place))]
    return ["--journal", str(path), "--config", str(folder / "config.json"), *named]


def test_command_shows_causes_and_its_exit_code_is_about_defects(folder: Path, tmp_path: Path) -> None:
    clean = command(*words_for(folder, journal(folder, "TrendCross")))
    assert clean.exit_code == 0
    assert "divergences: none" in clean.stdout
    changed = deaf_to("BBB/USDT", tmp_path / "changed")
    asked = words_for(folder, journal(folder, "TrendCross"), **{"strategy-path": changed})
    shown = command(*asked)
    assert shown.exit_code == 1
    assert "code" in shown.stdout
    assert "BBB/USDT: the run enters at" in shown.stdout
    answer = json.loads(command(*asked, "--json").stdout)
    (strategy,) = answer["strategies"]
    assert strategy["counts"]["code"] == len([d for d in strategy["divergences"] if not d["follows"]]) > 0
    followed = command(*asked, "--follow", "--every", "0.5")  # of a run that is over: what there is, once
    assert followed.exit_code == 1


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"datadir": Path("/nowhere")}, "the run's folder of candles '/nowhere' is gone"),
        ({"strategy-path": Path("/nowhere")}, "the run's folder of strategies '/nowhere' is gone"),
    ],
)
def test_what_is_gone_is_named(over: dict[str, Path], says: str, folder: Path) -> None:
    shown = command(*words_for(folder, journal(folder, "TrendCross"), **over))
    assert shown.exit_code == 2
    assert says in shown.stderr


def test_strategy_that_ends_the_process_is_one_line_with_its_name(folder: Path, tmp_path: Path) -> None:
    text = (STRATEGIES / "trend_cross.py").read_text()
    quits = "\n    def confirm_trade_entry(self, **kwargs):\n        raise SystemExit(0)\n"
    (tmp_path / "trend_cross.py").write_text(f"{text.rstrip()}\n{quits}")
    shown = command(
        *words_for(folder, journal(folder, "TrendCross"), **{"strategy-path": tmp_path}), "--json"
    )
    assert (shown.exit_code, shown.stdout) == (2, "")
    (line,) = shown.stderr.splitlines()
    assert line.startswith("parley: strategy 'TrendCross' (")
    assert "must not end the process, raised SystemExit(0)" in line


def test_strategys_own_exit_of_that_name_is_not_the_end(folder: Path, tmp_path: Path) -> None:
    strategies = tmp_path / "strategies"
    strategies.mkdir()
    text = (STRATEGIES / "trend_cross.py").read_text().replace("class TrendCross", "class Forces")
    own = (
        "\n    def custom_exit(self, pair, current_profit, **kwargs):\n"
        "        return 'force_exit' if pair == 'AAA/USDT' and current_profit > 0.002 else None\n"
    )
    (strategies / "forces.py").write_text(f"{text.rstrip()}\n{own}")
    path = tmp_path / "forces.journal"
    options = Options(
        user_data_dir=folder / "user", config=(folder / "config.json",), datadir=folder / "candles",
        strategy_list=("Forces",), strategy_path=strategies,
    )  # fmt: skip
    _, (player,) = run_seated_backtest(
        load_settings(None, {"journal": path}), options, UNWATCHED, consent=True
    )
    forced = player.trades[player.trades["exit_reason"] == "force_exit"]["close_timestamp"]
    assert (forced < forced.max()).sum() > 3
    (one,) = beside(folder, path, strategy_path=strategies).strategies
    assert one.compared.divergences == ()
    assert one.compared.exits > len(forced) - 3


def test_journal_that_does_not_say_how_it_ran_asks_for_it(folder: Path) -> None:
    shown = command("--journal", str(journal(folder, "TrendCross")))
    assert shown.exit_code == 2
    assert "give --config, --datadir and --strategy-path" in shown.stderr


def test_run_without_freqtrade_strategies_is_refused(folder: Path) -> None:
    with JournalReader(journal(folder, "TrendCross")) as reader:
        run = config_of(reader)
        with pytest.raises(UserError, match="no freqtrade strategy to shadow, its strategies are: none"):
            strategies_of(reader, msgspec.structs.replace(run, agents=()))
