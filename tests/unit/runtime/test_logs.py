"""Whatever a process writes to standard error has passed through the redaction."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.logs import RedactedStream
from runtime.redaction import HIDDEN, OWN, Redaction, learn_environment, secrets_in
from runtime.unit import read_private
from tests.kit.sandbox import ROOT

SECRET = "zq11qz-hunter2"
# Every way in which a process says something, with a secret in it that only its environment tells.
WAYS = {
    "log line": "logging.getLogger('x').warning('refused %s', os.environ['A_TOKEN'])",
    "log of an exception": "\ntry: {}[os.environ['A_TOKEN']]\nexcept KeyError: logging.exception('no')",
    "uncaught": "raise ValueError(os.environ['A_TOKEN'])",
    "in a thread": "\nt = threading.Thread(target=lambda: {}[os.environ['A_TOKEN']])\nt.start(); t.join()",
    "warning": "warnings.warn('with ' + os.environ['A_TOKEN'], stacklevel=1)",
    "print": "print('said', os.environ['A_TOKEN'], file=sys.stderr)",
    "half a line": "sys.stderr.write('x' + os.environ['A_TOKEN'])",
    "named": "sys.stderr.write('password=zq11qz-hunter2\\n')",
    "url": "logging.getLogger('x').error('postgresql://me:zq11qz-hunter2@host/db refused')",
    "asyncio": (
        "\nimport asyncio, gc\nasync def bad(): raise ValueError(os.environ['A_TOKEN'])\n"
        "async def main():\n  t = asyncio.ensure_future(bad()); await asyncio.sleep(0); del t; gc.collect()\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_secret_does_not_leave_a_unit(way: str) -> None:
    begin = "import logging, os, sys, threading, warnings; from runtime.logs import set_up; set_up('u');"
    done = subprocess.run(
        [sys.executable, "-c", begin + WAYS[way]], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=60, env=os.environ | {"A_TOKEN": SECRET},
    )  # fmt: skip

    assert HIDDEN in done.stderr
    assert "zq11qz" not in done.stderr


def test_module_that_may_not_import_the_logs_runs_behind_them(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text(
        "import sys\nprint(sys.argv[1:], __name__)\nraise SystemExit(f'token={sys.argv[2]}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "runtime.logs", "stranger", "--config", SECRET],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    assert done.stdout == f"['--config', '{SECRET}'] __main__\n"
    assert (done.returncode, done.stderr) == (1, f"token={HIDDEN}\n")


def test_lines_of_threads_stay_whole() -> None:
    inner = io.StringIO()
    stream = RedactedStream(inner)

    def talk(n: int) -> None:
        for _ in range(200):
            stream.write(f"thread {n} says password={SECRET}\n")

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(set(inner.getvalue().splitlines())) == [
        f"thread {n} says password={HIDDEN}" for n in range(4)
    ]
    assert inner.getvalue().count("\n") == 800


def test_name_and_value_that_come_in_pieces_are_one_line() -> None:
    inner = io.StringIO()
    stream = RedactedStream(inner)

    for piece in ("pass", "word=", SECRET, " end", "\n", "next"):
        stream.write(piece)

    assert inner.getvalue() == f"password={HIDDEN} end\n"
    stream.flush()
    assert inner.getvalue().endswith("\nnext")


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'{"api_key": "one", "secret": "two", "venue": "binance"}', ["one", "two"]),
        (b'{"accounts": [{"token": "one", "name": "main"}]}', ["one"]),
        (b"a token of a file\n", ["a token of a file"]),
    ],
)
def test_file_of_secrets_tells_which_they_are(raw: bytes, found: list[str]) -> None:
    assert secrets_in(raw) == found


def test_who_reads_a_private_file_never_shows_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Redaction()
    monkeypatch.setattr("runtime.unit.OWN", fresh)
    path = tmp_path / "keys.json"
    path.write_text('{"api_key": "zq11qz-key", "secret": "zq12qz-secret"}')
    path.chmod(0o600)

    read_private(path)

    assert fresh.text("the venue said: zq11qz-key is no key, zq12qz-secret") == (
        f"the venue said: {HIDDEN} is no key, {HIDDEN}"
    )


def test_password_of_a_url_in_the_environment_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Redaction()
    monkeypatch.setattr("runtime.redaction.OWN", fresh)

    learn_environment({"SOME_ADDRESS": "postgresql://me:zq11qz-pw@host/db", "HOME": "/root"})

    assert fresh.text("zq11qz-pw in /root") == f"{HIDDEN} in /root"
    assert OWN is not fresh
