"""The process of one agent: dials its desk, becomes the agent it is told to be, and answers until the end.

Problem: an agent is a pure class; in its own process somebody has to carry frames to it. One blocking thread
does: no event loop, no shared state, the next frame is read when the last is answered, which is the order in
which the agent would be called in process. An agent from outside (`AgentSpec.outside`) takes its time over
news, and must answer a call meanwhile: a second thread works off the news, in their order.

Not here: where the process comes from (`actors`), how a desk waits (`socket_transport`).

Invariant: what the agent says is checked here exactly as in process (`AgentHost`), so a fault reads the same
in both placements.
"""

import argparse
import contextlib
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import msgspec

from parley.bus import AgentHost, Ask
from parley.errors import ParleyError, ProtocolError
from parley.messages import Message, StateView, decode, encode
from parley.view import FirmView
from runtime.agent_socket import dial
from runtime.host import make_agent
from runtime.idle_gc import IdleCollector
from runtime.logs import set_up
from runtime.news import News
from runtime.unit import die_with_parent
from runtime.wave_frames import (
    QUESTIONS,
    Answered,
    Beat,
    Cutter,
    FromAgent,
    FromDesk,
    Hello,
    Leave,
    Mark,
    Mute,
    SnapshotIs,
    SnapshotPlease,
    Told,
    Unable,
    View,
    Welcome,
    frame,
    from_desk,
)

_CHUNK: Final = 1 << 16
_RECENT: Final = 512
# An agent that does not return, or whose process stands still, is silent to the desk at once; so long it may
# be so before it gets a new process. On an overloaded machine a healthy one may be silent for seconds.
HUNG_S: Final = 10.0
# One from outside mulls over a candle of many pairs for as long as foreign code takes, and answers meanwhile.
MULLS_S: Final = 60.0
_EVERY_S: Final = 0.1  # how often a quiet line says that it lives, and looks whether it shall stop


