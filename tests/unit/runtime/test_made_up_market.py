"""Strategies decide more often in the made-up market, unless told otherwise."""

from pathlib import Path

import pytest

from runtime.launch import Market, make_run, synthetic_market
from runtime.settings import Settings, load_settings

STRATEGIES = ("strategy/breakout", "strategy/reversion", "strategy/trend")


def source_params(settings: Settings, agent: str) -> object:
    market = Market(("BTC/USDT",), ()) if settings.is_recorded else synthetic_market(settings)
    spec = next(spec for spec in make_run(settings, market, "x").agents if spec.id == agent)
    return spec.params.get("source_params")


@pytest.mark.parametrize("agent", STRATEGIES)
def test_made_up_market_has_strategies_of_its_own_pace(agent: str) -> None:
    assert source_params(load_settings(), agent) == {"every": 4}


@pytest.mark.parametrize("agent", STRATEGIES)
def test_recorded_market_keeps_the_defaults(agent: str, tmp_path: Path) -> None:
    assert source_params(load_settings(options={"data": tmp_path}), agent) is None


def test_what_the_user_says_wins() -> None:
    settings = load_settings(options={"agents": {"strategy/trend": {"source_params": {"every": 9}}}})

    assert source_params(settings, "strategy/trend") == {"every": 9}
    assert source_params(settings, "strategy/breakout") == {"every": 4}
