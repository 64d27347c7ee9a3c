"""What each venue can do, as far as our adapter uses it: one row per adapter, certified by its contract test.

Problem: at-most-once sending rests on what a venue promises about client order ids. A promise that is
assumed and not written down is found out with money.

Not here: how a venue is spoken to. Invariant: a row says no more than the adapter's contract test has shown
or the venue's documentation promises; what nobody certified is absent.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from parley.errors import ConfigError, nearest
from parley.instruments import exchange_of
from parley.messages import Intent

Uniqueness = Literal["none", "open", "forever", "idempotent"]
Listed = Literal["open", "closed"]
_HOUR_NS: Final = 3_600_000_000_000
_WEAKER: Final = ("none", "open", "idempotent", "forever")


class DeadMan(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's timer, ``least_s`` to ``most_s`` long, that cancels our orders when nobody sets it anew.

    ``per_symbol``: each symbol has its own, else one covers all orders of ours. ``spares_stops``: it does not
    cancel what waits as a stop, by the venue's documentation; where that does not say, it is taken to do so.
    """

    least_s: int
    most_s: int
    per_symbol: bool
    spares_stops: bool


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter's row.

    ``look_up`` are the lists in which an order is found by its client id; ``retention_h`` is how long one is
    that ended without a fill, ``stop_retention_h`` how long a stop is, None: as long. ``fence`` is the
    request's own deadline at the venue, empty if there is none.
    ``stops``: it holds stop-limit orders that reduce, and finds and cancels them by the same ids for as long.
    ``stops_unasked``: a desk with real money has them without asking; what is new has to be asked for.
    ``contracts``: it trades linear perpetuals, and no spot pairs. ``forced`` are the beginnings of the client
    ids that the venue gives to orders of its own in our account: liquidations, deleveraging. ``certified``:
    an adapter of its own stands behind it, it is no row made of what ccxt says (`generic_rows`).
    ``least_fence_ms``: the venue takes no nearer deadline, so none is asked for. ``assumed`` is what an order
    in doubt rests on and the venue's documentation does not say. ``traded_h`` is how long a stop is found of
    which something traded, where it holds stops, less what nobody knows of when exactly it forgets.
    ``places`` are the rows of several venues that are traded as one, by the exchange that symbols name.
    ``dead_man``: its timer that cancels what rests when we are silent; None: it has none that we use.
    """

    cid_len: int
    cid_charset: str
    uniqueness: Uniqueness
    look_up: tuple[Listed, ...]
    retention_h: int
    fence: str
    cancel_by_cid: bool
    post_only: bool
    reduce_only: bool
    stops: bool
    amend: bool
    stops_unasked: bool = False
    contracts: bool = False
    forced: tuple[str, ...] = ()
    least_fence_ms: int = 0
    certified: bool = True
    assumed: str = ""
    traded_h: int = 0
    stop_retention_h: int | None = None
    places: tuple[tuple[str, "Capabilities"], ...] = ()
    dead_man: DeadMan | None = None

    @property
    def retention_ns(self) -> int:
        """How long the venue remembers an order that ended without a fill, ns."""
        return self.retention_h * _HOUR_NS

    @property
    def stop_hours(self) -> int:
        """How long the venue remembers a stop that ended without a fill, h."""
        return self.retention_h if self.stop_retention_h is None else self.stop_retention_h

    def remembered_ns(self, intent: Intent) -> int:
        """How long the venue remembers this order, or this stop, if it ended without a fill, ns."""
        return self.retention_ns if intent.trigger is None else self.stop_hours * _HOUR_NS

    @property
    def traded_ns(self) -> int:
        """How long the venue remembers a stop of which something traded, ns."""
        return self.traded_h * _HOUR_NS

    def of(self, symbol: str) -> "Capabilities":
        """Give the row of the venue that trades a symbol: one order's fate is its own venue's business."""
        return dict(self.places).get(exchange_of(symbol), self)


_ENDED: Final = "how long it finds an order that ended without a fill"

CAPABILITIES: Final[dict[str, Capabilities]] = {
    "binance": Capabilities(
        cid_len=36, cid_charset="a-zA-Z0-9_-", uniqueness="open", look_up=("open", "closed"),
        retention_h=90 * 24, fence="recvWindow", cancel_by_cid=True, post_only=True, reduce_only=False,
        stops=True, stops_unasked=True, amend=False, traded_h=89 * 24,
    ),
    # a listen key's stream says nothing when it is begun, so that it stands is never certain; its timer
    # "cancels all open orders of the symbol", and nothing says whether conditional orders are among them;
    # longer than the documentation's example was not tried
    "binanceusdm": Capabilities(
        cid_len=36, cid_charset="a-zA-Z0-9_-", uniqueness="open", look_up=("open", "closed"),
        retention_h=3 * 24, fence="recvWindow", cancel_by_cid=True, post_only=True, reduce_only=True,
        stops=True, stops_unasked=True, amend=False, contracts=True,
        forced=("autoclose-", "adl_autoclose"), traded_h=89 * 24,
        dead_man=DeadMan(least_s=1, most_s=120, per_symbol=True, spares_stops=False),
    ),
    # who names no start time may be shown the last seven days of ended orders only: a stop older than six
    # that ended while nobody listened stays in doubt, and a person is called
    "bybit": Capabilities(
        cid_len=36, cid_charset="a-zA-Z0-9_-", uniqueness="forever", look_up=("open", "closed"),
        retention_h=24, fence="X-BAPI-RECV-WINDOW", cancel_by_cid=True, post_only=True, reduce_only=False,
        stops=True, amend=False, traded_h=6 * 24,
    ),
    # documented: a second send of an id returns the first order. How long orders are listed is not: a day is
    # assumed. No list is asked for by our id, it is looked for in them whole.
    "coinbase": Capabilities(
        cid_len=36, cid_charset="a-zA-Z0-9-", uniqueness="idempotent", look_up=("open", "closed"),
        retention_h=24, fence="exp", cancel_by_cid=False, post_only=True, reduce_only=False, stops=False,
        amend=False, assumed=f"{_ENDED} (24 h are assumed), and how exactly it reads a token's expiry",
    ),
    # how long one is found that ended without a fill is not documented; a deadline is at least 2 s away
    "kraken": Capabilities(
        cid_len=31, cid_charset="a-zA-Z0-9", uniqueness="open", look_up=("open", "closed"), retention_h=1,
        fence="deadline", cancel_by_cid=True, post_only=True, reduce_only=False, stops=False, amend=False,
        least_fence_ms=5000, assumed=f"{_ENDED} (1 h is assumed)",
    ),
    # an ended stop is listed for three months, so that one in no list has not simply ended; its timer cancels
    # what bears our tag alone, which stops do not
    "okx": Capabilities(
        cid_len=32, cid_charset="a-zA-Z0-9", uniqueness="open", look_up=("open", "closed"), retention_h=2,
        fence="expTime", cancel_by_cid=True, post_only=True, reduce_only=False, stops=True, amend=False,
        traded_h=89 * 24, stop_retention_h=89 * 24,
        dead_man=DeadMan(least_s=10, most_s=120, per_symbol=False, spares_stops=True),
    ),
    # who sends an id twice may have two orders: the documentation asks not to, and says not what happens
    "kucoin": Capabilities(
        cid_len=40, cid_charset="a-zA-Z0-9_-", uniqueness="none", look_up=("open", "closed"),
        retention_h=3 * 24, fence="allowMaxTimeWindow", cancel_by_cid=True, post_only=True,
        reduce_only=False, stops=False, amend=False,
    ),
    # its documentation says nothing of a cloid that is used twice, and not how long one is found that ended
    "hyperliquid": Capabilities(
        cid_len=31, cid_charset="a-z2-7", uniqueness="none", look_up=("open", "closed"), retention_h=1,
        fence="expiresAfter", cancel_by_cid=True, post_only=True, reduce_only=False, stops=False, amend=False,
        assumed=f"{_ENDED} (1 h is assumed)",
    ),
}  # fmt: skip
"""Rows by ccxt's names of venues; spot but ``binanceusdm``, which are linear perpetuals."""


