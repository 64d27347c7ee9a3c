"""`/agents`: who sits at the table, what they said so far, and whether they live."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from api.document import BASE, access, problems
from api.lists import Resource, answer_list, given
from api.pages import Page
from api.queries.tables import AGENTS
from api.schemas.seats import Agent, AgentQuery, agent_of
from api.services import Parts

router = APIRouter(prefix=BASE, tags=["agents"])
_ERRORS: Final = problems("invalid-cursor", "not-found", "invalid-parameter")


@router.get(
    "/agents", name="list_agents", summary="Agents of a run", openapi_extra=access("agents:read"),
    responses=_ERRORS,
)  # fmt: skip
async def list_agents(
    parts: Parts, request: Request, response: Response, query: Annotated[AgentQuery, Query()]
) -> Page[Agent]:
    """List the agents of a run; `live` is what their processes say now."""
    seen = await parts.live.seen()

    def show(row: dict[str, Any], run: str) -> dict[str, Any]:
        return agent_of(row, run, seen.agents.get(row["agent"]) if seen.run == run else None)

    conditions = given({"role = %s": query.role, "quarantined = %s": query.is_quarantined})
    found = await answer_list(parts, request, response, Resource("agents", AGENTS, show), query, conditions)
    return Page[Agent].model_validate(found)
