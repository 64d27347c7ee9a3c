"""A gateway at an exchange that speaks Bybit which was away: what the venue forgot is not known.

Real sockets, real ccxt, a real exchange.

Not here: what holds for every venue (`test_gateway_on_venues`).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from parley.messages import KIND_OF, Attempt, Intent, Message, VenueReject, decode, encode
from runtime.journal import Group, IntentRow, JournalReader, JournalWriter, Record
from tests.kit.sandbox import sandbox
from tests.kit.units import FakeDesk, gateway_config, make_intent, short_folder, unit

pytestmark = pytest.mark.timeout(120)
BYBIT: dict[str, object] = {
    "exchange": "bybit", "name": "bybit", "recv_window_ms": 1000, "timeout_ms": 3000, "lag_ms": 200,
}  # fmt: skip
PATIENCE_S = 30.0
HOUR_NS = 3_600_000_000_000


def refusals_in(journal: Path) -> list[Message]:
    with JournalReader(journal) as reader:
        return [decode(each.body) for each in reader.records(kinds=[KIND_OF["VenueReject"]])]


@pytest.mark.long
@pytest.mark.parametrize(("away_h", "ends"), [(23, True), (25, False)])
def test_an_absence_says_nothing_once_the_venue_forgets(away_h: int, ends: bool) -> None:
    """A gateway comes back after hours to an order it had begun to send; the venue remembers a day."""

    async def scenario() -> None:
        with short_folder() as folder:
            async with sandbox(protocol="bybit") as venue:
                config = gateway_config(folder, venue, BYBIT)
                intent = make_intent(1, venue="bybit")
                begun(folder / "gw.journal", intent, time.time_ns() - away_h * HOUR_NS)
                async with unit("gateway", config, folder) as running:
                    desk = await FakeDesk.connect(running.socket)
                    if ends:
                        await until_told(folder / "gw.journal", intent)
                    else:
                        await asyncio.sleep(6.0)  # twice what the other one takes
                        assert refusals_in(folder / "gw.journal") == []
                    desk.link.close("the test is over")

    asyncio.run(scenario())


def begun(journal: Path, intent: Intent, fence_until: int) -> None:
    """Write what a gateway leaves that dies right after it began to send."""
    attempt = Attempt(
        iid=intent.iid, cid=intent.cid, n=1, t_send=fence_until, fence_until=fence_until, body_hash=b"",
        desk_head=b"",
    )  # fmt: skip
    run = {"unit": "gateway", "account": "main", "tenant": "local", "desk": "1"}
    writer = JournalWriter.create(journal, run, on_fatal=lambda error: None)
    seq = writer.next_seq
    records = [
        Record(seq, KIND_OF["Intent"], intent.round, encode(intent)),
        Record(seq + 1, KIND_OF["Attempt"], intent.round, encode(attempt)),
    ]
    writer.post(Group(1, records, [IntentRow(intent.cid.encode(), intent.iid, seq)]), lambda gid, error: None)
    writer.close()


async def until_told(journal: Path, intent: Intent) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (intent.iid, "not_accepted") not in [
            (each.iid, each.code) for each in refusals_in(journal) if isinstance(each, VenueReject)
        ]:
            await asyncio.sleep(0.1)
