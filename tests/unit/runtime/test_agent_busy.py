"""Whoever asks an agent's process hears how long it has handled one message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from parley.agent import AgentEnv, AgentSpec
from parley.messages import Halt, encode
from runtime.agent_server import Served, serve
from runtime.agent_socket import open_listener
from runtime.wave_frames import Cutter, Told, Welcome, frame
from tests.kit.units import short_folder

SPEC = AgentSpec(
    id="risk/slow", role="risk", factory="tests.kit.sleeper:make", subscriptions=("Halt",),
    params={"seconds": 0.5},
)  # fmt: skip
ENV = AgentEnv(tenant="t", account="a", quote="USDT", symbols=(), instruments={}, tf_ns=60_000_000_000)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_agent_is_busy_from_a_message_to_its_answer() -> None:
    served, stop = Served(), threading.Event()
    with short_folder() as folder:
        listener = open_listener(str(folder / "a.sock"))
        agent = threading.Thread(
            target=serve, args=(str(folder / "a.sock"), SPEC.id, 1, stop, served), daemon=True
        )
        agent.start()
        line, _ = listener.accept()
        halt = msgspec.Raw(encode(Halt(scope="*", mode="HALT", by="test", why="")))
        assert served.busy_s == 0.0

        line.sendall(frame(Welcome(SPEC, ENV, 1, b"")) + frame(Told(1, 0, 1, True, halt)))

        until(lambda: served.busy_s > 0.1)
        until(lambda: served.answers == 1)
        assert served.busy_s == 0.0
        assert len(Cutter().feed(line.recv(1 << 16))) >= 1
        stop.set()
        agent.join(5)
        line.close()
        listener.close()
