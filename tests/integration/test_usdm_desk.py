"""A whole desk on perpetual contracts: longs, shorts and funding with borrowed money, and books that are the
exchange's.

Not here: the adapter alone (tests/contract/test_usdm_venue.py), what margin is (test_usdm_margin.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run_recorded import parley

pytestmark = pytest.mark.timeout(200)
LEVERAGE = 3
CAPITAL = 10_000
PAIRS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
# Over a mark of funding, 08:00; limits so wide that two positions are worth more than the account.
SETTINGS = f"""
leverage = {LEVERAGE}
capital = {CAPITAL}
[desk]
settle_bars = 1
max_open_trades = 2
[limits]
max_gross = "2.5"
max_net = "2.5"
max_leverage = "2.5"
max_position = "1.2"
max_order_notional = "1.2"
max_correlated = "2.5"
max_drawdown = "0.5"
max_daily_loss = "0.5"
min_uninvested = "0"
[limits.breakers]
flatten_drawdown = "0.6"
daily_loss = "0.5"
drawdown = "0.5"
reduce_drawdown = "0.5"
loss_streak = 50
[agents."capital/main"]
stake = "20000"
keep_free = "0"
default_budget = "2"
risk_per_trade = "0"
kelly = 0
atr_risk = "0"
target_sigma = 0
[agents."strategy/trend"]
risk = 0.1
source_params = {{shorts = true, every = 5, fast = 5, slow = 15}}
[agents."strategy/reversion"]
risk = 0.1
source_params = {{shorts = true, every = 5}}
[agents."strategy/breakout"]
risk = 0.1
source_params = {{shorts = true, every = 5}}
"""


def truth(result: dict[str, Any], event: str) -> Iterator[dict[str, Any]]:
    with Path(result["truth_log"]).open() as lines:
        yield from (line for line in map(json.loads, lines) if line["event"] == event)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def morning(home: Path, market_data: Path) -> dict[str, Any]:
    settings = home / "settings.toml"
    settings.write_text(SETTINGS)
    done = parley(
        home, "run", "--config", settings, "--venue", "binanceusdm", "--pairs", ",".join(PAIRS),
        "--data", market_data / "candles", "--from", "2021-05-19T04:00", "--to", "2021-05-19T08:30",
        "--speed", "max", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_its_books_are_the_exchanges(morning: dict[str, Any]) -> None:
    assert morning["ledger_equals_exchange"] is True
    assert morning["ledger_check"]["trades"] == morning["fills"] >= 6
    assert morning["ledger_check"]["payments"] == len(list(truth(morning, "funding"))) >= 1
    assert set(morning["candles"].values()) == {2 * 270}
    assert morning["equity_is_reproduced"] is True
    assert morning["attribution_is_complete"] is True


def test_it_held_longs_and_shorts_worth_more_than_it_owns(morning: dict[str, Any]) -> None:
    positions = list(truth(morning, "position"))
    assert {each["leverage"] for each in positions} == {LEVERAGE}
    sizes = [Decimal(each["qty"]) for each in positions]
    assert min(sizes) < 0 < max(sizes)
    assert max(abs(Decimal(each["cost"])) for each in positions) > CAPITAL


def test_it_replays_identically(home: Path, morning: dict[str, Any]) -> None:
    done = parley(home, "replay", morning["journal"])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_another_run_decides_and_ends_alike(home: Path, market_data: Path, morning: dict[str, Any]) -> None:
    again = home / "again"
    again.mkdir()
    settings = again / "settings.toml"
    settings.write_text(SETTINGS)
    done = parley(
        again, "run", "--config", settings, "--venue", "binanceusdm", "--pairs", ",".join(PAIRS),
        "--data", market_data / "candles", "--from", "2021-05-19T04:00", "--to", "2021-05-19T08:30",
        "--speed", "max", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["fingerprint"] == morning["fingerprint"]


def test_more_leverage_than_the_contract_allows_is_refused(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('leverage = 120\n[synthetic]\nassets = ["LTC"]\n')
    done = parley(tmp_path, "run", "--config", settings, "--venue", "binanceusdm", "--speed", "max")
    assert done.returncode == 2
    assert "LTC/USDT:USDT: expected a leverage of at most 75, was 120" in done.stderr
