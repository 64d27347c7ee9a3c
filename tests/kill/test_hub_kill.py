"""A market data hub dies or hangs inside a run by the clock: nothing opens meanwhile, then trading goes on.

All processes are real, the candles recorded, the market the clock's; the hub is hit from outside.

Not here: who starts it again (tests/unit/runtime/test_kept_units.py), what it asks for then
(tests/unit/runtime/test_hub_resumed.py), a hub in lock-step (`test_run_survives`), a live one
(`test_live_kill`).
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from parley.messages import (
    Compared,
    Decision,
    Gap,
    Intent,
    MarketBatch,
    Message,
    StateView,
    decode,
    decode_envelope,
)
from runtime.history import kinds
from runtime.journal import JournalReader, verify
from runtime.replay import replay
from tests.kit.fates import attempts, on_the_exchange, without_verdict
from tests.kit.running import Running

pytestmark = pytest.mark.timeout(240)
# The crash of May 2021: hours in which the desk wants something at nearly every candle.
CRASH = ("--pairs", "BTC/USDT,ETH/USDT,LTC/USDT", "--from", "2021-05-19T12:00", "--to", "2021-05-19T15:00")
PACE = ("--speed", "180")
SYMBOLS = 5
NS = 1_000_000_000
READ = kinds("MarketBatch", "Gap", "Compared", "StateView", "Intent", "Decision")


class Said(NamedTuple):
    """A record of the desk's journal that is looked at; ``at``: wall ns, of what came from outside."""

    seq: int
    at: int
    message: Message


@pytest.fixture
def run(tmp_path: Path, market_data: Path) -> Iterator[Running]:
    run = Running(tmp_path, "--data", market_data / "candles", *CRASH, *PACE)
    run.wait_until_trading()
    yield run
    run.kill()


def journal_of(run: Running) -> Path:
    (journal,) = run.home.glob("runs/*/desk.journal")
    return journal


def said(journal: Path) -> list[Said]:
    found = []
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=READ):
            envelope = decode_envelope(record.body)
            found.append(Said(record.seq, envelope.t_recv, decode(envelope.body)))
    return found


def hub_of(run: Running, before: int = 0) -> psutil.Process:
    """Wait for a hub that is another process than the last one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        run.look()
        hub = run.children["runtime.hub"]
        if hub.pid != before and hub.is_running():
            return hub
        time.sleep(0.05)
    raise AssertionError(f"the hub {before} was not followed")


def wait_until_whole(run: Running, times: int) -> None:
    """Wait until the desk has taken back its doubt of the market so often."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert run.process.poll() is None, run.process.communicate()
        if sum(isinstance(each.message, Compared) for each in said(journal_of(run))) >= times:
            return
        time.sleep(0.1)
    raise AssertionError("the market did not become whole again")


def check(run: Running, hits: int) -> list[Said]:
    """Let the market play to its end, and check what holds however its hubs died."""
    code, out, err = run.end(150)
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    journal = Path(told["journal"])
    assert (told["hub_lives"], told["desk_lives"], told["gateway_lives"]) == (hits + 1, 1, 1)
    assert told["ledger_equals_exchange"] is True, told["ledger_check"]
    candles = told["candles"]
    assert candles["sent"] is None, "none is sent to a hub that is gone"
    assert candles["expected"] == candles["closed"] == candles["seen"] == candles["admitted"]
    assert told["feed"]["missed"] == 0
    assert verify(journal).ok
    again = replay(journal)
    assert again.ok, again.mismatches
    assert again.intents_identical == again.intents > 0
    assert set(on_the_exchange(journal.with_name("truth.jsonl"), "main").values()) <= {1}
    assert set(attempts(journal.with_name("gateway.journal")).values()) <= {1}
    assert without_verdict(journal) == []
    assert run.left(5) == []
    records = said(journal)
    bars = Counter(
        (bar.symbol, bar.t_open)
        for each in records
        if isinstance(each.message, MarketBatch)
        for bar in each.message.bars
    )
    assert set(bars.values()) == {1}, "a candle was admitted twice"
    opened = sorted({t for _, t in bars})
    assert len(opened) * SYMBOLS == len(bars)
    assert {b - a for a, b in pairwise(opened)} == {60 * NS}, "a candle is missing"
    steps = [each.message.step for each in records if isinstance(each.message, MarketBatch)]
    assert steps == sorted(set(steps))
    return records


