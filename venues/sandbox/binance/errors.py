"""Binance's error codes and texts, as the exceptions that the request handlers raise.

Clients map venue errors by code and by exact text, so the texts are part of the protocol. Not
here: when an error applies. Invariant: whatever a client sends ends in one of these or in success,
never in a bare HTTP 500.
"""

from __future__ import annotations

from venues.sandbox.refusals import Denied, Reason


class VenueError(Denied):
    """An answer `{"code": ..., "msg": ...}` with an HTTP status.

    ``retry_s`` is how long a client that asked too much is told to wait, seconds.
    """

    def __init__(self, code: int, msg: str, status: int = 400, retry_s: int = 0) -> None:
        super().__init__(code, msg)
        self.status = status
        self.retry_s = retry_s

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        return {"code": self.code, "msg": self.msg}


def missing(name: str) -> VenueError:
    """A mandatory parameter is absent, empty or malformed."""
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> VenueError:
    """A parameter has characters outside of its legal range."""
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def too_precise(name: str) -> VenueError:
    """A number has more decimals than the venue counts."""
    return VenueError(-1111, f"Parameter '{name}' has too much precision.")


def filter_failure(name: str) -> VenueError:
    """An order breaks one of the symbol's filters."""
    return VenueError(-1013, f"Filter failure: {name}")


def unwanted(name: str) -> VenueError:
    """A parameter was sent that this order type does not take."""
    return VenueError(-1106, f"Parameter '{name}' sent when not required.")


def rejected(msg: str) -> VenueError:
    """The order reached the matching engine and was refused."""
    return VenueError(-2010, msg)


def invalid_symbol() -> VenueError:
    """The symbol is not listed."""
    return VenueError(-1121, "Invalid symbol.")


def bad_signature() -> VenueError:
    """The signature does not belong to the parameters."""
    return VenueError(-1022, "Signature for this request is not valid.")


def unknown_key() -> VenueError:
    """Nobody has this API key."""
    return VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def malformed_key() -> VenueError:
    """The API key is absent or no key at all."""
    return VenueError(-2014, "API-key format invalid.", 401)


def no_such_order() -> VenueError:
    """A query names no order of this account."""
    return VenueError(-2013, "Order does not exist.")


def unknown_order() -> VenueError:
    """A cancellation names no open order of this account."""
    return VenueError(-2011, "Unknown order sent.")


def unsupported_path(path: str) -> VenueError:
    """No endpoint has this address."""
    return VenueError(-1000, f"Path {path[:80]} is not part of the sandbox.", 404)


def wrong_method(method: str) -> VenueError:
    """The endpoint exists, but not for this HTTP method."""
    return VenueError(-1000, f"Request method '{method}' not supported.", 405)


_FILTERS = {
    Reason.QUANTITY_TOO_SMALL: "LOT_SIZE",
    Reason.QUANTITY_TOO_LARGE: "LOT_SIZE",
    Reason.QUANTITY_OFF_GRID: "LOT_SIZE",
    Reason.NOTHING_FOR_AMOUNT: "LOT_SIZE",
    Reason.PRICE_TOO_LOW: "PRICE_FILTER",
    Reason.PRICE_TOO_HIGH: "PRICE_FILTER",
    Reason.PRICE_OFF_GRID: "PRICE_FILTER",
    Reason.PRICE_FAR_BELOW: "PERCENT_PRICE_BY_SIDE",
    Reason.PRICE_FAR_ABOVE: "PERCENT_PRICE_BY_SIDE",
    Reason.NOTIONAL: "NOTIONAL",
    Reason.TOO_MANY_ORDERS: "MAX_NUM_ORDERS",
    Reason.TOO_MANY_STOPS: "MAX_NUM_ALGO_ORDERS",
}
_REJECTIONS = {
    Reason.NO_MARKET_YET: "This symbol has no market data yet.",
    Reason.DUPLICATE: "Duplicate order sent.",
    Reason.WOULD_TRIGGER: "Stop price would trigger immediately.",
    Reason.WOULD_MATCH: "Order would immediately match and take.",
    Reason.INSUFFICIENT: "Account has insufficient balance for requested action.",
}


def spelled(reason: Reason) -> VenueError:
    """What Binance says for a reason of the engine."""
    if reason in _FILTERS:
        return filter_failure(_FILTERS[reason])
    if reason in _REJECTIONS:
        return rejected(_REJECTIONS[reason])
    if reason is Reason.NO_MARKET_ANY_MORE:
        return VenueError(-1013, "Market is closed.")
    if reason is Reason.CLIENT_ID:
        return illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")
    return unknown_order()
