"""One desk leads a home's account: a second one is refused in a line, and not longer than the first lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parley.errors import UserError
from runtime.lead import Lead
from tests.kit.sandbox import ROOT

LEADING = """\
import sys, time
from pathlib import Path
from runtime.lead import Lead
Lead(Path(sys.argv[1]), "main").take("first")
print("leads", flush=True)
time.sleep(1000)
"""


def test_second_desk_of_a_home_is_told_who_leads(tmp_path: Path) -> None:
    first, second = Lead(tmp_path, "main"), Lead(tmp_path, "main")
    first.take("20260101T000000-abcdef")

    with pytest.raises(UserError, match=rf"pid {os.getpid()}, run 20260101T000000-abcdef: end it first"):
        second.take("other")

    first.release()
    second.take("other")
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_homes_and_accounts_are_led_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    leads = [Lead(tmp_path, "main"), Lead(tmp_path, "second"), Lead(tmp_path / "other", "main")]

    for lead in leads:
        lead.take("run")
    for lead in leads:
        lead.release()


def test_lead_of_a_killed_desk_is_free(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", LEADING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "leads\n"
        mine = Lead(tmp_path, "main")
        with pytest.raises(UserError, match=f"pid {other.pid}, run first"):
            mine.take("second")
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()

    mine.take("second")
    assert (tmp_path / "main.lead").read_text() == f"pid {os.getpid()}, run second\n"
    mine.release()


def test_lead_is_not_taken_on_a_file_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that ends removes the file under one that just opened it."""
    first, second, third = (Lead(tmp_path, "main") for _ in range(3))
    first.take("first")
    opened = os.open

    def late(path: str, *rest: int) -> int:
        found = opened(path, *rest)
        first.release()
        return found

    monkeypatch.setattr(os, "open", late)
    second.take("second")
    monkeypatch.undo()

    with pytest.raises(UserError, match="run second"):
        third.take("third")
    second.release()
