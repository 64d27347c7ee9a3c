"""Orders and fills on the wire."""

from decimal import Context, Decimal
from hashlib import blake2s
from typing import Any, Final, Literal

from pydantic import Field

from api.pages import ListQuery
from api.wire import Amount, MaybeTime, Moment, Name, OrderId, ProposalId, RoundId, Wire, show_id

_SIXTEEN_DIGITS: Final = Context(prec=16)
State = Literal[
    "pending_create", "open", "filled", "partially_filled", "pending_cancel", "canceled", "failed", "unknown"
]
Side = Literal["buy", "sell"]


class OrderQuery(ListQuery):
    """Which orders; times are market time of the order's creation."""

    symbol: Name | None = None
    side: Side | None = None
    state: State | None = None
    agent: Name | None = None
    account: Name | None = None
    round: Name | None = Field(default=None, description="Id of the round that decided on it.")
    created_at_gte: Moment | None = Field(default=None, alias="created_at.gte")
    created_at_lt: Moment | None = Field(default=None, alias="created_at.lt")
    sort: Literal["created_at", "-created_at"] = "-created_at"


class FillQuery(ListQuery):
    """Which fills; times are market time."""

    symbol: Name | None = None
    side: Side | None = None
    account: Name | None = None
    order: Name | None = Field(default=None, description="Id of the order that was filled.")
    created_at_gte: Moment | None = Field(default=None, alias="created_at.gte")
    created_at_lt: Moment | None = Field(default=None, alias="created_at.lt")
    sort: Literal["created_at", "-created_at"] = "-created_at"


class Order(Wire):
    """An order; amounts in the base asset, prices in the quote asset, fees by asset.

    ``version`` grows with every change, ``cause`` says why it failed, was cancelled or is unknown.
    """

    id: OrderId
    run: str
    client_order_id: str
    venue_order_id: str | None
    round: RoundId
    proposal: ProposalId | None
    agent: str
    account: str
    venue: str
    symbol: str
    side: str
    style: str
    tif: str
    reduce_only: bool
    leg: int
    child: int
    qty: Amount
    px: Amount | None
    ref_px: Amount | None = Field(description="Mid price at the decision.")
    state: str
    filled: Amount
    avg_px: Amount | None
    fees: dict[str, Amount]
    cause: str
    created_at: MaybeTime
    version: int


class Fill(Wire):
    """One execution; ``fee`` in ``fee_asset``."""

    id: str
    run: str
    order: OrderId
    account: str
    venue: str
    venue_order_id: str
    trade_id: str
    symbol: str
    side: str
    qty: Amount
    px: Amount
    fee: Amount
    fee_asset: str
    liquidity: str
    created_at: MaybeTime
    version: int


def order_of(row: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the fields of an `Order` from a row of the table."""
    return {
        "id": row["iid"], "run": run, "client_order_id": row["cid"],
        "venue_order_id": row["venue_id"] or None, "round": row["round"], "proposal": row["pid"] or None,
        "agent": row["agent"], "account": row["account"], "venue": row["venue"], "symbol": row["symbol"],
        "side": row["side"], "style": row["style"], "tif": row["tif"], "reduce_only": row["reduce_only"],
        "leg": row["leg"], "child": row["child"], "qty": row["qty"], "px": row["px"],
        "ref_px": row["ref_px"], "state": row["state"], "filled": row["filled"], "avg_px": _average(row),
        "fees": row["fees"], "cause": row["cause"], "created_at": row["t"], "version": row["changed_seq"],
    }  # fmt: skip


def _average(row: dict[str, Any]) -> Any:
    filled, quote = Decimal(row["filled"]), Decimal(row["quote"])
    return _SIXTEEN_DIGITS.divide(quote, filled) if filled else None


def fill_of(row: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the fields of a `Fill` from a row of the table."""
    key = "\x00".join((run, row["venue"], row["account"], row["symbol"], row["trade_id"]))
    return {
        "id": show_id("fil_", blake2s(key.encode(), digest_size=16).digest()), "run": run,
        "order": row["iid"], "account": row["account"], "venue": row["venue"],
        "venue_order_id": row["venue_id"], "trade_id": row["trade_id"], "symbol": row["symbol"],
        "side": row["side"], "qty": row["qty"], "px": row["px"], "fee": row["fee"],
        "fee_asset": row["fee_asset"], "liquidity": row["liquidity"], "created_at": row["t"],
        "version": row["seq"],
    }  # fmt: skip
