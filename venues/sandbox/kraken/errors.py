"""Kraken's error texts, as the exceptions that the request handlers raise.

Kraken answers an error with HTTP 200 and its words in a list. Those used here are in the guide "Spot Error
Messages" of its documentation, but for two that it does not show (`DUPLICATE` and `WOULD_MATCH` of an order
that never comes to be). Not here: when an error applies. Invariant: whatever a client sends ends in one of
these or in success, never in a bare HTTP 500.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason


class VenueError(Denied):
    """An answer `{"error": [text]}` with an HTTP status; the code is not the venue's, it marks log lines."""

    def __init__(self, text: str, status: int = 200, code: int = 0) -> None:
        super().__init__(code, text)
        self.status = status


def bad_arguments(name: str = "") -> VenueError:
    """A parameter is absent or has a value that it cannot have."""
    return VenueError(f"EGeneral:Invalid arguments:{name}" if name else "EGeneral:Invalid arguments")


def unknown_pair() -> VenueError:
    """No pair has this name."""
    return VenueError("EQuery:Unknown asset pair")


def unknown_method() -> VenueError:
    """No endpoint has this address and method."""
    return VenueError("EGeneral:Unknown method", 404)


def too_late() -> VenueError:
    """The request's deadline is over."""
    return VenueError("EService:Deadline elapsed", code=1)


def too_many() -> VenueError:
    """Requests come too fast."""
    return VenueError("EAPI:Rate limit exceeded")


def too_many_orders() -> VenueError:
    """Orders come too fast."""
    return VenueError("EOrder:Rate limit exceeded")


def internal() -> VenueError:
    """Something broke."""
    return VenueError("EGeneral:Internal error", 500)


_SPELLED: Final[dict[Reason, str]] = {
    Reason.CLIENT_ID: "EGeneral:Invalid arguments:cl_ord_id",
    Reason.NO_MARKET_YET: "EService:Unavailable",
    Reason.NO_MARKET_ANY_MORE: "EService:Market in cancel_only mode",
    Reason.QUANTITY_TOO_SMALL: "EOrder:Order minimum not met",
    Reason.QUANTITY_TOO_LARGE: "EGeneral:Invalid arguments:volume",
    Reason.QUANTITY_OFF_GRID: "EGeneral:Invalid arguments:volume",
    Reason.PRICE_TOO_LOW: "EOrder:Invalid price",
    Reason.PRICE_TOO_HIGH: "EOrder:Invalid price",
    Reason.PRICE_OFF_GRID: "EOrder:Tick size check failed",
    Reason.PRICE_FAR_BELOW: "EOrder:Invalid price",
    Reason.PRICE_FAR_ABOVE: "EOrder:Invalid price",
    Reason.NOTIONAL: "EOrder:Cost minimum not met",
    Reason.DUPLICATE: "EOrder:Duplicate cl_ord_id",
    Reason.TOO_MANY_ORDERS: "EOrder:Orders limit exceeded",
    Reason.TOO_MANY_STOPS: "EOrder:Orders limit exceeded",
    Reason.WOULD_TRIGGER: "EOrder:Invalid order",
    Reason.WOULD_MATCH: "EOrder:Post only order",
    Reason.NOTHING_FOR_AMOUNT: "EOrder:Order minimum not met",
    Reason.INSUFFICIENT: "EOrder:Insufficient funds",
    Reason.NOT_OPEN: "EOrder:Unknown order",
}


def spelled(reason: Reason) -> VenueError:
    """What Kraken says for a reason of the engine."""
    return VenueError(_SPELLED[reason])
