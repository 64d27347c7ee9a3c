"""A live run whose exchange cannot be reached for a while, and whose gateway or hub dies meanwhile, goes on.

All processes are real; the line to the exchange is a relay that is cut. Not here: one that is back at once
(the chaos harness), what a gateway makes of its orders then (`test_gateway_kill`).
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from parley.messages import Compared, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.replay import replay
from tests.chaos.line import OPEN, set_mood
from tests.chaos.stack import begin as begin_unit
from tests.chaos.stage import through
from tests.kill.test_live_kill import begin, ended, unit, wait_for_fills
from tests.kit.outside_exchange import outside_exchange

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
AWAY_S = 12.0


def wait_for(trading: subprocess.Popen[str], holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert trading.poll() is None, trading.communicate()
        if holds():
            return
        time.sleep(0.2)
    raise AssertionError(what)


def steps(journal: Path) -> int:
    return sum(1 for _ in JournalReader(journal).records(kinds=kinds("MarketBatch")))


def trusted(journal: Path) -> set[str]:
    """What the desk doubted and does not doubt any more."""
    found: set[str] = set()
    for record in JournalReader(journal).records(kinds=kinds("Compared")):
        message = decode(decode_envelope(record.body).body)
        assert isinstance(message, Compared)
        found |= set(message.streams)
    return found


@pytest.mark.parametrize("victim", ["", "runtime.hub", "runtime.gateway"])
def test_run_waits_for_its_exchange_and_goes_on_by_itself(tmp_path: Path, victim: str) -> None:
    with outside_exchange(tmp_path) as exchange:
        mood, told = tmp_path / "mood", tmp_path / "line.json"
        set_mood(mood, OPEN)
        parts = urlsplit(exchange.rest)
        told.write_text(json.dumps({"host": parts.hostname, "port": parts.port, "mood": str(mood)}))
        line, ready = begin_unit("tests.chaos.line", told, tmp_path / "line.log")
        port = int(ready["port"])
        near = dataclasses.replace(exchange, rest=through(port, exchange.rest), ws=through(port, exchange.ws))
        trading = begin(near.settings(tmp_path / "desk.toml", tmp_path / "home"))
        try:
            journal = wait_for_fills(trading, tmp_path / "home", 2)
            set_mood(mood, "cut")
            time.sleep(0.5)
            if victim:
                unit(trading, victim).kill()
            time.sleep(AWAY_S)
            assert trading.poll() is None, trading.communicate()
            before = steps(journal)
            set_mood(mood, OPEN)
            wait_for(trading, lambda: steps(journal) > before + 20, "the market did not come back")
            # the account is trusted again when the stream has stood for a while, the market at once
            wait_for(trading, lambda: "user" in trusted(journal), "the account is still in doubt")
            trading.send_signal(signal.SIGINT)
            account = ended(trading, 0)
        finally:
            if trading.poll() is None:
                trading.kill()
            line.terminate()
            line.wait()

    assert account["ledger_equals_exchange"] is True, account["ledger_check"]
    assert account["desk_lives"] == 1
    assert account["hub_lives"] == 1 + (victim == "runtime.hub")
    assert account["gateway_lives"] == 1 + (victim == "runtime.gateway")
    assert ("market" in trusted(journal)) == (victim == "runtime.hub")
    assert replay(journal).ok
