"""Make the unmodified ccxt.pro Bybit client for spot, and read what it lists.

Not here: orders (`bybit_words`, `bybit_orders`). Invariant: as `ccxt_client`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import Instrument
from venues.bybit_urls import override_urls
from venues.ccxt_client import ClientMaker, exact

make_client: Final = ClientMaker(ccxt.pro.bybit, override_urls, {"fetchMarkets": {"types": ["spot"]}})


def bybit_instrument(
    market: Mapping[str, Any], venue: str, fees: Mapping[str, tuple[Decimal, Decimal]]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker) by the venue's id of the pair."""
    lot, price = market["info"]["lotSizeFilter"], market["info"]["priceFilter"]
    maker, taker = fees[market["id"]]
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(price["tickSize"]), lot=exact(lot["basePrecision"]), min_qty=exact(lot["minOrderQty"]),
        max_qty=exact(lot["maxOrderQty"]), min_notional=exact(lot["minOrderAmt"]),
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip
