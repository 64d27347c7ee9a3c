"""The results file of long runs: what has been proven so far, for which engine, and where to go on.

Problem: twenty thousand cases take longer than one sitting. So a run goes on where the last one ended, as
long as the engine and the generator are the same; otherwise what was proven is proven of other code, and it
starts again.

Not here: running cases (`campaign`).

Invariant: the file is replaced as a whole, so a run that is cut off leaves the last complete one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.differential.campaign import Kind, Verdict
from tests.differential.coverage import Coverage
from tests.differential.sources import ROOT, sources_of

RESULTS = ROOT / "benchmarks" / "results" / "fuzz_freqtrade.json"
# Where both sides of a case begin; the callbacks' side is imported by name.
ROOTS = ("tests/differential/fuzz.py", "tests/differential/bridged.py", "tests/differential/reference.py")
KEPT_FAILURES = 50


@cache
def fingerprint() -> str:
    """Return a hash of the engine's and the harness's source: what a result is a result of."""
    digest = hashlib.sha256(version("freqtrade").encode())
    for path in sources_of(ROOTS, ROOT):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class Record:
    """How many cases of one (seed, level) ended how, and what they met."""

    seed: int
    level: int
    next_case: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    coverage: Coverage = field(default_factory=Coverage)
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.kinds[verdict.kind.value] += 1
        self.next_case = verdict.case.number + 1
        if verdict.kind == Kind.EQUAL:
            assert verdict.expected is not None
            self.coverage.add(verdict.case, verdict.expected)
        elif verdict.kind == Kind.REFUSED:
            # One count per reason, so that the reasons can be told apart from their combinations.
            self.refusals.update(verdict.text.removeprefix("not simulated yet: ").split("; "))
        elif len(self.failures) < KEPT_FAILURES:
            first = verdict.differences[0].where if verdict.differences else verdict.text
            self.failures.append(f"{verdict.case.label}: {verdict.kind}: {first}")

    @property
    def is_clean(self) -> bool:
        """Whether nothing differed and nothing was lost."""
        return not self.kinds[Kind.DIFFERENT] and not self.kinds[Kind.LOST]

    def summary(self) -> dict[str, Any]:
        """Return the figures of this record."""
        kinds = {kind.value: self.kinds[kind.value] for kind in Kind}
        return {
            "seed": self.seed, "level": self.level, "cases": self.next_case, **kinds,
            "seconds": round(self.seconds, 1), "failures": self.failures, "refusals": dict(self.refusals),
            **self.coverage.summary(),
        }  # fmt: skip


def load(path: Path, seed: int, level: int) -> Record:
    """Return what `path` knows of this seed, level and code, or an empty record."""
    if not path.is_file():
        return Record(seed, level)
    kept = json.loads(path.read_text())
    state = kept.get("state", {}).get(f"{seed}/{level}")
    if kept.get("code") != fingerprint() or state is None:
        return Record(seed, level)
    return Record(
        seed, level, state["next_case"], Counter(state["kinds"]), state["failures"],
        Counter(state["refusals"]), _coverage(state["coverage"]), state["seconds"],
    )  # fmt: skip


def save(path: Path, records: list[Record]) -> None:
    """Write `records` to `path`, beside what it knows of other seeds and levels of this code."""
    kept = json.loads(path.read_text()) if path.is_file() else {}
    same = kept.get("code") == fingerprint()
    state = kept.get("state", {}) if same else {}
    summaries = kept.get("runs", {}) if same else {}
    for record in records:
        name = f"{record.seed}/{record.level}"
        state[name] = {
            "next_case": record.next_case, "kinds": record.kinds, "failures": record.failures,
            "refusals": record.refusals, "coverage": vars(record.coverage), "seconds": record.seconds,
        }  # fmt: skip
        summaries[name] = record.summary()
    content = {
        "code": fingerprint(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(),
        "total": total(state), "runs": summaries, "state": state,
    }  # fmt: skip
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(beside, path)


def total(state: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of all seeds and levels together."""
    kinds: Counter[str] = Counter()
    coverage = Coverage()
    for each in state.values():
        kinds.update(each["kinds"])
        coverage.merge(_coverage(each["coverage"]))
    return {
        "cases": sum(kinds.values()), **{kind.value: kinds[kind.value] for kind in Kind},
        "seconds": round(sum(each["seconds"] for each in state.values()), 1),
        "failures": [text for each in state.values() for text in each["failures"]],
        **coverage.summary(), "shortcomings": coverage.shortcomings(),
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    names = ("freqtrade", "numpy", "pandas", "numba")
    return {
        "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(), **{name: version(name) for name in names},
    }  # fmt: skip


def _coverage(kept: dict[str, Any]) -> Coverage:
    # Copies: what is added to this one is not added to what was kept.
    copies: dict[str, Any] = {
        name: Counter(value) if isinstance(value, dict) else list(value) for name, value in kept.items()
    }
    return Coverage(**copies)
