"""Processes of a paper run are killed while freqtrade strategies hold positions: nothing is lost or doubled.

Two strategies that trade by the market's clock, one of which always holds something; real exchange, gateway,
hub, desk, Ray, database and API.

Not here: killed desks of native strategies (`test_desk_kill`, `test_run_survives`), what a strategy's next
process makes of what it was told, in the small (tests/unit/runtime/test_freqtrade_agent*.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parley.messages import AgentFaulted, decode, decode_envelope
from runtime.book_check import check_books
from runtime.history import kinds
from runtime.journal import JournalReader, verify
from runtime.launch import ACCOUNT
from runtime.replay import replay
from tests.kit.fates import attempts, fates, on_the_exchange
from tests.kit.freqtrade_folder import write_config
from tests.kit.paper_clockworks import CANDLES, EARLY, LATE, LEAVES, WARM_UP, write_clockworks
from tests.kit.paper_run import PATIENCE_S, Order, PaperRun, held_after
from tests.kit.units import short_folder

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SPEED = 100
Started = tuple[PaperRun, "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Started]:
    with short_folder() as folder:
        write_clockworks(folder, WARM_UP + CANDLES)
        write_config(folder / "config.json")
        (folder / "desk.toml").write_text("[api]\nport = 0\n")
        (folder / "user").mkdir()
        run = PaperRun(folder)
        trading = run.start(
            "trade", "--config", str(folder / "config.json"), "--datadir", str(folder / "candles"),
            "--userdir", str(folder / "user"), "--strategy-path", str(folder / "strategies"),
            "--strategy-list", "Clockwork", "Latework", "--desk", str(folder / "desk.toml"), "--consent",
            "--speed", str(SPEED), "--json",
        )  # fmt: skip
        try:
            yield run, trading
        finally:
            if trading.poll() is None:
                trading.terminate()
                trading.communicate(timeout=60)


def wait_until_both_hold(run: PaperRun, trading: subprocess.Popen[str]) -> tuple[dict[str, set[str]], int]:
    """Wait until both strategies hold something, and return what, and after how many orders."""
    held: dict[str, set[str]] = {}
    orders: list[Order] = []

    def both() -> bool:
        nonlocal held, orders
        orders = run.orders() if list(run.folder.glob("home/runs/*/desk.journal")) else []
        held = held_after(orders)
        return bool(held.get(EARLY)) and bool(held.get(LATE))

    run.wait_until(both, trading)
    return held, len(orders)


def left_later(run: PaperRun, held: dict[str, set[str]], since: int) -> dict[str, set[str]]:
    """Name what was held at a kill and was sold since, because its strategy wanted to."""
    found: dict[str, set[str]] = defaultdict(set)
    for order in run.orders()[since:]:
        if (
            order.side == "sell"
            and order.filled
            and order.why == LEAVES
            and order.symbol in held[order.agent]
        ):
            found[order.agent].add(order.symbol)
    return dict(found)


def faults(journal: Path) -> list[str]:
    with JournalReader(journal) as reader:
        said = [
            decode(decode_envelope(record.body).body)
            for record in reader.records(kinds=kinds("AgentFaulted"))
        ]
    return [each.error for each in said if isinstance(each, AgentFaulted)]


def check_nothing_lost_or_doubled(run: PaperRun, told: dict[str, Any]) -> None:
    journal = run.journal
    assert told["ledger_equals_exchange"] is True, told["ledger_check"]
    met = fates(journal)
    assert {cid: fate for cid, fate in met.items() if len(fate) != 1} == {}, "one fate for every order"
    placed = on_the_exchange(journal.with_name("truth.jsonl"), ACCOUNT)
    assert set(placed.values()) == {1}
    assert placed.keys() == {cid for cid, fate in met.items() if fate == {"placed"}}
    assert set(attempts(journal.with_name("gateway.journal")).values()) == {1}
    sides: dict[tuple[str, str], list[str]] = defaultdict(list)
    for order in run.orders():
        if order.filled:
            sides[order.agent, order.symbol].append(order.side)
    for (agent, symbol), course in sides.items():
        wanted = ["buy", "sell"] * len(course)
        assert course == wanted[: len(course)], f"{agent} {symbol}: bought or sold twice: {course}"
    assert verify(journal).ok
    again = replay(journal)
    assert again.ok, again.mismatches
    assert again.intents_identical == again.intents == len(met)


def test_killed_desk_comes_back_and_strategies_leave_what_they_hold(started: Started) -> None:
    """First the desk alone, then the desk and the process of a strategy in one moment."""
    run, trading = started
    held = []
    for victims in ((), (EARLY,)):
        pids = [run.pid_of(agent, trading) for agent in victims]
        held.append(wait_until_both_hold(run, trading))
        desk = run.unit(trading, "runtime.desk")
        desk.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # what both held is left, or everything is over, before the next kill
        known, since = held[-1]
        run.wait_until(lambda known=known, since=since: left_later(run, known, since) == known, trading)
    out, errors = trading.communicate(timeout=PATIENCE_S)

    assert trading.returncode == 0, errors[-2000:]
    told = json.loads(out)
    assert told["desk_lives"] == 3
    check_nothing_lost_or_doubled(run, told)
    for known, since in held:
        assert {*known} >= {EARLY, LATE}
        assert left_later(run, known, since) == known
    assert faults(run.journal) == []
    bought = Counter(order.agent for order in run.orders()[held[-1][1] :] if order.side == "buy")
    assert bought[EARLY] >= 3, "and they went on trading"
    assert bought[LATE] >= 3


@pytest.mark.parametrize("unit", ["runtime.gateway", "venues.sandbox"])
def test_lost_gateway_or_exchange_ends_the_run_with_its_positions_told(started: Started, unit: str) -> None:
    """Nothing goes on without them yet: one line says so, and no order is made up."""
    run, trading = started
    wait_until_both_hold(run, trading)
    run.unit(trading, unit).kill()
    out, errors = trading.communicate(timeout=PATIENCE_S)

    assert (trading.returncode, out) == (1, "")
    (line,) = [line for line in errors.splitlines() if line.startswith("parley: ")]
    assert line.startswith(f"parley: the {unit.rpartition('.')[2]} was ended by SIGKILL while running")
    journal = run.journal
    truth = journal.with_name("truth.jsonl")
    placed = on_the_exchange(truth, ACCOUNT)
    assert len(placed) >= 4
    assert placed.keys() <= fates(journal).keys()
    assert set(placed.values()) == {1}
    assert set(attempts(journal.with_name("gateway.journal")).values()) == {1}
    assert verify(journal).ok
    first = check_books(truth, journal)["ledger_check"]["first"]
    assert {text.partition(" ")[0] for text in first} <= {"trade", "final", "the"}, first
