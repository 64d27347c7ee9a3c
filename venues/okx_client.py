"""Make the unmodified ccxt.pro OKX client for spot, and read what it lists.

Not here: orders (`okx_words`, `okx_orders`). Invariant: as `ccxt_client`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import ZERO, Instrument
from venues.ccxt_client import ClientMaker, exact
from venues.okx_urls import override_urls

make_client: Final = ClientMaker(ccxt.pro.okx, override_urls, {"fetchMarkets": {"types": ["spot"]}})


def okx_instrument(
    market: Mapping[str, Any], venue: str, fees: Mapping[str, tuple[Decimal, Decimal]]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker) by quote asset, under "" those of every other.

    OKX lists no smallest value of an order, only a smallest quantity.
    """
    listed = market["info"]
    maker, taker = fees.get(market["quote"], fees[""])
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(listed["tickSz"]), lot=exact(listed["lotSz"]), min_qty=exact(listed["minSz"]),
        max_qty=exact(listed["maxLmtSz"]), min_notional=ZERO, maker_fee=maker, taker_fee=taker,
    )  # fmt: skip
