"""A whole desk at an exchange that speaks as any of our venues: its books are the exchange's, and it decides
there what it decides elsewhere.

Not here: gateways alone (tests/contract/test_gateway_on_venues.py), a desk that dies there
(tests/kill/test_hostile_exchange.py), contracts (`test_usdm_desk`).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.launch import ACCOUNT, make_run, synthetic_market
from runtime.settings import load_settings
from tests.integration.test_run_recorded import parley
from tests.kit.desk_lives import decisions, intents, lives_of
from tests.kit.fates import fates, on_the_exchange

pytestmark = pytest.mark.timeout(200)
Result = dict[str, Any]


@dataclass(frozen=True)
class MadeUp:
    """A made-up market: how many candles of how many pairs, in which quote, what trades cost."""

    candles: int
    quote: str = "USDT"
    fee: str = "0.001"
    assets: tuple[str, ...] = ()
    pairs: int = 4 + 2  # with crosses

    def settings(self) -> str:
        assets = f"assets = {list(self.assets)!r}\n" if self.assets else ""
        fees = f"maker_fee = {self.fee}\ntaker_fee = {self.fee}\n"
        return f"{fees}[synthetic]\ncandles = {self.candles}\n{assets}"


class Runs:
    """Runs, each made when it is asked for first: what some stories compare is the same run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, MadeUp, int], Result] = {}

    def of(self, venue: str, market: MadeUp, n: int = 1) -> Result:
        """Return the n-th run at a venue over a market."""
        key = (venue, market, n)
        if key not in self._made:
            self._made[key] = self._run(venue, market)
        return self._made[key]

    def _run(self, venue: str, market: MadeUp) -> Result:
        home = self._folder / f"{venue}-{len(self._made)}"
        home.mkdir()
        settings = home / "settings.toml"
        settings.write_text(market.settings())
        crosses = ("--crosses", "none") if market.assets else ()
        done = parley(
            home, "run", "--config", settings, "--venue", venue, "--quote", market.quote, *crosses,
            "--speed", "max", "--seed", 3, "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: Result = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


PLAIN = MadeUp(160)
SHORT = MadeUp(100)
# Kraken and Coinbase take fees in the quote asset, others in what was bought, and a desk that has a little
# more of one asset and less of another decides otherwise.
FREE = MadeUp(100, fee="0")
# In a currency in which no venue knows a smallest value of an order: OKX never does, and a desk that may sell
# what is worth less than 5 USDT decides otherwise than one that may not.
EUROS = MadeUp(100, quote="EUR")
# Pairs whose prices have five digits there up to twice their price, as many as the market is made of.
FIVE_DIGITS = MadeUp(400, quote="USDC", assets=("LTC", "SOL"), pairs=2)
# Where the same is decided elsewhere, or, at Hyperliquid, almost.
MARKETS = {
    "okx": EUROS,
    "bybit": PLAIN,
    "kucoin": PLAIN,
    "kraken": FREE,
    "coinbase": FREE,
    "hyperliquid": FIVE_DIGITS,
}
# Where there are fees, and at OKX the smallest value of an order matters.
WITH_FEES = MARKETS | {"okx": SHORT, "kraken": SHORT, "coinbase": SHORT}
long = pytest.mark.long


def orders_of(result: Result) -> list[dict[str, Any]]:
    lines = map(json.loads, Path(result["truth_log"]).read_text().splitlines())
    return [line for line in lines if line["event"] == "order"]


def decided(result: Result) -> Any:
    return decisions(Path(result["journal"]))


def listed(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        (Path(result["journal"]).parent / "instruments.json").read_text()
    )
    return found


@pytest.mark.parametrize(
    "venue", [pytest.param(each, marks=() if each in ("okx", "bybit") else long) for each in MARKETS]
)
def test_its_books_are_the_exchanges(runs: Runs, venue: str) -> None:
    market = MARKETS[venue]
    result = runs.of(venue, market)

    assert result["ledger_equals_exchange"] is True
    assert result["ledger_check"]["trades"] == result["fills"] > (10 if market == PLAIN else 3)
    # nobody expected a number
    assert set(result["candles"].values()) == {None, market.pairs * market.candles}
    assert (result["feed"]["reconnects"], result["feed"]["missed"]) == (0, 0)
    with Path(result["truth_log"]).open() as truth:
        config = json.loads(next(truth))["config"]
    assert config["protocol"] == venue
    assert {each["venue"] for each in listed(result)} == {venue}


@pytest.mark.parametrize(
    "venue", ["okx", *(pytest.param(each, marks=long) for each in ("bybit", "kucoin", "kraken", "coinbase"))]
)
def test_it_decides_there_what_it_decides_on_the_same_market_elsewhere(runs: Runs, venue: str) -> None:
    market = MARKETS[venue]
    there = decided(runs.of(venue, market))
    assert there == decided(runs.of("binance", market))
    assert len(there) == runs.of(venue, market)["rounds"] > 100


@long
@pytest.mark.parametrize("venue", ["bybit", "okx", "kraken", "coinbase", "hyperliquid"])
def test_it_decides_twice_the_same_and_both_books_are_the_exchanges(runs: Runs, venue: str) -> None:
    market = WITH_FEES[venue]
    in_quote = venue in ("kraken", "coinbase")  # elsewhere a buyer pays in what was bought
    one, two = (runs.of(venue, market, n) for n in (1, 2))

    assert decided(one) == decided(two)
    assert one["ledger_equals_exchange"] is two["ledger_equals_exchange"] is True
    lines = map(json.loads, Path(one["truth_log"]).read_text().splitlines())
    trades = [line for line in lines if line["event"] == "trade"]
    assert len(trades) == one["fills"] == two["fills"] > 3
    for each in trades:
        base, quote = each["symbol"].split("/")
        assert each["fee_asset"] == (quote if in_quote or each["side"].lower() == "sell" else base)


@long
def test_where_ticks_are_wide_it_orders_the_same_but_for_them(runs: Runs) -> None:
    there, elsewhere = (runs.of(venue, FIVE_DIGITS) for venue in ("hyperliquid", "binance"))

    assert {order["client_order_id"][:2] for order in orders_of(there)} == {"0x"}
    ours, theirs = (intents(Path(each["journal"])) for each in (there, elsewhere))
    assert len(ours) == len(theirs) > 3
    ticks = {each["symbol"]: float(each["tick"]) for each in listed(there)}
    for one, other in zip(ours, theirs, strict=True):
        for name in ("symbol", "side", "style", "tif", "qty"):
            assert getattr(one, name) == getattr(other, name)
        assert (one.px is None) == (other.px is None)
        if one.px is not None and other.px is not None:
            assert abs(one.px - other.px) < ticks[one.symbol]


def test_lost_answers_and_errors_after_accepting_change_no_book(tmp_path: Path) -> None:
    options = {
        "home": tmp_path, "venue": "bybit", "speed": "max", "seed": 3,
        "synthetic": {"candles": PLAIN.candles},
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
