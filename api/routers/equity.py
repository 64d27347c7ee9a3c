"""`/equity`: what accounts were worth, step by step."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api.document import BASE, access, problems
from api.lists import Resource, answer_list, between, given
from api.pages import Page
from api.queries.tables import EQUITY
from api.schemas.accounts import Equity, EquityQuery, equity_of
from api.services import Parts

router = APIRouter(prefix=BASE, tags=["equity"])
RESOURCE: Final = Resource("equity", EQUITY, equity_of)


@router.get(
    "/equity", name="list_equity", summary="Equity over time, the newest first",
    openapi_extra=access("positions:read"),
    responses=problems("invalid-cursor", "not-found", "invalid-parameter"),
)  # fmt: skip
async def list_equity(
    parts: Parts, request: Request, response: Response, query: Annotated[EquityQuery, Query()]
) -> Page[Equity]:
    """List the states of a run's accounts."""
    conditions = between(query.created_at_gte, query.created_at_lt) + given({"account = %s": query.account})
    found = await answer_list(parts, request, response, RESOURCE, query, conditions)
    return Page[Equity].model_validate(found)
