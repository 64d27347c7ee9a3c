"""Hyperliquid's sentences, as the exceptions that the request handlers raise.

There are no codes: an order is refused with a sentence in its row of an answer that is otherwise "ok"
(`OrderError`), an action as a whole with `"status": "err"` (`ActionError`), and what is no request at all
with HTTP 422 (`Malformed`). Sentences are those of …/for-developers/api/error-responses where it has one.
Not here: when an error applies. Invariant: whatever a client sends ends in one of these or in success.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.refusals import Denied, Reason


class OrderError(Denied):
    """`{"error": ...}` in the answer's row for an order or a cancel."""

    def __init__(self, msg: str) -> None:
        super().__init__(0, msg)


class ActionError(Denied):
    """`{"status": "err", "response": ...}`."""

    def __init__(self, msg: str) -> None:
        super().__init__(1, msg)


class Malformed(Denied):
    """HTTP 422: the body is none that the venue can read."""

    def __init__(self) -> None:
        super().__init__(422, "Failed to deserialize the JSON body into the target type")


class Busy(Denied):
    """HTTP 429 or 500; the venue documents no words for them."""

    def __init__(self, status: int) -> None:
        super().__init__(status, "")


def no_such_signer(address: str) -> ActionError:
    """Who signed is no user and nobody's API wallet."""
    return ActionError(f"User or API Wallet {address} does not exist.")


def tick() -> OrderError:
    """A price has too many digits."""
    return OrderError("Price must be divisible by tick size.")


def least_value(quote: str) -> OrderError:
    """An order is worth too little."""
    return OrderError(f"Order must have minimum value of 10 {quote}.")


def nothing_to_match(asset: int) -> OrderError:
    """An order that may not rest meets nobody."""
    return OrderError(f"Order could not immediately match against any resting orders. asset={asset}")


_SPELLED: Final[dict[Reason, str]] = {
    Reason.CLIENT_ID: "Order has invalid cloid.",
    Reason.QUANTITY_TOO_SMALL: "Order has zero size.",
    Reason.QUANTITY_TOO_LARGE: "Order has invalid size.",
    Reason.QUANTITY_OFF_GRID: "Order has invalid size.",
    Reason.PRICE_TOO_LOW: "Price must be divisible by tick size.",
    Reason.PRICE_OFF_GRID: "Price must be divisible by tick size.",
    Reason.DUPLICATE: "Duplicate cloid.",
    Reason.WOULD_MATCH: "Post only order would have immediately matched, bbo was unknown.",
    Reason.INSUFFICIENT: "Insufficient spot balance asset.",
    Reason.NOT_OPEN: "Order was never placed, already canceled, or filled.",
    Reason.NO_MARKET_ANY_MORE: "Trading is halted.",
    Reason.NO_MARKET_YET: "Trading is halted.",
}
_FAR: Final = "Order price cannot be more than 80% away from the reference price"


def spelled(reason: Reason) -> OrderError:
    """What Hyperliquid says for a reason of the engine."""
    return OrderError(_SPELLED.get(reason, _FAR))
