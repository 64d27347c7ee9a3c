"""One desk at three exchanges: its processes are killed while it routes, and each exchange's books hold.

Not here: how an order is divided (tests/unit/orchestrator/test_routing.py), the gateway alone
(tests/contract/test_several_gateway.py).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from parley.instruments import exchange_of
from parley.messages import Intent, StateView, decode, decode_envelope
from runtime.book_check import check_books
from runtime.history import kinds
from runtime.journal import JournalReader, verify
from runtime.launch import ACCOUNT
from runtime.placement import PROCESSES
from runtime.replay import replay
from tests.kit.fates import attempts, on_the_exchange
from tests.kit.running import Running
from tools.ledger_evidence import Unreadable

pytestmark = pytest.mark.timeout(300)
EXCHANGES = ("", "bybit", "okx")


def truths(journal: Path) -> dict[str, Path]:
    names = {exchange: f"truth-{exchange}.jsonl" if exchange else "truth.jsonl" for exchange in EXCHANGES}
    return {exchange: journal.with_name(name) for exchange, name in names.items()}


def orders_at(logs: dict[str, Path]) -> dict[str, int]:
    found = dict.fromkeys(logs, 0)
    for exchange, log in logs.items():
        with suppress(Unreadable):  # its last line is being written
            found[exchange] = len(on_the_exchange(log, ACCOUNT))
    return found


def wait(until: Callable[[], bool], what: str, patience_s: float = 120.0) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if until():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {patience_s} s: {what}")


def test_killed_desks_gateways_and_hubs_lose_and_double_nothing_at_any_exchange(tmp_path: Path) -> None:
    run = Running(tmp_path, "--also", "bybit,okx", "--speed", 12_000, "--capital", 3_000_000)
    try:
        run.wait_until_trading()
        (journal,) = tmp_path.glob("runs/*/desk.journal")
        logs, killed = truths(journal), set[int]()
        for victim in ("desk", "gateway", "hub", "desk", "gateway"):
            before = sum(orders_at(logs).values())
            wait(lambda n=before: sum(orders_at(logs).values()) > n, f"an order before the kill of {victim}")
            killed.add(kill(journal, victim, killed))
        wait(
            lambda: all('"event":"trade"' in log.read_text().replace(": ", ":") for log in logs.values()),
            "a trade at every exchange",
        )
        run.process.send_signal(signal.SIGINT)
        code, out, err = run.end(120)
    finally:
        run.kill()

    assert code == 0, err
    told = json.loads(out)
    assert (told["desk_lives"], told["gateway_lives"], told["hub_lives"]) == (3, 3, 2)
    assert told["ledger_equals_exchange"] is True
    assert told["ledger_check"]["exchanges"] == 3
    assert told["equity_is_reproduced"] is True
    assert told["attribution_is_complete"] is True
    assert verify(journal).ok
    assert replay(str(journal)).ok
    for log in logs.values():
        assert set(on_the_exchange(log, ACCOUNT).values()) == {1}
    assert set(attempts(journal.with_name("gateway.journal")).values()) == {1}
    assert_agents_know_pairs_only(journal)
    assert_a_changed_fill_is_found(journal, logs)


def kill(journal: Path, unit: str, killed: set[int]) -> int:
    """Kill a unit of the run, once it is another process than those before; return its pid."""
    pids: list[int] = []

    def serves() -> bool:
        pids[:] = [json.loads(journal.with_name(PROCESSES).read_text())["units"][unit]]
        return pids[0] not in killed

    wait(serves, f"another life of the {unit}")
    os.kill(pids[0], signal.SIGKILL)
    return pids[0]


def assert_agents_know_pairs_only(journal: Path) -> None:
    names, routed = set(), set()
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=kinds("StateView", "Intent")):
            match decode(decode_envelope(record.body).body):
                case StateView() as state:
                    names |= {each.symbol for each in (*state.positions, *state.holdings)}
                    names |= {each.asset for each in state.cash}
                case Intent() as intent:
                    assert intent.venue == (exchange_of(intent.symbol) or "binance")
                    routed.add(exchange_of(intent.symbol))
    assert routed == set(EXCHANGES)
    assert names
    assert not any("@" in name for name in names)


def assert_a_changed_fill_is_found(journal: Path, logs: dict[str, Path]) -> None:
    """The check sees one digit at an exchange that is not the first, and one that is left out."""
    further = {name: log for name, log in logs.items() if name}
    lines = logs["okx"].read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "trade")
    trade = json.loads(lines[at])
    lines[at] = json.dumps({**trade, "fee": trade["fee"] + "1"})
    changed = journal.with_name("changed.jsonl")
    changed.write_text("\n".join(lines) + "\n")
    for also in ({**further, "okx": changed}, {"bybit": further["bybit"]}):
        assert check_books(logs[""], journal, also)["ledger_equals_exchange"] is False
    assert check_books(logs[""], journal, further)["ledger_equals_exchange"] is True
