"""How hard a property test tries: a number of examples for `make test`, many times that for `make long`.

Not here: the profiles (`tests/conftest.py`). A test without a number of its own takes that of the profile.
"""

from __future__ import annotations

from hypothesis import settings


def examples(short: int) -> int:
    """Return `short` in the profile `ci`, and in a profile with n times its examples n times as many."""
    return short * max(1, settings().max_examples // settings.get_profile("ci").max_examples)
