"""Run the test suites, each against a printed time budget, a few lanes of them beside each other.

Problem: "the tests passed" says nothing about what was skipped or how long it took. Here every suite prints
its budget and its time, the end is one line `N passed, N failed, N skipped`, and every skip is named.

Not here: which tests exist (the folders of tests/) and how a single one is limited (pytest-timeout).

Invariant: the exit code is 0 only if something ran and nothing failed. A folder of tests that has no budget
below is an error, so no suite can drop out of `make test` unseen.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Seconds on 2 cores, the lanes' beside each other. `expected_s` of them is at most 27 minutes, so that with
# set-up and checks a whole run stays within 30.
BUDGETS = {
    "contract": 620,
    "chaos": 240,
    "services": 280,
    "architecture": 20,
    "unit": 210,
    "property": 60,
    "parity": 180,
    "differential": 230,
    "integration": 800,
    "kill": 390,
}
# One phase after the other, and in each its lanes beside each other. Contracts and the quick suites need a
# core each. Whole desks wait for candles half of their time, which is left to the chaos campaign, which is
# nice and waits for doubts, to services, which wait for sockets, and to kills, which wait for who comes back.
PHASES = (
    (("contract",), ("architecture", "unit", "property", "parity", "differential")),
    (("integration",), ("chaos", "services", "kill")),
)
NOT_SUITES = {"kit"}
# Over budget is a warning, since machines differ; only a suite that hangs is stopped.
STOP_AT_BUDGETS = 4
STOP_LONG_AFTER_S = 6 * 3600
LONG_TEST_S = 3600
SLOWEST = 10  # tests named after each suite, so that whoever must save time knows where
NO_TESTS_SELECTED = 5  # pytest's exit code


@dataclass
class Result:
    """What one suite did."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    skips: dict[str, list[str]] = field(default_factory=dict)  # names of tests by reason


def find_suites(tests: Path) -> list[str]:
    """Name the suites below `tests` in running order; raise `SystemExit` for one without a budget."""
    found = {file.relative_to(tests).parts[0] for file in tests.rglob("test_*.py")} - NOT_SUITES
    unknown = found - BUDGETS.keys()
    if unknown:
        raise SystemExit(f"run_suites: no budget for {sorted(unknown)!r} in tools/run_suites.py")
    return [name for name in BUDGETS if name in found]


def read_report(report: Path) -> Result:
    """Count the cases of a JUnit file; `report` is the file pytest wrote."""
    result = Result()
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        skip = case.find("skipped")
        if kinds & {"failure", "error"}:
            result.failed += 1
        elif skip is not None:
            result.skipped += 1
            name = f"{case.get('classname')}::{case.get('name')}"
            result.skips.setdefault(skip.get("message") or "no reason given", []).append(name)
        else:
            result.passed += 1
    return result


def expected_s(names: list[str]) -> float:
    """Say how long the named suites may take together: the longest lane of each phase."""
    return sum(max(sum(BUDGETS[name] for name in lane) for lane in lanes) for lanes in phases(names))


def phases(names: list[str]) -> list[list[list[str]]]:
    """Return the lanes of each phase, of the named suites alone; those in no lane come last, one by one."""
    found = []
    for phase in PHASES:
        lanes = [[name for name in lane if name in names] for lane in phase]
        found.append([lane for lane in lanes if lane])
    laned = {name for lanes in found for lane in lanes for name in lane}
    found += [[[name]] for name in names if name not in laned]
    return [lanes for lanes in found if lanes]


