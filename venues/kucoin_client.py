"""Make the unmodified ccxt.pro KuCoin client for spot, and read what it lists.

Of books the client is told the best fifty levels, each time whole: of the differences (`/market/level2`) ccxt
compares no numbers, so a book that missed one would be wrong until somebody subscribed anew, and it reads the
whole book only behind the first difference.

Not here: orders (`kucoin_words`, `kucoin_orders`). Invariant: as `ccxt_client`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt.pro

from parley.instruments import Instrument
from venues.ccxt_client import ClientMaker, exact
from venues.kucoin_urls import override_urls

BOOKS: Final = "/spotMarket/level2Depth50"
make_client: Final = ClientMaker(
    ccxt.pro.kucoin,
    override_urls,
    {
        # fees come from the account's own list, not from a listing of all tickers
        "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False},
        "watchOrderBook": {"spotMethod": BOOKS},
    },
)


def kucoin_instrument(
    market: Mapping[str, Any], venue: str, fees: Mapping[str, tuple[Decimal, Decimal]]
) -> Instrument:
    """Read a listed pair; `fees` are (maker, taker) by the venue's id.

    Source: https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-all-symbols
    """
    listed = market["info"]
    maker, taker = fees[market["id"]]
    return Instrument(
        symbol=market["symbol"], venue=venue, base=market["base"], quote=market["quote"],
        tick=exact(listed["priceIncrement"]), lot=exact(listed["baseIncrement"]),
        min_qty=exact(listed["baseMinSize"]), max_qty=exact(listed["baseMaxSize"]),
        # what an order has to be worth; of market orders by value another one counts (quoteMinSize)
        min_notional=exact(listed["minFunds"]), maker_fee=maker, taker_fee=taker,
    )  # fmt: skip
