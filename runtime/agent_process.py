"""The life of one agent's process: it dials its desk, serves it, and dials again when the line ends.

Problem: an agent's process starts before its desk or after it, and outlives it. A thread of its own keeps
dialling, so that whoever hosts the process (a Ray actor) only asks how it is.

Not here: what is said on the line (`agent_server`), Ray (`actors`).

Invariant: each line is opened under a number no line of this agent had before. A paused agent stays paused
through restarts until it is resumed.
"""

import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final

from runtime.agent_server import Served, serve
from runtime.incarnations import is_paused, next_incarnation, set_paused
from runtime.realtime import AGENT, prefer

FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 0.25
_STEADY_S: Final = 1.0  # a line that lived this long makes the next wait a first one
Health = dict[str, object]


class AgentProcess:
    """One agent in this process. All methods may be called from any thread; each may be repeated."""

    def __init__(self, address: str, agent: str, folder: str, *, realtime: bool = False) -> None:
        self._address = address
        self._realtime = realtime
        self._agent = agent
        self._folder = Path(folder)
        self._served = Served()
        self._stop = threading.Event()
        self._is_deaf = threading.Event()
        self._why = "not connected yet"
        self._number = next_incarnation(self._folder, agent)
        if is_paused(self._folder, agent):
            self._is_deaf.set()
        self._thread = threading.Thread(target=self._live, name=f"agent {agent}", daemon=True)

    def start(self) -> None:
        """Begin to dial; returns at once."""
        self._thread.start()

    def endpoint(self) -> Health:
        """Say which desk it serves, as which agent, in which process."""
        return {"agent": self._agent, "address": self._address, "pid": os.getpid()}

    def health(self) -> Health:
        """Say how it is; times are of its own answers, without the way."""
        served = self._served
        took = sorted(served.took_us)
        return {
            "pid": os.getpid(),
            "incarnation": self._number,
            "is_connected": served.is_connected,
            "is_paused": self._is_deaf.is_set(),
            "is_serving": self._thread.is_alive(),
            "frames": served.frames,
            "answers": served.answers,
            "faults": served.faults,
            "busy_s": served.busy_s,
            "is_stuck": served.is_stuck,
            "mean_us": round(sum(took) / len(took), 1) if took else None,
            "p95_us": round(took[int(len(took) * 0.95)], 1) if took else None,
            "why": "" if served.is_connected else served.why or self._why,
        }

    def drain(self, paused: bool) -> Health:
        """Stop answering, or answer again; what it is told meanwhile is still followed."""
        set_paused(self._folder, self._agent, paused)
        if paused:
            self._is_deaf.set()
        else:
            self._is_deaf.clear()
        return self.health()

    def stop(self, patience_s: float = 2.0) -> bool:
        """Hang up for good; True when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience_s)
        return not self._thread.is_alive()

    def dump(self) -> Health:
        """Show what its threads do and which packages it has loaded, for a person who looks for a fault."""
        frames = sys._current_frames()
        stacks = {
            thread.name: traceback.format_stack(frames[thread.ident])
            for thread in threading.enumerate()
            if thread.ident in frames
        }
        packages = sorted({name.partition(".")[0] for name in tuple(sys.modules)})
        return {**self.endpoint(), **self.health(), "stacks": stacks, "packages": packages}

    def _live(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                if self._realtime:
                    prefer(0, AGENT)
                serve(self._address, self._agent, self._number, self._stop, self._served, self._is_deaf)
                self._why = "the desk let it go"
            except Exception as error:  # noqa: BLE001 - the process's edge: health tells, and it dials again
                self._why = f"{type(error).__name__}: {error}"
            if self._served.incarnation == self._number:
                # The desk knows this number now and takes higher ones only.
                self._number = next_incarnation(self._folder, self._agent)
            wait = FIRST_WAIT_S if time.monotonic() - began > _STEADY_S else min(2 * wait, LONGEST_WAIT_S)
            self._stop.wait(wait)