@dataclass
class Running:
    """One suite's process; its own session, so that ending it ends the desks its tests started."""

    name: str
    process: subprocess.Popen[bytes]
    report: Path
    output: Path | None  # where it writes while another suite has the terminal
    stop_after_s: float
    started: float

    def end(self) -> None:
        """Kill it and whatever it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def result(self) -> Result | None:
        """Return what it did once it ended or was stopped for being late, None while it runs.

        A process that ends without a readable report (crash, wrong option, hanging) counts as one failure.
        """
        seconds = time.monotonic() - self.started
        code = self.process.poll()
        if code is None:
            if seconds < self.stop_after_s:
                return None
            self.end()
            print(f"== {self.name}: stopped after {self.stop_after_s} s", flush=True)
            return Result(failed=1, seconds=seconds)
        result = read_report(self.report) if self.report.exists() else Result()
        result.seconds = seconds
        if code not in (0, NO_TESTS_SELECTED) and result.failed == 0:
            print(f"== {self.name}: pytest ended with {code} without naming a failed test", flush=True)
            result.failed = 1
        return result


def start_suite(tests: Path, name: str, is_long: bool, folder: Path, is_aside: bool) -> Running:
    """Start one suite in a process of its own; `folder` takes its report and, `is_aside`, its output."""
    marker = "long or not long" if is_long and name == "property" else "long" if is_long else "not long"
    # Many examples need more time than one test has in `make test`; a test's own limit still counts.
    limit = [f"--timeout={LONG_TEST_S}"] if is_long else []
    report = folder / f"{name}.xml"
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", marker, f"--durations={SLOWEST}", *limit]
    output = folder / f"{name}.log" if is_aside else None
    print(f"\n== {name}: budget {'none' if is_long else f'{BUDGETS[name]} s'}", flush=True)
    with open(output, "wb") if output else nullcontext() as stream:
        process = subprocess.Popen(
            [*pytest, f"--junitxml={report}", str(tests / name)],
            cwd=ROOT,
            start_new_session=True,
            stdout=stream,
            stderr=stream,
        )
    stop_after = STOP_LONG_AFTER_S if is_long else BUDGETS[name] * STOP_AT_BUDGETS
    return Running(name, process, report, output, stop_after, time.monotonic())


def run_lanes(tests: Path, lanes: list[list[str]], is_long: bool, every_s: float = 0.2) -> dict[str, Result]:
    """Run each lane in order and the lanes beside each other, printing budget and time of each suite."""
    results: dict[str, Result] = {}
    waiting = [list(lane) for lane in lanes]
    running: list[Running | None] = [None for _ in lanes]
    with tempfile.TemporaryDirectory(prefix="parley-suites-") as folder:
        try:
            while any(waiting) or any(running):
                for number, lane in enumerate(waiting):
                    one = running[number]
                    if one is None:
                        if lane:
                            running[number] = start_suite(
                                tests, lane.pop(0), is_long, Path(folder), number > 0
                            )
                    elif (result := one.result()) is not None:
                        running[number], results[one.name] = None, result
                        _print_end(one, result, is_long)
                time.sleep(every_s)
        except BaseException:  # also on Ctrl-C
            for left in running:
                if left is not None:
                    left.end()
            raise
    return results


def _print_end(one: Running, result: Result, is_long: bool) -> None:
    if one.output is not None:
        print(f"\n== {one.name} said:\n{one.output.read_text(errors='replace')}", flush=True)
    late = not is_long and result.seconds > BUDGETS[one.name]
    print(f"== {one.name}: {result.seconds:.0f} s{', OVER BUDGET' if late else ''}", flush=True)


def run_all(tests: Path, names: list[str], is_long: bool) -> dict[str, Result]:
    """Run the named suites, phase by phase.

    Long tests run one after the other: they may use the whole machine.
    """
    results: dict[str, Result] = {}
    for lanes in [[[name]] for name in names] if is_long else phases(names):
        results |= run_lanes(tests, lanes, is_long)
    return results


def print_summary(results: dict[str, Result]) -> None:
    """Print what was skipped and why, then the suites in a table, then the one line of totals."""
    for name, result in results.items():
        for reason, tests in sorted(result.skips.items()):
            print(f"SKIPPED in {name}: {len(tests)} x {reason}")
            for test in sorted(tests):
                print(f"    {test}")
    print()
    for name, result in results.items():
        print(
            f"  {name:<13}{result.passed:>6} passed {result.failed:>4} failed {result.skipped:>4} skipped"
            f" {result.seconds:>7.1f} s (budget {BUDGETS[name]})"
        )
    passed, failed, skipped = (
        sum(getattr(result, what) for result in results.values()) for what in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


def main(arguments: list[str] | None = None) -> int:
    """Run the suites named on the command line, or all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="run_suites", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="suite")
    parser.add_argument("--long", action="store_true", help="the tests marked `long` instead of the others")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="folder that holds the suites")
    options = parser.parse_args(arguments)

    present = find_suites(options.tests)
    missing = set(options.suites) - set(present)
    if missing:
        raise SystemExit(f"run_suites: no such suite {sorted(missing)!r}, there are {present!r}")
    names = [name for name in present if not options.suites or name in options.suites]
    budgets = ", ".join(f"{name} {BUDGETS[name]} s" for name in names)
    print(f"suites: {budgets}; at most {expected_s(names):.0f} s by budget", flush=True)

    results = run_all(options.tests, names, options.long)
    print_summary(results)
    ran = any(result.passed or result.failed for result in results.values())
    if not ran:
        print("run_suites: no test ran")
    return 0 if ran and not any(result.failed for result in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
