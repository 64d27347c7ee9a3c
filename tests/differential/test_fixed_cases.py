"""Every difference ever found, as the small case it was shrunk to."""

from __future__ import annotations

import pytest

from tests.differential import ours
from tests.differential.campaign import Kind, References, judge
from tests.differential.case import load_cases
from tests.differential.fuzz import CASES

FIXED = load_cases(CASES)
# freqtrade ends with an error there, and so has Parley to, before a callback sees what follows from it
BROKEN = frozenset({"seed1-level4-case2516.json"})


@pytest.mark.parametrize("name", FIXED)
def test_difference_found_before_stays_away(name: str, references: References) -> None:
    verdict = judge(FIXED[name], ours.run, references.run)

    assert verdict.kind == (Kind.FAILED if name in BROKEN else Kind.EQUAL), verdict.text
