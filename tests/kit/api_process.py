"""The API as its own process on a socket, and a client that checks every answer it gets.

Invariant: whatever is asked through `ApiProcess.get` has a request id, the safety headers, and is a problem
if and only if its status says so.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from runtime.postgres import Database
from tests.kit.database import database_name, server
from tests.kit.sandbox import ROOT

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """An answer: status, body as JSON where it is some, headers by lower-case name."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""


class ApiProcess:
    """``python -m api`` on a free port."""

    def __init__(self, folder: Path, database: Database | None = None, /, **over: object) -> None:
        fields: dict[str, object] = {"port": 0, "database": str(server().folder), "log_level": "info"}
        if database is not None:
            fields["name"] = database_name(database)
        self.config = folder / "api.json"
        self.config.write_bytes(msgspec.json.encode(fields | over))
        self.log = folder / "api.log"
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self, **environment: str) -> ApiProcess:
        """Start it and wait for its ready line."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "--config", str(self.config)], cwd=ROOT,
                stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | environment,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        ready = json.loads(line)
        assert ready["ready"] is True
        assert ready["unit"] == "api"
        self.port = ready["port"]
        return self

    def stop(self) -> int:
        """End it by SIGTERM and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path and check the form of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, headers=headers)
            answer = read_answer(connection.getresponse())
        finally:
            connection.close()
        check_form(answer)
        return answer

    def items(self, path: str) -> list[dict[str, Any]]:
        """Ask for a list, following its cursors to the end."""
        mark = "&" if "?" in path else "?"
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.get(f"{path}{mark}cursor={cursor}" if cursor else path)
            assert answer.status == 200, answer.body
            found += answer.body["items"]
            cursor = answer.body["next_cursor"]
            if cursor is None:
                return found

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are and return what comes back before the end or a second of silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            connection.settimeout(1)
            told = b""
            try:
                while part := connection.recv(65536):
                    told += part
            except TimeoutError:
                pass
        return told


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """Read a response to its end."""
    raw = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    is_json = "json" in headers.get("content-type", "")
    return Answer(response.status, json.loads(raw) if is_json else raw.decode(), headers, raw)


def check_form(answer: Answer) -> None:
    """Fail for an answer that is not formed as all must be."""
    kind = answer.headers.get("content-type", "")
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    if answer.status >= 400:
        assert kind == "application/problem+json", answer
        assert answer.body["status"] == answer.status
        assert answer.body["trace_id"] == answer.headers["x-request-id"]
        assert answer.body["type"] == f"/problems/{answer.body['code']}"
        assert {"title", "detail", "instance"} <= answer.body.keys()
        assert "Traceback" not in answer.raw.decode()
    else:
        assert "problem" not in kind
