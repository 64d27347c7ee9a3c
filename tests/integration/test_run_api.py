"""A run with its API: it shows what the desk does, cannot stop it, and refuses before anything trades."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.messages import Strain
from runtime.history import entries, kinds, open_journal
from runtime.postgres import EmbeddedServer
from tests.kit.api_process import Answer, check_form, read_answer
from tests.kit.database import discard, new_server

pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 120.0


class RunWithApi:
    """A `parley run --database` of the made-up market with an API."""

    def __init__(self, home: Path, server: EmbeddedServer, port: int = 0, **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_") and k != "DATABASE_URL"}
        own = {
            "PARLEY_HOME": str(home), "PARLEY_DATABASE__FOLDER": str(server.folder), "PARLEY_API__ON": "true",
            "PARLEY_API__PORT": str(port),
        }  # fmt: skip
        self.home = home
        self.errors = home / "run.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.cli", "run", "--database", "--json"],
                stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
                env=kept | own | environment,
            )  # fmt: skip

    def eventually(self, what: Callable[[], Any]) -> Any:
        """Wait until something holds while the run lasts."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := what()):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.errors.read_text()
            time.sleep(0.1)
        return found

    @property
    def port(self) -> int:
        """Wait for the address it prints."""

        def told() -> int:
            lines = [line for line in self.errors.read_text().splitlines() if line.startswith("API: http://")]
            return int(lines[0].split("/")[2].rpartition(":")[2]) if lines else 0

        found: int = self.eventually(told)
        return found

    def get(self, path: str) -> Answer | None:
        """Ask the API; None while it is not there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = read_answer(connection.getresponse())
        except OSError:
            return None
        finally:
            connection.close()
        check_form(answer)
        return answer

    def body(self, path: str) -> Any:
        answer = self.get(path)
        return answer.body if answer is not None and answer.status == 200 else None

    def unit(self, name: str) -> int | None:
        """Return the pid of a process of the run, as the API tells it."""
        found = self.body("/api/v1/system")
        units = {unit["name"]: unit["pid"] for unit in (found or {}).get("units", []) if unit["is_running"]}
        return units.get(name)

    def detail(self) -> str:
        """Return why it is not ready; empty when it is, or is not there."""
        answer = self.get("/readyz")
        return "" if answer is None else str(answer.body.get("detail", ""))

    def status(self) -> subprocess.CompletedProcess[str]:
        """Call `parley status`."""
        return subprocess.run(
            [sys.executable, "-m", "runtime.cli", "status"], capture_output=True, text=True, check=False,
            env=os.environ | {"PARLEY_HOME": str(self.home), "COLUMNS": "200"},
        )  # fmt: skip

    def strains(self) -> list[int]:
        """Return the levels that the backlog of the store put on the desk."""
        [path] = self.home.glob("runs/*/desk.journal")
        told = [entry.message for entry in entries(open_journal(path), kinds("Strain"))]
        return [each.level for each in told if isinstance(each, Strain) and each.source == "backlog"]

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, self.errors.read_text()
        told: dict[str, Any] = json.loads(out)
        return told


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    made = new_server()
    try:
        yield made
    finally:
        discard(made)


def test_api_follows_the_run_and_its_death_does_not_stop_it(tmp_path: Path, server: EmbeddedServer) -> None:
    run = RunWithApi(tmp_path, server)
    try:
        run.eventually(lambda: run.body("/readyz"))
        traded = run.eventually(lambda: (run.body("/api/v1/rounds?outcome=accept") or {}).get("items"))
        agents = run.body("/api/v1/agents")["items"]
        assert len(agents) >= 7
        assert {agent["live"]["state"] for agent in agents} == {"in the desk"}
        detail = run.body(f"/api/v1/rounds/{traded[-1]['id']}")
        assert detail["bids"]
        assert detail["votes"]
        assert detail["orders"][0]["round"] == detail["id"]
        count = run.body("/api/v1/rounds?limit=1&count=exact")["total"]
        desk, api, port = run.unit("desk"), run.unit("api"), run.port
        assert desk is not None
        assert api is not None
        cursor = run.body("/api/v1/rounds?limit=1")["next_cursor"]

        os.kill(api, signal.SIGKILL)

        run.eventually(lambda: run.unit("api") not in (None, api))
        # The same port, the same cursors, and the desk went on.
        assert run.port == port
        assert run.body(f"/api/v1/rounds?limit=1&cursor={cursor}")
        assert run.unit("desk") == desk
        run.eventually(lambda: run.body("/api/v1/rounds?limit=1&count=exact")["total"] > count)
        units = [unit["pid"] for unit in run.body("/api/v1/system")["units"]]

        told = run.end()

        assert told["api"] == {"url": f"http://127.0.0.1:{port}", "restarts": 1}
        assert [pid for pid in units if psutil.pid_exists(pid)] == []
        socket.create_server(("127.0.0.1", port)).close()
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def test_desk_that_hangs_is_not_ready_and_is_again_when_it_goes_on(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithApi(tmp_path, server)
    try:
        run.eventually(lambda: run.body("/readyz"))
        assert run.status().returncode == 0
        desk = run.unit("desk")
        assert desk is not None

        os.kill(desk, signal.SIGSTOP)

        run.eventually(lambda: "desk: the desk took up nothing for" in run.detail())
        told = run.status()
        assert (told.returncode, "took up nothing" in told.stdout) == (1, True)
        os.kill(desk, signal.SIGCONT)
        run.eventually(lambda: run.body("/readyz"))
        assert run.unit("desk") == desk
        run.end()
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def test_database_that_stands_still_is_said_everywhere_and_the_desk_only_reduces(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    run = RunWithApi(tmp_path, server, PARLEY_DATABASE__BACKLOG_S="20")
    try:
        run.eventually(lambda: run.body("/readyz"))
        assert run.strains() == []  # the run's start is no backlog
        assert "note:" not in run.errors.read_text()
        postmaster = psutil.Process(server.pid)
        stopped = [postmaster, *postmaster.children()]

        for each in stopped:
            each.suspend()

        run.eventually(lambda: "database: the database did not answer within 2 s" in run.detail())
        run.eventually(lambda: "shipper: the database did not answer the shipper for 1" in run.detail())
        told = run.status()
        assert told.returncode == 1
        for unit in ("postgres", "shipper"):
            [line] = [line for line in told.stdout.splitlines() if line.split()[:1] == [unit]]
            assert "the database did not answer the shipper for" in line
        run.eventually(lambda: "note: the database did not answer the shipper" in run.errors.read_text())
        run.eventually(lambda: run.strains() == [3])
        for each in reversed(stopped):
            each.resume()
        run.eventually(lambda: run.body("/readyz"))
        run.eventually(lambda: run.strains() == [3, 0])
        told_at_the_end = run.end()["database"]
        assert (told_at_the_end["unshipped"], set(told_at_the_end["restarts"].values())) == (None, {0})
        assert "note: shipper and database answer again" in run.errors.read_text()
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def test_taken_port_ends_the_run_before_anything_trades(tmp_path: Path, server: EmbeddedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = RunWithApi(tmp_path, server, port)
        run.process.communicate(timeout=PATIENCE_S)
    assert run.process.returncode == 2

    said = run.errors.read_text().splitlines()
    assert f"port {port} of 127.0.0.1 is taken" in said[-1]
    assert "Traceback" not in "".join(said)
    assert list(tmp_path.glob("runs/*")) == []
    assert server.pid is None


def test_api_without_a_database_is_a_mistake(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_") and k != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "run", "--no-database", "--duration", "1"],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        env=kept | {"PARLEY_HOME": str(tmp_path), "PARLEY_API__ON": "true"},
    )  # fmt: skip

    assert done.returncode == 2
    assert "add --database, or set api.on = false" in done.stderr
    assert list(tmp_path.glob("runs/*")) == []
