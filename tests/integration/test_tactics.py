"""`parley run` over a market made for it: every tactic of the execution agent is used, and the books agree.

The market is generated: two random walks that often turn, one of them so thin that an entry takes a good
part of its book. Strategies decide on every second candle, believe more in their setups and pay smaller
fees than by default, so that fifteen hours hold enough trades. Tactics and limits are the defaults.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parley.depth import depth, side_levels
from parley.messages import (
    Book,
    CancelIntent,
    CancelRequest,
    Decision,
    Intent,
    MarketBatch,
    PlanLeg,
    decode,
    decode_envelope,
)
from parley.risk.limits import Limits
from runtime.journal.reader import JournalReader

pytestmark = pytest.mark.timeout(120)

START = datetime(2021, 5, 8, tzinfo=UTC)
MINUTES = 900
MARKET = {"BTC": (50_000.0, 20.0), "ETH": (2_500.0, 20.0)}  # first price, base volume of a candle
CONFIG = """
pairs = ["BTC/USDT", "ETH/USDT"]
from = 2021-05-08
to = 2021-05-08T15:00:00
crosses = "none"
maker_fee = 0.0002
taker_fee = 0.0002

[agents."strategy/trend"]
entry_slippage_bps = 25.0

[agents."strategy/trend".source_params]
every = 2
slow = 20
tilt = 0.3
avoid = []

[agents."strategy/breakout"]
entry_slippage_bps = 25.0

[agents."strategy/breakout".source_params]
every = 2
tilt = 0.3
avoid = []

[agents."strategy/reversion"]
share = 0.4

[agents."strategy/reversion".source_params]
every = 2
rsi = 6
low = 40.0
tilt = 0.3
avoid = []
"""


def write_candles(folder: Path, base: str, price: float, volume: float) -> None:
    """Write a walk whose drift turns every ninety minutes; short wicks leave resting orders behind."""
    dice = Random(base)
    rows: dict[str, list[Any]] = {k: [] for k in ("date", "open", "high", "low", "close", "volume")}
    drift = 0.0
    for n in range(MINUTES):
        if n % 90 == 0:
            drift = dice.choice((-1, 1)) * 0.0006
        close = round(price * exp(drift + dice.gauss(0, 0.0018)), 2)
        wicks = [1 + abs(dice.gauss(0, 0.0001)) for _ in range(2)]
        candle = (
            START + timedelta(minutes=n), price, round(max(price, close) * wicks[0], 2),
            round(min(price, close) / wicks[1], 2), close, round(volume * (0.7 + 0.6 * dice.random()), 4),
        )  # fmt: skip
        for column, value in zip(rows.values(), candle, strict=True):
            column.append(value)
        price = close
    dates = pa.array(rows.pop("date"), pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table({"date": dates, **rows}), folder / f"binance-{base}_USDT-1m-made.parquet")


def parley(home: Path, *arguments: object) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments), "--json"],
        capture_output=True, text=True, check=False, env=environment | {"PARLEY_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Worked:
    """One decided leg, its share of the book, what was sent for it, and why cancels were asked for."""

    plan: PlanLeg
    share: float
    sent: list[Intent | CancelIntent] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)

    @property
    def orders(self) -> list[Intent]:
        return [o for o in self.sent if isinstance(o, Intent)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("tactics")
    data = home / "candles"
    data.mkdir()
    for base, (price, volume) in MARKET.items():
        write_candles(data, base, price, volume)
    config = home / "run.toml"
    config.write_text(CONFIG)
    return parley(home, "run", "--config", config, "--data", data)


@pytest.fixture(scope="module")
def worked(told: Any) -> list[Worked]:
    legs: dict[tuple[bytes, bytes], Worked] = {}
    of_iid: dict[bytes, Worked] = {}
    books: dict[str, Book] = {}
    with JournalReader(told["journal"]) as journal:
        for record in journal.records():
            match decode(decode_envelope(record.body).body):
                case MarketBatch(books=seen):
                    books |= {book.symbol: book for book in seen}
                case Decision(action="accept") as decision:
                    (plan,) = decision.plan
                    deep = depth(side_levels(books[plan.symbol], plan.side))
                    legs[decision.round, decision.pid] = Worked(plan, float(plan.qty) / deep)
                case Intent() as order:
                    of_iid[order.iid] = legs[order.round, order.pid]
                    of_iid[order.iid].sent.append(order)
                case CancelRequest() as request:
                    of_iid[request.iid].whys.append(request.why)
                case CancelIntent() as cancel:
                    of_iid[cancel.iid].sent.append(cancel)
                case _:
                    pass
    return list(legs.values())


def of_style(worked: Sequence[Worked], style: str) -> list[Worked]:
    return [leg for leg in worked if leg.plan.style == style]


def test_urgent_exits_leave_by_market_and_nothing_else_does(worked: list[Worked]) -> None:
    orders = [leg.orders for leg in of_style(worked, "market")]

    assert orders
    for (order,) in orders:
        assert (order.style, order.px, order.reduce_only) == ("market", None, True)
        assert order.ref_px is not None


def test_entries_that_take_what_is_there_are_immediate_limits(worked: list[Worked]) -> None:
    taking = [leg for leg in of_style(worked, "limit") if leg.plan.tif == "IOC"]

    assert taking
    assert all(order.px is not None and order.tif == "IOC" for leg in taking for order in leg.orders)


def test_resting_orders_are_quoted_anew_when_the_market_leaves_them(worked: list[Worked]) -> None:
    resting = of_style(worked, "post_only")
    requoted = [leg for leg in resting if len([o for o in leg.orders if o.style == "post_only"]) > 1]

    assert len(resting) > len(requoted) > 0
    assert any("behind" in leg.whys for leg in requoted)
    followed = 0
    for leg in requoted:
        first, cancel, second = leg.sent[:3]
        assert isinstance(first, Intent)
        assert isinstance(cancel, CancelIntent)
        assert isinstance(second, Intent)
        assert (cancel.iid, second.pid, second.leg, second.child) == (first.iid, first.pid, first.leg, 1)
        assert first.px is not None
        assert second.px is not None
        followed += second.px > first.px if first.side == "buy" else second.px < first.px
    assert followed


def test_orders_the_gate_would_refuse_go_in_children_that_it_passes(worked: list[Worked]) -> None:
    split = of_style(worked, "twap")
    most = float(Limits().max_book_share)

    assert any(leg.share > most for leg in split)
    assert any(len(leg.orders) > 1 for leg in split)
    for leg in split:
        first = leg.orders[0]
        assert first.qty == leg.plan.children[0].qty
        assert leg.share * float(first.qty / leg.plan.qty) < most
        assert {(order.style, order.tif) for order in leg.orders} == {("limit", "IOC")}


def test_ledger_and_exchange_agree_and_a_replay_is_identical(told: Any, worked: list[Worked]) -> None:
    assert told["ledger_equals_exchange"] is True
    assert told["equity_is_reproduced"]
    assert told["orders"] == sum(len(leg.orders) for leg in worked)
    again = parley(Path(told["journal"]).parents[2], "replay", told["journal"])
    assert again["decisions_identical"] == again["decisions"] == told["rounds"]
    assert again["intents_identical"] == again["intents"] == told["orders"]
    assert again["mismatches"] == []
