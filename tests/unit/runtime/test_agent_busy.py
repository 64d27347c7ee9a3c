"""Whoever asks an agent's process hears how long it has handled one message."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from parley.agent import AgentEnv, AgentSpec
from parley.messages import Halt, encode
from runtime.agent_server import HUNG_S, MULLS_S, Served, serve
from runtime.agent_socket import open_listener
from runtime.wave_frames import Cutter, Told, Welcome, frame
from tests.kit.units import short_folder

SPEC = AgentSpec(
    id="risk/slow", role="risk", factory="tests.kit.sleeper:make", subscriptions=("Halt",),
    params={"seconds": 0.5},
)  # fmt: skip
HALT = msgspec.Raw(encode(Halt(scope="*", mode="HALT", by="test", why="")))
ENV = AgentEnv(tenant="t", account="a", quote="USDT", symbols=(), instruments={}, tf_ns=60_000_000_000)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def hosted(spec: AgentSpec) -> Iterator[tuple[Served, socket.socket]]:
    """Host an agent that was welcomed; yields what it tells of itself, and the desk's end of its line."""
    served, stop = Served(), threading.Event()
    with short_folder() as folder:
        listener = open_listener(str(folder / "a.sock"))
        agent = threading.Thread(
            target=serve, args=(str(folder / "a.sock"), spec.id, 1, stop, served), daemon=True
        )
        agent.start()
        line, _ = listener.accept()
        line.sendall(frame(Welcome(spec, ENV, 1, b"")))
        yield served, line
        stop.set()
        agent.join(5)
        line.close()
        listener.close()


def test_agent_is_busy_from_a_message_to_its_answer() -> None:
    with hosted(SPEC) as (served, line):
        assert served.busy_s == 0.0

        line.sendall(frame(Told(1, 0, 1, True, HALT)))

        until(lambda: served.busy_s > 0.1)
        until(lambda: served.answers == 1)
        assert served.busy_s == 0.0
        assert len(Cutter().feed(line.recv(1 << 16))) >= 1


@pytest.mark.parametrize(("outside", "stuck_after_s"), [(False, HUNG_S), (True, MULLS_S)])
def test_one_from_outside_may_take_longer_before_it_is_stuck(outside: bool, stuck_after_s: float) -> None:
    """A candle of many pairs takes foreign code seconds; what never returns is still ended."""
    spec = msgspec.structs.replace(SPEC, role="strategy", outside=outside, params={"seconds": 0.0})
    with hosted(spec) as (served, line):
        line.sendall(frame(Told(1, 0, 1, True, HALT)))
        until(lambda: served.answers == 1)

        def is_stuck(after_s: float) -> bool:
            served.busy_since = time.perf_counter_ns() - int(after_s * 1e9)
            return served.is_stuck

        assert not is_stuck(stuck_after_s - 5)
        assert is_stuck(stuck_after_s + 1)
