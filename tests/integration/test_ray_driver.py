"""The Ray driver starts one actor per agent, brings back whatever dies, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.errors import UserError
from runtime.ray_control import Question, ask
from runtime.wave_frames import Hello
from tests.kit.ray_runs import Lines, RayRun, eventually, ray_run
from tests.kit.units import short_folder

pytestmark = [pytest.mark.timeout(180), pytest.mark.kill]
RAY_RETURNS_S = 90.0  # about 10 s on an idle machine
AGENTS = ("risk/main", "signal/book")
ABOVE = Path(f"/tmp/parley-test-{os.getuid()}")
# Not pyarrow: Ray itself loads it in every worker where it is installed.
FORBIDDEN = {"ccxt", "freqtrade", "torch", "pandas", "sqlalchemy", "fastapi", "polars", "psycopg"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[Lines]:
    lines = Lines(str(folder / "agents.sock"))
    yield lines
    lines.close()


@pytest.fixture(scope="module")
def run(folder: Path, desk: Lines) -> Iterator[RayRun]:
    agents = {agent: {"address": str(folder / "agents.sock")} for agent in AGENTS}
    with ray_run(folder, agents, ABOVE / "ray-module", dashboard=True) as started:
        yield started


def test_ready_line_names_every_actor_and_the_desk_hears_from_each(run: RayRun, desk: Lines) -> None:
    told = run.ready["agents"]
    heard = {hello.agent: hello for hello in (desk.hello(), desk.hello())}

    assert set(told) == set(heard) == set(AGENTS)
    for agent, hello in heard.items():
        assert told[agent]["state"] == "alive"
        assert hello == Hello(agent, told[agent]["incarnation"], told[agent]["pid"])
    assert len({hello.pid for hello in heard.values()}) == len(AGENTS)


def test_actor_is_as_urgent_as_its_desk(run: RayRun) -> None:
    """Ray would have it answer when everybody else on the machine has nothing to do."""
    assert psutil.Process(run.alive("risk/main")["pid"]).nice() == psutil.Process(run.process.pid).nice()


def test_ray_lists_the_actors_by_name_for_who_has_the_token(run: RayRun, tmp_path: Path) -> None:
    def listed(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        ray = Path(sys.executable).with_name("ray")
        return subprocess.run(
            [ray, "list", "actors", "--format", "json", "--address", run.ready["ray"]["dashboard"]],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    actors = json.loads(listed(run.environment()).stdout)
    refused = listed(run.environment() | {"RAY_AUTH_TOKEN_PATH": str(wrong)})

    assert {each["name"] for each in actors} == {f"agent/main/{agent}" for agent in AGENTS}
    assert {each["ray_namespace"] for each in actors} == {"parley-local"}
    assert refused.returncode != 0


def test_ray_listens_on_loopback_only(run: RayRun) -> None:
    addresses = {
        connection.laddr.ip
        for process in [psutil.Process(run.process.pid), *run.tree()]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_actor_has_no_heavy_package_in_memory(run: RayRun) -> None:
    packages = set(ask_agent(run, "dump", "risk/main")["packages"])

    assert "msgspec" in packages
    assert packages & FORBIDDEN == set()


def ask_agent(run: RayRun, do: str, agent: str) -> dict[str, Any]:
    return dict(ask(run.control, Question(do, agent)))


def test_killed_actor_comes_back_in_a_higher_incarnation(run: RayRun, desk: Lines) -> None:
    before = run.alive("risk/main")

    os.kill(before["pid"], signal.SIGKILL)

    hello = heard_from(desk, "risk/main", after=before["incarnation"])
    after = run.alive("risk/main", after=before["incarnation"])
    if hello.incarnation < after["incarnation"]:  # on a busy machine it was replaced once more
        hello = heard_from(desk, "risk/main", after=hello.incarnation)
    assert hello.pid == after["pid"] != before["pid"]
    assert hello.incarnation == after["incarnation"]
    assert after["restarts"] - before["restarts"] == after["incarnation"] - before["incarnation"]


def heard_from(desk: Lines, agent: str, after: int = 0) -> Hello:
    """Wait for an agent of a later incarnation; on a busy machine one may have been replaced before."""

    def told() -> Hello | None:
        hello = desk.hello()
        return hello if hello.agent == agent and hello.incarnation > after else None

    return eventually(told)


def test_pause_outlives_the_process_until_it_is_resumed(run: RayRun) -> None:
    before = ask_agent(run, "pause", "book")
    assert before["is_paused"] is True

    ask_agent(run, "restart", "book")

    after = run.alive("signal/book", after=before["incarnation"])
    assert after["is_paused"] is True
    assert ask_agent(run, "resume", "book")["is_paused"] is False


@pytest.mark.parametrize(
    ("do", "agent", "says"),
    [("pause", "nobody", "there is no agent 'nobody'"), ("dance", "book", "does not know 'dance'")],
)
def test_command_that_cannot_be_obeyed_says_so(run: RayRun, do: str, agent: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ask(run.control, Question(do, agent))


def test_second_driver_in_the_same_folder_is_refused(run: RayRun) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "runtime.ray_driver", "--config", str(run.file)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert again.returncode == 2
    assert "another driver keeps Ray" in again.stderr
    assert run.status()["is_up"]


def test_actor_that_hangs_gets_a_new_process(run: RayRun) -> None:
    before = run.alive("signal/book")

    os.kill(before["pid"], signal.SIGSTOP)

    after = run.alive("signal/book", after=before["incarnation"])
    assert after["pid"] != before["pid"]
    assert "agent_hangs agent=signal/book" in run.log.read_text()


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_ray_that_lost_a_part_comes_back_by_itself(run: RayRun, desk: Lines, part: str) -> None:
    before = run.status()
    victim = next(each for each in run.tree() if each.name() == part)
    old = {each.pid for each in run.tree()}

    victim.kill()

    for agent in AGENTS:
        run.alive(agent, after=before["agents"][agent]["incarnation"], patience_s=RAY_RETURNS_S)
    after = run.status()
    assert after["lives"] == before["lives"] + 1
    assert old & {each.pid for each in run.tree()} == set(), run.log.read_text()
    assert run.process.poll() is None


def test_orphans_of_a_killed_driver_end_with_the_next_and_sigterm_leaves_nothing(folder: Path) -> None:
    agents = {"meta/main": {"address": str(folder / "nobody.sock")}}
    killed = RayRun(folder, ABOVE / "ray-killed", agents)
    orphans = killed.tree()
    for each in orphans:  # so that none of them notices and ends by itself
        each.suspend()
    # The record of processes is written once a second.
    eventually(lambda: recorded(killed) if {each.pid for each in orphans} <= recorded(killed) else None)
    killed.process.kill()
    killed.process.communicate()
    assert all(each.is_running() for each in orphans)

    with ray_run(folder, agents, ABOVE / "ray-next") as following:
        assert [each for each in orphans if is_running(each)] == []
        assert not killed.temp.exists()
        assert following.ready["agents"]["meta/main"]["incarnation"] == 2

        below = following.tree()
        code, errors = following.stop()
        assert code == 0, errors
        assert [each for each in below if is_running(each)] == []
        assert not following.temp.exists()
        assert not following.control.exists()


def recorded(run: RayRun) -> set[int]:
    return {pid for pid, _ in json.loads((run.temp / "processes.json").read_bytes())}


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_folder_whose_sockets_would_be_too_long_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ray.json"
    file.write_text(
        json.dumps({"folder": str(tmp_path), "temp": "/tmp/" + "a" * 60, "control": "/tmp/a", "agents": []})
    )

    done = subprocess.run(
        [sys.executable, "-m", "runtime.ray_driver", "--config", str(file)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2
    assert "Ray's folder may have at most" in done.stderr


@pytest.fixture(scope="module", autouse=True)
def _no_folder_stays() -> Iterator[None]:
    yield
    shutil.rmtree(ABOVE, ignore_errors=True)
