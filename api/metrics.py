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
        own = self._registry
        self._requests = Counter(
            "parley_http_requests_total", "Requests answered", ("route", "method", "code"), registry=own
        )
        self._seconds = Histogram(
            "parley_http_request_duration_seconds", "Time to answer, s", ("route", "method"), registry=own,
            buckets=_SECONDS,
        )  # fmt: skip
        self._in_flight = Gauge("parley_http_in_flight", "Requests being answered", registry=own)
        self.connections = Gauge("parley_ws_connections", "Open streams", registry=own)
        self.sent = Counter("parley_ws_messages_sent_total", "Events sent", ("class",), registry=own)
        self.resumes = Counter(
            "parley_ws_resumes_total", "Subscriptions that named a position", ("result",), registry=own
        )
        self.closed = Counter("parley_ws_closed_total", "Streams closed", ("code",), registry=own)
        self.queue_depth = Histogram(
            "parley_ws_queue_depth", "Events waiting for a client when one is sent", registry=own,
            buckets=(0, 1, 10, 100, 500, 1000, 2000),
        )  # fmt: skip
        self.event_lag = Histogram(
            "parley_ws_event_lag_seconds", "From the journal's commit to the stream, s", registry=own,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30),
        )  # fmt: skip
        self.database_in_use = Gauge(
            "parley_db_pool_in_use", "Connections that read the database", registry=own
        )
        self.journal_lag = Gauge(
            "parley_journal_lag", "Records that are not in the read model yet", ("projection",), registry=own
        )
        self.journals_refused = Gauge(
            "parley_journals_refused", "Journals the shipper refuses, of earlier runs, too", registry=own
        )
        self.killed = Gauge("parley_kill_switch_active", "Kills that stand", ("scope",), registry=own)
        Gauge("parley_build_info", "Version", ("version",), registry=own).labels(version).set(1)

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
