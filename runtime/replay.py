"""Re-executes a desk's journal: the same inputs through the same agents must say the same, byte for byte.

Fed are only the messages that came from outside (feed, venue, clock, user), with the
admission stamps they had; everything the firm and its agents produce is compared with
what the journal holds, record by record. Late answers are repeated where the journal
says so. Nothing is sent and nothing is written.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.policy import GroupOut
from parley.bus import Answer, Wave
from parley.errors import DataError
from parley.messages import KIND_OF, KINDS, NAMES, Decision, Envelope, Intent, Late, decode, decode_envelope

from .bootstrap import assemble
from .journal import JournalReader, Record
from .run_config import run_config

# what enters a firm from outside; everything else is its own product
EXTERNAL = frozenset({"supervisor", "gateway", "hub", "user", "clock"})
MAX_MISMATCHES = 20


@dataclass(slots=True)
class ReplayReport:
    """What a replay found; ``mismatches`` names the first differing records."""

    decisions: int = 0
    decisions_identical: int = 0
    intents: int = 0
    intents_identical: int = 0
    envelopes: int = 0
    identical: int = 0
    recorded_proposals: int = 0
    seconds: float = 0.0
    mismatches: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything the journal holds came out again."""
        return not self.mismatches and self.identical == self.envelopes


def replay(path: str | Path, progress: Callable[[int, int], None] | None = None) -> ReplayReport:
    """Replay a journal file.

    Parameters
    ----------
    path : file
        A desk's journal, closed or still being written.
    progress : callable, optional
        Called with (records done, records in all) now and then.

    Raises
    ------
    DataError
        When the file is a gateway's journal or holds no configuration.
    JournalError
        When it is no journal, or of another version.
    """
    report = ReplayReport()
    started = time.perf_counter()
    with JournalReader(path) as reader:
        manifest = reader.run()
        if manifest.get("unit") != "desk" or "config" not in manifest:
            raise DataError(f"{str(path)!r} must be a desk's journal, it is of unit {manifest.get('unit')!r}")
        total = reader.count
        late = _late_answers(reader)
        assembly = assemble(
            run_config(manifest["config"]), late=lambda ask: late.get((ask.agent, ask.seq), 0)
        )
        firm, transport = assembly.firm, assembly.transport
        produced: dict[int, tuple[int, bytes]] = {}
        for done, record in enumerate(reader.records()):
            envelope = decode_envelope(record.body)
            if envelope.sender in EXTERNAL:
                if progress and done % 512 == 0:
                    progress(done, total)
                firm.table.epoch = envelope.epoch
                cascade = firm.admit(
                    decode(envelope.body),
                    envelope.sender,
                    t_event=envelope.t_event,
                    t_mono=envelope.t_mono,
                    t_recv=envelope.t_recv,
                )
                for seq, kind, body in _drain(cascade, transport.exchange):
                    produced[seq] = (kind, body)
            _compare(report, record, envelope, produced.pop(record.seq, None))
            if len(report.mismatches) >= MAX_MISMATCHES:
                break
        for seq, (kind, _) in sorted(produced.items())[:MAX_MISMATCHES]:
            report.mismatches.append(
                f"seq {seq}: the replay also said {NAMES[kind]}, the journal does not hold it"
            )
    report.seconds = time.perf_counter() - started
    return report


def _late_answers(reader: JournalReader) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for record in reader.records(kinds=[KIND_OF["Late"]]):
        envelope = decode_envelope(record.body)
        message = decode(envelope.body)
        if isinstance(message, Late):
            found[message.agent, envelope.cause] = message.by_ns
    return found


def _drain(
    cascade: Iterator[Wave | GroupOut], exchange: Callable[[Wave], Sequence[Answer]]
) -> Iterator[tuple[int, int, bytes]]:
    answers: Sequence[Answer] | None = None
    while True:
        try:
            step = next(cascade) if answers is None else cascade.send(answers)  # type: ignore[attr-defined]
        except StopIteration:
            return
        answers = None
        if isinstance(step, Wave):
            answers = exchange(step)
        else:
            for seq, kind, _, body in step.records:
                yield seq, kind, body


def _compare(
    report: ReplayReport, record: Record, envelope: Envelope, again: tuple[int, bytes] | None
) -> None:
    same = again is not None and again[1] == record.body
    report.envelopes += 1
    report.identical += same
    if record.kind == KINDS[Decision]:
        report.decisions += 1
        report.decisions_identical += same
    elif record.kind == KINDS[Intent]:
        report.intents += 1
        report.intents_identical += same
    if not same:
        said = "nothing" if again is None else _difference(record.body, again[1])
        kind = NAMES.get(record.kind, record.kind)
        report.mismatches.append(f"seq {record.seq} {kind} of {envelope.sender}: the replay said {said}")


def _difference(was: bytes, now: bytes) -> str:
    before, after = decode_envelope(was), decode_envelope(now)
    if before.kind != after.kind:
        return f"{NAMES[after.kind]} instead: {decode(after.body)!r}"[:300]
    old, new = decode(before.body), decode(after.body)
    for name in old.__struct_fields__:
        if getattr(old, name) != getattr(new, name):
            return f"{name} = {getattr(new, name)!r} instead of {getattr(old, name)!r}"
    return "another envelope"
