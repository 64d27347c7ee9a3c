"""Why the engine refuses an order, in its own words, and what every protocol's error has in common.

The engine knows reasons; which code and text a client sees for one is the protocol's business. Not here:
errors of requests that never reach the engine. Invariant: a reason says exactly one thing, so a protocol may
be as precise as its venue or say the same for several.
"""

from __future__ import annotations

from enum import Enum, auto


class Reason(Enum):
    """What is wrong with an order or a cancellation."""

    CLIENT_ID = auto()
    NO_MARKET_YET = auto()
    NO_MARKET_ANY_MORE = auto()
    QUANTITY_TOO_SMALL = auto()
    QUANTITY_TOO_LARGE = auto()
    QUANTITY_OFF_GRID = auto()
    PRICE_TOO_LOW = auto()
    PRICE_TOO_HIGH = auto()
    PRICE_OFF_GRID = auto()
    PRICE_FAR_BELOW = auto()
    PRICE_FAR_ABOVE = auto()
    NOTIONAL = auto()
    DUPLICATE = auto()
    TOO_MANY_ORDERS = auto()
    TOO_MANY_STOPS = auto()
    WOULD_TRIGGER = auto()
    WOULD_MATCH = auto()
    NOTHING_FOR_AMOUNT = auto()
    INSUFFICIENT = auto()
    NOT_OPEN = auto()
    MARGIN = auto()
    NOT_REDUCING = auto()
    TOO_LARGE_FOR_LEVERAGE = auto()
    WOULD_NOT_FILL = auto()


class Refusal(Exception):
    """The engine's no, before a protocol gave it a code."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Denied(Exception):
    """A protocol's no: the code and the text that the client is told."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg
