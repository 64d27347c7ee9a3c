"""A process that keeps a desk's journal growing: ``python -m tests.kit.journal_load FILE SECONDS [CYCLES]``.

Each cycle is the four rounds of `small_journal` under ids of its own, with snapshots between, some text no
database takes, and a rest, so that readers also find nothing new. Ends and seals after SECONDS, CYCLES, or at
SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import msgspec

from parley.ids import round_id
from parley.messages import Balance, Fill, Message, Refuse, Silence, Started
from tests.kit import small_journal as small

REST_S = 0.03
SNAPSHOT_EVERY = 50


class Load(small.Notes):
    """`Notes` whose trade ids differ from cycle to cycle."""

    cycle = 0

    def put(self, *messages: Message, sender: str = "desk", round_: bytes = b"") -> None:
        named = [
            msgspec.structs.replace(each, trade_id=f"{each.trade_id}-{self.cycle}")
            if isinstance(each, Fill)
            else each
            for each in messages
        ]
        super().put(*named, sender=sender, round_=round_)


def begin(path: Path, run_id: str = "small") -> Load:
    """Make the journal and write what a run starts with."""
    notes = Load(path, msgspec.structs.replace(small.run_config(), run_id=run_id))
    notes.put(
        Started(run_id=run_id, epoch=1, quote="USDT", capital=small.D(10_000), t=small.T0),
        sender="supervisor",
    )
    notes.put(
        Balance(account="main", venue="binance", assets=(("USDT", small.D(10_000)),), t=small.T0),
        sender="gateway",
    )
    return notes


def write_cycle(notes: Load, cycle: int) -> None:
    """Write four rounds."""
    notes.cycle = cycle
    rounds = [
        round_id("local", 1, f"bar/feed/{small.SYMBOL}/{cycle}", small.T0 + n * small.MINUTE, 1)
        for n in range(1, 5)
    ]
    small._nobody_bids(notes, rounds[0])
    small._buys(notes, rounds[1])
    small._refused(notes, rounds[2])
    notes.put(Silence(agent=small.TECHNICAL, stage="vote"), round_=rounds[3])
    notes.put(Refuse(agent=small.TREND, code="odd", detail=f"nul \x00 {cycle}"), sender=small.TREND)
    small._sells(notes, rounds[3])
    if cycle % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1:
        notes.writer.snapshot(notes.seq, b"state" * 1000).result()


def main(path: Path, seconds: float, cycles: int) -> None:
    """Write until told to stop, then seal."""
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    notes = begin(path)
    deadline = time.monotonic() + seconds
    cycle = 0
    while not stopping and time.monotonic() < deadline and cycle < cycles:
        write_cycle(notes, cycle)
        cycle += 1
        time.sleep(REST_S)
    notes.writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else sys.maxsize)
