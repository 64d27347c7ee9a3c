"""A desk of real agents whose strategies take turns on recorded candles: what meets inside is never paid for.

Not here: what may meet and what may not (tests/unit/orchestrator/test_crossing.py and its neighbours).
"""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime import desk_backtest
from runtime.desk_backtest import DeskResult, run_desk_backtest
from runtime.replay import replay
from runtime.run_config import RunConfig
from runtime.settings import load_settings

SETTINGS = """
data = "{data}"
timeframe = "1m"
pairs = ["BTC/USDT"]
from = 2021-05-19
to = 2021-05-20
"""
TURNS = {"strategy/trend": 0, "strategy/breakout": 1}
pytestmark = pytest.mark.timeout(300)


class Quiet:
    def begin(self, what: str, steps: int) -> None:
        return None

    def step(self) -> None:
        return None


def taking_turns(run: RunConfig, *, crossing: bool) -> RunConfig:
    agents = tuple(
        replace(
            spec,
            params={
                **spec.params, "source": "tests.kit.turns:make", "source_params": {"turn": TURNS[spec.id]},
                "cooldown_ms": 0, "share": 0.3,
            },
        )
        if spec.id in TURNS
        else spec
        for spec in run.agents
    )  # fmt: skip
    return replace(run, agents=agents, desk=replace(run.desk, crossing=crossing))


def desk_result(home: Path, data: Path, *, crossing: bool) -> DeskResult:
    file = home / "desk.toml"
    file.write_text(SETTINGS.format(data=data / "candles"))
    made = desk_backtest._run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk_backtest, "_run", lambda *of: taking_turns(made(*of), crossing=crossing))
        return run_desk_backtest(load_settings(file, {"home": str(home)}), Decimal(2), Quiet())


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> DeskResult:
    return desk_result(tmp_path_factory.mktemp("outside"), market_data, crossing=False)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> DeskResult:
    return desk_result(tmp_path_factory.mktemp("inside"), market_data, crossing=True)


def test_opposite_wishes_meet_and_the_ledger_still_equals_the_exchange(inside: DeskResult) -> None:
    assert inside.summary.crossings >= 50
    assert inside.ledger_equals_exchange
    assert inside.summary.equity_is_reproduced
    assert inside.summary.attribution_is_complete


def test_fewer_orders_and_fees_are_paid_than_outside(outside: DeskResult, inside: DeskResult) -> None:
    assert outside.summary.crossings == 0
    assert outside.ledger_equals_exchange
    assert inside.summary.fills < 0.9 * outside.summary.fills
    assert inside.summary.fees < outside.summary.fees
    assert inside.summary.saved > 0


def test_such_a_journal_replays_bit_for_bit(inside: DeskResult) -> None:
    report = replay(inside.journal)
    assert report.ok
    assert report.identical == report.envelopes == inside.summary.records
