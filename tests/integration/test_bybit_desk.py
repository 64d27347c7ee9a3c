"""A whole desk at an exchange that speaks Bybit, through unmodified ccxt.pro: its books are the exchange's.

Not here: the gateway alone (tests/contract/test_gateway_on_bybit.py), a desk that dies there
(tests/kill/test_hostile_exchange.py).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runtime.launch import ACCOUNT, make_run, synthetic_market
from runtime.settings import load_settings
from tests.integration.test_run_recorded import parley
from tests.kit.desk_lives import decisions, lives_of
from tests.kit.fates import fates, on_the_exchange

pytestmark = pytest.mark.timeout(200)
CANDLES = 160
PAIRS_AND_CROSSES = 4 + 2


def run(home: Path, venue: str) -> dict[str, Any]:
    home.mkdir(exist_ok=True)
    settings = home / "settings.toml"
    settings.write_text(f"[synthetic]\ncandles = {CANDLES}\n")
    done = parley(
        home, "run", "--config", settings, "--venue", venue, "--speed", "max", "--seed", 3, "--json"
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first(truth: str) -> dict[str, Any]:
    with Path(truth).open() as lines:
        found: dict[str, Any] = json.loads(next(lines))
    return found


def test_a_desk_trades_there_and_its_books_are_the_exchanges(tmp_path: Path) -> None:
    result = run(tmp_path, "bybit")

    assert result["ledger_equals_exchange"] is True
    assert result["ledger_check"]["trades"] == result["fills"] > 10
    assert set(result["candles"].values()) == {None, PAIRS_AND_CROSSES * CANDLES}  # nobody expected a number
    assert (result["feed"]["reconnects"], result["feed"]["missed"]) == (0, 0)
    config = first(result["truth_log"])["config"]
    assert config["protocol"] == "bybit"
    listed = json.loads((Path(result["journal"]).parent / "instruments.json").read_text())
    assert {each["venue"] for each in listed} == {"bybit"}


@pytest.mark.long
def test_it_decides_there_what_it_decides_on_the_same_market_elsewhere(tmp_path: Path) -> None:
    there, again, elsewhere = (
        run(tmp_path / name, venue)
        for name, venue in (("one", "bybit"), ("two", "bybit"), ("three", "binance"))
    )
    decided = decisions(Path(there["journal"]))
    assert decided == decisions(Path(again["journal"])) == decisions(Path(elsewhere["journal"]))
    assert len(decided) == there["rounds"] > 100


def test_lost_answers_and_errors_after_accepting_change_no_book(tmp_path: Path) -> None:
    options = {
        "home": tmp_path, "venue": "bybit", "speed": "max", "seed": 3,
        "synthetic": {"candles": CANDLES},
    }  # fmt: skip
    settings = load_settings(None, options)
    hostility = {"lost": 0.3, "failed": 0.3}
    with lives_of(settings, synthetic_market(settings), make_run, hostility=hostility) as lives:
        life = lives.live()
        assert life.exit == 0, life.errors
    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books

    met = fates(lives.journal)
    assert {len(fate - {"unknown"}) for fate in met.values()} == {1}
    placed = on_the_exchange(lives.layout.truth, ACCOUNT)
    assert placed == Counter({cid: 1 for cid, fate in met.items() if "placed" in fate})
    in_doubt = [cid for cid, fate in met.items() if "unknown" in fate]
    assert len(in_doubt) >= 5
    assert {frozenset(met[cid]) for cid in in_doubt} == {frozenset({"unknown", "placed"})}


def test_an_exchange_that_nobody_certified_is_refused_in_one_line(tmp_path: Path) -> None:
    done = parley(tmp_path, "run", "--venue", "bybt")

    assert done.returncode == 2
    assert done.stderr.strip() == "parley: no certified adapter for 'bybt'; did you mean 'bybit'?"
    assert not (tmp_path / "runs").exists()
