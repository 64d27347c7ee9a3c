"""Which pairs a venue of contracts trades, and what the market of a run on them is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parley.errors import UserError
from runtime import launch
from runtime.launch import synthetic_market
from runtime.settings import Settings

BTC = "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("settings", "expected", "was"),
    [
        ({"venue": "binanceusdm", "pairs": ["BTC/USDT"]}, f"'{BTC}'", "'BTC/USDT'"),
        ({"venue": "binanceusdm", "pairs": ["BTC/USDT:BTC"]}, f"'{BTC}'", "'BTC/USDT:BTC'"),
        ({"venue": "binance", "pairs": [BTC]}, "'BTC/USDT'", f"'{BTC}'"),
        ({"venue": "binance", "leverage": 3}, "1 at 'binance'", "3"),
        ({"venue": "binanceusdm", "crosses": ["ETH/BTC"]}, "none", "ETH/BTC"),
    ],
)
def test_what_the_venue_does_not_trade_is_refused_and_named(
    settings: dict[str, Any], expected: str, was: str
) -> None:
    with pytest.raises(UserError) as refused:
        synthetic_market(Settings(**settings))
    assert f"expected {expected}, was {was}" in str(refused.value)


def test_the_made_up_market_has_a_contract_on_each_asset_and_no_crosses() -> None:
    contracts = synthetic_market(Settings(venue="binanceusdm"))
    spot = synthetic_market(Settings())
    assert contracts.pairs == tuple(f"{pair}:USDT" for pair in spot.pairs)
    assert (contracts.crosses, bool(spot.crosses)) == ((), True)
    assert contracts.prices == spot.prices


def test_the_exchange_is_told_of_pairs_and_the_gateway_of_contracts_and_leverage(tmp_path: Path) -> None:
    settings = Settings(
        venue="binanceusdm", pairs=(BTC,), leverage=3, capital=1000, home=tmp_path, data=tmp_path
    )
    market = launch.Market(pairs=(BTC,), crosses=())
    layout = launch.make_layout(settings)
    try:
        access = launch.sandbox_access(layout, ("k", "s"), "http://rest", "ws://ws")
        sandbox = json.loads(launch.write_sandbox(layout, settings, market, ("k", "s")).read_bytes())
        gateway = json.loads(launch.write_gateway(layout, settings, market, access).read_bytes())
    finally:
        launch.discard(layout)
    assert (sandbox["feed"]["pairs"], sandbox["perpetuals"]) == (["BTC/USDT"], {"asset": "USDT"})
    assert (gateway["venue"]["symbols"], gateway["venue"]["leverage"]) == ([BTC], 3)
    assert gateway["limits"]["max_position"] == {"USDT": "3000.00000000"}
