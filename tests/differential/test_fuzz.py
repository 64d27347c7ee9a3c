"""Random cases: in every test run a few hundred of fixed numbers, in `make long` twenty thousand.

What each level holds is in `generator`. Refused cases are printed with their reasons and count for nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.differential import ours
from tests.differential.campaign import Kind, References
from tests.differential.coverage import Coverage
from tests.differential.fuzz import main, run_level
from tests.differential.generator import LEVELS
from tests.differential.record import RESULTS

SEED = 1
# Cases by level, 400 together.
QUICK = dict.fromkeys(LEVELS, 100)
LONG = 20_000


@pytest.mark.timeout(900)
def test_random_cases_are_freqtrades(references: References) -> None:
    seen = Coverage()
    for level, count in QUICK.items():
        options = argparse.Namespace(cases=count, results=None, quiet=True, shrink=False)

        done = run_level(SEED, level, options, references, ours.run)

        bad = (Kind.DIFFERENT, Kind.LOST, Kind.FAILED)
        assert [done.kinds[kind] for kind in bad] == [0, 0, 0], "\n".join(done.failures)
        assert done.kinds[Kind.EQUAL] >= count / 2, done.refusals
        seen.merge(done.coverage)
    assert seen.shortcomings() == []


@pytest.mark.long
@pytest.mark.timeout(12 * 3600)
def test_twenty_thousand_random_cases_are_freqtrades() -> None:
    levels = ",".join(map(str, LEVELS))
    each = str(LONG // len(LEVELS))

    code = main(
        ["--seed", str(SEED), "--level", levels, "--cases", each, "--results", str(RESULTS), "--quiet"]
    )

    assert code == 0, f"{RESULTS.relative_to(Path.cwd())} names the cases"
