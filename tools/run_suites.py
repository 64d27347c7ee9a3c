"""Run the test suites one after the other, each against a printed time budget.

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
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Seconds on 2 cores, in the order in which the suites run: the quick ones first. Together at most 25 minutes.
# About twice what an idle machine needs, since the machines that run this are seldom idle.
BUDGETS = {
    "architecture": 20,
    "unit": 120,
    "property": 45,
    "differential": 130,
    "contract": 390,
    "parity": 120,
    "integration": 545,
    "kill": 130,
}
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


def run_group(command: list[str], stop_after: float) -> int | None:
    """Run `command` and return its exit code, or None after ending it and whatever it started."""
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        return process.wait(stop_after)
    except BaseException as error:  # also on Ctrl-C: desks that tests started must not stay behind
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise


def run_suite(tests: Path, name: str, is_long: bool) -> Result:
    """Run one suite in a process of its own and count its cases.

    A process that ends without a readable report (crash, wrong option, hanging) counts as one failure.
    """
    budget = BUDGETS[name]
    marker = "long or not long" if is_long and name == "property" else "long" if is_long else "not long"
    stop_after = STOP_LONG_AFTER_S if is_long else budget * STOP_AT_BUDGETS
    # Many examples need more time than one test has in `make test`; a test's own limit still counts.
    limit = [f"--timeout={LONG_TEST_S}"] if is_long else []
    with tempfile.TemporaryDirectory(prefix="parley-suite-") as folder:
        report = Path(folder) / "report.xml"
        pytest = [sys.executable, "-m", "pytest", "-q", "-m", marker, f"--durations={SLOWEST}", *limit]
        started = time.monotonic()
        code = run_group([*pytest, f"--junitxml={report}", str(tests / name)], stop_after)
        if code is None:
            print(f"== {name}: stopped after {stop_after} s", flush=True)
            return Result(failed=1, seconds=time.monotonic() - started)
        result = read_report(report) if report.exists() else Result()
    result.seconds = time.monotonic() - started
    if code not in (0, NO_TESTS_SELECTED) and result.failed == 0:
        print(f"== {name}: pytest ended with {code} without naming a failed test", flush=True)
        result.failed = 1
    return result


def run_all(tests: Path, names: list[str], is_long: bool) -> dict[str, Result]:
    """Run the named suites in order, printing budget and time of each."""
    results: dict[str, Result] = {}
    for name in names:
        print(f"\n== {name}: budget {'none' if is_long else f'{BUDGETS[name]} s'}", flush=True)
        results[name] = result = run_suite(tests, name, is_long)
        late = not is_long and result.seconds > BUDGETS[name]
        print(f"== {name}: {result.seconds:.0f} s{', OVER BUDGET' if late else ''}", flush=True)
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
    print("suites: " + ", ".join(f"{name} {BUDGETS[name]} s" for name in names), flush=True)

    results = run_all(options.tests, names, options.long)
    print_summary(results)
    ran = any(result.passed or result.failed for result in results.values())
    if not ran:
        print("run_suites: no test ran")
    return 0 if ran and not any(result.failed for result in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
