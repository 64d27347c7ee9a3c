"""A gateway dies or hangs inside a run: its spare takes the account, no order is doubled or lost.

Real exchange, gateways, hub and desk, recorded candles by the clock; the gateway ends or stops itself at the
places of sending where the order of two effects matters (`tests.kit.dying_gateway`), or from outside.

Not here: killed desks (`test_desk_kill`), who follows whom in the small (tests/unit/runtime/test_standby.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.gateway_lock import GatewayLock
from runtime.gateway_log import recover
from runtime.journal import verify
from runtime.launch import ACCOUNT
from runtime.replay import replay
from runtime.supervisor import ChildFailed
from tests.kit.dying_gateway import WHILE_SENDING, WHILE_STARTING
from tests.kit.fates import attempts, fates, on_the_exchange, without_verdict
from tests.kit.gateway_lives import GatewayLives, gateway_lives
from tools.ledger_evidence import Unreadable

pytestmark = pytest.mark.timeout(240)
PAIRS = ("BTC/USDT", "ETH/USDT", "LTC/USDT")
# The crash of May 2021: more orders in these hours than in the rest of the week.
CRASH = {"start": "2021-05-19T10:00", "end": "2021-05-23T10:00", "speed": 1800.0}
KILLED, SILENT = "was ended by SIGKILL", "was silent for 5 s and was ended"


def placed(run: GatewayLives) -> int:
    return len(on_the_exchange(run.layout.truth, ACCOUNT))


def more_orders(run: GatewayLives, count: int) -> None:
    """Wait until the exchange has so many more, trading goes on, and none rests that the end could meet."""
    wanted = 0

    def has() -> bool:
        nonlocal wanted
        with contextlib.suppress(Unreadable):  # its last line is being written
            wanted = wanted or placed(run) + count
            return placed(run) >= wanted and not recover(run.layout.gateway_journal).alive
        return False

    run.watch(has)


def check(run: GatewayLives) -> Counter[str]:
    """End the run and check what holds however its gateways died; return how many orders met which fate."""
    journal = run.layout.journal
    books = run.end()
    assert books["ledger_equals_exchange"] is True, books["ledger_check"]["first"]
    met = fates(journal)
    assert {cid: fate for cid, fate in met.items() if len(fate - {"unknown"}) != 1} == {}, "one fate for each"
    counted = Counter(next(iter(fate - {"unknown"})) for fate in met.values())
    there = on_the_exchange(run.layout.truth, ACCOUNT)
    assert set(there.values()) == {1}
    assert there.keys() == {cid for cid, fate in met.items() if "placed" in fate}
    sent = attempts(run.layout.gateway_journal)
    assert set(sent.values()) == {1}
    assert there.keys() <= sent.keys()
    assert without_verdict(journal) == []
    assert verify(journal).ok
    assert verify(run.layout.gateway_journal).ok
    again = replay(journal)
    assert again.ok, again.mismatches
    assert again.intents_identical == again.intents == len(met)
    return counted


def lived(home: Path, data: Path, fuses: Sequence[str], orders: int = 3) -> Counter[str]:
    """Let gateways end as planned, until the last has traded on; the desk stays the same."""
    options = {"data": data / "candles", "pairs": PAIRS, **CRASH}
    with gateway_lives(home, options, fuses) as run:
        run.watch(lambda: len(run.lives) == len(fuses) and run.gateway.line("ready") is not None)
        more_orders(run, orders)
        holder = GatewayLock(run.layout.gateway_journal).holder()
        assert holder is not None
        assert (holder.pid, holder.epoch) == (run.gateway.pid, len(fuses) + 1)
        counted = check(run)
        assert run.supervisor.child("desk").life == 1
        assert {each.follows for each in run.lives} <= {KILLED, SILENT}
        assert [each.follows == SILENT for each in run.lives] == [each.endswith(":stop") for each in fuses]
    return counted


def test_gateway_killed_while_it_sends_is_followed_and_no_order_is_doubled_or_lost(
    tmp_path: Path, market_data: Path
) -> None:
    counted = lived(tmp_path, market_data, ["attempt_durable:2", "request_begun:2", "answer_unsaid:1"])

    assert counted["placed"] >= 5
    assert counted["refused"] >= 1, "the one that was durable and not sent"


@pytest.mark.long
def test_gateway_stopped_before_it_sends_never_sends_once_its_spare_took_over(
    tmp_path: Path, market_data: Path
) -> None:
    """It is woken when its spare has served: it is gone, and so is the order that it was about to send."""
    options = {"data": market_data / "candles", "pairs": PAIRS, **CRASH}
    with gateway_lives(tmp_path, options, ["attempt_durable:2:stop"]) as run:
        zombie = run.gateway.pid
        run.watch(lambda: bool(run.lives) and run.gateway.line("ready") is not None)
        with pytest.raises(ProcessLookupError):
            os.kill(zombie, signal.SIGCONT)
        more_orders(run, 2)
        on_its_way = list(attempts(run.layout.gateway_journal))[1]
        assert on_its_way not in on_the_exchange(run.layout.truth, ACCOUNT)
        check(run)
        assert fates(run.layout.journal)[on_its_way] >= {"refused"}
        assert [each.follows for each in run.lives] == [SILENT]


def test_gateway_that_dies_in_a_run_again_and_again_ends_it_as_without_a_spare(
    tmp_path: Path, market_data: Path
) -> None:
    fuses = ["adopting:1"] * 3
    options = {"data": market_data / "candles", "pairs": PAIRS, **CRASH}
    with gateway_lives(tmp_path, options, ["order_came:1", *fuses], most=2) as run:
        with pytest.raises(ChildFailed) as caught:
            run.watch(lambda: False)
        assert str(caught.value).startswith("the gateway was ended by SIGKILL while running")
        assert "it was not started again: it ended 3 times within 60 s of service" in str(caught.value)
        assert verify(run.layout.gateway_journal).ok
        assert set(on_the_exchange(run.layout.truth, ACCOUNT).values()) <= {1}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_gateway_killed_and_stopped_at_every_place(tmp_path: Path, market_data: Path) -> None:
    kills = [f"{place}:{n}" for place in WHILE_SENDING for n in (1, 2)]
    stops = [f"{place}:1:stop" for place in WHILE_SENDING]
    starts = [f"{place}:1" for place in WHILE_STARTING]

    counted = lived(tmp_path, market_data, [*kills, *starts, *stops], orders=5)

    assert counted["placed"] >= 15
