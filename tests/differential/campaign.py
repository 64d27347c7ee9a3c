"""Run many cases: Parley here, freqtrade in worker processes, and judge each.

Problem: the reference takes a hundred times as long as the engine under test, so the references of several
cases run side by side while this process draws the next ones.

Not here: what is done with a verdict (`fuzz`), the two sides themselves.

Invariant: verdicts come in the order of the cases. A case is `EQUAL` only if both sides ended and every field
agrees; whatever is not equal has a kind and a text of its own.
"""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue

from backtest.errors import NotSupported
from tests.differential.case import Case
from tests.differential.compare import Difference, differences
from tests.differential.kept import KeptOutcomes
from tests.differential.outcome import Outcome
from tests.differential.report import describe
from tests.differential.worker import CASE_LIMIT_S, Worker, WorkerLost

Side = Callable[[Case], Outcome]


class Kind(StrEnum):
    """How a case ended."""

    EQUAL = "equal"
    DIFFERENT = "different"
    REFUSED = "refused"  # Parley says that it cannot do this yet
    LOST = "lost"  # the reference hung or ended
    FAILED = "failed"  # the reference ended with an error: nothing to compare with


@dataclass(frozen=True)
class Verdict:
    """What came out of one case."""

    case: Case
    kind: Kind
    text: str = ""
    differences: list[Difference] = field(default_factory=list)
    expected: Outcome | None = None
    found: Outcome | None = None


class References:
    """Worker processes that answer several cases at a time; closing ends them.

    With ``kept`` they are asked only what that does not know; ``known`` counts what it did.
    """

    def __init__(
        self, count: int, *, case_limit_s: float = CASE_LIMIT_S, kept: KeptOutcomes | None = None
    ) -> None:
        self._kept = kept
        self.known = 0
        self._all = [Worker(case_limit_s=case_limit_s) for _ in range(count)]
        self._free: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._all:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="reference")
        self.count = count

    def __enter__(self) -> References:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.close()

    def run(self, case: Case) -> Outcome:
        """Return freqtrade's outcome of `case`; raise `WorkerLost` when it was lost twice.

        A machine that stands still for minutes loses a case once.
        """
        if self._kept is not None and (known := self._kept.find(case)) is not None:
            self.known += 1
            return known
        worker = self._free.get()
        try:
            try:
                outcome = worker.run(case)
            except WorkerLost:
                outcome = worker.run(case)
        finally:
            self._free.put(worker)
        if self._kept is not None:
            self._kept.keep(case, outcome)
        return outcome

    def submit(self, case: Case) -> Future[Outcome]:
        """Begin `case`."""
        return self._threads.submit(self.run, case)

    @property
    def restarts(self) -> int:
        return sum(worker.restarts for worker in self._all)


def cores() -> int:
    """Return how many reference workers this machine carries: one per core."""
    return len(os.sched_getaffinity(0))


def run_cases(cases: Iterable[Case], ours: Side, references: References) -> Iterator[Verdict]:
    """Yield a verdict per case, in order; twice as many cases as workers are under way."""
    waiting: deque[tuple[Case, Outcome | Verdict, Future[Outcome] | None]] = deque()
    for case in cases:
        found = try_ours(case, ours)
        # Ours first: what it refuses needs no reference.
        begun = references.submit(case) if isinstance(found, Outcome) else None
        waiting.append((case, found, begun))
        if len(waiting) > 2 * references.count:
            yield _judge(*waiting.popleft())
    while waiting:
        yield _judge(*waiting.popleft())


def judge(case: Case, ours: Side, reference: Side) -> Verdict:
    """Run both sides of one case, one after the other, and judge it."""
    found = try_ours(case, ours)
    if isinstance(found, Verdict):
        return found
    begun: Future[Outcome] = Future()
    try:
        begun.set_result(reference(case))
    except WorkerLost as error:
        begun.set_exception(error)
    return _judge(case, found, begun)


def try_ours(case: Case, ours: Side) -> Outcome | Verdict:
    """Return the outcome of Parley's side, or the verdict if there is none."""
    try:
        return ours(case)
    except NotSupported as error:
        return Verdict(case, Kind.REFUSED, str(error))
    except Exception as error:  # noqa: BLE001 - a crash of the engine is a difference, and the run goes on
        crash = Difference("crash", "an outcome", f"{type(error).__name__}: {error}")
        text = f"{case.label}: Parley's side crashed\n{traceback.format_exc()}"
        return Verdict(case, Kind.DIFFERENT, text, [crash])


def _judge(case: Case, found: Outcome | Verdict, begun: Future[Outcome] | None) -> Verdict:
    if isinstance(found, Verdict) or begun is None:
        assert isinstance(found, Verdict)
        return found
    try:
        expected = begun.result()
    except WorkerLost as error:
        return Verdict(case, Kind.LOST, str(error), found=found)
    if expected.error is not None and found.error is not None:
        return Verdict(case, Kind.FAILED, expected.error, expected=expected, found=found)
    unequal = differences(expected, found)
    if unequal:
        return Verdict(case, Kind.DIFFERENT, describe(case, unequal, expected), unequal, expected, found)
    return Verdict(case, Kind.EQUAL, expected=expected, found=found)
