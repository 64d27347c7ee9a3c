"""What long tests found, kept beside the benchmarks: the last run in full, and how much was tried in all.

Not here: which tests are long. Invariant: only a run that passed is kept; a file that cannot be read is begun
anew.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.yardsticks import machine

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def runs_so_far(file: str, name: str) -> int:
    """Return how many runs of a test are kept; a seed made of it never comes twice."""
    return int(_read(RESULTS / file).get(name, {}).get("runs", 0))


def keep_figures(file: str, name: str, *, total: str, **figures: object) -> None:
    """Keep the figures of a run that passed; the one called `total` is summed over all runs."""
    path = RESULTS / file
    found = _read(path)
    before = found.get(name, {})
    found[name] = {
        "runs": int(before.get("runs", 0)) + 1,
        f"{total}_of_all_runs": before.get(f"{total}_of_all_runs", 0) + figures[total],
        "last": {
            "date": datetime.now(UTC).isoformat(timespec="seconds"), **figures, "machine": machine(),
        },
    }  # fmt: skip
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
