"""A whole desk at an exchange that speaks Kraken, through unmodified ccxt.pro: its books are the exchange's.

Not here: the gateway alone (tests/contract/test_gateway_on_kraken.py).
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


def run(home: Path, venue: str, fee: str) -> dict[str, Any]:
    home.mkdir()
    settings = home / "settings.toml"
    settings.write_text(f"maker_fee = {fee}\ntaker_fee = {fee}\n[synthetic]\ncandles = {CANDLES}\n")
    done = parley(
        home, "run", "--config", settings, "--venue", venue, "--quote", "USDT", "--speed", "max",
        "--seed", 3, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_desk_trades_there_as_it_does_elsewhere_and_its_books_are_the_exchanges(tmp_path: Path) -> None:
    # Without fees: Kraken takes them in the quote asset, others in what was received, and a desk that has a
    # little more of one asset and less of another decides otherwise.
    there, elsewhere = (run(tmp_path / venue, venue, "0") for venue in ("kraken", "binance"))

    assert there["ledger_equals_exchange"] is True
    assert there["ledger_check"]["trades"] == there["fills"] > 3
    assert set(there["candles"].values()) == {None, PAIRS_AND_CROSSES * CANDLES}  # nobody expected a number
    assert (there["feed"]["reconnects"], there["feed"]["missed"]) == (0, 0)
    with Path(there["truth_log"]).open() as truth:
        config = json.loads(next(truth))["config"]
    assert config["protocol"] == "kraken"
    listed = json.loads((Path(there["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"kraken"}
    decided = decisions(Path(there["journal"]))
    assert decided == decisions(Path(elsewhere["journal"]))
    assert len(decided) == there["rounds"] > 100


def test_its_books_are_the_exchanges_with_fees_in_the_quote_asset_and_it_decides_twice_the_same(
    tmp_path: Path,
) -> None:
    one, two = (run(tmp_path / name, "kraken", "0.001") for name in ("one", "two"))

    assert one["ledger_equals_exchange"] is True
    assert decisions(Path(one["journal"])) == decisions(Path(two["journal"]))
    lines = [json.loads(line) for line in Path(one["truth_log"]).read_text().splitlines()]
    trades = [each for each in lines if each["event"] == "trade"]
    assert len(trades) == one["fills"] > 3
    assert {each["fee_asset"] for each in trades} <= {each["symbol"].split("/")[1] for each in trades}
