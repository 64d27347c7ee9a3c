"""A strategy on paper differs from its backtest only where rates are no highs and lows; injected causes show.

The strategy's own agent, on candles played in parts; only its process and the desk are not there
(tests/integration/test_shadow.py has both).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backtest.divergence import Divergence
from orchestrator.policy import DeskConfig
from parley.messages import MarketBatch
from runtime.run_config import RunConfig
from runtime.shadow import Shadow, shadow_of
from tests.kit.freqtrade_folder import STRATEGIES
from tests.kit.paper_desk import TF_NS, Folder, make_folder, make_paper_agent
from tests.kit.shadow_desk import ShadowedDesk, parts

STARTUP = {"TrendCross": 60, "BandReversion": 40, "OldNames": 40, "Averaging": 30}
ROWS = 320
CANDLE_MS = TF_NS // 1_000_000
# The first run after a change of a kernel compiles it, on a busy machine for minutes.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder(tmp_path_factory.mktemp("paper"), ROWS)


def desk_of(folder: Folder, name: str) -> ShadowedDesk:
    return ShadowedDesk(make_paper_agent(folder, name, STARTUP[name]), fee_in_base=True)


def batches(folder: Folder, name: str) -> Iterable[MarketBatch]:
    return parts(folder, STARTUP[name], ROWS - 1)


def traded(folder: Folder, name: str) -> ShadowedDesk:
    desk = desk_of(folder, name)
    for batch in batches(folder, name):
        desk.play(batch)
    assert not desk.faults
    return desk


@pytest.fixture(scope="module")
def quiet(folder: Folder) -> ShadowedDesk:
    return traded(folder, "TrendCross")


def beside(desk: ShadowedDesk, **given: Any) -> Shadow:
    run = RunConfig(run_id="paper", desk=DeskConfig(tf_ns=TF_NS), agents=(desk.agent.spec,))
    return shadow_of(run, desk.heard(), given)


def own(found: Shadow, cause: str) -> list[Divergence]:
    return [
        d
        for each in found.strategies
        for d in each.compared.divergences
        if d.cause == cause and not d.follows
    ]


def all_of(found: Shadow) -> set[str]:
    return {d.cause for each in found.strategies for d in each.compared.divergences}


def with_another_candle(folder: Folder, made: Path, pair: str, row: int) -> Path:
    made.mkdir()
    for path in (folder.path / "data").iterdir():
        frame = pd.read_feather(path)
        if path.name == f"{pair.replace('/', '_')}-5m.feather":
            frame.loc[row, ["close", "high"]] = frame.loc[row, "high"] * 1.05
        frame.to_feather(made / path.name)
    return made


def test_what_differs_without_a_defect_is_fill(folder: Folder, quiet: ShadowedDesk) -> None:
    found = beside(quiet)
    (one,) = found.strategies
    assert all_of(found) <= {"fill"}
    assert not found.is_alarming
    assert one.compared.entries == one.reference_trades >= 8
    assert one.compared.exits >= 4
    assert abs(one.compared.mean_slippage_bps) < 10
    assert one.changes == ()


def test_what_follows_from_adjusted_positions_is_not_judged_and_that_is_said(folder: Folder) -> None:
    desk = desk_of(folder, "Averaging")
    for batch in parts(folder, STARTUP["Averaging"], 140):
        desk.play(batch)
    wanted = [bid.why for _, bid in desk.proposals]
    assert wanted.count("took_half") == 1
    assert wanted[:2] == ["first_third"] * 2
    (one,) = beside(desk).strategies
    assert one.compared.divergences == ()
    assert one.compared.entries == 2
    assert one.judged_ms < one.end_ms
    (line,) = beside(desk).lines()
    assert line.endswith(
        "not judged from 2024-03-01 08:55 on, when positions were first adjusted: 0 additions and 1"
        " partial exits of the run, and what follows from them, are not compared"
    )


@pytest.mark.long
@pytest.mark.parametrize("name", ["BandReversion", "OldNames"])
def test_signals_that_wait_and_callbacks_are_no_defect_either(name: str, folder: Folder) -> None:
    found = beside(traded(folder, name))
    assert all_of(found) <= {"fill"}
    assert found.strategies[0].compared.entries >= 5


def test_changed_strategy_is_code(quiet: ShadowedDesk, tmp_path: Path) -> None:
    text = (STRATEGIES / "trend_cross.py").read_text()
    old = "timeperiod=48"
    assert old in text
    (tmp_path / "trend_cross.py").write_text(text.replace(old, "timeperiod=40"))
    found = beside(quiet, strategy_path=tmp_path)
    assert len(own(found, "code")) >= 3
    assert all_of(found) <= {"code", "fill"}
    assert found.is_alarming


def test_changed_return_table_is_code(quiet: ShadowedDesk, tmp_path: Path) -> None:
    text = (STRATEGIES / "trend_cross.py").read_text()
    old = 'minimal_roi: ClassVar = {"0": 0.05, "60": 0.02, "240": 0.008}'
    assert old in text
    (tmp_path / "trend_cross.py").write_text(text.replace(old, 'minimal_roi: ClassVar = {"0": 0.004}'))
    found = beside(quiet, strategy_path=tmp_path)
    assert len(own(found, "code")) >= 2


def test_three_causes_in_one_run_are_each_attributed(
    folder: Folder, quiet: ShadowedDesk, tmp_path: Path
) -> None:
    heard = quiet.heard()
    words = heard.strategies["strategy/x"].words(heard.last_ms)
    entries = [word.t_ms for word in words if word.side == "buy" and word.pair == "BBB/USDT"]
    begin = entries[len(entries) // 2]
    end = begin + 2 * CANDLE_MS
    desk = desk_of(folder, "TrendCross")
    desk.thin["CCC/USDT"] = Decimal("0.5")
    for batch in batches(folder, "TrendCross"):
        t = batch.t // 1_000_000
        if begin <= t < end:
            desk.miss(batch)
            continue
        if desk.waiting:
            desk.wake()
        desk.play(batch)
    other = with_another_candle(folder, tmp_path / "other", "AAA/USDT", STARTUP["TrendCross"] + 60)

    found = beside(desk, datadir=other)
    assert own(found, "data")[0].pair == "AAA/USDT"
    assert {each.pair for each in own(found, "data")} == {"AAA/USDT"}
    late = own(found, "latency")
    assert ("BBB/USDT", begin) in [(each.pair, each.t_ms) for each in late]
    assert all(begin - CANDLE_MS <= each.t_ms < end for each in late)
    thin = [each for each in own(found, "fill") if each.what == "entry" and "was filled" in each.sentence]
    assert {each.pair for each in thin} == {"CCC/USDT"}
    assert len(thin) >= 2
    assert own(found, "code") == own(found, "desk") == []
