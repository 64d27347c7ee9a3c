"""A process that is kept: what is said of its ends quotes only what it said about them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.kept_child import KeptChild, Standing

PATIENCE_S = 20.0
MODULE = """\
import sys, time
how = open(sys.argv[2]).read()
print('{"ready": true}', flush=True)
print("an answer was sent", file=sys.stderr, flush=True)
if how == "error":
    print("unit: the disk is full", file=sys.stderr)
    sys.exit(1)
if how == "end":
    sys.exit(0)
time.sleep(1000)
"""


class Kept:
    """A kept process whose module ends in its first life as a test wants."""

    def __init__(self, folder: Path, how: str) -> None:
        (folder / "unit_that_ends.py").write_text(MODULE)
        config = folder / "how"
        config.write_text(how)
        self.said: list[str] = []
        self.log = folder / "unit.log"
        environment = os.environ | {"PYTHONPATH": str(folder)}
        standing = Standing("unit", "the unit", "unit_that_ends", config, folder, environment)
        self.child = KeptChild(standing, self.said.append)
        self.child.begin()
        self.child.ready(PATIENCE_S)
        config.write_text("stay")

    def note_of_its_end(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not self.child.look():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        [note] = self.said
        return note


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kept]:
    made = Kept(tmp_path, request.param)
    yield made
    made.child.end()


@pytest.mark.parametrize("kept", ["stay"], indirect=True)
def test_killed_unit_is_quoted_nothing_it_said_of_other_things(kept: Kept) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while "an answer was sent" not in kept.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert kept.child.pid is not None
    os.kill(kept.child.pid, signal.SIGKILL)

    assert kept.note_of_its_end() == "the unit was ended by SIGKILL and was started again"


@pytest.mark.parametrize("kept", ["end"], indirect=True)
def test_unit_that_ended_without_an_error_is_not_quoted(kept: Kept) -> None:
    assert kept.note_of_its_end() == "the unit ended with exit code 0 and was started again"


@pytest.mark.parametrize("kept", ["error"], indirect=True)
def test_unit_that_fell_is_quoted_with_its_last_words(kept: Kept) -> None:
    assert kept.note_of_its_end() == (
        "the unit ended with exit code 1 and was started again: unit: the disk is full"
    )
