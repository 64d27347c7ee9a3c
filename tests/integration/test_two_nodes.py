"""A second machine's part of Ray, here on loopback, hosts some of a desk's agents, which dial it over TCP.

What this cannot show: two clocks, a network that loses packets, code of two versions (docs/cluster.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kit.person import PATIENCE_S, Person, is_whole

pytestmark = [pytest.mark.timeout(500), pytest.mark.kill, pytest.mark.long]
FAR = ("signal/book", "strategy/trend")


# Ray makes 127.0.0.1 the machine's outer address, so head and node get others of the loopback.
HEAD, NODE = "127.0.0.2", "127.0.0.3"


class SecondNode:
    """A node joined to a desk's Ray as docs/cluster.md says, kept up as an operating system would."""

    def __init__(self, person: Person, address: str, token: str) -> None:
        self._command = [
            str(Path(sys.executable).with_name("ray")), "start", "--address", address,
            "--node-ip-address", NODE, "--num-cpus", "1", "--resources", '{"far": 1}',
            "--object-store-memory", "80000000", "--disable-usage-stats", "--block",
        ]  # fmt: skip
        self._environment = person.environment | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token
        }  # fmt: skip
        self._is_over = threading.Event()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, env=self._environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _keep(self) -> None:
        # Under load its raylet sometimes aborts in its first second.
        while not self._is_over.is_set():
            if self._process.poll() is not None:
                self._process = self._start()
            self._is_over.wait(0.5)

    def pids(self) -> set[int]:
        return {each.pid for each in psutil.Process(self._process.pid).children(recursive=True)}

    def end(self) -> None:
        """Kill every process of it."""
        self._is_over.set()
        self._keeper.join()
        tree: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            tree = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for each in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(tree, timeout=10)


@contextlib.contextmanager
def second_node(person: Person, address: str, token: str) -> Iterator[SecondNode]:
    """Let a second node be there; everything of it ends with the context."""
    node = SecondNode(person, address, token)
    try:
        yield node
    finally:
        node.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def settings(folder: Path) -> Path:
    token = folder / "agents.token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    file = folder / "desk.toml"
    nodes = ", ".join(f'"{agent}" = "far"' for agent in FAR)
    file.write_text(
        f"[desk]\nplacement = 'spread'\ndashboard = false\nhost = '{HEAD}'\n"
        f"listen = 'tcp://127.0.0.1:{free_port()}?token={token}'\nnodes = {{ {nodes} }}\n"
    )
    return file


def where_ray_is(run: subprocess.Popen[str]) -> tuple[str, str]:
    """Read the address and the token's file from what the command says while it starts."""
    assert run.stderr is not None
    said = []
    for line in run.stderr:
        said.append(line)
        if line.startswith("Ray at "):
            address, token = line.removeprefix("Ray at ").split(";")[0].split(", token in ")
            return address, token
    raise AssertionError(f"the command ended before Ray was up: {said}")


def is_far(status: dict[str, Any], node: SecondNode) -> set[str]:
    """Name the agents whose processes belong to a node."""
    below = node.pids()
    return {agent for agent, said in status["agents"].items() if said["pid"] in below}


def test_agents_of_a_second_node_trade_and_come_back_with_it(tmp_path: Path, market_data: Path) -> None:
    person = Person(tmp_path / "home")
    run = person.begins(
        "run", "--config", settings(tmp_path), "--data", market_data / "candles", "--pairs",
        "BTC/USDT,ETH/USDT,LTC/USDT", "--from", "2021-05-19T10:00", "--to", "2021-05-20", "--speed", 300,
        "--json",
    )  # fmt: skip
    try:
        address, token = where_ray_is(run)
        with second_node(person, address, token) as node:
            status = person.waits(is_whole)
            assert is_far(status, node) == set(FAR)
            before = status["agents"]

        gone = person.waits(lambda s: s if not any(s["agents"][a]["state"] == "alive" for a in FAR) else None)
        assert {said["state"] for agent, said in gone["agents"].items() if agent not in FAR} == {"alive"}
        assert gone["ray"]["lives"] == 1, "losing another machine is no reason to start Ray anew"

        with second_node(person, address, token) as node:
            after = person.waits(is_whole)
            assert is_far(after, node) == set(FAR)
            assert all(after["agents"][a]["incarnation"] > before[a]["incarnation"] for a in FAR)
            tree = psutil.Process(run.pid).children(recursive=True)
            run.send_signal(signal.SIGINT)
            out, errors = run.communicate(timeout=PATIENCE_S)
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, errors
    result = json.loads(out)
    assert result["ledger_equals_exchange"] is True
    assert result["rounds"] > 100
    assert [each for each in tree if os.path.exists(f"/proc/{each.pid}")] == []
