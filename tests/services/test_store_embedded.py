"""The embedded server: who owns it, what it survives, and one line for everything that can be wrong."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from parley.errors import UserError
from runtime.postgres import Database, DatabaseDown, EmbeddedServer, connect, default_folder, programs
from runtime.postgres.claims import Claim
from runtime.postgres.database import reach
from runtime.postgres.opening import opened_database
from tests.kit.database import discard, make_folder, new_server


@pytest.fixture
def bare() -> Iterator[EmbeddedServer]:
    """Give a server without data."""
    made = EmbeddedServer(make_folder() / "pg")
    yield made
    discard(made)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """Give a server that ran before."""
    made = new_server()
    yield made
    discard(made)


def answer(server: EmbeddedServer) -> object:
    with reach(server.conninfo("postgres", "postgres"), "test") as connection:
        return connection.execute("SELECT 1").fetchone()


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_server_starts_and_stops_by_its_pid(server: EmbeddedServer) -> None:
    pid = server.start()

    assert answer(server) == (1,)
    assert server.pid == pid
    server.stop()
    assert server.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_server_outlives_its_parent_and_is_adopted(server: EmbeddedServer) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from runtime.postgres import EmbeddedServer;"
        "print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script, str(server.folder)], capture_output=True, text=True, check=False
    )

    assert parent.returncode == -signal.SIGKILL
    assert server.start() == int(parent.stdout)
    assert answer(server) == (1,)


def test_server_bound_to_its_starter_ends_with_it(server: EmbeddedServer) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from runtime.postgres import EmbeddedServer;"
        "print(EmbeddedServer(Path(sys.argv[1])).start(ends_with_us=True), flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script, str(server.folder)], capture_output=True, text=True, check=False
    )

    assert int(parent.stdout) > 0
    deadline = time.monotonic() + 30
    while Path(f"/proc/{int(parent.stdout)}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.pid is None


def test_server_is_stopped_by_the_last_who_uses_it(server: EmbeddedServer) -> None:
    one, two = Claim(server), Claim(EmbeddedServer(server.folder))
    pid = server.pid

    one.release()
    one.release()
    assert server.pid == pid
    assert answer(server) == (1,)
    two.release()
    assert server.pid is None


def test_server_in_use_runs_after_a_command_and_an_orphan_does_not(
    server: EmbeddedServer,
) -> None:
    used = Claim(server)

    with opened_database(Path("/nowhere"), server.folder) as database:
        assert database.is_embedded

    assert answer(server) == (1,)
    used.release()
    server.start()  # as a command that was killed leaves it
    with opened_database(Path("/nowhere"), server.folder):
        assert answer(server) == (1,)
    assert server.pid is None


def test_starts_at_the_same_time_give_one_server(bare: EmbeddedServer) -> None:
    with ThreadPoolExecutor(3) as pool:
        pids = set(pool.map(lambda _: EmbeddedServer(bare.folder).start(), range(3)))

    assert pids == {bare.pid}


def test_data_is_private_and_nothing_above_it_is_loosened(bare: EmbeddedServer) -> None:
    parent = bare.folder.parent
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in (parent, *parent.parents)]

    bare.start()

    assert stat.S_IMODE(bare.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(bare.sockets.stat().st_mode) == 0o700
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (parent, *parent.parents)] == before
    if os.geteuid() == 0:
        assert bare.data.stat().st_uid != 0


def test_server_killed_by_force_starts_again_with_its_data(server: EmbeddedServer) -> None:
    pid = server.start()
    with reach(server.conninfo("postgres", "postgres"), "test") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    os.kill(pid, signal.SIGKILL)
    while server.pid is not None:  # the signal takes a moment
        time.sleep(0.001)

    assert server.start() != pid
    with reach(server.conninfo("postgres", "postgres"), "test") as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)


def test_pid_file_that_names_another_process_is_no_server(server: EmbeddedServer) -> None:
    # What a restarted container finds: the number in the file belongs to somebody else now.
    server.start()
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    server.stop()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (server.data / "postmaster.pid").write_text("\n".join([str(sleeper.pid), *lines[1:]]) + "\n")

        assert server.pid is None
        server.stop()
        assert sleeper.poll() is None
        assert server.start() != sleeper.pid
        assert answer(server) == (1,)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_unfinished_initialisation_is_done_again(bare: EmbeddedServer) -> None:
    (bare.folder / "data.new").mkdir(parents=True)
    (bare.folder / "data.new" / "PG_VERSION").write_text("18\n")

    bare.start()

    assert answer(bare) == (1,)


def test_default_folder_is_outside_the_home_of_runs(tmp_path: Path) -> None:
    folder = default_folder(tmp_path / "home")

    assert not folder.is_relative_to(tmp_path)
    assert folder == default_folder(tmp_path / "home")
    assert folder != default_folder(tmp_path / "other")


def test_programs_out_of_reach_are_copied_once(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A checkout below /root: the server's user cannot enter it, and nothing there is loosened for it.
    shared = server.folder.parent / "shared"
    monkeypatch.setattr(programs, "SHARED_COPY", shared)
    monkeypatch.setattr(programs, "obstacle", lambda path, owner: Path("/root"))

    server.start()

    assert answer(server) == (1,)
    copies = list(shared.iterdir())
    assert len(copies) == 1
    assert os.readlink(f"/proc/{server.pid}/exe").startswith(str(copies[0]))
    assert programs.find_programs().folder.is_relative_to(copies[0])
    assert list(shared.iterdir()) == copies


def test_stopped_server_ends_in_order(server: EmbeddedServer) -> None:
    server.start()
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children()]
    for each in processes:
        each.suspend()

    server.stop()

    assert "database system is shut down" in server.log.read_text()
    _, left = psutil.wait_procs(processes, timeout=10)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []


def test_folder_among_journals_and_keys_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path))

    with pytest.raises(UserError, match="must lie outside") as error:
        EmbeddedServer(tmp_path / "runs" / "pg").start()
    one_line(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["run", "--database"], ["migrate"]])
def test_home_that_a_file_of_settings_names_holds_no_database_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.delenv("PARLEY_HOME", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    config, home = tmp_path / "desk.toml", tmp_path / "desks"
    config.write_text(f'home = "{home}"\n[database]\nfolder = "{home / "pg"}"\n')

    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *command, "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2, done
    assert f"must lie outside {str(home)!r}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (home / "pg").exists()


def test_missing_package_is_one_line(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PACKAGE", "no_such_package")

    with pytest.raises(UserError, match=r"parley\[store\]") as error:
        server.start()
    one_line(error)


def test_missing_program_is_one_line(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_NEEDED", ("initdb", "no_such_program"))

    with pytest.raises(UserError, match="'no_such_program' is missing") as error:
        server.start()
    one_line(error)


def test_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    parent = make_folder()
    (parent / "pg").write_text("")
    try:
        with pytest.raises(UserError, match="cannot be used") as error:
            EmbeddedServer(parent / "pg").start()
        assert str(parent / "pg") in one_line(error)
    finally:
        (parent / "pg").unlink()
        parent.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
def test_folder_the_servers_user_cannot_enter_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    blocking = next(each for each in reversed((closed / "pg").parents) if not each.stat().st_mode & 0o001)

    with pytest.raises(UserError, match="cannot enter") as error:
        EmbeddedServer(closed / "pg").start()

    assert repr(str(blocking)) in one_line(error)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(closed.iterdir()) == []


def test_data_of_another_version_is_one_line(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("12\n")

    with pytest.raises(UserError, match="did not start") as error:
        server.start()
    assert "incompatible" in one_line(error) or "version" in one_line(error)
    (server.data / "PG_VERSION").write_text("18\n")


def test_server_that_is_not_there_is_one_line_without_the_password() -> None:
    database = Database.external("postgresql://someone:s3cret@127.0.0.1:1/parley")

    with pytest.raises(DatabaseDown) as error:
        connect(database, "test")
    assert "s3cret" not in one_line(error)


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/db", "postgresql://", "s3cret"])
def test_malformed_url_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(UserError, match="DATABASE_URL must look like") as error:
        Database.external(url)
    assert "s3cret" not in one_line(error)


def test_stopped_server_is_down_not_refused(server: EmbeddedServer) -> None:
    server.start()
    server.stop()

    with pytest.raises(DatabaseDown):
        connect(Database.embedded(server), "test")


def test_statement_in_progress_does_not_keep_the_server_up(server: EmbeddedServer) -> None:
    server.start()
    with ThreadPoolExecutor(1) as pool, reach(server.conninfo("postgres", "postgres"), "test") as connection:
        sleeping = pool.submit(connection.execute, "SELECT pg_sleep(600)")
        while not _sleeps(server):
            time.sleep(0.01)

        server.stop()

        assert sleeping.exception(60) is not None
    assert server.pid is None


def _sleeps(server: EmbeddedServer) -> bool:
    with reach(server.conninfo("postgres", "postgres"), "test") as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        return connection.execute(query).fetchone() == (1,)


@pytest.mark.parametrize(("user", "database"), [("nobody_there", "postgres"), ("postgres", "nothing_there")])
def test_role_or_database_that_does_not_exist_is_refused(
    server: EmbeddedServer, user: str, database: str
) -> None:
    server.start()

    with pytest.raises(UserError, match="does not exist") as error:
        reach(server.conninfo(user, database), "test")
    one_line(error)
