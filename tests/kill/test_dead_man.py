"""A gateway is killed over orders that rest, and nobody takes over: the exchange cancels them by itself.

Real exchange, gateway, hub and desk, recorded candles by the clock. The desk and the gateway that come later
find what became of the orders and book it as any cancel.

Not here: gateways that are followed at once (`test_gateway_kill`), timers (tests/contract/test_dead_man.py).
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parley.messages import KIND_OF, OrderEvent, decode, decode_envelope
from runtime.journal import JournalReader, verify
from runtime.launch import Market, make_run
from runtime.recorded_market import recorded_market
from runtime.replay import replay
from runtime.run_config import RunConfig
from runtime.settings import Settings, load_settings
from runtime.supervisor import Supervisor
from tests.kit.deep_bid import FACTORY
from tests.kit.desk_lives import lives_of
from tests.kit.fates import fates, without_verdict

pytestmark = pytest.mark.timeout(180)
SILENCE_S = 10  # the shortest OKX takes
ME = "strategy/trend"
PAIRS = ("BTC/USDT", "ETH/USDT")
QUIET = {"start": "2021-05-11T10:00", "end": "2021-05-11T10:15", "speed": 30.0}


def compose(settings: Settings, market: Market, run_id: str) -> RunConfig:
    """The default desk with one strategy, whose bids rest where nobody sells."""
    run = make_run(settings, market, run_id)
    agents = tuple(
        replace(spec, factory=FACTORY, params={}) if spec.id == ME else spec
        for spec in run.agents
        if spec.role != "strategy" or spec.id == ME
    )
    return replace(run, agents=agents)


def lines(truth: Path) -> list[dict[str, Any]]:
    found = []
    for line in truth.read_bytes().splitlines() if truth.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # the last line is being written
    return found


def last_states(truth: Path) -> dict[str, tuple[str, str]]:
    """Return how each order stands, and why, by client id."""
    taken = [each for each in lines(truth) if each["event"] == "order" and each["order_id"]]
    return {each["client_order_id"]: (each["status"], each.get("reason", "")) for each in taken}


def test_the_exchange_cancels_what_a_dead_gateway_left_and_the_next_desk_books_it(
    tmp_path: Path, market_data: Path
) -> None:
    options = {"data": market_data / "candles", "pairs": PAIRS, "crosses": "none", "home": tmp_path, **QUIET}
    settings = load_settings(None, {**options, "venue": "okx"})
    # shorter than people may have it: the rest of the run goes on meanwhile
    settings = settings.model_copy(
        update={"desk": settings.desk.model_copy(update={"dead_man_s": SILENCE_S})}
    )
    with lives_of(settings, recorded_market(settings), compose) as lives:
        truth, gateway = lives.layout.truth, lives.supervisor.child("gateway")

        def rests() -> bool:
            told = [each["ms"] for each in lines(truth) if each["event"] == "dead_man"]
            return told[-1:] == [SILENCE_S * 1000] and "NEW" in {s for s, _ in last_states(truth).values()}

        def dies() -> bool:
            if rests():
                os.kill(gateway.pid, signal.SIGKILL)
                return True
            return False

        died = lives.live(kill_when=dies)
        assert died.exit == -9, died.errors
        killed = time.monotonic()
        left = {cid for cid, (status, _) in last_states(truth).items() if status == "NEW"}
        assert left
        while any(last_states(truth)[cid][0] == "NEW" for cid in left):
            assert time.monotonic() < killed + SILENCE_S + 5, last_states(truth)
            time.sleep(0.05)
        assert time.monotonic() > killed + SILENCE_S / 2
        assert {last_states(truth)[cid] for cid in left} == {("CANCELED", "dead_man")}
        (tmp_path / "later").mkdir()
        later = Supervisor(tmp_path / "later")
        try:
            later.start("gateway", "runtime.gateway", lives.layout.config("gateway"))
            last = lives.live()
            assert last.exit == 0, last.errors
        finally:
            later.stop()

    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    met = fates(lives.journal)
    assert left <= met.keys()
    assert {cid: met[cid] - {"unknown"} for cid in left} == {cid: {"placed"} for cid in left}
    assert without_verdict(lives.journal) == []
    with JournalReader(lives.journal) as reader:
        told = [
            decode(decode_envelope(each.body).body) for each in reader.records(kinds=[KIND_OF["OrderEvent"]])
        ]
    ends = {each.venue_id: each.status for each in told if isinstance(each, OrderEvent)}
    assert "open" not in ends.values()
    assert list(ends.values()).count("canceled") >= len(left)
    assert verify(lives.journal).ok
    again = replay(lives.journal)
    assert again.ok, again.mismatches
