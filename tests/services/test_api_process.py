"""The API as a unit: where it listens, what it refuses at its start, what it says without its database."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from runtime.postgres import EmbeddedServer
from runtime.postgres.migrate import make_database, migrate
from tests.kit.api_process import ApiProcess
from tests.kit.database import discard, fresh_database, make_folder, server
from tests.kit.sandbox import ROOT


def refusal(folder: Path, **fields: object) -> tuple[int, str]:
    """Start an API that must refuse; return exit code and what it said."""
    api = ApiProcess(folder, None, **fields)
    done = subprocess.run(
        [sys.executable, "-m", "api", "--config", str(api.config)], cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_address_of_others_is_refused_with_one_line(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, host="0.0.0.0")

    assert code == 2
    [line] = said.splitlines()
    assert line.startswith("api: the API listens on this machine's loopback address only")
    assert line.endswith("was '0.0.0.0'")


def test_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        code, said = refusal(tmp_path, port=port)

    assert code == 2
    assert said.splitlines() == [
        f"api: port {port} of 127.0.0.1 is taken by another program: end it, or choose another port"
    ]


def test_unknown_key_is_one_line(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, prot=8000)

    assert code == 2
    [line] = said.splitlines()
    assert "'prot': did you mean 'port'?" in line


def test_database_without_tables_is_refused(tmp_path: Path) -> None:
    make_database(server(), "parley_no_tables")

    code, said = refusal(tmp_path, name="parley_no_tables")

    assert code == 2
    assert "run 'parley migrate'" in said.splitlines()[-1]


def test_ends_at_sigterm_and_frees_its_port(tmp_path: Path) -> None:
    api = ApiProcess(tmp_path, fresh_database())
    try:
        port = api.start().port

        assert api.stop() == 0
    finally:
        api.kill()
    socket.create_server(("127.0.0.1", port)).close()


def test_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    folder = make_folder()
    own = EmbeddedServer(folder / "pg")
    own.start()
    try:
        migrate(make_database(own, "parley"))
        api = ApiProcess(tmp_path, None, database=str(own.folder), name="parley")
        try:
            api.start()
            assert api.get("/readyz").status == 200

            own.stop()

            gone = api.get("/api/v1/rounds")
            assert (gone.status, gone.body["code"]) == (503, "database-unavailable")
            assert gone.headers["retry-after"] == "2"
            assert api.get("/readyz").body["code"] == "not-ready"
            assert api.get("/livez").status == 200
            own.start()
            deadline = time.monotonic() + 30
            while api.get("/readyz").status != 200 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert api.get("/api/v1/rounds").status == 200
            assert api.stop() == 0
        finally:
            api.kill()
        said = [json.loads(line) for line in api.log.read_text().splitlines()]
        assert not [line for line in said if "Traceback" in json.dumps(line)]
    finally:
        discard(own)


def test_starts_without_its_database_and_is_not_ready(tmp_path: Path) -> None:
    api = ApiProcess(tmp_path, None, database=str(tmp_path / "nobody"))
    try:
        api.start()

        assert api.get("/livez").status == 200
        assert api.get("/readyz").body["checks"][0]["ok"] is False
        assert api.get("/api/v1/system").status == 503
        assert api.stop() == 0
    finally:
        api.kill()
