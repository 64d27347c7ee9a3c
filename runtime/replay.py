"""Re-executes a desk's journal: the same inputs through the same agents must say the same, byte for byte.

Fed are only the messages that came from outside (feed, venue, clock, user), with the
admission stamps they had; everything the firm and its agents produce is compared with
what the journal holds, record by record. Late answers are repeated where the journal
says so; so is what strategies from outside said, whose code is not ours to run again.
Nothing is sent and nothing is written.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, localcontext
from pathlib import Path

from parley.messages import KINDS, NAMES, Decision, Envelope, Intent, Proposal, decode_envelope

from .bootstrap import assemble
from .journal import JournalReader, Record
from .refold import Refold, Said, config_of, difference, lateness, recorded

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
    # ccxt sets another rounding for its whole process: numbers are worked out as the desk's process did
    with localcontext(Context(rounding=ROUND_HALF_EVEN)):
        return _replayed(path, progress)


def _replayed(path: str | Path, progress: Callable[[int, int], None] | None) -> ReplayReport:
    report = ReplayReport()
    started = time.perf_counter()
    with JournalReader(path) as reader:
        total = reader.count
        repeated = recorded(reader)
        refold = Refold(assemble(config_of(reader), late=lateness(reader), instead=repeated))
        for done, record in enumerate(reader.records()):
            envelope = decode_envelope(record.body)
            if progress and done % 512 == 0:
                progress(done, total)
            _compare(report, record, envelope, refold.step(record, envelope))
            report.recorded_proposals += record.kind == KINDS[Proposal] and envelope.sender in repeated
            if len(report.mismatches) >= MAX_MISMATCHES:
                break
        for seq, (kind, _) in sorted(refold.left.items())[:MAX_MISMATCHES]:
            report.mismatches.append(
                f"seq {seq}: the replay also said {NAMES[kind]}, the journal does not hold it"
            )
    report.seconds = time.perf_counter() - started
    return report


def _compare(report: ReplayReport, record: Record, envelope: Envelope, again: Said | None) -> None:
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
        said = difference(record.body, again)
        kind = NAMES.get(record.kind, record.kind)
        report.mismatches.append(f"seq {record.seq} {kind} of {envelope.sender}: the replay said {said}")
