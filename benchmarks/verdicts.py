"""What the figures of `bench_round` amount to: medians over runs, ratios to the yardsticks, gates.

The ratio says what the round costs beyond what nothing can save here: two journal commits and
one socket round trip of the same machine, measured in the same run. Gates and goals are those
of negotiation 12 for two fsyncs. What is not here: measuring.
"""

from collections.abc import Mapping, Sequence
from statistics import median

Figures = Mapping[str, object]

GATE = {
    "packed": {"p50_ms": 1.2, "p99_ms": 6.0, "burst_rounds_per_s": 3000.0, "ratio_to_yardsticks": 2.0},
    "spread": {"p50_ms": 2.0, "p99_ms": 8.0, "start_to_first_round_s": 30.0},
}
GOAL = {
    "packed": {"p50_ms": 0.4, "p99_ms": 1.5, "burst_rounds_per_s": 10_000.0},
    "spread": {"p50_ms": 0.8, "p99_ms": 3.0, "start_to_first_round_s": 15.0},
}


def medians(runs: Sequence[Figures]) -> dict[str, object]:
    """Return one result whose numbers are the medians over the runs; texts are those of the first run."""
    merged: dict[str, object] = {}
    for key, first in runs[0].items():
        values = [run[key] for run in runs if key in run]
        if isinstance(first, Mapping):
            merged[key] = medians([value for value in values if isinstance(value, Mapping)])
        elif isinstance(first, bool) or not isinstance(first, int | float):
            merged[key] = first
        else:
            merged[key] = round(median(value for value in values if isinstance(value, int | float)), 1)
    return merged


def number(figures: Figures, *path: str) -> float | None:
    """Return a number from nested figures, None when it is not there."""
    found: object = figures
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return float(found) if isinstance(found, int | float) else None


def unavoidable_us(yardsticks: Figures) -> dict[str, float]:
    """Return the sum of two journal commits and a socket round trip, in us.

    ``hot`` with commits one after the other, ``paced`` with 300 commits/s, as between the rounds
    of a load: a core that slept needs longer for the same work.
    """
    socket = number(yardsticks, "socket_uvloop", "p50_us") or number(yardsticks, "socket_asyncio", "p50_us")
    sums: dict[str, float] = {}
    for name, yardstick in (("hot", "journal_commit_one_group"), ("paced", "journal_commit_paced")):
        commit = number(yardsticks, yardstick, "p50_us")
        if commit is not None and socket is not None:
            sums[name] = round(2 * commit + socket, 1)
    return sums


def judge(figures: Figures, unavoidable: Mapping[str, float]) -> dict[str, object]:
    """Return the ratios of a scenario, and pass or fail for each gate and goal that concerns it."""
    measured: dict[str, float] = {}
    ratios: dict[str, float] = {}
    if figures.get("batches_per_s_wanted") == "burst":
        measured["burst_rounds_per_s"] = number(figures, "rounds_per_s") or 0.0
    elif (p50 := number(figures, "event_to_accepted", "p50_us")) is not None:
        measured["p50_ms"] = p50 / 1000
        measured["p99_ms"] = (number(figures, "event_to_accepted", "p99_us") or 0.0) / 1000
        ratios = {name: round(p50 / total, 2) for name, total in unavoidable.items()}
        if "hot" in ratios:
            measured["ratio_to_yardsticks"] = ratios["hot"]
    if (start := number(figures, "start_to_first_round_s")) is not None:
        measured["start_to_first_round_s"] = start
    gate, goal = (limits[str(figures.get("placement", "packed"))] for limits in (GATE, GOAL))
    return {
        "ratio_to_yardsticks": ratios,
        "gate": {name: _verdict(name, value, gate) for name, value in measured.items() if name in gate},
        "goal": {name: _verdict(name, value, goal) for name, value in measured.items() if name in goal},
    }


def _verdict(name: str, value: float, limits: Mapping[str, float]) -> str:
    limit = limits[name]
    at_least = name.endswith("_per_s")
    held = value >= limit if at_least else value <= limit
    return f"{'pass' if held else 'FAIL'}: {value:.2f}, {'at least' if at_least else 'at most'} {limit:g}"
