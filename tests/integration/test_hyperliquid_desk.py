"""A whole desk at an exchange that speaks Hyperliquid, through unmodified ccxt.pro.

Not here: the gateway alone (tests/contract/test_gateway_on_hyperliquid.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run_recorded import parley
from tests.kit.desk_lives import decisions, intents

pytestmark = [pytest.mark.timeout(200), pytest.mark.long]
CANDLES = 400


def run(home: Path, venue: str) -> dict[str, Any]:
    home.mkdir()
    settings = home / "settings.toml"
    # pairs whose prices have five digits there up to twice their price, as many as the market is made of
    settings.write_text(f'[synthetic]\ncandles = {CANDLES}\nassets = ["LTC", "SOL"]\n')
    done = parley(
        home, "run", "--config", settings, "--venue", venue, "--quote", "USDC", "--crosses", "none",
        "--speed", "max", "--seed", 3, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_desk_trades_there_as_elsewhere_but_for_the_venues_ticks_and_twice_the_same(tmp_path: Path) -> None:
    there, again, elsewhere = (
        run(tmp_path / name, venue)
        for name, venue in (("one", "hyperliquid"), ("two", "hyperliquid"), ("three", "binance"))
    )

    assert there["ledger_equals_exchange"] is True
    assert there["ledger_check"]["trades"] == there["fills"] > 3
    assert there["candles"]["seen"] == there["candles"]["sent"] == 2 * CANDLES
    assert (there["feed"]["reconnects"], there["feed"]["missed"]) == (0, 0)
    with Path(there["truth_log"]).open() as truth:
        lines = [json.loads(line) for line in truth]
    assert lines[0]["config"]["protocol"] == "hyperliquid"
    assert {line["client_order_id"][:2] for line in lines if line["event"] == "order"} == {"0x"}
    listed = json.loads((Path(there["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"hyperliquid"}

    assert decisions(Path(there["journal"])) == decisions(Path(again["journal"]))
    ours, theirs = (intents(Path(each["journal"])) for each in (there, elsewhere))
    assert len(ours) == len(theirs) > 3
    ticks = {each["symbol"]: float(each["tick"]) for each in listed}
    for one, other in zip(ours, theirs, strict=True):
        assert (one.symbol, one.side, one.style, one.tif) == (
            other.symbol,
            other.side,
            other.style,
            other.tif,
        )
        assert one.qty == other.qty
        assert (one.px is None) == (other.px is None)
        if one.px is not None and other.px is not None:
            assert abs(one.px - other.px) < ticks[one.symbol]
