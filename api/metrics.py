"""The API's own numbers, for Prometheus.

Not here: what the desk, the gateway and the rounds do; their metrics come with the issue that watches them.

Invariant: labels are bounded: routes are templates, methods and codes are known ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The metrics of one process; made anew per application, so that tests do not share them."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()

        def named(kind: type, name: str, text: str, *labels: str, **more: object) -> object:
            return kind(f"parley_{name}", text, labels, registry=self._registry, **more)

        self._requests: Counter = named(  # type: ignore[assignment]
            Counter, "http_requests_total", "Requests answered", "route", "method", "code"
        )
        self._seconds: Histogram = named(  # type: ignore[assignment]
            Histogram, "http_request_duration_seconds", "Time to answer, s", "route", "method",
            buckets=_SECONDS,
        )  # fmt: skip
        self._in_flight: Gauge = named(  # type: ignore[assignment]
            Gauge, "http_in_flight", "Requests being answered"
        )
        self.connections: Gauge = named(  # type: ignore[assignment]
            Gauge, "ws_connections", "Open streams"
        )
        self.sent: Counter = named(  # type: ignore[assignment]
            Counter, "ws_messages_sent_total", "Events sent", "class"
        )
        self.resumes: Counter = named(  # type: ignore[assignment]
            Counter, "ws_resumes_total", "Subscriptions that named a position", "result"
        )
        self.closed: Counter = named(  # type: ignore[assignment]
            Counter, "ws_closed_total", "Streams closed", "code"
        )
        self.queue_depth: Histogram = named(  # type: ignore[assignment]
            Histogram, "ws_queue_depth", "Events waiting for a client when one is sent",
            buckets=(0, 1, 10, 100, 500, 1000, 2000),
        )  # fmt: skip
        self.event_lag: Histogram = named(  # type: ignore[assignment]
            Histogram, "ws_event_lag_seconds", "From the journal's commit to the stream, s",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30),
        )  # fmt: skip
        self.database_in_use: Gauge = named(  # type: ignore[assignment]
            Gauge, "db_pool_in_use", "Connections that read the database"
        )
        self.journal_lag: Gauge = named(  # type: ignore[assignment]
            Gauge, "journal_lag", "Records that are not in the read model yet", "projection"
        )
        build: Gauge = named(Gauge, "build_info", "Version", "version")  # type: ignore[assignment]
        build.labels(version).set(1)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request while it is answered."""
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
