"""Make the unmodified ccxt.pro Kraken client for spot, and read what it lists.

Not here: orders (`kraken_words`, `kraken_orders`). Invariant: as `ccxt_client`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import Instrument
from venues.ccxt_client import ClientMaker, exact
from venues.kraken_urls import override_urls

_PERCENT: Final = Decimal("0.01")
# Kraken lists no largest quantity; this is what no order here comes near, as large as Binance lists for most.
_MOST: Final = Decimal(9 * 10**9)

# A subscription to candles begins with those of hours ago unless that is declined. The checksum of a book is
# left unchecked: ccxt reads levels as numbers and its check takes texts, so it breaks the connection.
make_client: Final = ClientMaker(
    ccxt.pro.kraken, override_urls, {"watchOHLCVParams": {"params": {"snapshot": False}}}
)


def kraken_instrument(
    market: Mapping[str, Any], venue: str, fees: Mapping[str, tuple[Decimal, Decimal]]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker) as fractions by the pair's id.

    What each field is: https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs
    """
    listed = market["info"]
    maker, taker = fees[str(market["id"])]
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(listed["tick_size"]), lot=exact(Decimal(1).scaleb(-int(listed["lot_decimals"]))),
        min_qty=exact(listed["ordermin"]), max_qty=_MOST, min_notional=exact(listed["costmin"]),
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip


def fees_of(volume: Mapping[str, Any], ids: list[str]) -> dict[str, tuple[Decimal, Decimal]]:
    """Read the account's (maker, taker) fees by pair out of an answer to TradeVolume, which says percent.

    Raises
    ------
    KeyError
        When it does not say those of a pair.
    """
    takers, makers = volume["fees"], volume.get("fees_maker") or {}
    found = {}
    for each in ids:
        taker = exact(takers[each]["fee"])
        # a pair without a maker's fee of its own has one fee for both
        maker = exact(makers[each]["fee"]) if each in makers else taker
        found[each] = (exact(maker * _PERCENT), exact(taker * _PERCENT))
    return found
