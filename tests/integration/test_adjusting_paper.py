"""A strategy that adds to positions and sells parts, on paper with real processes: its backtest's orders.

Not here: the same without processes, quicker and to the last digit (tests/parity/test_paper_strategies.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backtest.strategy_run import simulate_strategy
from freqtrade_bridge.analysis import analyse
from freqtrade_bridge.preparing import prepare
from parley.messages import Fill, Proposal, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from tests.kit.freqtrade_folder import STRATEGIES
from tests.kit.paper_desk import NO_STOPS, Folder, make_folder, options_of
from tests.kit.units import short_folder

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
ROWS = 282
FROM, UNTIL = 48, 280  # rows
PATIENCE_S = 600.0
BASE_FEE = 0.0011  # of an amount: what is bought on paper pays its fee in the coin


class Order(NamedTuple):
    """An order that was filled, by candle."""

    candle_ms: int
    pair: str
    side: str
    amount: float
    cost: float
    tags: str


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    with short_folder() as made:
        (made / "home").mkdir()
        (made / "user").mkdir()
        yield make_folder(made, ROWS, **NO_STOPS)


def parley(folder: Folder, *words: str) -> tuple[int, dict[str, Any]]:
    named = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *words, "--json"], capture_output=True, text=True,
        env=named | {"PARLEY_HOME": str(folder.path / "home")}, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout)


def traded(journal: Path) -> list[Order]:
    """In lock-step an order is filled before the next is proposed."""
    found: list[Order] = []
    why = ""
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=kinds("Proposal", "Fill")):
            message = decode(decode_envelope(record.body).body)
            if isinstance(message, Proposal):
                why = message.why
            elif isinstance(message, Fill):
                t, qty = message.t // 1_000_000, float(message.qty)
                cost = float(message.qty * message.px)
                found.append(Order(t - t % 300_000, message.symbol, message.side, qty, cost, why))
    return together(found)


def simulated(folder: Folder, timerange: str) -> list[Order]:
    prepared = prepare(replace(options_of(folder, "Averaging"), timerange=timerange))
    (strategy,) = prepared.strategies
    trades = simulate_strategy(prepared, analyse(prepared, strategy)).trades
    return together([
        Order(
            o["order_filled_timestamp"], pair, o["ft_order_side"], o["amount"], o["amount"] * o["safe_price"],
            o["ft_order_tag"],
        )
        for pair, orders in zip(trades["pair"], trades["orders"], strict=True)
        for o in orders
        if o["ft_order_tag"] != "force_exit"
    ])  # fmt: skip


def together(orders: list[Order]) -> list[Order]:
    """Join what is sold of a pair within a candle: the part and the rest are one order for live freqtrade."""
    found: dict[tuple[int, str, str], Order] = {}
    for order in sorted(orders, key=lambda each: each[:3]):
        known = found.get(order[:3])
        if known is not None:
            tags = known.tags if order.tags == "took_half" else order.tags
            order = Order(*order[:3], known.amount + order.amount, known.cost + order.cost, tags)
        found[order[:3]] = order
    return list(found.values())


def test_paper_adds_and_sells_parts_where_the_backtest_does(folder: Folder) -> None:
    timerange = f"{folder.t_ms(FROM) // 1000}-{folder.t_ms(UNTIL) // 1000}"
    code, told = parley(
        folder, "trade", "--config", str(folder.path / "config.json"), "--datadir", str(folder.path / "data"),
        "--userdir", str(folder.path / "user"), "--strategy-path", str(STRATEGIES), "--strategy", "Averaging",
        "--timerange", timerange, "--consent", "--speed", "max",
    )  # fmt: skip
    assert code == 0
    assert told["attribution_is_complete"]
    (journal,) = (folder.path / "home").glob("runs/*/desk.journal")
    ours, theirs = traded(journal), simulated(folder, timerange)
    assert [(*o[:3], o.tags) for o in ours] == [(*o[:3], o.tags) for o in theirs]
    tags = [order.tags for order in ours]
    assert tags.count("third_2") + tags.count("third_3") >= 4
    assert tags.count("took_half") >= 2
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.amount == pytest.approx(wanted.amount, rel=2 * BASE_FEE)
        assert mine.cost / mine.amount == pytest.approx(wanted.cost / wanted.amount, rel=0.0005)
    code, found = parley(folder, "shadow")
    (shadow,) = found["strategies"]
    assert code == 0
    assert shadow["divergences"] == []
    assert "partial exits of the run" in shadow["unjudged"]
    code, _ = parley(folder, "replay")
    assert code == 0
