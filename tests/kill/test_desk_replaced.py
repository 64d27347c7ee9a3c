"""A desk that was stopped wakes up behind its successor: it says who leads now, and ends with its own code.

Not here: that it sends nothing (tests/chaos, "zombie"), desks that are killed (`test_desk_kill`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.unit import REPLACED
from tests.kit.desk_lives import PATIENCE_S, Lives, desk_lives
from tests.kit.sandbox import ROOT

pytestmark = pytest.mark.timeout(120)
MARKET = {
    "pairs": ("BTC/USDT", "ETH/USDT"), "start": "2021-05-17", "end": "2021-05-24", "speed": "max",
}  # fmt: skip


# `faulthandler` behind the watchdog counts the time of a stop too: on a busy machine the next desk may need
# more than its 30 s, and the first would end over that (docs/critiques.md).
DESK = """\
import sys
from runtime import desk, watchdog
watchdog._DEAF_LIMITS = 1000.0
sys.exit(desk.main())
"""


def begin(lives: Lives) -> tuple[subprocess.Popen[str], str]:
    """Start a desk and wait until it serves, or has said why it does not."""
    desk = subprocess.Popen(
        [sys.executable, "-c", DESK, "--config", str(lives.config)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert desk.stdout is not None
    return desk, "" if "ready" in desk.stdout.readline() else desk.communicate()[1]


def replace(lives: Lives, first: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Stop a desk and let another one take over; one that stopped in the middle of a write keeps it out."""
    for _ in range(10):
        first.send_signal(signal.SIGSTOP)
        second, said = begin(lives)
        if not said:
            return second
        assert f"database is locked; process {first.pid} has this journal and lives still" in said
        first.send_signal(signal.SIGCONT)
        time.sleep(0.1)  # until it is out of that write
    raise AssertionError("it was stopped ten times while it wrote")


def test_desk_that_wakes_up_behind_its_successor_names_it_in_one_line(
    tmp_path: Path, market_data: Path
) -> None:
    with desk_lives(tmp_path, {"data": market_data / "candles", **MARKET}) as lives:
        first, why_not = begin(lives)
        assert not why_not
        desks = [first]
        try:
            desks.append(replace(lives, first))
            desks[0].send_signal(signal.SIGCONT)
            _, said = desks[0].communicate(timeout=PATIENCE_S)

            last = said.strip().splitlines()[-1]
            assert desks[0].returncode == REPLACED == 3, said
            assert "Traceback" not in said
            assert last == (
                f"desk: process {desks[1].pid} took over the journal {str(lives.journal)!r} and leads now;"
                " this desk ends"
            )
            assert desks[1].poll() is None
        finally:
            for desk in desks:
                desk.kill()
                desk.communicate()
