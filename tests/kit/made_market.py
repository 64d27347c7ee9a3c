"""A made-up market in which every tactic of the execution agent is used, and what a run over it worked.

Two random walks that often turn, one of them so thin that an entry takes a good part of its book. Strategies
decide on every second candle, believe more in their setups and pay smaller fees than by default, so that
fifteen hours hold enough trades. Not here: what a test expects of the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parley.depth import depth, side_levels
from parley.messages import (
    Book,
    CancelIntent,
    CancelRequest,
    Decision,
    Fill,
    Intent,
    MarketBatch,
    PlanLeg,
    decode,
    decode_envelope,
)
from runtime.journal.reader import JournalReader

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
    """One decided leg, its share of the book, what was sent for it, and why cancels were asked for.

    ``printed``: volume of each candle of its symbol by the market ns at which it closed.
    """

    plan: PlanLeg
    share: float
    sent: list[Intent | CancelIntent] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    decision: Decision | None = None
    fills: list[Fill] = field(default_factory=list)
    printed: dict[int, float] = field(default_factory=dict)

    @property
    def orders(self) -> list[Intent]:
        return [o for o in self.sent if isinstance(o, Intent)]


def run_made_market(home: Path, more: str = "") -> Any:
    """Run a desk over the market from beginning to end; ``more`` is appended to its configuration."""
    data = home / "candles"
    data.mkdir()
    for base, (price, volume) in MARKET.items():
        write_candles(data, base, price, volume)
    config = home / "run.toml"
    config.write_text(CONFIG + more)
    return parley(home, "run", "--config", config, "--data", data)


def worked_of(journal_path: str) -> list[Worked]:
    """Read every decided leg of a journal with what was sent for it."""
    legs: dict[tuple[bytes, bytes], Worked] = {}
    of_iid: dict[bytes, Worked] = {}
    books: dict[str, Book] = {}
    volumes: dict[str, dict[int, float]] = {}
    with JournalReader(journal_path) as journal:
        for record in journal.records():
            match decode(decode_envelope(record.body).body):
                case MarketBatch() as batch:
                    books |= {book.symbol: book for book in batch.books}
                    for bar in batch.bars:
                        volumes.setdefault(bar.symbol, {})[bar.t_open + bar.tf_ns] = bar.volume
                case Decision(action="accept") as decision:
                    (plan,) = decision.plan
                    deep = depth(side_levels(books[plan.symbol], plan.side))
                    leg = Worked(plan, float(plan.qty) / deep, decision=decision)
                    leg.printed = volumes[plan.symbol]
                    legs[decision.round, decision.pid] = leg
                case Intent() as order:
                    of_iid[order.iid] = legs[order.round, order.pid]
                    of_iid[order.iid].sent.append(order)
                case CancelRequest() as request:
                    of_iid[request.iid].whys.append(request.why)
                case CancelIntent() as cancel:
                    of_iid[cancel.iid].sent.append(cancel)
                case Fill() as fill:
                    of_iid[fill.iid].fills.append(fill)
                case _:
                    pass
    return list(legs.values())
