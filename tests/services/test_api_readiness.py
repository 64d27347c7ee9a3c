"""Readiness follows the desk, as the desk itself says that it lives; no other process can say it for it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runtime import kill_file
from tests.kit.api_process import ApiProcess
from tests.kit.database import fresh_database, server
from tests.kit.sandbox import ROOT

PATIENCE_S = 40.0
BEATING = """\
import asyncio, sys
from runtime.heartbeat import Heartbeat
async def live():
    heart = Heartbeat(sys.argv[1])
    heart.start()
    await asyncio.sleep(1000)
asyncio.run(live())
"""


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_api_is_ready_while_the_desk_says_that_it_lives(tmp_path: Path) -> None:
    beat = tmp_path / "desk.alive"
    api = ApiProcess(tmp_path, fresh_database(), desk=str(beat)).start()
    try:
        before = api.get("/readyz")
        assert before.status == 503
        assert {"name": "desk", "ok": False, "detail": "the desk does not run"} in before.body["checks"]

        desk = subprocess.Popen([sys.executable, "-c", BEATING, str(beat)], cwd=ROOT)
        try:
            eventually(lambda: api.get("/readyz").status == 200)
            desk.send_signal(signal.SIGSTOP)
            eventually(lambda: api.get("/readyz").status == 503)
            assert "desk: the desk took up nothing for 1" in api.get("/readyz").body["detail"]
            assert api.get("/livez").status == 200
            desk.send_signal(signal.SIGCONT)
            eventually(lambda: api.get("/readyz").status == 200)
        finally:
            desk.kill()
            desk.wait()
        assert f"the desk's process {desk.pid} is gone" in api.get("/readyz").body["detail"]
    finally:
        api.kill()


@pytest.fixture
def stopped_server() -> Iterator[Callable[[int], None]]:
    """Send a signal to every process of the tests' server; at the end they go on."""

    def send(number: int) -> None:
        postmaster = psutil.Process(server().pid)
        for each in (postmaster, *postmaster.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    try:
        yield send
    finally:
        send(signal.SIGCONT)


def test_api_is_not_ready_while_the_database_stands_still_and_says_so_in_time(
    tmp_path: Path, stopped_server: Callable[[int], None]
) -> None:
    api = ApiProcess(tmp_path, fresh_database()).start()
    try:
        eventually(lambda: api.get("/readyz").status == 200)

        stopped_server(signal.SIGSTOP)

        for _ in range(3):  # a client's patience of 40 s is the proof that it is bounded
            answer = api.get("/readyz")
            assert answer.status == 503
            assert answer.body["detail"] == "database: the database did not answer within 2 s"
        assert api.get("/livez").status == 200
        stopped_server(signal.SIGCONT)
        eventually(lambda: api.get("/readyz").status == 200)
    finally:
        api.kill()


def test_api_that_is_of_no_run_waits_for_no_desk(tmp_path: Path) -> None:
    api = ApiProcess(tmp_path, fresh_database()).start()
    try:
        assert [check["name"] for check in api.get("/readyz").body["checks"]] == ["database"]
    finally:
        api.kill()


def test_kill_is_told_where_nothing_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    api = ApiProcess(tmp_path, fresh_database(), home=str(home)).start()
    try:
        assert api.get("/api/v1/kill-switch").body == {"is_killed": False, "killed": []}

        kill_file.write(
            home / "kill.jsonl", "kill", ["firm", "tenant:other"], mode="cancel", reason="odd", by="ann"
        )

        told = api.get("/api/v1/kill-switch").body
        (since,) = [each.pop("since") for each in told["killed"]]
        assert told == {
            "is_killed": True,
            "killed": [{
                "scope": "firm", "mode": "cancel", "reason": "odd", "by": "ann",
                "release": "parley release --scope firm --reason TEXT",
            }],
        }  # fmt: skip
        assert since.endswith("Z")
        assert b'parley_kill_switch_active{scope="firm"} 1.0' in api.get("/metrics").raw
        kill_file.write(home / "kill.jsonl", "release", ["firm"], reason="fine", by="ann")
        assert api.get("/api/v1/kill-switch").body["killed"] == []
    finally:
        api.kill()
