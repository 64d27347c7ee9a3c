"""Where a process's words leave it: everything it writes to standard error passes through one redaction.

Problem: not only log lines hold secrets. Tracebacks, warnings, a library's own print and the last words of a
process that dies of a mistake go to standard error as well, and a unit's standard error is its log file. So
the stream itself redacts, and whatever is written by whomever passes through it.

Not here: what a secret is (`redaction`), the JSON lines of the API (`api.logs`), what goes to Ray's own logs.

Invariant: nothing is done before a line is written, so a unit that logs nothing pays nothing. Set up twice,
it redacts once.

``python -m runtime.logs MODULE ...`` runs a module that may not import this one, such as the sandbox.
"""

import io
import logging
import runpy
import sys
import threading
from collections.abc import Iterable
from typing import Final, TextIO

from runtime.redaction import learn_environment, redacted

# So much of a line without an end is kept back for the end of a name or a value.
_LONGEST_LINE: Final = 1 << 16


class RedactedStream(io.TextIOBase):
    """A text stream that redacts what it passes on, whole lines at once; ``inner`` is where it goes."""

    def __init__(self, inner: TextIO) -> None:
        super().__init__()
        self.inner = inner
        self._waiting = ""
        # A traceback is written in pieces, and threads write at the same time.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take a text; up to its last line's end it is written."""
        with self._lock:
            whole, newline, rest = (self._waiting + text).rpartition("\n")
            self._waiting = rest
            if newline:
                self.inner.write(redacted(whole) + newline)
            if len(self._waiting) > _LONGEST_LINE:
                self._write_rest()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # only text is written here
        """Take several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Write also what has no line's end yet."""
        with self._lock:
            self._write_rest()
            self.inner.flush()

    def _write_rest(self) -> None:
        rest, self._waiting = self._waiting, ""
        if rest:
            self.inner.write(redacted(rest))

    def fileno(self) -> int:
        """Return the descriptor, for writers that need no interpreter; they write no values of variables."""
        return self.inner.fileno()

    def isatty(self) -> bool:
        """Whether somebody sees it in a terminal."""
        return self.inner.isatty()

    def writable(self) -> bool:
        """Whether it can be written."""
        return True


def set_up(unit: str) -> None:
    """Redact this process's standard error and send its log lines and warnings there, as ``unit``."""
    learn_environment()
    if not isinstance(sys.stderr, RedactedStream):
        # Python keeps none where a process was started without one; then there is nothing to redact.
        sys.stderr = RedactedStream(sys.stderr) if sys.stderr is not None else sys.stderr
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format=f"{unit} %(levelname)s %(name)s %(message)s"
    )
    logging.captureWarnings(True)


def main() -> None:
    """Run the module that the command line names, with its own arguments, behind the redaction."""
    module, *arguments = sys.argv[1:]
    set_up(module.rpartition(".")[2])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
