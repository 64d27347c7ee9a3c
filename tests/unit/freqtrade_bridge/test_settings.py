"""Settings and pair rules are taken from where freqtrade's loop takes them; the venue's object reaches
nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import TemporaryError

from freqtrade_bridge.analysis import Analysed, analyse
from freqtrade_bridge.options import Options
from freqtrade_bridge.overrides import HOOKS
from freqtrade_bridge.preparing import Prepared, prepare
from parley.errors import UserError
from tests.kit.freqtrade_folder import STRATEGIES, futures_candles, spot_candles, write_config

PAIR = "AAA/USDT"
PERPETUAL = "AAA/USDT:USDT"


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spot_candles(tmp_path_factory.mktemp("spot"), 300)


@pytest.fixture(scope="module")
def futures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return futures_candles(tmp_path_factory.mktemp("futures"), 300)


def made(folder: Path, data: Path, changes: dict[str, Any], **options: Any) -> Prepared:
    config = write_config(folder / "config.json", **changes)
    options.setdefault("strategy_path", STRATEGIES)
    return prepare(Options(user_data_dir=folder / "user", config=(config,), datadir=data, **options))


def analysed(folder: Path, data: Path, changes: dict[str, Any] | None = None, **options: Any) -> Analysed:
    prepared = made(folder, data, changes or {}, **options)
    return analyse(prepared, prepared.strategies[0])


def perpetuals(**exchange: Any) -> dict[str, Any]:
    pairs = {"pair_whitelist": [PERPETUAL, "BBB/USDT:USDT"]}
    return {"trading_mode": "futures", "margin_mode": "isolated", "exchange": pairs | exchange}


def test_the_strategys_attributes_are_resolved(tmp_path: Path, spot: Path) -> None:
    settings = analysed(
        tmp_path, spot, strategy="TrendCross", timerange="20240301T1000-20240301T2200"
    ).settings

    assert settings.minimal_roi == ((0, 0.05), (60, 0.02), (240, 0.008))
    assert (settings.stoploss, settings.trailing_stop_positive) == (-0.06, 0.006)
    assert (settings.trailing_stop_positive_offset, settings.trailing_only_offset_is_reached) == (0.012, True)
    assert (settings.timeframe, settings.timeframe_ms, settings.startup_candles) == ("5m", 300_000, 60)
    assert (settings.start_ms, settings.stop_ms) == (1709287200000, 1709330400000)
    assert (settings.max_open_trades, settings.stake_amount, settings.fee) == (3.0, 100, 0.001)
    assert settings.hooks == frozenset()


def test_the_configuration_overrides_the_strategy(tmp_path: Path, spot: Path) -> None:
    settings = analysed(
        tmp_path, spot,
        {"stoploss": -0.2, "minimal_roi": {"10": 0.3, "0": 0.4}, "max_open_trades": -1,
         "unfilledtimeout": {"entry": 3, "exit": 90, "unit": "seconds"},
         "dry_run_wallet": {"USDT": 500, "BTC": 2}, "fee": 0.0007, "available_capital": 300},
        strategy="TrendCross",
    ).settings  # fmt: skip

    assert (settings.stoploss, settings.minimal_roi) == (-0.2, ((0, 0.4), (10, 0.3)))
    assert settings.max_open_trades == float("inf")
    assert (settings.unfilledtimeout_entry_s, settings.unfilledtimeout_exit_s) == (3.0, 90.0)
    assert (settings.dry_run_wallet, settings.other_balances) == (500.0, (("BTC", 2.0),))
    assert (settings.fee, settings.available_capital) == (0.0007, 300)


def test_a_parameter_file_overrides_class_and_parameters(tmp_path: Path, spot: Path) -> None:
    for timeframe in ("5m", "1h"):
        source = spot / f"AAA_USDT-{timeframe}.feather"
        (spot / f"BTC_USDT-{timeframe}.feather").write_bytes(source.read_bytes())

    found = analysed(tmp_path, spot, strategy="TunedCross", enable_protections=True)

    settings = found.settings
    assert (settings.stoploss, settings.minimal_roi) == (-0.03, ((0, 0.04), (45, 0.015), (120, 0.0)))
    assert settings.trailing_stop_positive_offset == 0.015
    assert (found.strategy.buy_fast.value, found.strategy.buy_leader.value) == (9, True)
    # A protection that is a parameter has the file's value.
    assert [(each.method, each.stop_duration_candles) for each in settings.protections] == [
        ("CooldownPeriod", 4)
    ]
    # The configuration's own limit of open trades wins over the file's.
    assert settings.max_open_trades == 3.0


def test_protections_are_read_only_when_they_are_asked_for(tmp_path: Path, spot: Path) -> None:
    without = analysed(tmp_path, spot, strategy="GuardedDips").settings
    settings = analysed(tmp_path, spot, strategy="GuardedDips", enable_protections=True).settings

    assert (without.enable_protections, without.protections) == (False, ())
    cooldown, guard, low, drawdown = settings.protections
    assert (cooldown.stop_duration_min, cooldown.stop_duration_candles) == (15, 3)
    assert (guard.lookback_period_min, guard.trade_limit, guard.only_per_pair) == (240, 2, True)
    assert (low.lookback_period_min, low.lookback_period_candles, low.required_profit) == (360, None, 0.002)
    assert (drawdown.max_allowed_drawdown, drawdown.trade_limit, drawdown.calculation_mode) == (
        0.08,
        5,
        "ratios",
    )


@pytest.mark.parametrize(
    ("exchange", "formula"),
    [("binance", "binance"), ("bybit", "bybit"), ("okx", "default"), ("gate", "default")],
)
def test_a_venues_formula_and_margins(tmp_path: Path, futures: Path, exchange: str, formula: str) -> None:
    found = analysed(tmp_path, futures, perpetuals(name=exchange), strategy="BothSides")

    settings, spec = found.settings, found.pairs[PERPETUAL]
    assert (settings.trading_mode, settings.margin_mode, settings.can_short) == ("futures", "isolated", True)
    assert settings.liquidation_formula == formula
    assert settings.funding_fee_timeframe_ms % 3_600_000 == 0
    assert spec.leverage_tiers[0].min_notional == 0.0
    floors = [tier.min_notional for tier in spec.leverage_tiers]
    assert floors == sorted(floors)


def test_markets_and_tiers_may_be_given(tmp_path: Path, futures: Path) -> None:
    market = {
        "symbol": PERPETUAL, "base": "AAA", "quote": "USDT", "settle": "USDT", "id": "AAAUSDT",
        "type": "swap", "swap": True, "spot": False, "linear": True, "inverse": False, "contract": True,
        "active": True,
        "contractSize": 0.01, "taker": 0.0004, "maker": 0.0002, "precision": {"amount": 1.0, "price": 0.5},
        "limits": {"amount": {"min": 1, "max": 9000}, "cost": {"min": 7, "max": None}, "price": {}},
    }  # fmt: skip
    tier = {"minNotional": 0, "maxNotional": 1000, "maintenanceMarginRate": 0.02, "maxLeverage": 7,
            "info": {"cum": "0.5"}}  # fmt: skip
    (tmp_path / "markets.json").write_text(json.dumps([market]))
    (tmp_path / "tiers.json").write_text(json.dumps({PERPETUAL: [tier]}))
    files = {"markets": tmp_path / "markets.json", "leverage_tiers": tmp_path / "tiers.json"}

    one = perpetuals(pair_whitelist=[PERPETUAL])
    found = analysed(tmp_path, futures, one, strategy="BothSides", **files)

    spec = found.pairs[PERPETUAL]
    assert (spec.contract_size, spec.amount_precision, spec.price_precision) == (0.01, 1.0, 0.5)
    assert (spec.cost_min, spec.amount_max, spec.taker_fee) == (7, 9000, 0.0004)
    assert found.settings.fee == 0.0004
    assert [(each.max_leverage, each.maintenance_amount) for each in spec.leverage_tiers] == [(7, 0.5)]
    with pytest.raises(UserError, match=r"markets\.json: there is no market 'BBB/USDT:USDT'"):
        analysed(tmp_path, futures, perpetuals(), strategy="BothSides", **files)


def test_the_exchange_reaches_nobody_and_holds_no_key(tmp_path: Path, spot: Path) -> None:
    prepared = made(tmp_path, spot, {"exchange": {"key": "mine", "secret": "hidden"}}, strategy="TrendCross")

    assert "hidden" not in repr({k: v for k, v in prepared.config.items() if k != "original_config"})
    assert prepared.exchange._api.secret in (None, "")
    with pytest.raises(TemporaryError, match="asks nothing of the exchange"):
        prepared.exchange.fetch_ticker(PAIR)
    assert prepared.provider.ticker(PAIR) == {}
    assert prepared.provider.market(PAIR)["base"] == "AAA"


def test_the_proof_strategies_use_every_callback(tmp_path: Path, spot: Path, futures: Path) -> None:
    names = sorted(
        line.split("(")[0].removeprefix("class ")
        for file in STRATEGIES.glob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith("class ")
    )
    shorts = [name for name in names if name in ("BothSides", "LeveragedSwing")]
    in_spot = made(
        tmp_path, spot, {}, strategy_list=tuple(set(names) - set(shorts)), timeframe="5m"
    )  # fmt: skip
    in_futures = made(tmp_path, futures, perpetuals(), strategy_list=tuple(shorts), timeframe="5m")

    used = set()
    for prepared in (in_spot, in_futures):
        assert prepared.refused == ()
        for strategy in prepared.strategies:
            if strategy.get_strategy_name() != "TunedCross":
                used |= analyse(prepared, strategy).settings.hooks

    assert len(names) >= 13
    assert used == set(HOOKS)
