"""Where the time of a round went, from the stamps in the journals of the desk and the gateway.

Every figure is a difference of two stamps that the processes wrote for their own use, on one
machine's clock: the admission of the market batch, the start of the desk's commit, the
gateway's last look, the start of its commit, and the venue client's taking of the order.
A stage therefore holds everything between two stamps: "commit start to last look" is the
desk's commit with its fsync, the hop between the processes and the gateway's reading.

What is not here: running anything (`bench_round`). Invariant: an order the gateway took and
the desk's file does not hold is an error, never a sample.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parley.messages import (
    KIND_OF,
    Ack,
    Attempt,
    Intent,
    MarketBatch,
    Trigger,
    VenueReject,
    decode,
    decode_envelope,
)
from runtime.journal import JournalReader

STAGES = (
    "event_to_admit",
    "admit_to_commit_start",
    "commit_start_to_last_look",
    "last_look_to_commit_start",
    "commit_start_to_venue",
)
"""In the order in which a round goes through them; the first is not part of event to accepted."""


@dataclass(frozen=True)
class _Decided:
    """Stamps of an order in the desk's file, wall ns."""

    t_event: int
    t_admit: int
    t_commit: int
    cid: str


@dataclass
class Timeline:
    """What the two files say of one run; ``samples`` and ``stages`` are us, one for each order."""

    rounds: int = 0
    orders: int = 0
    first_commit: int = 0
    last_commit: int = 0
    samples: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})


def read_timeline(desk: Path, gateway: Path, arrived: Mapping[str, int] | None = None) -> Timeline:
    """Follow every order from the batch that caused it to the venue.

    arrived: wall ns at which the venue noted an order, by client order id. With it the last stamp is this one
        instead of the venue client's, and only orders in it count.

    Raises
    ------
    RuntimeError
        When the gateway took an order that the desk's file does not hold.
    """
    found = Timeline()
    decided = _decided(desk, found)
    attempts: dict[bytes, tuple[int, int]] = {}
    with JournalReader(gateway) as reader:
        groups = list(reader.groups())
        firsts = [group.first_seq for group in groups]
        for record in reader.records(kinds=[KIND_OF["Attempt"], KIND_OF["Ack"]]):
            message = decode(record.body)
            if isinstance(message, Attempt):
                start = groups[bisect_right(firsts, record.seq) - 1].t_commit
                attempts.setdefault(message.iid, (message.t_send, start))
            elif isinstance(message, Ack) and not message.cancel:
                if message.iid not in decided:
                    raise RuntimeError(
                        "the gateway took an order that the killed desk's journal does not hold"
                    )
                order = decided[message.iid]
                t_venue = message.t_venue if arrived is None else arrived.get(order.cid)
                if t_venue is not None:
                    _add(found, order, *attempts[message.iid], t_venue)
    return found


def refusals(gateway: Path) -> Counter[str]:
    """Count by reason the orders that the gateway did not send or the venue did not take."""
    with JournalReader(gateway) as reader:
        records = list(reader.records(kinds=[KIND_OF["VenueReject"]]))
    said = (decode(record.body) for record in records)
    return Counter(f"{m.code} {m.detail}" for m in said if isinstance(m, VenueReject) and not m.cancel)


def _decided(desk: Path, found: Timeline) -> dict[bytes, _Decided]:
    admitted: dict[int, tuple[int, int]] = {}
    batch_of: dict[bytes, int] = {}
    decided: dict[bytes, _Decided] = {}
    with JournalReader(desk) as reader:
        groups = list(reader.groups())
        firsts = [group.first_seq for group in groups]
        kinds = [KIND_OF[name] for name in ("MarketBatch", "Trigger", "Decision", "Intent")]
        for record in reader.records(kinds=kinds):
            envelope = decode_envelope(record.body)
            match decode(envelope.body):
                case MarketBatch():
                    admitted[envelope.seq] = (envelope.t_event, envelope.t_recv)
                case Trigger() as trigger:
                    batch_of[record.round] = trigger.md_seq
                case Intent() as intent:
                    start = groups[bisect_right(firsts, record.seq) - 1].t_commit
                    decided[intent.iid] = _Decided(*admitted[batch_of[record.round]], start, intent.cid)
                case _:
                    found.rounds += 1
    found.orders = len(decided)
    found.first_commit, found.last_commit = groups[0].t_commit, groups[-1].t_commit
    return decided


def _add(found: Timeline, order: _Decided, t_look: int, t_commit: int, t_venue: int) -> None:
    stamps = (order.t_event, order.t_admit, order.t_commit, t_look, t_commit, t_venue)
    for name, before, after in zip(STAGES, stamps[:-1], stamps[1:], strict=True):
        found.stages[name].append((after - before) / 1000)
    found.samples.append((t_venue - order.t_admit) / 1000)
