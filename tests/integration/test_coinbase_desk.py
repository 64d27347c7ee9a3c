"""A whole desk at an exchange that speaks Coinbase, through unmodified ccxt.pro: its books are that one's.

Not here: the gateway alone (tests/contract/test_gateway_on_coinbase.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run_recorded import parley
from tests.kit.desk_lives import decisions

pytestmark = [pytest.mark.timeout(200), pytest.mark.long]
CANDLES = 100
PAIRS_AND_CROSSES = 4 + 2


def run(home: Path, venue: str, fees: bool) -> dict[str, Any]:
    home.mkdir()
    settings = home / "settings.toml"
    free = "" if fees else "maker_fee = 0\ntaker_fee = 0\n"
    settings.write_text(f"{free}[synthetic]\ncandles = {CANDLES}\n")
    done = parley(
        home, "run", "--config", settings, "--venue", venue, "--speed", "max", "--seed", 3, "--json"
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_desk_trades_there_as_it_does_elsewhere_where_there_are_no_fees(tmp_path: Path) -> None:
    # Coinbase takes its fee in what prices are in and Binance in what was bought: a desk then owns something
    # else, and decides otherwise.
    there, elsewhere = (run(tmp_path / venue, venue, fees=False) for venue in ("coinbase", "binance"))

    assert there["ledger_equals_exchange"] is True
    assert there["ledger_check"]["trades"] == there["fills"] > 3
    assert set(there["candles"].values()) == {None, PAIRS_AND_CROSSES * CANDLES}  # nobody expected a number
    assert (there["feed"]["reconnects"], there["feed"]["missed"]) == (0, 0)
    with Path(there["truth_log"]).open() as truth:
        config = json.loads(next(truth))["config"]
    assert config["protocol"] == "coinbase"
    listed = json.loads((Path(there["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"coinbase"}
    decided = decisions(Path(there["journal"]))
    assert decided == decisions(Path(elsewhere["journal"]))
    assert len(decided) == there["rounds"] > 100


def test_it_decides_twice_the_same_with_fees_and_its_ledger_is_the_exchanges(tmp_path: Path) -> None:
    one, two = (run(tmp_path / name, "coinbase", fees=True) for name in ("one", "two"))

    assert decisions(Path(one["journal"])) == decisions(Path(two["journal"]))
    assert one["ledger_equals_exchange"] is two["ledger_equals_exchange"] is True
    assert one["fills"] == two["fills"] > 3
