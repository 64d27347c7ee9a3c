"""What a campaign shows of itself, and how it hears that it shall end.

Not here: counting (`record`). Invariant: what is shown goes to standard error; a terminal gets a bar, anybody
else a line every ten seconds.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY_S: Final = 10.0
_MOST: Final = 1 << 40  # more than this is no aim


class Bar:
    """How far a campaign is, in what it counts or, without an aim, in seconds."""

    def __init__(self, what: str, aim: int, seconds: float, done: int) -> None:
        self._what = what
        self._aim = aim if aim < _MOST else 0
        self._seconds = seconds
        self._first = done
        self._began = self._shown = time.monotonic()
        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            text = TextColumn("{task.description}")
            self._progress = Progress(
                BarColumn(), MofNCompleteColumn(), text, TimeRemainingColumn(), console=self._console
            )
            self._progress.start()
            self._task = self._progress.add_task("", total=self._aim or int(seconds))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def show(self, done: int, violations: int, strange: int) -> None:
        """Show how far it is."""
        now = time.monotonic()
        speed = (done - self._first) / max(now - self._began, 1e-9)
        text = f"{done} {self._what}, {speed:.1f}/s, {violations} violations, {strange} unexplained"
        if self._progress is not None:
            at = done if self._aim else int(now - self._began)
            self._progress.update(self._task, completed=at, description=text)
        elif now - self._shown >= _EVERY_S:
            self._shown = now
            self.say(f"{now - self._began:.0f} s: {text}" + (f", of {self._aim}" if self._aim else ""))

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


class Stopping:
    """Whether somebody asked to end, by SIGTERM or Ctrl-C; a second time ends at once."""

    def __init__(self) -> None:
        self.is_set = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Stopping:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True
