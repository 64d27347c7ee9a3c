"""Everything that can go wrong with a request, as RFC 9457 problem details.

Problem: a client must be able to tell errors apart without reading prose, and a person must find the log line
of theirs. Each kind has one slug, one status and a page under /problems; each answer carries the request id.

Not here: which request is wrong.

Invariant: no answer with an error status has another shape, and none tells of the inside of the process.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from runtime.postgres import DatabaseDown
from runtime.postgres.reading import TooSlow

MEDIA_TYPE: Final = "application/problem+json"

# slug: status, title, what a reader of /problems/{slug} should know
KINDS: Final[dict[str, tuple[int, str, str]]] = {
    "bad-request": (400, "Bad request", "The request cannot be read as HTTP or as JSON."),
    "invalid-cursor": (
        400, "Invalid cursor",
        "A cursor is only good for the list, the filters and the order it was given for. Start without one.",
    ),
    "idempotency-key-missing": (
        400, "Idempotency key missing",
        "A call that changes something says in Idempotency-Key which call it is.",
    ),
    "unauthenticated": (
        401, "Unauthenticated",
        "A call that changes something needs the token: `Authorization: Bearer TOKEN`.",
    ),
    "writing-off": (
        403, "Writing is off",
        "Without a token of its own (keys/api-token in the home, mode 0600) this API changes nothing.",
    ),
    "foreign-origin": (403, "Foreign origin", "A page of another origin may not change anything."),
    "not-found": (404, "Not found", "There is no such thing, or it belongs to another tenant."),
    "method-not-allowed": (405, "Method not allowed", "The header Allow names the methods there are."),
    "payload-too-large": (413, "Payload too large", "A body has at most 1 MB."),
    "conflict": (
        409, "Conflict",
        "What is asked for cannot be done now; `detail` says why. Look again, then ask again.",
    ),
    "still-running": (
        409, "Still running", "The first call under this idempotency key has not been answered yet.",
    ),
    "outdated": (412, "Outdated", "It was changed since it was read: If-Match names another version."),
    "unsupported-media-type": (415, "Unsupported media type", "A body is application/json."),
    "wrong-host": (
        421, "Misdirected request",
        "Until it knows users, this API answers only to loopback names: a web page cannot use another one.",
    ),
    "invalid-parameter": (422, "Invalid parameter", "`errors` names each parameter and what was expected."),
    "idempotency-key-reused": (422, "Idempotency key reused", "A key belongs to one call with one body."),
    "precondition-required": (428, "Precondition required", "If-Match must name the version that was read."),
    "internal": (500, "Internal error", "A defect of Parley. The log has more under the request id."),
    "database-unavailable": (
        503, "Database unavailable", "The read model cannot be read now. Trading goes on. Try again later.",
    ),
    "too-slow": (503, "Too slow", "The answer was not ready in time. Ask for less, or later."),
    "not-ready": (503, "Not ready", "`checks` says what is missing."),
}  # fmt: skip
_BY_STATUS: Final = {
    400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "payload-too-large",
    421: "wrong-host", 422: "invalid-parameter",
}  # fmt: skip


class FieldError(BaseModel):
    """One parameter that is wrong; ``pointer`` is its place, such as `/query/limit`."""

    pointer: str
    code: str
    detail: str


class Check(BaseModel):
    """One thing readiness depends on; ``detail`` says what is wrong with it."""

    name: str
    ok: bool
    detail: str = ""


class Problem(BaseModel):
    """An error (RFC 9457); ``trace_id`` is also in X-Request-Id and in the log."""

    type: str = Field(examples=["/problems/not-found"])
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(examples=["not-found"])
    trace_id: str
    errors: list[FieldError] = []
    checks: list[Check] = []


class ApiError(Exception):
    """A request that cannot be answered, with the slug of its kind."""

    def __init__(self, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.more = more


def problem_content(code: str, detail: str, instance: str, trace_id: str, **more: Any) -> dict[str, Any]:
    """Return the body of a problem."""
    status, title, _ = KINDS[code]
    found = Problem(
        type=f"/problems/{code}", title=title, status=status, detail=detail, instance=instance, code=code,
        trace_id=trace_id, **more,
    )  # fmt: skip
    return found.model_dump(mode="json", exclude_defaults=True)


def _answer(request: Request, code: str, detail: str, headers: Any = None, **more: Any) -> JSONResponse:
    trace_id = request.scope.get("trace_id", "")
    content = problem_content(code, detail, request.url.path, trace_id, **more)
    return JSONResponse(content, KINDS[code][0], headers, media_type=MEDIA_TYPE)


async def answer_api_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that a router raised."""
    assert isinstance(error, ApiError)
    headers = {"WWW-Authenticate": "Bearer"} if error.code == "unauthenticated" else None
    return _answer(request, error.code, error.detail, headers, **error.more)


async def answer_database_down(request: Request, error: Exception) -> JSONResponse:
    """Answer that the read model cannot be read."""
    code = "too-slow" if isinstance(error, TooSlow) else "database-unavailable"
    return _answer(request, code, str(error), {"Retry-After": "2"})


async def answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer parameters that are not what they must be, all of them at once."""
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(each) for each in error.errors()]
    named = ", ".join(each.pointer for each in errors[:5])
    return _answer(request, "invalid-parameter", f"wrong: {named}", errors=errors)


def _field_error(found: Any) -> FieldError:
    place: Sequence[Any] = found.get("loc", ())
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return FieldError(
        pointer=pointer[:200], code=str(found.get("type", "invalid")), detail=str(found.get("msg", ""))[:300]
    )


async def answer_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: no such path, no such method, no HTTP."""
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    detail = "there is no such path" if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":  # what answers GET answers HEAD, see `edge`
        headers["Allow"] = "GET, HEAD"
    return _answer(request, code, detail, headers)


HANDLERS: Final[dict[int | type[Exception], Any]] = {
    ApiError: answer_api_error,
    DatabaseDown: answer_database_down,
    RequestValidationError: answer_invalid,
    HTTPException: answer_http,
}
