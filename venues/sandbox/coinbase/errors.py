"""Coinbase's reasons and texts, as the exceptions that the request handlers raise.

A request that is wrong as a whole gets an HTTP status; an order that is refused gets status 200, success
false and a reason (`OrderError`). Reasons are those that the documentation of the endpoint lists; which of
them the venue gives for what is not documented for each. Not here: when an error applies. Invariant: whatever
a client sends ends in one of these or in success, never in a bare HTTP 500.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason


class VenueError(Denied):
    """An answer `{"error": ..., "message": ...}` with an HTTP status."""

    def __init__(self, status: int, error: str, msg: str) -> None:
        super().__init__(status, msg)
        self.error = error


class OrderError(Denied):
    """An answer with `success` false and an `error_response`; the truth log knows it by number."""

    def __init__(self, reason: str, msg: str) -> None:
        super().__init__(200, f"{reason}: {msg}")
        self.reason = reason
        self.text = msg


def invalid(name: str) -> VenueError:
    """A parameter is missing or has a value that it cannot have."""
    return VenueError(400, "INVALID_ARGUMENT", f"invalid {name}")


def unauthorized() -> VenueError:
    """Who asks cannot be told, or asked too long ago: the venue does not say which."""
    return VenueError(401, "unauthorized", "Unauthorized")


def not_found(what: str) -> VenueError:
    """Nothing is there."""
    return VenueError(404, "NOT_FOUND", f"{what} not found")


def too_many() -> VenueError:
    """Requests come too fast."""
    return VenueError(429, "rate_limit_exceeded", "Too many requests")


def failed() -> VenueError:
    """Something broke inside; what was asked for may have been done."""
    return VenueError(500, "INTERNAL", "internal server error")


_SPELLED: Final[dict[Reason, tuple[str, str]]] = {
    Reason.CLIENT_ID: ("INVALID_REQUEST", "client_order_id is not valid"),
    Reason.NO_MARKET_YET: ("UNTRADABLE_PRODUCT", "product is not tradable"),
    Reason.NO_MARKET_ANY_MORE: ("UNTRADABLE_PRODUCT", "product is not tradable"),
    Reason.QUANTITY_TOO_SMALL: ("INVALID_BASE_SIZE_TOO_SMALL", "Order size is too small"),
    Reason.QUANTITY_TOO_LARGE: ("INVALID_BASE_SIZE_TOO_LARGE", "Order size is too large"),
    Reason.QUANTITY_OFF_GRID: ("INVALID_SIZE_PRECISION", "Too many decimals in order size"),
    Reason.PRICE_TOO_LOW: ("INVALID_LIMIT_PRICE", "Limit price is too low"),
    Reason.PRICE_TOO_HIGH: ("INVALID_PRICE_TOO_LARGE", "Limit price is too high"),
    Reason.PRICE_OFF_GRID: ("INVALID_PRICE_PRECISION", "Too many decimals in order price"),
    Reason.PRICE_FAR_BELOW: ("LIMIT_PRICE_TOO_FAR_FROM_MARKET", "Limit price is too far from the market"),
    Reason.PRICE_FAR_ABOVE: ("LIMIT_PRICE_TOO_FAR_FROM_MARKET", "Limit price is too far from the market"),
    Reason.NOTIONAL: ("INVALID_QUOTE_SIZE_TOO_SMALL", "Order value is too small"),
    Reason.DUPLICATE: ("DUPLICATE_CLIENT_ORDER_ID", "client_order_id was used before"),
    Reason.TOO_MANY_ORDERS: ("ORDER_ENTRY_DISABLED", "Too many open orders"),
    Reason.TOO_MANY_STOPS: ("ORDER_ENTRY_DISABLED", "Too many open orders"),
    Reason.WOULD_TRIGGER: ("UNSUPPORTED_ORDER_CONFIGURATION", "Order type is not supported"),
    Reason.WOULD_MATCH: ("INVALID_LIMIT_PRICE_POST_ONLY", "Post only order would have matched"),
    Reason.NOTHING_FOR_AMOUNT: ("INVALID_NO_LIQUIDITY", "No liquidity for the amount"),
    Reason.INSUFFICIENT: ("INSUFFICIENT_FUND", "Insufficient balance in source account"),
    Reason.NOT_OPEN: ("UNKNOWN_CANCEL_ORDER", "Order is not open"),
}


def spelled(reason: Reason) -> OrderError:
    """What Coinbase says for a reason of the engine."""
    return OrderError(*_SPELLED[reason])


def unsupported() -> OrderError:
    """The venue has this, the sandbox does not."""
    return OrderError("UNSUPPORTED_ORDER_CONFIGURATION", "order_configuration is not supported")
