"""``python -m tests.differential.fuzz``: compare Parley's backtest with freqtrade's on random cases.

Not here: the parts it is made of (`generator`, `campaign`, `compare`, `shrink`, `record`).

Invariant: the exit code is 0 only if cases were compared, none differed and none was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.differential import ours, record
from tests.differential.campaign import Kind, References, Side, Verdict, cores, judge, run_cases, try_ours
from tests.differential.case import Case, from_json, to_json
from tests.differential.compare import differences
from tests.differential.generator import LEVELS, draw_case
from tests.differential.kept import KeptOutcomes
from tests.differential.shrink import shrink
from tests.differential.worker import WorkerLost

CASES = Path(__file__).resolve().parent / "cases"
SHRUNK_PER_RUN = 3
SAVED_EVERY = 200
SHOWN_MISSING = 12


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for and return the exit code."""
    options = _parser().parse_args(arguments)
    levels = [int(level) for level in options.level.split(",")]
    if options.replay is not None:
        case = from_json(options.replay.read_text())
        return _show_one(case, options)
    if options.case is not None:
        return _show_one(draw_case(options.seed, options.case, levels[0]), options)
    kept = KeptOutcomes(options.kept) if options.kept else None
    with References(options.workers, kept=kept) as references:
        side = references.run if options.self_check else ours.run
        records = [run_level(options.seed, level, options, references, side) for level in levels]
    summaries = [one.summary() for one in records]
    if options.json:
        sys.stdout.write(json.dumps({"machine": record.machine(), "runs": summaries}, indent=1) + "\n")
    compared = sum(one.kinds[Kind.EQUAL] for one in records)
    return 0 if compared and all(one.is_clean for one in records) else 1


def run_level(
    seed: int, level: int, options: argparse.Namespace, references: References, side: Side
) -> record.Record:
    """Run cases of one level until ``options.cases`` are done, going on where the results file ends."""
    path: Path | None = options.results
    done = record.load(path, seed, level) if path else record.Record(seed, level)
    numbers = range(done.next_case, options.cases)
    console = Console(stderr=True)
    shrunk = 0
    started = time.monotonic()
    for verdict in _with_progress(
        run_cases((draw_case(seed, number, level) for number in numbers), side, references),
        len(numbers), f"seed {seed} level {level}", console, quiet=options.quiet,
    ):  # fmt: skip
        done.add(verdict)
        if verdict.kind in (Kind.DIFFERENT, Kind.LOST):
            console.print(verdict.text, markup=False, highlight=False, soft_wrap=True)
            if verdict.kind == Kind.DIFFERENT and options.shrink and shrunk < SHRUNK_PER_RUN:
                shrunk += 1
                keep_small(verdict, side, references, console)
        if path and verdict.case.number % SAVED_EVERY == SAVED_EVERY - 1:
            done.seconds, started = done.seconds + time.monotonic() - started, time.monotonic()
            record.save(path, [done])
    done.seconds += time.monotonic() - started
    if path:
        record.save(path, [done])
    print_summary(done, console)
    if references.known:
        console.print(f"  outcomes of freqtrade that were kept from earlier runs: {references.known}")
    return done


def keep_small(verdict: Verdict, side: Side, references: References, console: Console) -> Path:
    """Shrink a case that differs, write it to the fixed cases and tell about it."""
    small = shrink(verdict.case, still_differs(verdict, side, references.run))
    path = CASES / f"seed{small.seed}-level{small.level}-case{small.number}.json"
    small = small.but(note=f"shrunk from {verdict.case.label}: {verdict.differences[0].where}")
    path.write_text(to_json(small) + "\n")
    again = judge(small, side, references.run)
    console.print(f"shrunk to {path}\n{again.text}", markup=False, highlight=False, soft_wrap=True)
    return path


def still_differs(verdict: Verdict, side: Side, reference: Side) -> Callable[[Case], bool]:
    """Return whether a smaller case still fails in the way that ``verdict`` did: crashed or differed."""
    wanted = verdict.differences[0].where in ("crash", "error")

    def fails(case: Case) -> bool:
        found = try_ours(case, side)
        if isinstance(found, Verdict):
            return wanted and found.kind == Kind.DIFFERENT
        try:
            expected = reference(case)
        except WorkerLost:
            return False
        if (expected.error is not None or found.error is not None) != wanted:
            return False
        return bool(differences(expected, found))

    return fails


def print_summary(done: record.Record, console: Console) -> None:
    """Print how the cases ended and what they met."""
    summary = done.summary()
    kinds = ", ".join(f"{summary[kind.value]} {kind.value}" for kind in Kind)
    rows = [
        f"seed {done.seed} level {done.level}: {kinds} of {done.next_case} in {done.seconds:.0f} s",
        f"  trades {summary['trades']}, per case (median) {summary['median_trades_per_case']}",
        "  exits  " + ", ".join(f"{name} {share:.1%}" for name, share in summary["shares"].items()),
        f"  pairs of options {summary['option_pairs_seen']} of {summary['option_pairs_possible']}",
    ]
    rows += [f"    never together: {name}" for name in summary["option_pairs_missing"][:SHOWN_MISSING]]
    rows += [f"  refused {count}: {text}" for text, count in done.refusals.most_common(SHOWN_MISSING)]
    rows += [f"  short of: {text}" for text in done.coverage.shortcomings()]
    console.print("\n".join(rows), markup=False, highlight=False, soft_wrap=True)


def _with_progress(
    verdicts: Iterator[Verdict], total: int, title: str, console: Console, *, quiet: bool
) -> Iterator[Verdict]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet) as progress:
        task = progress.add_task(title, total=total)
        for verdict in verdicts:
            yield verdict
            progress.advance(task)


def _show_one(case: Case, options: argparse.Namespace) -> int:
    if options.dump is not None:
        options.dump.write_text(to_json(case) + "\n")
    with References(1) as references:
        verdict = judge(case, ours.run, references.run)
    trades = verdict.expected.trade_count if verdict.expected else 0
    text = f"{case.label}: {verdict.kind}, {trades} trades\n{verdict.text}"
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return 0 if verdict.kind == Kind.EQUAL else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=400, help="run cases 0 up to this number (default 400)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--level", default=",".join(map(str, LEVELS)), help="levels, with commas: 1 spot, 2 + futures,"
        " 3 + protections, timeouts, detail and time ranges, 4 + callbacks, which may ask for other trades,"
        " the wallet and other pairs' candles (default all)",
    )  # fmt: skip
    parser.add_argument("--case", type=int, help="run only this case and tell about it")
    parser.add_argument("--replay", type=Path, help="run only the case in this file and tell about it")
    parser.add_argument("--dump", type=Path, help="with --case: also write the case to this file")
    parser.add_argument("--workers", type=int, default=cores(), help="reference processes (default: cores)")
    parser.add_argument("--results", type=Path, help="go on where this file ends, and add to it")
    parser.add_argument("--kept", type=Path, help="a folder for freqtrade's outcomes, asked before it")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--self-check", action="store_true", help="freqtrade on both sides: what the cases cover"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false", help="keep no small cases")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
