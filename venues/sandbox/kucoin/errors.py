"""KuCoin's codes and texts, as the exceptions that the request handlers raise.

Codes are those of https://www.kucoin.com/docs-new/errors-code; 400100 stands for many things, which the text
tells apart. The HTTP status of a refused order is not documented; it is 200 here, that of a request which
cannot be understood 400. Not here: when an error applies. Invariant: whatever a client sends ends in one of
these or in success, never in a bare HTTP 500.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason

PARAMETER: Final = 400100


class VenueError(Denied):
    """An answer `{"code": ..., "msg": ...}` with an HTTP status."""

    def __init__(self, code: int, msg: str, status: int = 200) -> None:
        super().__init__(code, msg)
        self.status = status


def bad_parameter(name: str) -> VenueError:
    """A parameter has a value that it cannot have."""
    return VenueError(PARAMETER, f"{name} is invalid", 400)


def empty(name: str) -> VenueError:
    """A mandatory parameter is absent or empty."""
    return VenueError(PARAMETER, f"{name} can not be empty", 400)


def not_json() -> VenueError:
    """The body cannot be read."""
    return VenueError(PARAMETER, "Parameter Error", 400)


def unknown_pair() -> VenueError:
    """The pair is not listed."""
    return VenueError(900001, "symbol not exists")


def no_such_order() -> VenueError:
    """A query names no order of this account."""
    return VenueError(PARAMETER, "order not exist.")


def too_late() -> VenueError:
    """An order came after the time within which its sender wanted it; the venue's code is not documented."""
    return VenueError(PARAMETER, "clientTimestamp is out of allowMaxTimeWindow", 400)


def unsupported(name: str) -> VenueError:
    """The venue has this, the sandbox does not."""
    return VenueError(400200, f"Forbidden to place an order: {name}")


def no_such_route() -> VenueError:
    """No endpoint has this address and method."""
    return VenueError(404000, "Url Not Found", 404)


def unauthorized(code: int, msg: str) -> VenueError:
    """Who asks cannot be told, or asked too long ago."""
    return VenueError(code, msg, 400 if code == 400002 else 401)


def too_many() -> VenueError:
    """Requests come too fast."""
    return VenueError(429000, "Too many requests in a short period of time, please retry later", 429)


def failed() -> VenueError:
    """The venue itself failed; what it did before nobody says."""
    return VenueError(500000, "Internal Server Error", 500)


_SPELLED: Final[dict[Reason, tuple[int, str]]] = {
    Reason.CLIENT_ID: (PARAMETER, "validation.createOrder.clientOidInvalid"),
    Reason.NO_MARKET_YET: (400600, "validation.createOrder.symbolNotAvailable"),
    Reason.NO_MARKET_ANY_MORE: (200001, "Order creation for this pair suspended"),
    Reason.QUANTITY_TOO_SMALL: (PARAMETER, "Order size below the minimum requirement."),
    Reason.QUANTITY_TOO_LARGE: (PARAMETER, "Order size above the maximum requirement."),
    Reason.QUANTITY_OFF_GRID: (600100, "Order size increment invalid."),
    Reason.PRICE_TOO_LOW: (PARAMETER, "price not in the given range!"),
    Reason.PRICE_TOO_HIGH: (PARAMETER, "price not in the given range!"),
    Reason.PRICE_OFF_GRID: (PARAMETER, "Price increment invalid."),
    Reason.PRICE_FAR_BELOW: (400760, "order price should be more than the limit"),
    Reason.PRICE_FAR_ABOVE: (400370, "Max. price exceeded"),
    Reason.NOTIONAL: (600100, "Funds below the minimum requirement."),
    Reason.DUPLICATE: (PARAMETER, "validation.createOrder.clientOidDuplicated"),
    Reason.TOO_MANY_ORDERS: (200003, "Number of orders breached the limit"),
    Reason.TOO_MANY_STOPS: (200003, "Number of orders breached the limit"),
    Reason.WOULD_TRIGGER: (400200, "Forbidden to place an order"),
    Reason.WOULD_MATCH: (400200, "Forbidden to place an order"),
    Reason.NOTHING_FOR_AMOUNT: (600100, "Funds below the minimum requirement."),
    Reason.INSUFFICIENT: (200004, "Balance insufficient!"),
    Reason.NOT_OPEN: (PARAMETER, "order_not_exist_or_not_allow_to_cancel"),
}


def spelled(reason: Reason) -> VenueError:
    """What KuCoin says for a reason of the engine."""
    return VenueError(*_SPELLED[reason])
