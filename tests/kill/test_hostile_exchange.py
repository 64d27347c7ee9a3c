"""A desk is killed while its exchange loses answers, acts late and shows late: the books agree, to the digit.

Recorded candles by the clock, because what is looked for takes seconds of real time. Not here: an exchange
that answers (`test_desk_kill`), the gateway alone (tests/contract/test_gateway_in_doubt.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Attempt, decode
from runtime.journal import JournalReader, verify
from runtime.launch import ACCOUNT
from runtime.replay import replay
from tests.kit.desk_lives import desk_lives
from tests.kit.fates import attempts, fates, on_the_exchange

pytestmark = pytest.mark.timeout(180)
PAIRS = ("BTC/USDT", "ETH/USDT", "LTC/USDT")
CRASH = {"start": "2021-05-19T10:00", "end": "2021-05-19T15:00"}
HOSTILE = {
    "lost": 0.15, "failed": 0.1, "late": 0.1, "dropped": 0.05, "throttled": 0.05, "lookup_lag_ms": 300,
}  # fmt: skip
STILL_LOOKED_FOR_NS = 15_000_000_000


def sent_at(journal: Path) -> dict[str, int]:
    """Return when each order was first about to be sent, wall ns."""
    found: dict[str, int] = {}
    with JournalReader(journal) as reader:
        for record in reader.records(kinds=[KIND_OF["Attempt"]]):
            message = decode(record.body)
            assert isinstance(message, Attempt)
            found.setdefault(message.cid, message.t_send)
    return found


@pytest.mark.parametrize(
    ("deaths", "speed", "venue"),
    [
        pytest.param((), 300.0, "binance", marks=pytest.mark.long, id="lives"),
        pytest.param(
            ("order_released:1", "fill_heard:1", "order_durable:2"),
            900.0,
            "binance",
            marks=pytest.mark.long,
            id="dies",
        ),
        pytest.param(
            ("order_released:1", "fill_heard:1"), 900.0, "bybit", marks=pytest.mark.long, id="dies on bybit"
        ),
    ],
)
def test_every_order_has_one_fate_and_the_ledger_is_the_exchanges(
    tmp_path: Path, market_data: Path, deaths: tuple[str, ...], speed: float, venue: str
) -> None:
    options = {"data": market_data / "candles", "pairs": PAIRS, "speed": speed, "venue": venue, **CRASH}
    with desk_lives(tmp_path, options, hostility=HOSTILE) as lives:
        for death in deaths:
            life = lives.live(death)
            if life.exit == 0:  # the market's clock does not wait: it ended before the place was passed
                break
            assert life.exit == -9, f"{death}: {life.errors}"
        last = lives.live() if lives.kills == len(deaths) else lives.lives[-1]
        assert last.exit == 0, last.errors
        assert lives.kills >= min(1, len(deaths))

    books = lives.books()
    assert books["ledger_equals_exchange"] is True, books
    gateways = lives.layout.folder / "gateway.journal"
    times = sent_at(gateways)
    ends: dict[str, str] = {}
    for cid, met in fates(lives.journal).items():
        known = met - {"unknown"}
        assert len(known) <= 1, f"{cid} met {met}"
        if not known:  # the run ended before its venue could be sure
            assert times[cid] > last.t_end - STILL_LOOKED_FOR_NS, cid
        ends[cid] = next(iter(known), "unknown")
    placed = on_the_exchange(lives.layout.truth, ACCOUNT)
    assert set(placed.values()) == {1}
    assert placed.keys() - {cid for cid, end in ends.items() if end == "unknown"} == {
        cid for cid, end in ends.items() if end == "placed"
    }
    assert set(attempts(gateways).values()) == {1}
    in_doubt = [cid for cid, met in fates(lives.journal).items() if "unknown" in met]
    counted = Counter(ends[cid] for cid in in_doubt)
    print(f"{lives.kills} deaths; orders {dict(Counter(ends.values()))}, of them in doubt {dict(counted)}")
    assert in_doubt
    for journal in (lives.journal, gateways):
        checked = verify(journal)
        assert checked.ok, checked.faults
    again = replay(lives.journal)
    assert again.ok, again.mismatches
