"""Ends a process in which an agent does not return, and says which agent, which message and where.

Problem: in process, nobody can interrupt an agent that computes for ever without leaving what it shares with
the desk half done. The desk would stand still without a word. So a thread beside it looks, and ends the whole
process: journal and gateway are made for that, and whoever supervises the process reads the last line.

``enter`` and ``leave`` are called around every single call of an agent, hence plain attribute writes and no
clock. Code that keeps the interpreter to itself stops that thread too; for it there is `faulthandler`, which
needs no interpreter but can only show the stacks.

Not here: time limits of a round (an answer that comes late is the bus's business), restarting (`supervisor`).

Invariant: time in which this thread did not run either, because the process was stopped or the machine
overloaded, is not held against the agent, as far as the thread decides.
"""

import faulthandler
import os
import sys
import threading
import time
import traceback
from types import FrameType
from typing import Final, TextIO

LIMIT_S: Final = 10.0
HUNG: Final = 70  # exit code
_LOOK_S: Final = 0.1
# The interpreter is kept from everybody for this many limits before `faulthandler` ends the process.
_DEAF_LIMITS: Final = 3.0


class Watchdog:
    """Watches the calls that the thread which called `start` makes; one call at a time."""

    def __init__(self, limit_s: float = LIMIT_S, *, out: TextIO | None = None) -> None:
        self._limit_s = limit_s
        self._out = sys.stderr if out is None else out
        self._agent = ""
        self._seq = 0
        self._turn = 0
        self._watched = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def enter(self, agent: str, seq: int) -> None:
        """Say that an agent is about to be given a message."""
        self._turn += 1
        self._seq = seq
        self._agent = agent

    def leave(self) -> None:
        """Say that it returned."""
        self._agent = ""

    def start(self) -> None:
        """Watch from now on."""
        self._watched = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        turn, stuck_s, armed_s = -1, 0.0, 0.0
        last = time.monotonic()
        self._arm()
        while not self._ended.wait(_LOOK_S):
            now = time.monotonic()
            # more than two looks' time means that this thread was not run: nobody's fault
            awake_s = min(now - last, 2 * _LOOK_S)
            armed_s += now - last
            last = now
            if armed_s >= 1.0:
                self._arm()
                armed_s = 0.0
            agent, current, seq = self._agent, self._turn, self._seq
            stuck_s = stuck_s + awake_s if agent and current == turn else 0.0
            turn = current
            if stuck_s >= self._limit_s and (agent, current) == (self._agent, self._turn):
                self._end(agent, seq)
        faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(_DEAF_LIMITS * self._limit_s, exit=True, file=self._out)

    def _end(self, agent: str, seq: int) -> None:
        frame = sys._current_frames().get(self._watched)
        try:
            # the stack first: a supervisor repeats the last line
            self._out.write("".join(traceback.format_stack(frame)))
            self._out.write(
                f"watchdog: agent {agent!r} did not return from message {seq} within {self._limit_s:g} s"
                f"{_place(frame)}; the process ends\n"
            )
            self._out.flush()
        finally:
            # Nothing may be cleaned up: every handler could wait for the thread that hangs.
            os._exit(HUNG)


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    return f", it was in {frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno}"
