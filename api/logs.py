"""Logs of the API: one JSON object a line, secrets taken out, floods cut short.

Secrets are taken out value by value, so that a line stays JSON; what does not come through the log goes
through the stream of `runtime.logs` like any unit's.

Not here: what is worth a line, what a secret is (`runtime.redaction`). Invariant: whatever is logged, by us,
the server or a library, passes through `redact` before it is written.
"""

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

from runtime.logs import RedactedStream
from runtime.redaction import OWN

_SAME_LINES: Final = 20
_PER_S: Final = 10.0
_MOST_TEXTS: Final = 1000


def redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out values whose names or looks say that they are secret, at any depth."""
    return cast("dict[str, Any]", OWN.value(line))


class Flood(logging.Filter):
    """Drops a warning that came more than 20 times in 10 s; the next one that passes says how many were."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is written."""
        if record.levelno < logging.WARNING:
            return True
        line = record.msg if isinstance(record.msg, dict) else None
        key = (record.levelno, str(line.get("event") if line is not None else record.msg)[:200])
        now = time.monotonic()
        since, count = self._seen.get(key, (now, 0))
        if now - since > _PER_S:
            if count > _SAME_LINES and line is not None:
                line["dropped_before"] = count - _SAME_LINES
            since, count = now, 0
        if len(self._seen) > _MOST_TEXTS:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < _SAME_LINES


def set_up(level: str, version: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to one stream, standard error by default."""

    def add_version(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["version"] = version
        return line

    shared: list[Processor] = [
        structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"), add_version,
        structlog.processors.format_exc_info,
    ]  # fmt: skip
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )  # fmt: skip
    # A line is redacted already, so it goes past the stream that would do it again.
    own = sys.stderr.inner if isinstance(sys.stderr, RedactedStream) else sys.stderr
    handler = logging.StreamHandler(stream or own)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )  # fmt: skip
    handler.addFilter(Flood())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
        other.setLevel(logging.WARNING)  # each request has a line of ours
