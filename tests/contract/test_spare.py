"""A real spare does nothing before its turn, and has the account's lock under the next epoch after it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.errors import UserError
from runtime.gateway_door import TURN
from runtime.gateway_lock import GatewayLock, Holder
from runtime.process_tree import look
from tests.kit.sandbox import ROOT
from tests.kit.units import gateway_config, short_folder

PATIENCE_S = 60.0
HOLDS = """\
import sys, time
from pathlib import Path
from runtime.gateway_lock import GatewayLock
GatewayLock(Path(sys.argv[1])).take()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def line_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE_S)[0], "it said nothing"
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return said


def spare(folder: Path) -> subprocess.Popen[bytes]:
    config = folder / "gateway.json"
    if not config.exists():
        config.write_text(json.dumps(gateway_config(folder, None)))
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.spare", "--config", str(config), "--introduced", "--spare"], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def test_spare_has_nothing_before_its_turn_and_the_lock_under_the_next_epoch_after_it(folder: Path) -> None:
    with spare(folder) as waiting:
        try:
            assert line_of(waiting) == {"spare": True, "unit": "gateway", "pid": waiting.pid}
            own = psutil.Process(waiting.pid)
            assert {each.name for each in folder.iterdir()} == {"gateway.json", "keys.json"}
            assert own.net_connections() == []
            assert [each.path for each in own.open_files() if Path(each.path).is_relative_to(folder)] == []
            before = GatewayLock(folder / "gw.journal")
            before.take()
            before.release()

            assert waiting.stdin is not None
            waiting.stdin.write(TURN)
            waiting.stdin.flush()
            ready = line_of(waiting)

            assert (ready["ready"], ready["pid"], ready["epoch"]) == (True, waiting.pid, 2)
            started = look(waiting.pid)
            assert started is not None
            assert before.holder() == Holder(waiting.pid, started.started, 2)
        finally:
            waiting.terminate()
        assert waiting.wait(PATIENCE_S) == 0


def test_spare_ends_with_whoever_could_give_it_its_turn(folder: Path) -> None:
    with spare(folder) as waiting:
        line_of(waiting)
        assert waiting.stdin is not None
        waiting.stdin.close()
        assert waiting.wait(PATIENCE_S) == 0
        assert not (folder / "gw.journal.lock").exists()


def test_gateway_that_is_stopped_keeps_its_lock_until_it_is_gone(tmp_path: Path) -> None:
    journal = tmp_path / "gw.journal"
    lock = GatewayLock(journal)
    command = [sys.executable, "-c", HOLDS, str(journal)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as zombie:
        assert zombie.stdout is not None
        assert zombie.stdout.readline() == b"held\n"
        zombie.send_signal(signal.SIGSTOP)
        with pytest.raises(UserError, match=f"process {zombie.pid} works with"):
            lock.take(0.2)
        zombie.kill()
        zombie.wait()
        lock.take(1.0)
    assert lock.epoch == 2
    assert lock.holder() == Holder(os.getpid(), lock.holder().started, 2)  # type: ignore[union-attr]
    lock.release()
