"""How fast a backtest is beside freqtrade's: same strategies, same candles, same run.

Seeded 5m candles of a year, or recorded ones of 264 pairs. For every case both results are compared, field by
field and bit by bit, before a time is printed; a difference ends the run. freqtrade runs in a child process,
so that this one holds nothing of its backtesting. Times are of the loop: analysed frames in, result frame
out.
The cold time is that of a process whose compile cache is empty. vectorbt is compared where both can do the
same (`against_vectorbt`); without it that case counts as failed.

``make bench-backtest``, or ``python -m benchmarks.backtest_vs_freqtrade --only loop --quick --json``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from backtest.errors import NotSupported
from benchmarks import against_vectorbt as rival
from benchmarks import backtest_whole as whole
from benchmarks import simulated_markets as made
from benchmarks.yardsticks import machine
from tests.differential import ours
from tests.differential.case import Case
from tests.differential.compare import differences, is_equal
from tests.differential.outcome import Outcome
from tests.differential.report import describe
from tests.differential.worker import ONE_THREAD, Worker

RESULTS: Final = Path(__file__).resolve().parent / "results" / "backtest_vs_freqtrade.json"
RUNNER: Final = "benchmarks.freqtrade_timed"
REFERENCE_LIMIT_S: Final = 1800.0
REPEAT: Final = 11
# A twentieth of a year: what says whether it works, not how fast it is.
QUICK: Final = made.Shape(pairs=4, candles=made.YEAR // 20)
QUICK_PORTFOLIO: Final = 40
PORTFOLIO_PAIRS: Final = 264
MOST_COLD_S: Final = 60.0
# Whole backtests: how many pairs, and what is asked of time (times freqtrade's speed) and memory (MB).
WHOLE: Final = {"end_to_end": 10, "memory": 20}
WHOLE_TIMES: Final = {"gate": 20, "goal": 40}
MEMORY_MB: Final = {"gate": 250, "goal": 120}
# Fields of the result that tell when the run was.
CLOCKS: Final = {"backtest_run_start_ts", "backtest_run_end_ts"}


@dataclass(frozen=True)
class Subject:
    """A case to time; ``gate`` and ``goal`` say how many times freqtrade's speed is asked for."""

    name: str
    what: str
    gate: float
    goal: float
    build: Callable[[bool, Path], Case]
    least_trades: int = 0
    least_open: float = 0.0


def _shape(quick: bool) -> made.Shape:
    return QUICK if quick else made.Shape()


SUBJECTS: Final = (
    Subject(
        "loop", "signals only, 10 pairs x 105,120", 1000, 4000,
        lambda quick, _: made.signals_only(_shape(quick)), least_trades=20_000,
    ),
    Subject(
        "callbacks", "custom_stoploss + custom_exit + confirm_trade_entry", 30, 100,
        lambda quick, _: made.with_callbacks(_shape(quick)), least_open=0.3,
    ),
    Subject(
        "futures", "position adjustment + leverage + funding, futures", 50, 300,
        lambda quick, _: made.futures(_shape(quick)),
    ),
    Subject(
        "portfolio", "264 recorded pairs", 500, 2000,
        lambda quick, data: made.portfolio(data, QUICK_PORTFOLIO if quick else PORTFOLIO_PAIRS),
    ),
)  # fmt: skip


def time_ours(case: Case, repeat: int) -> tuple[Outcome, list[float]]:
    """Return the outcome and the seconds of `repeat` warm runs, each in the memory the one before it left."""
    simulation = ours.prepare(case)
    result = simulation()
    seconds = []
    for _ in range(repeat):
        # freqtrade's time ends with its result in hand, so throwing ours away is not in it either.
        del result
        began = time.perf_counter()
        result = simulation()
        seconds.append(time.perf_counter() - began)
    return ours.outcome_of(case, result, median(seconds)), seconds


def open_share(case: Case, outcome: Outcome) -> float:
    """Return the share of pair-candles that lie in an open trade."""
    minutes = sum(outcome.columns["trade_duration"])
    candles = sum(len(frame) for frame in case.frames.values())
    return float(minutes * 60_000 / made.STEP_MS / candles)


