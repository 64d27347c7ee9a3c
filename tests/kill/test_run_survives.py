"""Processes of a `parley run` are killed: the desk comes back, the loss of another ends the run in one line.

Not here: a desk killed at a chosen place (`test_desk_kill`), a run that ends otherwise (integration).
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.book_check import check_books
from runtime.journal import verify
from runtime.launch import ACCOUNT
from runtime.replay import replay
from tests.kit.fates import attempts, fates, on_the_exchange
from tests.kit.running import Running
from tools.ledger_evidence import Unreadable

pytestmark = pytest.mark.timeout(180)
CRASH = ("--pairs", "BTC/USDT,ETH/USDT,LTC/USDT", "--from", "2021-05-19T10:00", "--to", "2021-05-21")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Running]]:
    runs: list[Running] = []
    yield runs
    for run in runs:
        run.kill()


def begin(runs: list[Running], home: Path, *options: object) -> Running:
    runs.append(Running(home, *options))
    runs[-1].wait_until_trading()
    return runs[-1]


def wait_for_orders(truth: Path, count: int) -> None:
    """Wait until the market is where the desk trades most: the exchange itself has accepted the orders."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(Unreadable):  # its last line is being written
            if len(on_the_exchange(truth, ACCOUNT)) >= count:
                return
        time.sleep(0.02)
    raise AssertionError(f"the exchange saw no {count} orders")


def test_run_goes_on_when_its_desk_is_killed(runs: list[Running], tmp_path: Path) -> None:
    run = begin(runs, tmp_path)
    pid = run.kill_desk(0)
    pid = run.kill_desk(pid)
    time.sleep(4.0)  # the third one serves
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert told["desk_lives"] == 3
    assert told["ledger_equals_exchange"] is True
    assert told["rounds"] > 0
    assert "the desk ended and is started again on its journal: life 2" in err
    assert "the desk ended and goes on where it was: life 3" in err
    assert replay(told["journal"]).ok
    assert run.left(5) == []


def test_desk_that_falls_again_and_again_ends_the_run(runs: list[Running], tmp_path: Path) -> None:
    run = begin(runs, tmp_path)
    pid = 0
    for _ in range(6):
        pid = run.kill_desk(pid)
    code, out, err = run.end()

    assert (code, out) == (1, "")
    (line,) = [line for line in err.splitlines() if line.startswith("parley: ")]
    assert line.startswith("parley: the desk was ended by SIGKILL while running; it said nothing (log: ")
    assert line.endswith("it was not started again: it ended 6 times within 60 s of service")
    assert run.left(5) == []


@pytest.mark.parametrize(
    "unit",
    [
        "runtime.gateway",
        pytest.param("runtime.hub", marks=pytest.mark.long),
        pytest.param("venues.sandbox", marks=pytest.mark.long),
    ],
)
def test_lost_gateway_hub_or_exchange_ends_the_run_and_no_order_is_made_up(
    runs: list[Running], tmp_path: Path, market_data: Path, unit: str
) -> None:
    """Nobody asks the venue yet what an order of a lost gateway became, so nothing goes on without it.

    What the exchange did and the desk has not heard may differ. What is never there: an order without a
    durable intent, two for one intent, an order sent by nobody, a journal that does not verify.
    """
    run = begin(runs, tmp_path, "--data", market_data / "candles", *CRASH)
    (journal,) = tmp_path.glob("runs/*/desk.journal")
    truth = journal.with_name("truth.jsonl")
    wait_for_orders(truth, 20)
    run.children[unit].kill()
    code, out, err = run.end()

    assert (code, out) == (1, "")
    (line,) = [line for line in err.splitlines() if line.startswith("parley: ")]
    assert line.startswith(f"parley: the {unit.rpartition('.')[2]} was ended by SIGKILL while running")
    assert run.left(5) == []
    met = fates(journal)
    placed = on_the_exchange(truth, ACCOUNT)
    assert len(placed) >= 20
    assert placed.keys() <= met.keys()
    assert set(placed.values()) <= {1}
    assert set(attempts(journal.with_name("gateway.journal")).values()) <= {1}
    assert verify(journal).ok
    differs = Counter(text.partition(" ")[0] for text in check_books(truth, journal)["ledger_check"]["first"])
    assert differs.keys() <= {"trade", "final", "the"}, differs


@pytest.mark.long
def test_agents_of_their_own_find_the_desk_again(runs: list[Running], tmp_path: Path) -> None:
    """Each in a Ray actor: they dial the same address until the next desk is there, and none is restarted."""
    config = tmp_path / "desk.toml"
    config.write_text('[desk]\nplacement = "spread"\ndashboard = false\n')
    run = begin(runs, tmp_path, "--config", config)
    pid = run.kill_desk(0)
    time.sleep(5.0)
    run.kill_desk(pid)
    time.sleep(10.0)
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert (told["desk_lives"], told["placement"], told["ray"]["restarts"]) == (3, "spread", {})
    assert told["ledger_equals_exchange"] is True
    assert replay(told["journal"]).ok
