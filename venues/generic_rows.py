"""What ccxt says that a venue can do, for the venues nobody certified: their rows, and what they lack.

Problem: ccxt speaks to a hundred venues and says of each which methods it has, never which promises the
venue keeps. So a row made from that promises nothing: ids are not unique, no list proves that an order is not
there, a request has no deadline.

Not here: venues with an adapter of their own (`capabilities`), how one is spoken to (`generic_client`).

Invariant: no row that is made here lets anything be opened with real money.
"""

from typing import Any, Final, Literal

import ccxt
import ccxt.pro
import msgspec

from parley.errors import ConfigError, nearest
from venues.capabilities import Capabilities, lacks_for_opening

How = Literal["stream", "asked", "none"]
# The narrowest of the venues that take letters and are known; some take only numbers, and refuse ours.
_CID_LEN: Final = 31
_CID_CHARSET: Final = "a-z0-9"
_STREAMS: Final = {
    "candle": ("watchOHLCV", "fetchOHLCV"),
    "trade": ("watchTrades", "fetchTrades"),
    "book": ("watchOrderBook", "fetchOrderBook"),
}
_ORDERS: Final = (
    "createOrder", "cancelOrder", "fetchBalance", "fetchOpenOrders", "watchOrders", "watchMyTrades",
)  # fmt: skip
_FINDS: Final = {
    "fetchOrderWithClientOrderId": "by client id", "fetchOrder": "by the venue's id",
    "fetchOpenOrders": "open", "fetchOrders": "all", "fetchCanceledAndClosedOrders": "ended",
    "fetchClosedOrders": "closed", "fetchCanceledOrders": "cancelled",
}  # fmt: skip
_DEFAULT_RATE_MS: Final = 1000.0


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the methods of one ccxt.pro class come to.

    ``streams``: how each of candle, trade and book comes; ``missing`` are the methods without which no order
    can be traded, ``finds`` the lists that an order may be found in, which is no proof when it is not.
    ``in_force`` are the times in force that ccxt says it takes, ``exact_buys``: a market buy is of the base
    asset. ``rate_ms`` is ccxt's pause between two requests, ms. ``is_dex``: an exchange without a custodian.
    """

    venue: str
    row: Capabilities
    streams: dict[str, How]
    missing: tuple[str, ...]
    finds: tuple[str, ...]
    in_force: frozenset[str]
    exact_buys: bool
    has_spot: bool
    has_clock: bool
    is_dex: bool
    rate_ms: float


def names() -> list[str]:
    """Return the names of all venues that ccxt has streams of, sorted."""
    return sorted(ccxt.pro.exchanges)


def class_of(venue: str) -> Any:
    """Return the ccxt.pro class of a venue.

    Raises
    ------
    ConfigError
        When ccxt has none; names the nearest.
    """
    if venue not in ccxt.pro.exchanges:
        if venue in ccxt.exchanges:
            raise ConfigError(f"no certified adapter for {venue!r}, and ccxt has no streams of it (ccxt.pro)")
        raise ConfigError(f"no certified adapter for {venue!r}; {nearest(venue, names())}")
    return getattr(ccxt.pro, venue)


def means_of(venue: str) -> Means:
    """Read what ccxt says of a venue; asks nobody, raises as `class_of`."""
    return read_means(venue, class_of(venue)())


def read_means(venue: str, client: Any) -> Means:
    """Read the same of a client that exists."""
    has = client.has
    spot = (client.features or {}).get("spot") or {}
    creates = spot.get("createOrder") or {}
    in_force = frozenset(name for name, is_taken in (creates.get("timeInForce") or {}).items() if is_taken)
    row = Capabilities(
        cid_len=_CID_LEN, cid_charset=_CID_CHARSET, uniqueness="none", look_up=(), retention_h=0, fence="",
        cancel_by_cid=False, post_only="PO" in in_force, reduce_only=False, stops=False, amend=False,
        certified=False,
    )  # fmt: skip
    return Means(
        venue=venue, row=row,
        streams={stream: _how(has, *methods) for stream, methods in _STREAMS.items()},
        missing=tuple(each for each in _ORDERS if not has.get(each)),
        finds=tuple(words for method, words in _FINDS.items() if has.get(method) is True),
        in_force=in_force, exact_buys=creates.get("marketBuyRequiresPrice") is False,
        has_spot=has.get("spot") is True, has_clock=has.get("fetchTime") is True,
        is_dex=getattr(client, "dex", False) is True,
        rate_ms=float(client.rateLimit or _DEFAULT_RATE_MS),
    )  # fmt: skip


def lacks(means: Means) -> str:
    """Say everything a venue lacks for opening with real money; never empty."""
    found = [lacks_for_opening(means.row)]
    if not means.has_spot:
        found.append("no spot pairs")
    if means.missing:
        found.append(f"ccxt has no {', '.join(means.missing)} of it")
    if not means.has_clock:
        found.append("its clock cannot be asked")
    return "; ".join(found)


def lacks_of(venue: str) -> str:
    """Say the same by the name of a venue; raises as `class_of`."""
    return lacks(means_of(venue))


def check_streams(venue: str, streams: tuple[str, ...]) -> None:
    """Refuse streams that a venue has neither as a stream nor as an answer.

    Raises
    ------
    ConfigError
        When there are any; names all of them.
    """
    has = means_of(venue).streams
    if none := [each for each in streams if has.get(each) == "none"]:
        methods = ", ".join(" or ".join(_STREAMS[each]) for each in none)
        raise ConfigError(f"{venue!r} has no market data of kind {', '.join(none)}: ccxt has no {methods}")


def _how(has: Any, watch: str, fetch: str) -> How:
    return "stream" if has.get(watch) is True else "asked" if has.get(fetch) else "none"
