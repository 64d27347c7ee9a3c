"""`/rounds`: which rounds there were, and why one did or did not trade."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from api.document import BASE, access, problems
from api.lists import Resource, answer_list, between, given
from api.pages import Page
from api.problems import ApiError
from api.queries.rounds import read_round
from api.queries.tables import ROUNDS
from api.schemas.rounds import Round, RoundDetail, RoundQuery, round_of
from api.services import Parts
from api.telling import tell
from api.wire import Name, parse_id

router = APIRouter(prefix=BASE, tags=["rounds"])
RESOURCE: Final = Resource("rounds", ROUNDS, round_of, "rounds")


@router.get(
    "/rounds", name="list_rounds", summary="Rounds, the newest first",
    openapi_extra=access("rounds:read"),
    responses=problems("invalid-cursor", "not-found", "invalid-parameter"),
)  # fmt: skip
async def list_rounds(
    parts: Parts, request: Request, response: Response, query: Annotated[RoundQuery, Query()]
) -> Page[Round]:
    """List the rounds of a run."""
    wanted = given(
        {
            "symbol = %s": query.symbol,
            "outcome = %s": "" if query.outcome == "open" else query.outcome,
            "agent = %s": query.agent,
            "(proposals > 0) = %s": query.has_proposals,
        }
    )
    conditions = between(query.created_at_gte, query.created_at_lt) + wanted
    found = await answer_list(parts, request, response, RESOURCE, query, conditions)
    return Page[Round].model_validate(found)


@router.get(
    "/rounds/{id}", name="read_round", summary="One round in full",
    openapi_extra=access("rounds:read"), responses=problems("not-found", "invalid-parameter"),
)  # fmt: skip
async def show_round(
    parts: Parts, id: Annotated[str, Path(max_length=64, examples=["rnd_mfrggzdfmztwq2lknnwg23tpoa"])],
    run: Annotated[Name | None, Query(description="Which run; the newest that has it by default.")] = None,
) -> RoundDetail:  # fmt: skip
    """Tell a round: proposals, votes, bounds, reasons, orders and fills, of one moment."""
    key = parse_id("rnd_", id)
    row: dict[str, Any] | None = None
    if key is not None:
        async with parts.read() as reading:
            row = await read_round(reading, key, run)
    if row is None:
        raise ApiError("not-found", f"there is no round {id!r}" + (f" in run {run!r}" if run else ""))
    return tell(row)
