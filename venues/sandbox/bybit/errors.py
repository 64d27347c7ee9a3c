"""Bybit's return codes and texts, as the exceptions that the request handlers raise.

Codes are those of the tables "common" and "spot trade" of the v5 documentation. Bybit answers most refusals
with HTTP 200 and a return code in the body. Not here: when an error applies. Invariant: whatever a client
sends ends in one of these or in success, never in a bare HTTP 500.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason


class VenueError(Denied):
    """An answer `{"retCode": ..., "retMsg": ...}` with an HTTP status.

    ``reset_ms`` is how long a client that asked too much by chance is told to wait.
    """

    def __init__(self, code: int, msg: str, status: int = 200, reset_ms: int = 0) -> None:
        super().__init__(code, msg)
        self.status = status
        self.reset_ms = reset_ms


def bad_parameter(what: str) -> VenueError:
    """The request cannot be understood."""
    return VenueError(10001, f"Request parameter error: {what}")


def empty(name: str) -> VenueError:
    """A mandatory parameter of an order is absent or empty."""
    return VenueError(170105, f"Parameter '{name}' was empty.")


def invalid(name: str) -> VenueError:
    """A parameter of an order has a value that it cannot have."""
    return VenueError(170130, f"Data sent for parameter '{name}' is not valid.")


def unknown_symbol() -> VenueError:
    """The symbol is not listed."""
    return VenueError(10001, "Not supported symbols")


def no_such_order() -> VenueError:
    """A cancellation names no open order of this account."""
    return VenueError(170213, "Order does not exist.")


def unsupported() -> VenueError:
    """The venue has this, the sandbox does not."""
    return VenueError(170227, "This feature is not supported.")


def no_such_route() -> VenueError:
    """No endpoint has this address and method."""
    return VenueError(10017, "Route not found.", 404)


def missing_credentials() -> VenueError:
    """A signed endpoint was called without its headers."""
    return VenueError(10003, "API key is invalid.", 401)


def unknown_key() -> VenueError:
    """Nobody has this API key."""
    return VenueError(10003, "API key is invalid.")


def bad_signature() -> VenueError:
    """The signature does not belong to the request."""
    return VenueError(10004, "Error sign, please check your signature generation algorithm.")


_SPELLED: Final[dict[Reason, tuple[int, str]]] = {
    Reason.CLIENT_ID: (170130, "Data sent for parameter 'orderLinkId' is not valid."),
    Reason.NO_MARKET_YET: (170151, "The trading pair is not open yet."),
    Reason.NO_MARKET_ANY_MORE: (170157, "The trading pair is not available for api trading."),
    Reason.QUANTITY_TOO_SMALL: (170136, "Order quantity exceeded lower limit."),
    Reason.QUANTITY_TOO_LARGE: (170135, "Order quantity exceeded upper limit."),
    Reason.QUANTITY_OFF_GRID: (170137, "Order volume decimal too long."),
    Reason.PRICE_TOO_LOW: (170133, "Order price lower than the minimum."),
    Reason.PRICE_TOO_HIGH: (170132, "Order price too high."),
    Reason.PRICE_OFF_GRID: (170134, "Order price decimal too long."),
    Reason.PRICE_FAR_BELOW: (170194, "Sell order price cannot be lower than the price limit."),
    Reason.PRICE_FAR_ABOVE: (170193, "Buy order price cannot be higher than the price limit."),
    Reason.NOTIONAL: (170140, "Order value exceeded lower limit."),
    Reason.DUPLICATE: (170141, "Duplicate clientOrderId."),
    Reason.TOO_MANY_ORDERS: (110020, "You can't have more than 500 active orders."),
    Reason.TOO_MANY_STOPS: (110009, "The number of stop orders exceeds the maximum allowable limit."),
    Reason.WOULD_TRIGGER: (170210, "New order rejected."),
    Reason.WOULD_MATCH: (170218, "The LIMIT-MAKER order is rejected due to invalid price."),
    Reason.NOTHING_FOR_AMOUNT: (170140, "Order value exceeded lower limit."),
    Reason.INSUFFICIENT: (170131, "Insufficient balance."),
    Reason.NOT_OPEN: (170213, "Order does not exist."),
}


def spelled(reason: Reason) -> VenueError:
    """What Bybit says for a reason of the engine."""
    return VenueError(*_SPELLED[reason])
