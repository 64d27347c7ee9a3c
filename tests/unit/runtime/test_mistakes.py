"""Every mistake ends in one line and an exit code, every defect in a file, and every command reads one model.

Not here: what single commands say of their own options (`test_cli`, `test_data_commands`).
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from typer.testing import CliRunner, Result

from parley.errors import UserError
from runtime import calling
from runtime.cli import app
from tests.kit.sandbox import ROOT
from tests.kit.small_journal import write_journal

READING = [
    ("status",), ("rounds",), ("orders",), ("positions",), ("explain", "x"), ("replay",), ("doctor",),
    ("agents", "pause", "x"), ("agents", "resume", "x"), ("agents", "restart", "x"), ("data", "list"),
    ("data", "check"), ("data", "import", "x.csv"),
    ("data", "download", "--pairs", "BTC/USDT", "--since", "2024-01-01"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PARLEY_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def one_line(result: Result, code: int = 2) -> str:
    """Return the one line a mistake made, after checking that it is one."""
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("parley: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.output
    return result.stderr


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_every_command_refuses_a_misspelt_variable(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_DATABASE__ULR", "postgresql://me@host/parley")

    assert "unknown key 'database.ulr': did you mean 'url'?" in one_line(parley(*command))


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("way", ["option", "variable"])
def test_every_command_reads_the_file_of_settings(
    command: tuple[str, ...], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "desk.toml"
    file.write_text("hmoe = 'x'")
    if way == "variable":
        monkeypatch.setenv("PARLEY_CONFIG", str(file))
    options = ["--config", str(file)] if way == "option" else []

    said = one_line(parley(*command, *options))

    assert "unknown key 'hmoe': did you mean 'home'?" in said
    assert str(file) in said


def test_home_of_the_file_is_where_runs_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARLEY_HOME")
    folder = tmp_path / "elsewhere" / "runs" / "20260101T000000-abc"
    folder.mkdir(parents=True)
    journal = write_journal(folder / "desk.journal")
    file = tmp_path / "desk.toml"
    file.write_text(f"home = {str(tmp_path / 'elsewhere')!r}")

    assert str(journal) in parley("rounds", "--json", "--config", file).stdout
    assert str(tmp_path / "elsewhere" / "market") in parley("data", "list", "--json", "--config", file).stdout


@pytest.mark.parametrize("said", ["variable", "file"])
def test_import_obeys_the_database_of_the_settings(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"host={tmp_path} user=me password=zq11qz dbname=parley"
    (tmp_path / "desk.toml").write_text(f"[database]\nurl = {url!r}")
    options = ["--config", tmp_path / "desk.toml"] if said == "file" else []
    if said == "variable":
        monkeypatch.setenv("PARLEY_DATABASE__URL", url)
    candles = tmp_path / "binance-BTC_USDT-1m.csv"
    candles.write_text("date,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,1,1,1,1\n")

    result = parley("data", "import", candles, *options)

    text = one_line(result, 1)
    assert "the database cannot be reached" in text
    assert "zq11qz" not in text
    assert not (tmp_path / "home" / "market").exists()


def test_home_that_is_a_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "file" / "home"))

    for command in (("run", "--duration", "1"), ("rounds",), ("data", "list"), ("status",)):
        result = parley(*command)
        assert "Traceback" not in result.output
        assert result.stderr.count("\n") <= 1, result.stderr
    assert "cannot make the run's folder" in one_line(parley("run", "--duration", "1"))


def test_journal_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    for command in ("rounds", "orders", "positions", "replay"):
        assert str(tmp_path) in one_line(parley(command, "--journal", tmp_path))


def refused(error: BaseException, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    """Run a command that ends with an error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(calling, "load", lambda name: fail)
    return parley(*options, "rounds")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "cannot use '/x': Permission denied"),
        (OSError(errno.EADDRINUSE, "Address already in use"), 2, "refused: Address already in use"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 2, "'/x': No space left on device"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 2, "Connection refused"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a", None, "b"), 2, "'a' and 'b': No such file"),
        (psycopg.errors.InsufficientPrivilege("permission denied for x\nHINT"), 1, "denied for x"),
        (sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("gone")), 1, "the database refused: "),
        (sqlite3.DatabaseError("file is not a database"), 1, "file is not a database"),
        (UserError("postgresql://me:zq11qz@host is wrong"), 2, "://me:[redacted]@host"),
    ],
)  # fmt: skip
def test_mistake_whoever_notices_it_is_one_line(
    error: Exception, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = one_line(refused(error, monkeypatch), code)

    assert says in text
    assert "zq11qz" not in text


@pytest.mark.parametrize(
    "error", [KeyError("token=zq11qz"), ZeroDivisionError("x"), RecursionError("deep"), OSError("odd")]
)
def test_defect_is_one_line_and_a_traceback_in_a_private_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    text = one_line(refused(error, monkeypatch), 1)

    found = re.search(r"a defect of Parley, (\w+): .*; its traceback is in (\S+)$", text.strip())
    assert found is not None, text
    file = Path(found[2])
    assert found[1] == type(error).__name__
    assert file.stat().st_mode & 0o777 == 0o600
    assert "raise error" in file.read_text()
    assert "zq11qz" not in text + file.read_text()


@pytest.mark.parametrize("code", [0, None, 3])
def test_code_that_ends_the_process_is_no_success(code: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = one_line(refused(SystemExit(code), monkeypatch), 1)

    assert f"ended the process before the work was done, SystemExit({code!r}) from {__file__}, line" in text


def test_a_reader_that_goes_away_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = SystemExit(1)  # as rich ends when nobody reads on
    ended.__context__ = BrokenPipeError(errno.EPIPE, "Broken pipe")

    result = refused(ended, monkeypatch)

    assert (result.exit_code, result.stderr) == (1, "")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    result = refused(UserError("no such thing"), monkeypatch, "--debug")

    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.rstrip().endswith("UserError: no such thing")


def test_reader_that_has_seen_enough_makes_no_noise(tmp_path: Path, home: Path) -> None:
    folder = home / "runs" / "20260101T000000-abc"
    folder.mkdir(parents=True)
    write_journal(folder / "desk.journal")
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m runtime.cli rounds --json | head -c 0"], cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PARLEY_HOME": str(home)},
    )  # fmt: skip

    assert done.stderr == ""


def test_taken_port_of_the_exchange_is_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", "run", "--duration", "1", "--port",
             str(other.getsockname()[1])],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
            env=os.environ | {"PARLEY_HOME": str(home)},
        )  # fmt: skip

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "in use" in done.stderr.splitlines()[-1]
    assert list(home.glob("runs/*")) == []