def measure(subject: Subject, data: Path, reference: Worker, *, quick: bool) -> dict[str, Any]:
    """Run both sides of a case and return its figures; end the program if they differ."""
    case = subject.build(quick, data)
    candles = sum(len(frame) for frame in case.frames.values())
    figures: dict[str, Any] = {"what": subject.what, "pairs": len(case.pairs), "candles": candles}
    try:
        found, before = time_ours(case, 1 if quick else REPEAT)
    except NotSupported as error:
        return {**figures, "refused": str(error)}
    expected = reference.run(case)
    # freqtrade's minute is one figure, ours is milliseconds of a machine whose speed comes and goes: taken on
    # both sides of that minute.
    _, after = time_ours(case, 1 if quick else REPEAT)
    seconds = median(before + after)
    unequal = differences(expected, found)
    if unequal:
        raise SystemExit(f"{subject.name}: the results differ\n{describe(case, unequal, expected)}")
    share = open_share(case, expected)
    if not quick and (expected.trade_count < subject.least_trades or share < subject.least_open):
        raise SystemExit(
            f"{subject.name}: expected {subject.least_trades} trades and {subject.least_open:.0%} of candles"
            f" in one, had {expected.trade_count} and {share:.0%}"
        )
    times = expected.seconds / seconds
    return figures | _taken() | {
        "trades": expected.trade_count, "open_share": round(share, 3),
        "freqtrade_s": round(expected.seconds, 3), "parley_s": round(seconds, 5),
        "parley_runs": [round(each, 5) for each in sorted(before + after)],
        "freqtrade_candles_per_s": round(candles / expected.seconds),
        "parley_candles_per_s": round(candles / seconds),
        "times": round(times, 1), "gate": subject.gate, "goal": subject.goal,
        "passes": bool(times >= subject.gate),
    }  # fmt: skip


def measure_whole(name: str, pairs: int, *, quick: bool) -> dict[str, Any]:
    """Run both sides from configuration to result file, each in a process of its own; compare the files."""
    shape = made.Shape(pairs=3, candles=QUICK.candles) if quick else made.Shape(pairs=pairs)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as path:
        folder = Path(path)
        whole.prepare(folder, shape)
        sides = {side: whole.run_child(side, folder) for side in ("parley", "freqtrade")}
        expected, found = (whole.result_of(side, folder) for side in ("freqtrade", "parley"))
    unequal = [key for key in expected if not is_equal(expected[key], found.get(key)) and key not in CLOCKS]
    if unequal:
        raise SystemExit(f"{name}: these fields of the result differ: {unequal!r}")
    times = sides["freqtrade"]["seconds"] / sides["parley"]["seconds"]
    return _taken() | {
        "pairs": shape.pairs, "candles": shape.pairs * shape.candles, "trades": len(expected["trades"]),
        "times": round(times, 1),
        **{side: {key: round(value, 2) for key, value in figures.items()} for side, figures in sides.items()},
    }  # fmt: skip


def measure_vectorbt(python: Path, *, quick: bool) -> dict[str, Any]:
    """Run our loop and vectorbt's over the same signals; end the program if their trades differ."""
    what = "signals only, next open, fixed stake and fee"
    if not rival.has_vectorbt(python):
        return {"what": what, "refused": f"vectorbt is not installed for {python}: see --vectorbt-python"}
    case = rival.crossing_signals(_shape(quick))
    repeat = 1 if quick else 3 * REPEAT
    theirs, trades = rival.run_vectorbt(python, rival.arrays_of(case), repeat)
    found, taken = time_ours(case, repeat)
    seconds = median(taken)
    unequal = rival.differences(case, found.columns, trades)
    if unequal:
        raise SystemExit(f"vectorbt: the trades differ: {'; '.join(unequal)}")
    candles = sum(len(frame) for frame in case.frames.values())
    times = median(theirs["seconds"]) / seconds
    return _taken() | {
        "what": what, "version": theirs["version"], "pairs": len(case.pairs), "candles": candles,
        "trades": found.trade_count, "vectorbt_s": round(median(theirs["seconds"]), 4),
        "vectorbt_trades_s": round(theirs["trades_s"], 4), "parley_s": round(seconds, 4),
        "times": round(times, 2), **rival.TIMES, "passes": bool(times >= rival.TIMES["gate"]),
    }  # fmt: skip


def _taken() -> dict[str, Any]:
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"), "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def cold_start() -> tuple[float, float]:
    """Return wall and processor seconds of a process's first backtest, its imports included.

    The compile cache is empty.
    """
    script = (
        "from benchmarks import simulated_markets as made; from tests.differential import ours;"
        "ours.run(made.signals_only(made.Shape(pairs=1, candles=300)))"
    )
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        empty = {"NUMBA_CACHE_DIR": folder, "XDG_CACHE_HOME": folder, "HOME": folder}
        before, began = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-c", script], env={**os.environ, **ONE_THREAD, **empty}, check=True)
        seconds, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used


