"""A whole desk at an exchange that speaks KuCoin, through unmodified ccxt.pro: its books are the exchange's.

Not here: the gateway alone (tests/contract/test_gateway_on_kucoin.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_okx_desk import CANDLES, PAIRS_AND_CROSSES, run
from tests.kit.desk_lives import decisions

pytestmark = [pytest.mark.timeout(200), pytest.mark.long]


def test_a_desk_trades_there_as_it_does_elsewhere_and_its_books_are_the_exchanges(tmp_path: Path) -> None:
    there, elsewhere = (run(tmp_path / venue, venue, "USDT") for venue in ("kucoin", "binance"))

    assert there["ledger_equals_exchange"] is True
    assert there["ledger_check"]["trades"] == there["fills"] > 3
    assert set(there["candles"].values()) == {None, PAIRS_AND_CROSSES * CANDLES}  # nobody expected a number
    assert (there["feed"]["reconnects"], there["feed"]["missed"]) == (0, 0)
    with Path(there["truth_log"]).open() as truth:
        config = json.loads(next(truth))["config"]
    assert config["protocol"] == "kucoin"
    listed = json.loads((Path(there["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"kucoin"}
    decided = decisions(Path(there["journal"]))
    assert decided == decisions(Path(elsewhere["journal"]))
    assert len(decided) == there["rounds"] > 100
