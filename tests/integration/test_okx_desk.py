"""A whole desk at an exchange that speaks OKX, through unmodified ccxt.pro: its books are the exchange's.

Not here: the gateway alone (tests/contract/test_gateway_on_okx.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run_recorded import parley
from tests.kit.desk_lives import decisions

pytestmark = pytest.mark.timeout(200)
CANDLES = 100
PAIRS_AND_CROSSES = 4 + 2


def run(home: Path, venue: str, quote: str) -> dict[str, Any]:
    home.mkdir()
    settings = home / "settings.toml"
    settings.write_text(f"[synthetic]\ncandles = {CANDLES}\n")
    done = parley(
        home, "run", "--config", settings, "--venue", venue, "--quote", quote, "--speed", "max",
        "--seed", 3, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_desk_trades_there_as_it_does_elsewhere_and_its_books_are_the_exchanges(tmp_path: Path) -> None:
    # In a currency in which no venue knows a smallest value of an order: OKX never does, and a desk that may
    # sell what is worth less than 5 USDT decides otherwise than one that may not.
    there, elsewhere = (run(tmp_path / venue, venue, "EUR") for venue in ("okx", "binance"))

    assert there["ledger_equals_exchange"] is True
    assert there["ledger_check"]["trades"] == there["fills"] > 3
    assert set(there["candles"].values()) == {None, PAIRS_AND_CROSSES * CANDLES}  # nobody expected a number
    assert (there["feed"]["reconnects"], there["feed"]["missed"]) == (0, 0)
    with Path(there["truth_log"]).open() as truth:
        config = json.loads(next(truth))["config"]
    assert config["protocol"] == "okx"
    listed = json.loads((Path(there["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"okx"}
    decided = decisions(Path(there["journal"]))
    assert decided == decisions(Path(elsewhere["journal"]))
    assert len(decided) == there["rounds"] > 100


@pytest.mark.long
def test_it_decides_twice_the_same_where_the_smallest_value_matters(tmp_path: Path) -> None:
    one, two = (run(tmp_path / name, "okx", "USDT") for name in ("one", "two"))

    assert decisions(Path(one["journal"])) == decisions(Path(two["journal"]))
    assert one["ledger_equals_exchange"] is True
