"""`/livez`, `/readyz`, `/metrics`, and the pages that problems point to."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from api.document import PUBLIC, problems
from api.problems import KINDS, ApiError
from api.schemas.system import Health
from api.services import Parts
from api.wire import Wire
from runtime.kill_file import LEVELS

router = APIRouter(tags=["health"])
_PLAIN: Final = {"text/plain": {"schema": {"type": "string"}}}


class ProblemPage(Wire):
    """What a kind of problem means."""

    code: str
    status: int
    title: str
    about: str


@router.get("/livez", name="live", summary="Whether the process turns", openapi_extra=PUBLIC)
async def live() -> Health:
    """Answer `ok` without asking anybody."""
    return Health(status="ok")


@router.get(
    "/readyz", name="ready", summary="Whether it can do its work", openapi_extra=PUBLIC,
    responses=problems("not-ready", "database-unavailable"),
)  # fmt: skip
async def ready(parts: Parts) -> Health:
    """Answer `ready` when database, schema, shipper and desk are as they must be, else 503 with why."""
    checks = await parts.checks()
    wrong = [check for check in checks if not check.ok]
    if wrong:
        detail = "; ".join(f"{check.name}: {check.detail}" for check in wrong)
        raise ApiError("not-ready", detail, checks=checks)
    return Health(status="ready", checks=checks)


@router.get(
    "/metrics", name="metrics", summary="Metrics for Prometheus", openapi_extra=PUBLIC,
    response_class=Response,
    responses={200: {"description": "Text format 0.0.4", "content": _PLAIN}},
)  # fmt: skip
async def metrics(parts: Parts) -> Response:
    """Answer the metrics of this process."""
    parts.metrics.database_in_use.set(parts.pool.in_use)
    killed = [each.scope.partition(":")[0] for each in parts.killed()]
    for level in LEVELS:
        parts.metrics.killed.labels(level).set(killed.count(level))
    status = parts.backlog()
    if status is not None:
        parts.metrics.journals_refused.set(len(status.refused))
        for each in parts.own(status).journals:
            if each.stream:
                parts.metrics.journal_lag.labels(each.stream).set(each.records)
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/problems/{code}", name="problem_page", summary="What a kind of problem means", openapi_extra=PUBLIC,
    responses=problems("not-found"),
)  # fmt: skip
async def problem_page(code: Annotated[str, Path(max_length=64)]) -> ProblemPage:
    """Explain the problem whose `type` is this path."""
    if code not in KINDS:
        raise ApiError("not-found", f"there is no problem {code[:64]!r}")
    status, title, about = KINDS[code]
    return ProblemPage(code=code, status=status, title=title, about=about)
