"""Run bouts until enough was killed, judge each by the stand-alone program, and keep count.

    python -m tests.chaos.campaign --seconds 30                      # make chaos
    python -m tests.chaos.campaign --kills 10000 --results FILE      # make chaos-long, goes on where it was
    python -m tests.chaos.campaign --mutants                         # each must be caught within 300 kills

SIGTERM and Ctrl-C cut off what is being fought; what was counted is in the file.

Not here: a bout (`bout`), bouts side by side (`lanes`), the full stack (`full`), the judge (tools/chaos).

Invariant: exit code 0 only if something was killed, every bout was judged, nothing was violated or
unexplained, and every mutant that was asked for was caught.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.chaos.bout import Bout, Outcome
from tests.chaos.lanes import Lanes
from tests.chaos.mutants import MUTANTS
from tests.chaos.plan import plan_of
from tests.chaos.progress import Bar, Stopping
from tests.chaos.record import COUNTED, LIGHT, Record, load, save
from tests.differential.record import ROOT

JUDGE: Final = ROOT / "tools" / "chaos" / "judge.py"
MUTANT_KILLS: Final = 300
_FIRST_MUTANT_SEED: Final = 1_000_000
_LANES_PER_CORE: Final = 3
_POLL_S: Final = 0.5
Fought = tuple[Outcome, dict[str, Any]]


def fight(seed: int, folder: Path, mutant: str = "", keep: Path | None = None) -> Fought:
    """Fight one bout in a folder and have it judged; its files are kept in ``keep`` if anything was wrong."""
    outcome = Bout(plan_of(seed, mutant), folder, mutant).fight()
    began = time.monotonic()
    verdict = judged(folder)
    outcome.spent_s["judging"] += time.monotonic() - began
    if keep is not None and (not verdict["holds"] or outcome.strange):
        keep_files(folder, keep / f"bout-{seed}")
    return outcome, verdict


def keep_files(folder: Path, kept: Path) -> None:
    """Copy a bout's files for somebody to look at."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)


def judged(folder: Path) -> dict[str, Any]:
    """Let the stand-alone program judge a folder; a file it cannot read violates everything."""
    found = subprocess.run(
        [sys.executable, "-I", str(JUDGE), str(folder), "--json"],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    if not found.stdout or found.returncode not in (0, 1):
        said = found.stderr.decode(errors="replace").strip().splitlines()
        return {"holds": False, "first": {"unreadable": said[-1:]}, "recovery_s": {}}
    verdict: dict[str, Any] = json.loads(found.stdout)
    return verdict


def add(record: Record, seed: int, fought: Fought | str) -> str:
    """Count one bout and say what it was in one line; a text is why it has no result."""
    record.bouts += 1
    record.next_seed = max(record.next_seed, seed + 1)
    if isinstance(fought, str):
        record.strange.append(f"bout {seed}: {fought.strip()}")
        return f"bout {seed}: {fought.strip().splitlines()[-1]}"
    outcome, verdict = fought
    record.kills.update(outcome.kills)
    record.signals.update(outcome.signals)
    record.spent_s.update(outcome.spent_s)
    record.cpu_s.update(outcome.cpu_s)
    record.counts.update({name: int(verdict.get(name, 0)) for name in COUNTED})
    record.strange += [f"bout {seed}: {each}" for each in outcome.strange]
    for name, found in verdict["first"].items():
        record.violations += [f"bout {seed}: {name}: {each}" for each in found]
    for unit, times in verdict["recovery_s"].items():
        record.recovered(unit, times)
    return (
        f"bout {seed}: {sum(outcome.kills.values())} kills in {outcome.seconds:.1f} s,"
        f" {verdict.get('orders', 0)} orders, {verdict.get('in_doubt', 0)} in doubt"
    )


def campaign(options: argparse.Namespace) -> bool:
    """Fight until enough; tell whether all held."""
    record = load(options.results, LIGHT)
    if options.seed is not None:
        record.next_seed = options.seed
    seeds = itertools.count(record.next_seed)
    began, before = time.monotonic(), record.seconds
    bar = Bar("kills", options.kills, options.seconds, record.killed)
    lanes = Lanes(options.lanes, partial(fight, keep=options.keep))
    with Stopping() as stopping:
        try:
            while not stopping.is_set:
                is_enough = record.killed >= options.kills or time.monotonic() - began >= options.seconds
                while lanes.has_room and not is_enough:
                    lanes.begin(next(seeds))
                if not len(lanes):
                    break
                for seed, fought in lanes.ended(_POLL_S):
                    line = add(record, seed, fought)
                    record.seconds = before + time.monotonic() - began
                    save(options.results, LIGHT, record)
                    bar.say(line)
                bar.show(record.killed, len(record.violations), len(record.strange))
        finally:
            lanes.stop()
            bar.end()
    for line in (*record.violations, *record.strange):
        print(line)
    print(json.dumps(record.summary(), indent=1))
    return record.killed > 0 and not record.violations and not record.strange


def mutants(options: argparse.Namespace) -> bool:
    """Run each mutant until it is caught; tell whether all were."""
    record = load(options.results, LIGHT)
    for name in options.mutant or MUTANTS:
        kills, seed = 0, _FIRST_MUTANT_SEED
        caught: dict[str, Any] = {}
        while kills < MUTANT_KILLS and not caught:
            with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
                outcome, verdict = fight(seed, Path(folder), name)
            kills += sum(outcome.kills.values())
            caught = verdict["first"]
            seed += 1
        record.mutants[name] = {
            "caught": bool(caught),
            "kills": kills,
            "by": {k: v[:2] for k, v in caught.items()},
        }
        print(f"{name}: {'caught' if caught else 'NOT CAUGHT'} after {kills} kills: {caught}", flush=True)
        save(options.results, LIGHT, record)
    return all(each["caught"] for each in record.mutants.values())


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.chaos.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="file to go on with; without one nothing is kept")
    parser.add_argument("--kills", type=int, default=sys.maxsize, help="enough, with those of the file")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no bout after this")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--lanes", type=int, default=cores * _LANES_PER_CORE, help="bouts side by side")
    parser.add_argument("--seed", type=int, help="first bout, in place of the file's next")
    parser.add_argument(
        "--keep", type=Path, help="folder for the files of bouts in which something was wrong"
    )
    parser.add_argument("--mutants", action="store_true", help="run the mutants in place of the gateway")
    parser.add_argument("--mutant", action="append", choices=sorted(MUTANTS), help="only this one")
    options = parser.parse_args()
    if options.kills == sys.maxsize and options.seconds == float("inf") and not options.mutants:
        parser.error("say how much is enough: --kills or --seconds")
    return 0 if (mutants if options.mutants else campaign)(options) else 1


if __name__ == "__main__":
    raise SystemExit(main())
