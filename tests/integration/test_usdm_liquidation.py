"""A desk that is liquidated in the recorded crash of 19 May 2021: its books stay the exchange's, it stops, it
replays.

Not here: how a liquidation is told (tests/contract/test_usdm_forced.py), who bears it (test_ledger_forced).
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.test_run_recorded import parley
from tests.integration.test_usdm_desk import truth

pytestmark = pytest.mark.timeout(120)
# Every limit and breaker that would have left in time is out of the way.
SETTINGS = """
leverage = 20
capital = 10000
[desk]
settle_bars = 1
max_open_trades = 2
[limits]
max_gross = "20"
max_net = "20"
max_leverage = "20"
max_position = "15"
max_order_notional = "15"
max_correlated = "20"
max_drawdown = "0.99"
max_daily_loss = "0.99"
max_maintenance = "0.99"
min_uninvested = "0"
[limits.breakers]
flatten_drawdown = "0.99"
daily_loss = "0.99"
drawdown = "0.99"
reduce_drawdown = "0.99"
loss_streak = 50
[agents."capital/main"]
stake = "100000"
keep_free = "0"
default_budget = "20"
risk_per_trade = "0"
kelly = 0
atr_risk = "0"
target_sigma = 0
[agents."strategy/trend"]
risk = 0.1
source_params = {every = 5, fast = 5, slow = 15}
[agents."strategy/reversion"]
risk = 0.1
source_params = {every = 5}
[agents."strategy/breakout"]
risk = 0.1
source_params = {every = 5}
"""


def test_a_liquidated_desk_agrees_with_the_exchange_and_opens_nothing_more(
    tmp_path: Path, market_data: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    done = parley(
        tmp_path, "run", "--config", settings, "--venue", "binanceusdm", "--pairs",
        "BTC/USDT:USDT,ETH/USDT:USDT", "--data", market_data / "candles", "--from", "2021-05-19T11:00",
        "--to", "2021-05-19T13:15", "--speed", "max", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    liquidations = list(truth(result, "liquidation"))
    assert liquidations
    assert result["ledger_equals_exchange"] is True
    assert result["ledger_check"]["trades"] == result["fills"]
    assert result["ledger_check"]["payments"] == sum(Decimal(each["fee"]) != 0 for each in liquidations)
    assert result["attribution_is_complete"] is True
    # whoever held it bears it; only the fee of the liquidation itself is nobody's
    nobodys = Decimal(result["pnl_by_agent"].pop("unassigned", {"pnl": "0"})["pnl"])
    assert nobodys == -sum(Decimal(each["fee"]) for each in liquidations)
    assert sum(Decimal(each["pnl"]) for each in result["pnl_by_agent"].values()) < -9000
    assert set(result["pnl_by_agent"]) <= {"strategy/trend", "strategy/reversion", "strategy/breakout"}
    last = max(each["t"] for each in liquidations)
    placed = [each for each in truth(result, "order") if not each["client_order_id"].startswith("autoclose-")]
    assert all(each["t"] <= last for each in placed)
    again = parley(tmp_path, "replay", result["journal"])
    assert again.returncode == 0, again.stdout + again.stderr
