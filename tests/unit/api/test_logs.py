"""No secret leaves through the log, whoever wrote the line."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from api.logs import set_up
from runtime.redaction import HIDDEN

SECRET = "hunter2hunter2"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Collect what is logged, and put the logging back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    set_up("info", "1.2.3", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "line",
    [
        {"password": SECRET},
        {"api_key": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"headers": {"cookie": SECRET, "x-api-key": SECRET}},
        {"deep": [{"client_secret": SECRET}]},
        {"url": f"postgresql://me:{SECRET}@host/name"},
        {"why": f"GET /stream?token={SECRET}&x=1 failed"},
        {"why": f"header authorization: Bearer {SECRET}"},
        {"DATABASE_URL": f"postgresql://me:{SECRET}@host/name"},
        {"dsn": SECRET},
        {"error": ValueError(f"password={SECRET}")},
        {"env": f"PARLEY_API_KEY={SECRET}"},
        {"body": json.dumps({"client_secret": SECRET, "n": 1})},
        {"why": repr({"password": SECRET})},
        {"said": json.dumps({"error": repr([("X-MBX-APIKEY", SECRET)])})},
        {f"postgresql://me:{SECRET}@host/name": 1},
        {"raw": b"token=hunter2hunter2"},
        {"keys": {"api_key": SECRET}.items()},
    ],
)
def test_secret_is_taken_out(written: io.StringIO, line: dict[str, Any]) -> None:
    structlog.get_logger("api").info("told", **line)

    assert SECRET not in written.getvalue()
    assert HIDDEN in written.getvalue()


def test_secret_of_a_library_and_of_a_traceback_is_taken_out(written: io.StringIO) -> None:
    logging.getLogger("library").warning("connecting to postgresql://me:%s@host", SECRET)
    try:
        raise ValueError(f"no entry for token={SECRET}")
    except ValueError:
        structlog.get_logger("api").exception("broke")

    assert SECRET not in written.getvalue()
    assert [line["event"] for line in lines(written)] == [
        f"connecting to postgresql://me:{HIDDEN}@host", "broke",
    ]  # fmt: skip
    assert "ValueError" in lines(written)[1]["exception"]


def test_line_says_when_who_and_which_version(written: io.StringIO) -> None:
    structlog.get_logger("api.access").info("request", status=200, path="/livez", ms=1.5)

    [line] = lines(written)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info", "logger": "api.access", "event": "request", "status": 200, "path": "/livez",
        "ms": 1.5, "version": "1.2.3",
    }  # fmt: skip


def test_warnings_are_lines_and_debug_is_none(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    structlog.get_logger("api").debug("noise")

    [line] = lines(written)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")


def test_flood_of_one_warning_is_cut_short(written: io.StringIO) -> None:
    log = structlog.get_logger("api")
    for n in range(100):
        log.warning("database_down", n=n)
        log.info("request", n=n)
    log.warning("another")

    events = [line["event"] for line in lines(written)]
    assert events.count("database_down") == 20
    assert events.count("request") == 100
    assert events.count("another") == 1
