"""What surrounds every request: its id, its limits, its metrics and log line, and the last resort.

Problem: an error may come from anywhere, also from before or behind the router, and its answer must still be
a problem with a request id. So this is the outermost layer, in plain ASGI.

Not here: what the errors of routers become (`problems`).

Invariant: every HTTP answer passes through here; an exception never reaches the server.
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

from api.metrics import Metrics
from api.problems import KINDS, MEDIA_TYPE, problem_content

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TIMEOUT_S: Final = 30.0
LARGEST_BODY: Final = 1_000_000
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACE: Final = re.compile(rb"^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")
_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none';"
        " form-action 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "",
    }.items()
)
log = structlog.get_logger("api.access")


class Edge:
    """The outermost ASGI application."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["trace_id"] = trace_id(scope)
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            scope["trace_id"] = trace_id(scope)
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 0
        # HEAD is GET without its body (RFC 9110, 9.3.2), which the server leaves out.
        routed = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (*HEADERS, (b"x-request-id", scope["trace_id"].encode()))
                names = {name for name, _ in own}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *own]}
            await send(message)

        with self._metrics.in_flight():
            refusal = _refusal(scope)
            if refusal:
                await _problem(scope, tell, *refusal)
            else:
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        await self._app(routed, receive, tell)
                except TimeoutError:
                    if not status:
                        await _problem(scope, tell, "too-slow", f"the limit is {TIMEOUT_S:.0f} s")
                except Exception:  # the last resort: a defect of ours is told under its trace id
                    log.exception("request_failed", trace_id=scope["trace_id"], path=scope["path"])
                    if not status:
                        await _problem(scope, tell, "internal", "see the log under this trace id")
        self._account(scope, routed, status, time.perf_counter() - began)

    def _account(self, scope: Scope, routed: Scope, status: int, seconds: float) -> None:
        route = getattr(routed.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.request(route, method, status, seconds)
        if route not in ("/livez", "/metrics"):
            log.info(
                "request", trace_id=scope["trace_id"], method=method, path=scope["path"], status=status,
                ms=round(seconds * 1000, 2),
            )  # fmt: skip

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) or _foreign_origin(scope)
        if refusal:
            await _problem(scope, send, *refusal, kind="websocket.http.response")
            return
        try:
            await self._app(scope, receive, send)
        except Exception:  # the last resort: a defect of ours ends this stream and no other
            log.exception("stream_failed", trace_id=scope["trace_id"], path=scope["path"])
            with contextlib.suppress(OSError, RuntimeError):  # it may be closed, or gone, already
                await send({"type": "websocket.close", "code": 1011})


def trace_id(scope: Scope) -> str:
    """Return the trace a caller names (W3C traceparent), else a new one."""
    found = _TRACE.match(_header(scope, b"traceparent"))
    if found and found[1] != b"0" * 32:
        return found[1].decode()
    return secrets.token_hex(16)


def _refusal(scope: Scope) -> tuple[str, str] | None:
    host = _header(scope, b"host").decode("latin-1")
    if _hostname(host) not in _HOSTS:
        return "wrong-host", f"the host must be a name of the loopback address, was {host[:100]!r}"
    length = _header(scope, b"content-length")
    if length.isdigit() and int(length) > LARGEST_BODY:
        return "payload-too-large", f"the limit is {LARGEST_BODY} bytes, the body has {int(length)}"
    return None


def _foreign_origin(scope: Scope) -> tuple[str, str] | None:
    """Refuse a web page of another site; programs send no origin."""
    origin = _header(scope, b"origin").decode("latin-1")
    if not origin:
        return None
    host = _header(scope, b"host").decode("latin-1")
    if origin.partition("://")[2] == host:
        return None
    return "wrong-host", f"the origin must be {host!r}, was {origin[:100]!r}"


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


async def _problem(scope: Scope, send: Send, code: str, detail: str, kind: str = "http.response") -> None:
    content = problem_content(code, detail, scope["path"], scope["trace_id"])
    body = json.dumps(content).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": KINDS[code][0], "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
