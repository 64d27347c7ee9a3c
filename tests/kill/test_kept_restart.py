"""A desk whose understudy kept its firm folds, when it was killed, what came after; both are killed here."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.replay import replay
from runtime.understudy_keeper import STATUS, read_status
from tests.kit.running import Running

pytestmark = pytest.mark.timeout(180)
PATIENCE_S = 60.0
_BACK = re.compile(r"desk_comes_back kept_seq=(\d+) last_seq=(\d+)")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Running]:
    config = tmp_path / "parley.toml"
    config.write_text("[desk]\nunderstudy = true\n")
    run = Running(tmp_path, "--config", config, "--speed", "600")
    run.wait_until_trading()
    yield run
    run.kill()


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.long
def test_a_killed_desk_folds_only_what_its_understudy_had_not_kept(run: Running) -> None:
    (folder,) = run.home.glob("runs/*")

    def kept() -> int:
        return int(read_status(folder / STATUS).get("kept_seq", 0))

    until(kept)
    first = kept()
    pid = run.kill_desk(0)
    units = json.loads((folder / "processes.json").read_text())["units"]
    os.kill(units["understudy"], signal.SIGKILL)
    until(lambda: kept() > first)  # the next understudy goes on, and follows the next desk
    run.kill_desk(pid)
    time.sleep(3.0)
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()

    assert code == 0, err
    told = json.loads(out)
    assert (told["desk_lives"], told["ledger_equals_exchange"]) == (3, True)
    assert told["understudy"]["problem"] == ""
    assert told["understudy"]["restarts"] == 1
    assert "the understudy was ended by SIGKILL and was started again" in err
    logs = [path.read_text() for path in sorted(folder.glob("logs/desk-*.log"))]
    found = [tuple(map(int, found.groups())) for log in logs if (found := _BACK.search(log))]
    assert [at for at, _ in found] >= [first, first + 1]
    assert all(0 < at < last for at, last in found)
    assert replay(told["journal"]).ok
    assert run.left(5) == []
