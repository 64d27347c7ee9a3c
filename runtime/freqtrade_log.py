"""What freqtrade and a strategy's own logger say while they work: kept quiet, shown, or written to a file.

Problem: freqtrade tells its log at every start how it merged which option, and `parley backtest` has its own
words for that; but a strategy's `logger.info` is how its author looks into it, and scripts pass `-v` and
`--logfile` as freqtrade takes them.

Not here: log lines of Parley's own processes (`logs`). Invariant: what is said goes to standard error or to
the file, never to standard output, holds no secret, and ends with the command.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from parley.errors import UserError
from runtime.redaction import redacted

# freqtrade's own.
_FORM: Final = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_FREQTRADE: Final = logging.getLogger("freqtrade")


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


@contextmanager
def freqtrade_log(verbosity: int | None, file: Path | None) -> Iterator[None]:
    """Show what freqtrade and strategies log, twice `-v` everything of freqtrade's; with a file, there.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    handlers = [*_to_file(file), *([logging.StreamHandler(sys.stderr)] if verbosity else [])]
    if not handlers:
        yield
        return
    levels = logging.root.level, _FREQTRADE.level
    for handler in handlers:
        handler.setFormatter(_Redacting(_FORM))
        logging.root.addHandler(handler)
    # Only freqtrade's: other libraries write pages at that level.
    _FREQTRADE.setLevel(logging.DEBUG if (verbosity or 0) > 1 else logging.INFO)
    logging.root.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.root.setLevel(levels[0])
        _FREQTRADE.setLevel(levels[1])
        for handler in handlers:
            logging.root.removeHandler(handler)
            handler.close()


def _to_file(file: Path | None) -> list[logging.Handler]:
    if file is None:
        return []
    if str(file).partition(":")[0] in ("syslog", "journald"):
        raise UserError(f"--logfile must be a file, syslog and journald are not supported, was {str(file)!r}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return [logging.FileHandler(file, encoding="utf-8")]
    except OSError as error:
        raise UserError(f"--logfile {str(file)!r} cannot be written: {error.strerror}") from error
