"""OKX's codes and texts, as the exceptions that the request handlers raise.

A request that is wrong as a whole gets a `code` (`VenueError`); an order that is refused gets code 1 and its
own `sCode` (`OrderError`). Codes are those of the tables of the v5 documentation. Not here: when an error
applies. Invariant: whatever a client sends ends in one of these or in success, never in a bare HTTP 500.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason

EXPIRED: Final = 50102
WOULD_TRIGGER: Final = 51280


class VenueError(Denied):
    """An answer `{"code": ..., "msg": ...}` with an HTTP status."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(code, msg)
        self.status = status


class OrderError(VenueError):
    """An answer whose row says `{"sCode": ..., "sMsg": ...}`."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(code, msg, 200)


def bad_parameter(name: str) -> VenueError:
    """A parameter has a value that it cannot have."""
    return VenueError(51000, f"Parameter {name} error")


def empty(name: str) -> VenueError:
    """A mandatory parameter is absent or empty."""
    return VenueError(50014, f"Parameter {name} can not be empty.")


def not_json() -> VenueError:
    """The body cannot be read."""
    return VenueError(50002, "JSON syntax error")


def unknown_instrument() -> VenueError:
    """The instrument is not listed."""
    return VenueError(51001, "Instrument ID does not exist.", 200)


def no_such_order() -> VenueError:
    """A query names no order of this account."""
    return VenueError(51603, "Order does not exist", 200)


def unsupported() -> OrderError:
    """The venue has this, the sandbox does not."""
    return OrderError(51010, "Request unsupported under current account mode")


def no_such_route() -> VenueError:
    """No endpoint has this address and method."""
    return VenueError(404, "The requested address does not exist", 404)


def unauthorized(code: int, msg: str) -> VenueError:
    """Who asks cannot be told, or asked too long ago."""
    return VenueError(code, msg, 401)


def too_many() -> VenueError:
    """Requests come too fast."""
    return VenueError(50011, "Too Many Requests", 429)


_SPELLED: Final[dict[Reason, tuple[int, str]]] = {
    Reason.CLIENT_ID: (51000, "Parameter clOrdId error"),
    Reason.NO_MARKET_YET: (51021, "The pair or contract is not yet listed"),
    Reason.NO_MARKET_ANY_MORE: (51087, "Listing canceled for this crypto"),
    Reason.QUANTITY_TOO_SMALL: (51020, "Your order should meet or exceed the minimum order amount."),
    Reason.QUANTITY_TOO_LARGE: (51005, "Your order amount exceeds the max order amount."),
    Reason.QUANTITY_OFF_GRID: (51121, "Order quantity must be a multiple of the lot size."),
    Reason.PRICE_TOO_LOW: (51122, "Order price should be higher than the min price"),
    Reason.PRICE_TOO_HIGH: (51116, "Order price or trigger price exceeds the maximum"),
    Reason.PRICE_OFF_GRID: (51000, "Parameter px error"),
    Reason.PRICE_FAR_BELOW: (51138, "The lowest price limit for sell orders was passed"),
    Reason.PRICE_FAR_ABOVE: (51137, "The highest price limit for buy orders was passed"),
    Reason.NOTIONAL: (51020, "Your order should meet or exceed the minimum order amount."),
    Reason.DUPLICATE: (51016, "Duplicated client order ID"),
    Reason.TOO_MANY_ORDERS: (51025, "Order count exceeds the limit"),
    Reason.TOO_MANY_STOPS: (51025, "Order count exceeds the limit"),
    Reason.WOULD_TRIGGER: (WOULD_TRIGGER, "SL trigger price must be less than the last price"),
    Reason.WOULD_MATCH: (51000, "Parameter ordType error"),
    Reason.NOTHING_FOR_AMOUNT: (51020, "Your order should meet or exceed the minimum order amount."),
    Reason.INSUFFICIENT: (51008, "Order failed. Insufficient balance in account"),
    Reason.NOT_OPEN: (
        51400,
        "Cancellation failed as the order has been filled, canceled or does not exist.",
    ),
}


def of_algo(error: OrderError, *, is_buy: bool) -> OrderError:
    """What it says of a stop where that has codes of its own."""
    if error.code == _SPELLED[Reason.DUPLICATE][0]:
        return OrderError(51065, "algoClOrdId already exists.")
    if error.code == WOULD_TRIGGER and is_buy:
        return OrderError(51278, "SL trigger price cannot be lower than the last price")
    return error


def spelled(reason: Reason) -> OrderError:
    """What OKX says for a reason of the engine."""
    return OrderError(*_SPELLED[reason])