def capabilities_of(venue: str) -> Capabilities:
    """Return a venue's row.

    Raises
    ------
    ConfigError
        When nobody certified an adapter for it; names the nearest.
    """
    found = CAPABILITIES.get(venue)
    if found is None:
        raise ConfigError(f"no certified adapter for {venue!r}; {nearest(venue, list(CAPABILITIES))}")
    return found


def weakest(rows: Sequence[Capabilities]) -> Capabilities:
    """Return what holds at every one of several venues; `contracts` and `forced` are what any of them has."""
    shared = [chr(each) for each in range(0x21, 0x7F)]
    for row in rows:
        shared = [each for each in shared if re.fullmatch(f"[{row.cid_charset}]", each)]
    return Capabilities(
        cid_len=min(each.cid_len for each in rows),
        cid_charset="".join(map(re.escape, shared)),
        uniqueness=min((each.uniqueness for each in rows), key=_WEAKER.index),
        look_up=tuple(each for each in rows[0].look_up if all(each in row.look_up for row in rows)),
        retention_h=min(each.retention_h for each in rows),
        fence=" ".join(each.fence for each in rows) if all(each.fence for each in rows) else "",
        cancel_by_cid=all(each.cancel_by_cid for each in rows),
        post_only=all(each.post_only for each in rows),
        reduce_only=all(each.reduce_only for each in rows),
        stops=all(each.stops for each in rows),
        amend=all(each.amend for each in rows),
        contracts=any(each.contracts for each in rows),
        forced=tuple(forced for each in rows for forced in each.forced),
        least_fence_ms=max(each.least_fence_ms for each in rows),
        certified=all(each.certified for each in rows),
        assumed="; ".join(each.assumed for each in rows if each.assumed),
        traded_h=min(each.traded_h for each in rows),
        stop_retention_h=min(each.stop_hours for each in rows),
    )


def lacks_for_opening(row: Capabilities) -> str:
    """Say what a venue lacks for orders that open positions with real money; empty if nothing."""
    missing = [each for each in ("open", "closed") if each not in row.look_up]
    lacks = [] if row.certified else ["no certified adapter"]
    if missing:
        lacks.append(f"no look-up by client order id among {' and '.join(missing)} orders")
    if not row.fence:
        lacks.append("no deadline of its own for a request (fence)")
    if row.assumed:
        lacks.append(f"undocumented: {row.assumed}")
    return "; ".join(lacks)


def wrong_cid(row: Capabilities, cid: str) -> str:
    """Say why the venue would not take a client order id; empty if it would."""
    if not re.fullmatch(f"[{row.cid_charset}]{{1,{row.cid_len}}}", cid):
        return f"expected 1 to {row.cid_len} of [{row.cid_charset}] as client order id, got {cid!r}"
    return ""
