"""The results file of the campaign: kills so far by victim and place, what was found, and where to go on.

Problem: ten thousand kills take longer than one sitting. A run goes on where the last one ended as long as
the code is the same; what was counted for other code is kept beside it as history and proves nothing now.
Two campaigns share the file: `LIGHT`, desk and gateway alone, and `FULL`, the whole run.

Not here: bouts (`campaign`). Invariant: the file is replaced as a whole, so a run that is cut off leaves the
last complete one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.differential.record import ROOT, sources_of

LIGHT: Final = "light"
FULL: Final = "full"
# Where the source of a campaign begins; the full one's processes are started by name.
ROOTS: Final = {
    LIGHT: ("tests/chaos/campaign.py", "tools/chaos/judge.py"),
    FULL: (
        "tests/chaos/full.py", "tools/chaos/judge.py", "runtime/cli.py", "runtime/cli_trade.py",
        "runtime/commands/trade.py", "runtime/gateway.py", "runtime/spare.py", "runtime/hub.py",
        "runtime/desk.py",
        "runtime/ray_driver.py", "runtime/ray_session.py", "runtime/agent_process.py",
        "runtime/shipper/__main__.py", "runtime/postgres/migrate.py", "venues/sandbox/__main__.py",
        "agents/strategy/__init__.py", "agents/risk/__init__.py", "agents/capital/__init__.py",
        "agents/execution/__init__.py", "agents/meta/__init__.py",
    ),
}  # fmt: skip
COUNTED = ("intents", "orders", "trades", "attempts", "in_doubt", "taken_back", "decisions", "epochs")
KEPT = 40
_MOST_TIMES: Final = 2000  # of recoveries, per unit: enough for a 90th percentile


@cache
def fingerprint(campaign: str = LIGHT) -> str:
    """Return a hash of all source that takes part: what a result is a result of."""
    digest = hashlib.sha256(f"{version('ccxt')} {sqlite3.sqlite_version}".encode())
    for path in sources_of([each for each in ROOTS[campaign] if (ROOT / each).is_file()], ROOT):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class Record:
    """What was counted for this code; ``next_seed`` is behind the last bout that ended.

    ``seconds`` is the time the campaign took, in which bouts ran side by side; ``spent_s`` is by what a bout
    waited for, ``cpu_s`` the processor's time by unit.
    """

    next_seed: int = 1
    bouts: int = 0
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    recovery_s: dict[str, list[float]] = field(default_factory=dict)
    mutants: dict[str, dict[str, Any]] = field(default_factory=dict)
    spent_s: Counter[str] = field(default_factory=Counter)
    cpu_s: Counter[str] = field(default_factory=Counter)

    def recovered(self, unit: str, times: Iterable[float]) -> None:
        """Count how long a unit took to be ready, s."""
        known = self.recovery_s.setdefault(unit, [])
        known.extend(times)
        del known[:-_MOST_TIMES]

    @property
    def killed(self) -> int:
        """All kills."""
        return sum(self.kills.values())

    def summary(self) -> dict[str, Any]:
        """Return the figures for people."""
        by_victim: Counter[str] = Counter()
        for name, count in self.kills.items():
            by_victim[name.partition(" ")[0]] += count
        return {
            "kills": self.killed, "violations": len(self.violations), "unexplained": len(self.strange),
            "bouts": self.bouts, "seconds": round(self.seconds, 1),
            "kills_per_s": round(self.killed / self.seconds, 2) if self.seconds else 0.0,
            "kills_by_victim": dict(by_victim), **{name: self.counts[name] for name in COUNTED},
            "of_a_kill_s": _shares(self.spent_s, self.killed),
            "cpu_of_a_kill_s": _shares(self.cpu_s, self.killed),
            "recovery_s": {unit: _figures(times) for unit, times in self.recovery_s.items()},
            "mutants": {
                name: f"caught after {each['kills']} kills" if each["caught"] else f"NOT in {each['kills']}"
                for name, each in self.mutants.items()
            },
        }  # fmt: skip


def _figures(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "count": len(ordered), "p50": ordered[len(ordered) // 2], "p90": ordered[len(ordered) * 9 // 10],
        "max": ordered[-1],
    }  # fmt: skip


def _shares(spent: Counter[str], kills: int) -> dict[str, float]:
    return {name: round(each / kills, 3) for name, each in spent.most_common()} if kills else {}


def _read(path: Path | None) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    if "code" in kept:  # of before there were two campaigns
        kept = {LIGHT: kept}
    return kept


def load(path: Path | None, campaign: str) -> Record:
    """Return what a file knows of this code, or an empty record."""
    kept = _read(path).get(campaign, {})
    if kept.get("code") != fingerprint(campaign):
        return Record()
    state = kept["state"]
    counters = ("kills", "signals", "counts", "spent_s", "cpu_s")
    return Record(**{**state, **{name: Counter(state[name]) for name in counters}})


def save(path: Path | None, campaign: str, record: Record) -> None:
    """Write a record; the totals of other code go into the history."""
    if path is None:
        return
    file = _read(path)
    kept = file.get(campaign, {})
    earlier = kept.get("earlier", [])
    if kept and kept.get("code") != fingerprint(campaign):
        earlier = [*earlier, {name: kept[name] for name in ("code", "date", "total")}][-KEPT:]
    file[campaign] = {
        "code": fingerprint(campaign), "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(), "ccxt": version("ccxt"), "sqlite": sqlite3.sqlite_version,
        },
        "total": record.summary(), "earlier": earlier, "state": vars(record),
    }  # fmt: skip
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(file, indent=1) + "\n")
    os.replace(beside, path)
