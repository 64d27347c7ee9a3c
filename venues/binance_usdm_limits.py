"""Limits of Binance's USD-M contracts: other figures than the spot market's, said in the same words.

Figures: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info and the weights
beside the endpoints there. Weight is by address, orders by account; placing an order costs no weight.

Not here: reading what the venue says of them (`binance_limits`). Invariant: as `limits`.
"""

from typing import Any, Final

from parley.budget import Limit
from venues.binance_limits import BinanceLimits
from venues.ccxt_client import asked
from venues.limits import SECOND_NS, Request

_WEIGHT, _ORDERS = "REQUEST_WEIGHT", "ORDERS"
_DOCUMENTED: Final = (
    Limit(f"{_WEIGHT} 1M", 2400, 60 * SECOND_NS),
    Limit(f"{_ORDERS} 10S", 300, 10 * SECOND_NS),
    Limit(f"{_ORDERS} 1M", 1200, 60 * SECOND_NS),
)
# A send asks for its trades (5); a look-up for the order, the open ones, all of the contract and the trades;
# who asks for balances for the account (5), or for the marks of all contracts (10).
_COSTS: Final = {
    Request.SEND: {_WEIGHT: 5, _ORDERS: 1},
    Request.CANCEL: {_WEIGHT: 1},
    Request.LOOK_UP: {_WEIGHT: 12},
    Request.TIME: {_WEIGHT: 1},
    Request.BALANCES: {_WEIGHT: 10},
    Request.DEAD_MAN: {_WEIGHT: 10},
    Request.OTHER: {},
}


class UsdmLimits(BinanceLimits):
    """One account of contracts; ``granted`` as `BinanceLimits`."""

    documented = _DOCUMENTED
    prices = _COSTS

    async def _listed(self, client: Any, symbols: object) -> Any:
        return await asked("limits", client.fapiPublicGetExchangeInfo())
