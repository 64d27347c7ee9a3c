"""A running desk's limit, set from outside, over two kills of the desk: in force, on record, and replayed.

Real exchange, gateway, hub and desk. Not here: what the gateway alone does with it
(tests/contract/test_limits_changed.py).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Intent, LimitChange, LimitsSet, StateView, decode, decode_envelope
from runtime import limiting
from runtime.journal import JournalReader
from runtime.limit_word import Wish
from runtime.replay import replay
from tests.kill.test_desk_kill import PAIRS
from tests.kit.desk_lives import desk_lives

HOURS = {"start": "2021-05-19T10:00", "end": "2021-05-19T15:00"}
SHARE = Decimal("0.01")
CAPITAL = Decimal(100_000)


def test_limit_is_kept_over_kills_of_the_desk_and_replays(
    tmp_path: Path, market_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "CONFIRM_S", 0.3)
    with desk_lives(tmp_path, {"data": market_data / "candles", "pairs": PAIRS, **HOURS}) as lives:
        assert lives.live("order_released:2").exit == -9
        # the desk is gone: the gateway takes it, and nobody says that it is in force there
        told = limiting.change(tmp_path, Wish(key="max_order_notional", value=str(SHARE), reason="odd"))
        assert (told["n"], told["confirmed"]) == (1, False)
        assert lives.live("step_durable:40").exit == -9
        assert limiting.show(tmp_path, "main")["n"] == 1
        last = lives.live()
        assert last.exit == 0, last.errors
    with JournalReader(lives.journal) as reader:
        kinds = [KIND_OF[name] for name in ("LimitChange", "LimitsSet", "Intent", "StateView")]
        said = [decode(decode_envelope(record.body).body) for record in reader.records(kinds=kinds)]
    (change,) = [each for each in said if isinstance(each, LimitChange)]
    (in_force,) = [each for each in said if isinstance(each, LimitsSet)]
    assert (change.why, in_force.before, in_force.value) == ("odd", "0.20", str(SHARE))
    since = said[said.index(in_force) :]
    opened = [each for each in since if isinstance(each, Intent) and not each.reduce_only]
    assert opened, "small orders go on"
    assert all(each.qty * (each.ref_px or Decimal(0)) <= CAPITAL * SHARE * Decimal("1.2") for each in opened)
    assert [each for each in since if isinstance(each, StateView)][-1].limits_version == 1
    with JournalReader(lives.layout.folder / "gateway.journal") as reader:
        # what the desk has it said: without that word nothing that is loosened would ever count
        words = [decode(record.body) for record in reader.records(kinds=[KIND_OF["LimitsSet"]])]
    assert [(w.n, w.key, w.value) for w in words if isinstance(w, LimitsSet)] == [
        (1, "max_order_notional", str(SHARE))
    ]
    again = replay(lives.journal)
    assert again.ok, again.mismatches
