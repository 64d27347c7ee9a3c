"""Positions and equity on the wire."""

from typing import Any, Literal

from pydantic import Field

from api.pages import ListQuery
from api.wire import Amount, MaybeTime, Moment, Name, Wire


class PositionQuery(ListQuery):
    """Which positions."""

    account: Name | None = None
    symbol: Name | None = None
    sort: Literal["symbol", "-symbol"] = "symbol"


class EquityQuery(ListQuery):
    """Which states of which account; times are market time."""

    account: Name | None = None
    created_at_gte: Moment | None = Field(default=None, alias="created_at.gte")
    created_at_lt: Moment | None = Field(default=None, alias="created_at.lt")
    sort: Literal["created_at", "-created_at"] = "-created_at"


class Position(Wire):
    """What an account holds of a pair; money in the pair's quote asset."""

    run: str
    account: str
    symbol: str
    qty: Amount
    avg_px: Amount
    mark: Amount
    realised: Amount
    unrealised: Amount
    updated_at: MaybeTime
    version: int


class Equity(Wire):
    """An account's worth after one step of the market; money in the account's quote asset."""

    run: str
    account: str
    created_at: MaybeTime
    equity: Amount
    peak: Amount
    day_open: Amount
    realised: Amount
    fees: Amount
    trading: str
    version: int


def position_of(row: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the fields of a `Position` from a row of the table."""
    return {**row, "run": run, "updated_at": row["t"], "version": row["seq"]}


def equity_of(row: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the fields of an `Equity` from a row of the table."""
    return {**row, "run": run, "created_at": row["t"], "version": row["seq"]}
