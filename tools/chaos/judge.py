"""Judge one bout of the chaos campaign: ``python tools/chaos/judge.py FOLDER --json``.

A program of its own, so that nothing of Parley can be asked by mistake: it reads ``truth.jsonl``,
``desk.journal``, ``gateway.journal`` and ``events.jsonl`` of a folder.

Not here: what must hold (`invariants`). Invariant: exit code 0 only if every invariant was looked at and
held; 1 if one did not, 2 if a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

if not __package__:  # run as a file by an isolated Python, which does not look beside it
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools import ledger_evidence
from tools.chaos import evidence as at
from tools.chaos.evidence import read_course, read_journal
from tools.chaos.invariants import INVARIANTS, NOT_CHECKED, Case
from tools.ledger_evidence import Unreadable

SHOWN = 10  # violations of one invariant that are printed; the count is always complete


def judge(folder: Path) -> dict[str, object]:
    """Return what was found in a bout's folder."""
    belief = ledger_evidence.read_journal(folder / "desk.journal")
    truth_path = folder / "truth.jsonl"
    course = read_course(folder / "events.jsonl")
    case = Case(
        truth_path, ledger_evidence.read_truth(truth_path, belief.account), belief,
        read_journal(folder / "desk.journal", enveloped=True),
        read_journal(folder / "gateway.journal", enveloped=False), course,
    )  # fmt: skip
    found = {name: list(check(case)) for name, check in INVARIANTS.items()}
    kinds = Counter(each.kind for each in case.gateway.said)
    return {
        "holds": not any(found.values()),
        "violations": {name: len(each) for name, each in found.items() if each},
        "first": {name: each[:SHOWN] for name, each in found.items() if each},
        "not_checked": NOT_CHECKED,
        "intents": len(case.intents),
        "orders": len(case.states),
        "trades": len(case.truth.trades),
        "attempts": kinds[at.ATTEMPT],
        "in_doubt": kinds[at.UNKNOWN],
        "taken_back": sum(1 for _ in case.desk.of(at.VOID)),
        "decisions": sum(1 for _ in case.desk.of(at.DECISION)),
        "epochs": sum(1 for _ in case.desk.of(at.STARTED)),
        "recovery_s": {unit: sorted(each) for unit, each in course.recovery_s.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Judge and return the exit code."""
    parser = argparse.ArgumentParser(prog="judge", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        result = judge(options.folder)
    except Unreadable as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result))
    else:
        print(json.dumps(result, indent=1))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
