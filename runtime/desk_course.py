"""What a desk's journal says over time: equity, weights, cuts and refusals, for a page.

Not here: sums of the whole run (`summary`), drawing (`backtest.desk_page`).

Invariant: a fold in journal order; times are market time, that of weights the last change of the account's.
"""

from collections import Counter
from dataclasses import dataclass, field

from parley.errors import DataError
from parley.messages import Decision, StateView, WeightUpdate, decode, decode_envelope
from runtime.history import kinds
from runtime.journal import JournalError, JournalReader

_KINDS = kinds("Decision", "StateView", "WeightUpdate")
_MS = 1_000_000


@dataclass(slots=True)
class DeskCourse:
    """Times in ms UTC; ``weights`` one mapping per time; counts by "agent: code"."""

    times_ms: list[int] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    weight_times_ms: list[int] = field(default_factory=list)
    weights: list[dict[str, float]] = field(default_factory=list)
    cuts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


def read_course(reader: JournalReader) -> DeskCourse:
    """Fold a journal.

    Raises
    ------
    DataError
        When a record cannot be read.
    """
    course = DeskCourse()
    now = 0
    try:
        for record in reader.records(kinds=_KINDS):
            message = decode(decode_envelope(record.body).body)
            match message:
                case StateView() if message.t and message.equity > 0:
                    now = message.t
                    _mark(course, now // _MS, float(message.equity))
                case WeightUpdate():
                    course.weight_times_ms.append(now // _MS)
                    course.weights.append(dict(message.weights))
                case Decision():
                    _judged(course, message)
                case _:
                    pass
    except (JournalError, ValueError) as error:
        raise DataError(f"{str(reader.path)!r}: {error}") from error
    return course


def _mark(course: DeskCourse, t_ms: int, equity: float) -> None:
    """Keep the last state of every moment."""
    if course.times_ms and course.times_ms[-1] == t_ms:
        course.equity[-1] = equity
    else:
        course.times_ms.append(t_ms)
        course.equity.append(equity)


def _judged(course: DeskCourse, decision: Decision) -> None:
    for agent, code, _ in decision.reasons:
        course.refusals[f"{agent}: {code}"] += 1
    if decision.action == "accept" and decision.bounds and decision.qty < decision.qty_wanted:
        binding = decision.bounds[0]
        course.cuts[f"{binding.agent}: {binding.code}"] += 1
