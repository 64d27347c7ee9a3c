"""Reference processes that the tests of this suite share: importing freqtrade takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.campaign import References, cores


@pytest.fixture(scope="session")
def references() -> Iterator[References]:
    """Worker processes with freqtrade, one per core, ended after the last test."""
    with References(cores()) as started:
        yield started