def run(names: list[str], data: Path, vectorbt: Path, *, quick: bool) -> dict[str, Any]:
    """Measure the named cases and return all figures."""
    load = os.getloadavg()
    figures: dict[str, Any] = {}
    reference = Worker(runner=RUNNER, case_limit_s=REFERENCE_LIMIT_S)
    try:
        for subject in SUBJECTS:
            if subject.name in names:
                figures[subject.name] = measure(subject, data, reference, quick=quick)
                Console(stderr=True).print(f"{subject.name}: {figures[subject.name]}", highlight=False)
    finally:
        reference.close()
    ours.check_modules()
    wholes = {name: measure_whole(name, pairs, quick=quick) for name, pairs in WHOLE.items() if name in names}
    cold, cold_cpu = cold_start() if "cold" in names else (None, None)
    beside = measure_vectorbt(vectorbt, quick=quick) if "vectorbt" in names else None
    return {
        "benchmark": "backtest_vs_freqtrade", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick, "machine": machine(), "load_before": [round(each, 2) for each in load],
        "load_after": [round(each, 2) for each in os.getloadavg()],
        "versions": {name: version(name) for name in ("freqtrade", "numpy", "pandas", "numba")},
        "cold_s": None if cold is None else round(cold, 1), "cold_limit_s": MOST_COLD_S,
        "cold_cpu_s": None if cold_cpu is None else round(cold_cpu, 1),
        "vectorbt": beside, "loops": figures, "wholes": wholes, "whole_times": WHOLE_TIMES,
        "memory_mb": MEMORY_MB,
    }  # fmt: skip


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures as a table."""
    table = Table("case", "trades", "freqtrade candles/s", "Parley candles/s", "times", "gate", "goal")
    for name, row in result["loops"].items():
        if "refused" in row:
            table.add_row(name, "", "", row["refused"], "", "", "")
            continue
        table.add_row(
            name, f"{row['trades']:,}", f"{row['freqtrade_candles_per_s']:,}",
            f"{row['parley_candles_per_s']:,}", f"{row['times']:,.0f}", f"{row['gate']:,.0f}",
            f"{row['goal']:,.0f}",
        )  # fmt: skip
    if result["loops"]:
        console.print(table)
    for name, row in result["wholes"].items():
        console.print(
            f"{name}: {row['pairs']} pairs, {row['trades']:,} trades, {row['times']} times freqtrade's speed"
            f" (gate {WHOLE_TIMES['gate']}), memory above imports {row['parley']['above_mb']:.0f} MB"
            f" (gate {MEMORY_MB['gate']}), freqtrade {row['freqtrade']['above_mb']:.0f} MB"
        )
    if row := result["vectorbt"]:
        asked = f"(gate {rival.TIMES['gate']}, goal {rival.TIMES['goal']})"
        told = row.get("refused") or f"{row['times']} times its speed {asked}"
        console.print(f"vectorbt from_signals: {told}")
    if result["cold_s"] is not None:
        console.print(
            f"cold first run, imports and compilation included: {result['cold_s']} s"
            f" ({result['cold_cpu_s']} s of one processor; at most {MOST_COLD_S:.0f} s)"
        )


def _joined(kept: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    joined = {group: kept.get(group, {}) | part[group] for group in ("loops", "wholes")}
    alone = {name: part[name] or kept.get(name) for name in ("cold_s", "cold_cpu_s", "vectorbt")}
    return part | joined | alone


def _misses(name: str, row: dict[str, Any]) -> bool:
    if name == "memory":
        return bool(row["parley"]["above_mb"] > MEMORY_MB["gate"])
    return bool(row["times"] < WHOLE_TIMES["gate"])


def main() -> int:
    """Run from the command line; the exit code is 1 if a case misses its gate."""
    parser = argparse.ArgumentParser(prog="backtest_vs_freqtrade", description=__doc__.splitlines()[0])
    known = [*(subject.name for subject in SUBJECTS), *WHOLE, "cold", "vectorbt"]
    parser.add_argument(
        "--only", action="append", choices=known, help="this case; may be given several times"
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of the candles, one run, no gates")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--save", action="store_true", help=f"write the figures to {RESULTS.name}")
    default = Path(os.environ.get("PARLEY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="folder of recorded market data")
    parser.add_argument(
        "--vectorbt-python", type=Path, default=Path(sys.executable), help="interpreter that has vectorbt"
    )
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for name in options.only or known:
        part = run([name], options.data, options.vectorbt_python, quick=options.quick)
        result = _joined(result, part)
        if options.save:
            # After every case: a year of candles takes freqtrade minutes, and a run may be cut off.
            kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
            RESULTS.write_text(json.dumps(_joined(kept, part), indent=2) + "\n", encoding="utf-8")
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    else:
        show(result, Console())
    missed = [name for name, row in result["loops"].items() if not row.get("passes")]
    missed += [name for name, row in result["wholes"].items() if _misses(name, row)]
    missed += ["cold"] if (result["cold_s"] or 0.0) > MOST_COLD_S else []
    missed += ["vectorbt"] if result["vectorbt"] and not result["vectorbt"].get("passes") else []
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())