def doubts(records: list[Said]) -> list[tuple[Said, Said]]:
    """Return when the desk began and ceased to doubt the market."""
    gaps = [each for each in records if isinstance(each.message, Gap)]
    whole = [each for each in records if isinstance(each.message, Compared)]
    assert {each.message.stream for each in gaps if isinstance(each.message, Gap)} == {"market"}
    assert len(gaps) == len(whole)
    return list(zip(gaps, whole, strict=True))


def check_nothing_opened(records: list[Said], began: Said, ended: Said) -> None:
    """Between the two nothing but exits may be decided, and every state says so."""
    between = [each.message for each in records if began.seq < each.seq < ended.seq]
    states = [each.trading for each in between if isinstance(each, StateView)]
    assert states, "the agents were shown that nothing opens"
    assert set(states) == {"REDUCING"}
    assert [each for each in between if isinstance(each, Intent) and not each.reduce_only] == []
    after = next(
        each.message for each in records if each.seq > ended.seq and isinstance(each.message, StateView)
    )
    assert isinstance(after, StateView)
    assert after.trading == "ACTIVE"


@pytest.mark.long  # hubs die in the short kills of several exchanges, of a live desk and of the campaign too
def test_desk_opens_nothing_while_its_killed_hub_is_away_and_trades_on_with_the_next(run: Running) -> None:
    hub = hub_of(run)
    for n in (1, 2):
        hub.kill()
        hub = hub_of(run, hub.pid)
        wait_until_whole(run, n)
        time.sleep(2.0)
    records = check(run, hits=2)

    for began, ended in doubts(records):
        check_nothing_opened(records, began, ended)
        assert (ended.at - began.at) / NS < 15, "a machine that has nothing else to do needs about a second"
        batches = [each for each in records if isinstance(each.message, MarketBatch)]
        # the one that makes the market whole comes right behind the word that it is
        whole = next(each.seq for each in batches if each.seq > ended.seq)
        notes = [
            text
            for each in batches
            if began.seq < each.seq <= whole and isinstance(each.message, MarketBatch)
            for text in each.message.gaps
        ]
        assert any("the run went on after step" in text for text in notes)
    last = doubts(records)[-1][1].seq
    assert any(isinstance(each.message, Intent) and each.seq > last for each in records)
    assert any(
        isinstance(each.message, Decision) and each.message.action == "accept" and each.seq > last
        for each in records
    )


@pytest.mark.long
def test_hub_that_hangs_for_ten_seconds_is_replaced_and_wakes_to_nothing(run: Running) -> None:
    hub = hub_of(run)
    hub.suspend()
    hung = time.time_ns()
    time.sleep(10.0)
    assert not hub.is_running(), "it was ended before another one took its place"
    wait_until_whole(run, 1)
    records = check(run, hits=1)

    ((began, ended),) = doubts(records)
    check_nothing_opened(records, began, ended)
    assert 2.5 < (began.at - hung) / NS < 12, "it was silent for 5 s"
    assert any(isinstance(each.message, Intent) and each.seq > ended.seq for each in records)


@pytest.mark.long
def test_desk_and_hub_killed_together_both_come_back(run: Running) -> None:
    hub, desk = hub_of(run), run.children["runtime.desk"]
    hub.kill()
    desk.kill()
    hub_of(run, hub.pid)
    run.kill_desk(desk.pid)
    time.sleep(8.0)
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert (told["hub_lives"], told["desk_lives"]) == (2, 3)
    assert told["ledger_equals_exchange"] is True
    assert replay(told["journal"]).ok
    bars = Counter(
        (bar.symbol, bar.t_open)
        for each in said(Path(told["journal"]))
        if isinstance(each.message, MarketBatch)
        for bar in each.message.bars
    )
    assert set(bars.values()) == {1}
