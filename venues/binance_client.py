"""Make the unmodified ccxt.pro Binance client for spot, and read what it lists.

Not here: orders (`binance_words`, `binance_orders`). Invariant: as `ccxt_client`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import Instrument
from venues.binance_urls import override_urls
from venues.ccxt_client import ClientMaker, exact

make_client: Final = ClientMaker(ccxt.pro.binance, override_urls, {})


def binance_instrument(
    market: Mapping[str, Any], venue: str, fees: tuple[Decimal, Decimal] | None
) -> Instrument:
    """Read a listed pair; `fees` is (maker, taker) of the account."""
    filters = {each["filterType"]: each for each in market["info"]["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    maker, taker = fees or (Decimal(str(market["maker"])), Decimal(str(market["taker"])))
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(price["tickSize"]), lot=exact(lot["stepSize"]), min_qty=exact(lot["minQty"]),
        max_qty=exact(lot["maxQty"]), min_notional=exact(notional["minNotional"]),
        maker_fee=maker, taker_fee=taker,
    )  # fmt: skip


def account_fees(balance: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """Read (maker, taker) of the account from a raw balance answer, if it says them."""
    rates = balance.get("info", {}).get("commissionRates")
    if not rates:
        return None
    return exact(rates["maker"]), exact(rates["taker"])
