"""A live run ends in order while it holds something: its stop stays at the exchange, and is found again.

Not here: a desk that dies (`test_stop_at_the_venue`), what else a live run does then (`test_live_kill`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parley.messages import Intent, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalReader
from runtime.replay import replay
from tests.kill.test_live_kill import begin, ended
from tests.kit.outside_exchange import Outside, outside_exchange

pytestmark = pytest.mark.timeout(240)


def settings_of(exchange: Outside, path: Path, home: Path) -> Path:
    """A desk of one strategy that buys once, with a stop far below."""
    exchange.settings(path, home, pairs=["BTC/USDT"])
    text = path.read_text().replace("tests.chaos.busy:make", "tests.kit.one_purchase:make")
    text = text.replace("cooldown_ms = 0", "source_params = {stop_bps = 900.0}")
    path.write_text(text)
    return path


def stops(exchange: Outside) -> dict[str, str]:
    """The last state of every stop at the exchange, by client order id."""
    found: dict[str, str] = {}
    for line in exchange.truth.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line) if line.endswith("}") else {"event": ""}
        if entry["event"] == "order" and entry["type"] == "STOP_LOSS_LIMIT":
            found[entry["client_order_id"]] = entry["status"]
    return found


def wanted(journal: Path) -> list[Intent]:
    found = [
        decode(decode_envelope(r.body).body) for r in JournalReader(journal).records(kinds=kinds("Intent"))
    ]
    return [each for each in found if isinstance(each, Intent) and each.trigger is not None]


@pytest.mark.long
def test_stop_of_a_run_that_ended_stays_and_the_next_life_has_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with outside_exchange(tmp_path) as exchange:
        settings = settings_of(exchange, tmp_path / "desk.toml", home)
        first = ended(begin(settings, "--duration", "10"), 0)
        assert first["ledger_equals_exchange"] is True, first
        (cid,) = first["stops"]
        assert "stops that stay at the exchange: 1" in first["err"]
        assert stops(exchange)[cid] == "NEW"

        told = ended(begin(settings, "--resume", "last", "--duration", "5"), 0)
        assert told["ledger_equals_exchange"] is True, told["ledger_check"]
        assert told["stops"] == [cid]
        assert [status for status in stops(exchange).values() if status == "NEW"] == ["NEW"]
        journal = Path(told["journal"])
        assert [each.cid for each in wanted(journal)] == [cid]
        assert replay(journal).ok
