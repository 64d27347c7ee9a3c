"""`/orders` and `/fills`: what was sent to venues, and what was executed."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api.document import BASE, access, problems
from api.lists import Resource, answer_list, between, given
from api.pages import Page
from api.queries.listing import Condition
from api.queries.tables import FILLS, ORDERS
from api.schemas.orders import Fill, FillQuery, Order, OrderQuery, fill_of, order_of
from api.services import Parts
from api.wire import parse_id

router = APIRouter(prefix=BASE, tags=["orders"])
OF_ORDERS: Final = Resource("orders", ORDERS, order_of, "orders")
OF_FILLS: Final = Resource("fills", FILLS, fill_of, "fills")
_ERRORS: Final = problems("invalid-cursor", "not-found", "invalid-parameter")


@router.get(
    "/orders", name="list_orders", summary="Orders, the newest first", openapi_extra=access("orders:read"),
    responses=_ERRORS,
)  # fmt: skip
async def list_orders(
    parts: Parts, request: Request, response: Response, query: Annotated[OrderQuery, Query()]
) -> Page[Order]:
    """List the orders of a run."""
    round_ = None if query.round is None else parse_id("rnd_", query.round) or b""
    wanted = given({"state = %s": query.state, "agent = %s": query.agent, "round = %s": round_})
    found = await answer_list(parts, request, response, OF_ORDERS, query, _common(query) + wanted)
    return Page[Order].model_validate(found)


@router.get(
    "/fills", name="list_fills", summary="Fills, the newest first", openapi_extra=access("orders:read"),
    responses=_ERRORS,
)  # fmt: skip
async def list_fills(
    parts: Parts, request: Request, response: Response, query: Annotated[FillQuery, Query()]
) -> Page[Fill]:
    """List the fills of a run."""
    order = None if query.order is None else parse_id("ord_", query.order) or b""
    wanted = given({"iid = %s": order})
    found = await answer_list(parts, request, response, OF_FILLS, query, _common(query) + wanted)
    return Page[Fill].model_validate(found)


def _common(query: OrderQuery | FillQuery) -> list[Condition]:
    return between(query.created_at_gte, query.created_at_lt) + given(
        {"symbol = %s": query.symbol, "side = %s": query.side, "account = %s": query.account}
    )