@dataclass(slots=True)
class Served:
    """What a connection has done so far, for whoever asks about the agent's health."""

    agent: str = ""
    incarnation: int = 0
    is_connected: bool = False
    frames: int = 0
    answers: int = 0
    faults: int = 0
    why: str = ""
    took_us: list[float] = field(default_factory=list)
    busy_since: int = 0  # perf_counter ns at which the message it handles came; 0: it waits
    patience_s: float = HUNG_S  # handling one message for longer, it hangs

    @property
    def busy_s(self) -> float:
        """How long it has handled one message, s."""
        since = self.busy_since
        return round((time.perf_counter_ns() - since) / 1e9, 3) if since else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether it has handled one message for longer than an agent of its kind may."""
        return self.busy_s > self.patience_s


def serve(
    address: str,
    agent: str,
    incarnation: int,
    stop: threading.Event,
    served: Served | None = None,
    is_deaf: threading.Event | None = None,
) -> None:
    """Be an agent at one desk until the line closes or ``stop`` is set.

    ``served`` is kept up to date for whoever asks how the agent does. While ``is_deaf`` is set every frame is
    handled, in order, and none is answered: a paused agent, which says so.

    Raises
    ------
    ConnectionError
        When nobody is there, or the desk is gone.
    ConfigError
        When the address is wrong.
    ProtocolError
        When the desk says what no desk says.
    """
    line = dial(address)
    seen = served if served is not None else Served()
    seen.agent, seen.incarnation, seen.is_connected, seen.why = agent, incarnation, True, ""
    server = _Server(line, seen, is_deaf or threading.Event())
    try:
        line.sendall(frame(Hello(agent, incarnation, os.getpid())))
        server.run(stop)
    finally:
        server.close()
        seen.is_connected = False
        seen.busy_since = 0
        line.close()


class _Server:
    def __init__(self, line: socket.socket, served: Served, is_deaf: threading.Event) -> None:
        self._line = line
        self._served = served
        self._is_deaf = is_deaf
        self._host: AgentHost | None = None
        self._unsent = bytearray()
        self._saying = threading.Lock()
        self._news: News | None = None  # of an agent from outside
        self._collector = IdleCollector()

    def run(self, stop: threading.Event) -> None:
        line, cutter = self._line, Cutter()
        line.settimeout(_EVERY_S)
        while not stop.is_set():
            try:
                data = line.recv(_CHUNK)
            except TimeoutError:
                self._say(Beat())
                self._send()
                continue
            if not data:
                raise ConnectionError("the desk closed the line")
            for raw in cutter.feed(data):
                if not self._take(raw):
                    self._send()
                    return
            self._send()
            self._collector.idle()

    def close(self) -> None:
        """Let the thread that works off news end behind the message it is at."""
        if self._news is not None:
            self._news.end()

    def _say(self, word: FromAgent) -> None:
        with self._saying:
            self._unsent += frame(word)

    def _send(self) -> None:
        """Send in one piece what was said to what came in one piece: the desk is woken once."""
        with self._saying:
            if self._unsent:
                self._line.sendall(self._unsent)
                self._unsent.clear()

    def _take(self, raw: bytes) -> bool:
        word = from_desk(raw)
        if self._news is None or isinstance(word, Leave) or _is_question(word):
            return self._do(word)
        self._news.put(word)
        return True

    def _leave_out(self, seq: int) -> None:
        self._say(Answered(seq, (), "", 0))

    def _work_off(self, news: News) -> None:
        while (word := news.get()) is not None:
            try:
                self._do(word)
                self._send()
            except Exception as error:  # noqa: BLE001 - this thread's edge: without it nothing is followed
                self._served.why = f"{type(error).__name__}: {error}"
                with contextlib.suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)  # the other thread ends with the line
                return

    def _do(self, word: FromDesk) -> bool:
        match word:
            case Told():
                self._told(word)
            case View(body=body):
                self._see(decode(bytes(body)))
            case Mark():
                self._say(word)
            case SnapshotPlease(through=through):
                self._say(SnapshotIs(through, self._agent().agent.snapshot()))
            case Welcome():
                return self._welcome(word)
            case Leave():
                return False
        return True

    def _agent(self) -> AgentHost:
        if self._host is None:
            raise ProtocolError("a desk must say Welcome before anything else")
        return self._host

    def _welcome(self, word: Welcome) -> bool:
        try:
            agent = make_agent(word.spec, word.env)
            if word.snapshot:
                agent.restore(word.snapshot)
        except (ParleyError, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
            self._served.why = f"{type(error).__name__}: {error}"
            self._say(Unable(self._served.why))
            return False
        self._host = AgentHost(agent, word.seed)
        self._served.patience_s = MULLS_S if word.spec.outside else HUNG_S
        if word.spec.outside:
            self._news = News(self._leave_out)
            threading.Thread(target=self._work_off, args=(self._news,), name="news", daemon=True).start()
        return True

    def _see(self, message: Message) -> None:
        if isinstance(message, StateView):
            self._agent().see(FirmView(message))

    def _told(self, told: Told) -> None:
        started = time.perf_counter_ns()
        host, served = self._agent(), self._served
        message = decode(bytes(told.body))
        # of two threads the one with the news is the one that may hang
        is_timed = self._news is None or type(message) not in QUESTIONS
        if is_timed:
            served.busy_since = started
        served.frames += 1
        self._see(message)
        if isinstance(message, StateView) and not host.hears_state:
            served.busy_since = 0
            return
        ask = Ask(served.agent, told.seq, told.now, message, told.nth)
        said, fault = host.deliver(ask) if told.wants else host.follow(ask)
        served.faults += bool(fault)
        if is_timed:
            served.busy_since = 0
        if not told.wants:
            return
        if self._is_deaf.is_set():
            # Said aloud: a desk that heard nothing would wait, and then take it for one that owes an answer.
            self._say(Mute(told.seq))
            return
        took = time.perf_counter_ns() - started
        self._say(Answered(told.seq, tuple(msgspec.Raw(encode(m)) for m in said), fault, took))
        served.answers += 1
        served.took_us.append(took / 1000)
        if len(served.took_us) > _RECENT:
            del served.took_us[: _RECENT // 2]


def _is_question(word: FromDesk) -> bool:
    return isinstance(word, Told) and word.wants and type(decode(bytes(word.body))) in QUESTIONS


def main() -> int:
    """Be one agent in a process of its own, without Ray, until the desk hangs up."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.agent_server", description="One agent's process."
    )
    parser.add_argument("--address", required=True, help="where the desk waits for its agents")
    parser.add_argument("--agent", required=True, help="id, as in the desk's configuration")
    parser.add_argument("--incarnation", type=int, default=1, help="higher than any before")
    arguments = parser.parse_args()
    set_up(f"agent {arguments.agent}")
    die_with_parent()
    try:
        serve(arguments.address, arguments.agent, arguments.incarnation, threading.Event())
    except (ConnectionError, ParleyError) as error:
        sys.stderr.write(f"agent {arguments.agent}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
