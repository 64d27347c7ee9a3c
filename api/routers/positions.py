"""`/positions`: what is held now."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api.document import BASE, access, problems
from api.lists import Resource, answer_list, given
from api.pages import Page
from api.queries.tables import POSITIONS
from api.schemas.accounts import Position, PositionQuery, position_of
from api.services import Parts

router = APIRouter(prefix=BASE, tags=["positions"])
RESOURCE: Final = Resource("positions", POSITIONS, position_of)


@router.get(
    "/positions", name="list_positions", summary="Positions by account and pair",
    openapi_extra=access("positions:read"),
    responses=problems("invalid-cursor", "not-found", "invalid-parameter"),
)  # fmt: skip
async def list_positions(
    parts: Parts, request: Request, response: Response, query: Annotated[PositionQuery, Query()]
) -> Page[Position]:
    """List the positions of a run as of its newest state."""
    conditions = given({"account = %s": query.account, "symbol = %s": query.symbol})
    found = await answer_list(parts, request, response, RESOURCE, query, conditions)
    return Page[Position].model_validate(found)
