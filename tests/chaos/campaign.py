"""Run bouts until enough was killed, judge each by the stand-alone program, and keep count.

    python -m tests.chaos.campaign --seconds 30                      # make chaos
    python -m tests.chaos.campaign --kills 10000 --results FILE      # make chaos-long, goes on where it was
    python -m tests.chaos.campaign --mutants                         # each must be caught within 300 kills

Not here: a bout (`bout`), what must hold (tools/chaos).

Invariant: exit code 0 only if something was killed, every bout was judged, nothing was violated or
unexplained, and every mutant that was asked for was caught.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.chaos.bout import Bout, Outcome
from tests.chaos.mutants import MUTANTS
from tests.chaos.plan import plan_of
from tests.chaos.record import COUNTED, Record, load, save
from tests.differential.record import ROOT

JUDGE: Final = ROOT / "tools" / "chaos" / "judge.py"
MUTANT_KILLS: Final = 300
_FIRST_MUTANT_SEED: Final = 1_000_000
_DISK_EVERY: Final = 2  # bouts on a real disk, where an fsync takes its time; the others in memory
_MEMORY: Final = Path("/dev/shm")


def fight(seed: int, mutant: str = "", keep: Path | None = None) -> tuple[Outcome, dict[str, Any]]:
    """Fight one bout and have it judged; its files are kept in ``keep`` if anything was wrong."""
    base = _MEMORY if _MEMORY.is_dir() and seed % _DISK_EVERY else None
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=base))
    try:
        outcome = Bout(plan_of(seed, mutant), folder, mutant).fight()
        verdict = judged(folder)
        if keep is not None and (not verdict["holds"] or outcome.strange):
            keep.mkdir(parents=True, exist_ok=True)
            sockets = shutil.ignore_patterns("*.sock")
            shutil.copytree(folder, keep / f"bout-{seed}", ignore=sockets, dirs_exist_ok=True)
        return outcome, verdict
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def add(record: Record, seed: int, outcome: Outcome, verdict: dict[str, Any]) -> None:
    """Count one bout."""
    record.bouts += 1
    record.next_seed = seed + 1
    record.seconds += outcome.seconds
    record.kills.update(outcome.kills)
    record.signals.update(outcome.signals)
    record.counts.update({name: int(verdict.get(name, 0)) for name in COUNTED})
    record.strange += [f"bout {seed}: {each}" for each in outcome.strange]
    for name, found in verdict["first"].items():
        record.violations += [f"bout {seed}: {name}: {each}" for each in found]
    for unit, times in verdict["recovery_s"].items():
        record.recovery_s.setdefault(unit, []).extend(times)


def campaign(options: argparse.Namespace) -> bool:
    """Fight until enough; tell whether all held."""
    record = load(options.results)
    if options.seed is not None:
        record.next_seed = options.seed
    until = time.monotonic() + options.seconds
    while record.killed < options.kills and time.monotonic() < until:
        seed = record.next_seed
        outcome, verdict = fight(seed, keep=options.keep)
        add(record, seed, outcome, verdict)
        save(options.results, record)
        kills = sum(outcome.kills.values())
        print(
            f"bout {seed}: {kills} kills in {outcome.seconds:.1f} s, {verdict.get('orders', 0)} orders,"
            f" {verdict.get('in_doubt', 0)} in doubt; {record.killed} kills in all,"
            f" {len(record.violations)} violations, {len(record.strange)} unexplained",
            flush=True,
        )
    for line in (*record.violations, *record.strange):
        print(line)
    print(json.dumps(record.summary(), indent=1))
    return record.killed > 0 and not record.violations and not record.strange


def mutants(options: argparse.Namespace) -> bool:
    """Run each mutant until it is caught; tell whether all were."""
    record = load(options.results)
    for name in options.mutant or MUTANTS:
        kills, seed = 0, _FIRST_MUTANT_SEED
        caught: dict[str, Any] = {}
        while kills < MUTANT_KILLS and not caught:
            outcome, verdict = fight(seed, name)
            kills += sum(outcome.kills.values())
            caught = verdict["first"]
            seed += 1
        record.mutants[name] = {
            "caught": bool(caught),
            "kills": kills,
            "by": {k: v[:2] for k, v in caught.items()},
        }
        print(f"{name}: {'caught' if caught else 'NOT CAUGHT'} after {kills} kills: {caught}", flush=True)
        save(options.results, record)
    return all(each["caught"] for each in record.mutants.values())


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.chaos.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="file to go on with; without one nothing is kept")
    parser.add_argument("--kills", type=int, default=sys.maxsize, help="enough, with those of the file")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no bout after this")
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
