"""The table of endpoints: path and method, WebSocket API name, security and weight.

REST and the WebSocket API reach the same handlers through it. Not here: transport. Invariant: a
signed endpoint cannot be reached without its account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from venues.sandbox.accounts import Account
from venues.sandbox.binance.params import Params
from venues.sandbox.binance.private_api import PrivateApi
from venues.sandbox.binance.public_api import PublicApi

PublicHandler = Callable[[Params], object]
PrivateHandler = Callable[[Account, Params], object]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of `public` and `private` is set; `keyed` needs an API key but no signature."""

    weight: int
    public: PublicHandler | None = None
    private: PrivateHandler | None = None
    keyed: bool = False
    is_order: bool = False
    is_cancel: bool = False


def key_rights(account: Account, params: Params) -> object:
    """GET /sapi/v1/account/apiRestrictions: what the key may do"""
    return {
        "ipRestrict": account.can_withdraw,
        "createTime": 1_600_000_000_000,
        "enableReading": True,
        "enableSpotAndMarginTrading": True,
        "enableWithdrawals": account.can_withdraw,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "enableVanillaOptions": False,
        "enablePortfolioMarginTrading": False,
    }


def fees_in_bnb(account: Account, params: Params) -> object:
    """GET /sapi/v1/bnbBurn: whether fees are paid in BNB; there is none here"""
    return {"spotBNBBurn": False, "interestBNBBurn": False}


def rest_endpoints(public: PublicApi, private: PrivateApi) -> dict[str, dict[str, Endpoint]]:
    """Endpoints by path, then method."""
    order = {
        "POST": Endpoint(1, private=private.create, is_order=True),
        "GET": Endpoint(4, private=private.query),
        "DELETE": Endpoint(1, private=private.cancel, is_cancel=True),
    }
    nothing = {"GET": Endpoint(10, private=private.nothing)}
    contracts = {"GET": Endpoint(1, public=public.no_contracts)}
    return {
        "/api/v3/ping": {"GET": Endpoint(1, public=public.ping)},
        "/api/v3/time": {"GET": Endpoint(1, public=public.time)},
        "/api/v3/exchangeInfo": {"GET": Endpoint(20, public=public.exchange_info)},
        "/api/v3/depth": {"GET": Endpoint(5, public=public.depth)},
        "/api/v3/klines": {"GET": Endpoint(2, public=public.klines)},
        "/api/v3/uiKlines": {"GET": Endpoint(2, public=public.klines)},
        "/api/v3/trades": {"GET": Endpoint(25, public=public.trades)},
        "/api/v3/historicalTrades": {"GET": Endpoint(25, public=public.trades)},
        "/api/v3/aggTrades": {"GET": Endpoint(4, public=public.agg_trades)},
        "/api/v3/avgPrice": {"GET": Endpoint(2, public=public.average_price)},
        "/api/v3/ticker/24hr": {"GET": Endpoint(2, public=public.ticker_24h)},
        "/api/v3/ticker": {"GET": Endpoint(4, public=public.ticker_24h)},
        "/api/v3/ticker/price": {"GET": Endpoint(2, public=public.ticker_price)},
        "/api/v3/ticker/bookTicker": {"GET": Endpoint(2, public=public.ticker_book)},
        "/api/v3/account": {"GET": Endpoint(20, private=private.account)},
        "/api/v3/account/commission": {"GET": Endpoint(20, private=private.commission)},
        "/api/v3/order": order,
        "/api/v3/order/test": {"POST": Endpoint(1, private=private.test)},
        "/api/v3/openOrders": {
            "GET": Endpoint(6, private=private.open_orders),
            "DELETE": Endpoint(1, private=private.cancel_all),
        },
        "/api/v3/allOrders": {"GET": Endpoint(20, private=private.all_orders)},
        "/api/v3/myTrades": {"GET": Endpoint(20, private=private.my_trades)},
        "/sapi/v1/system/status": {"GET": Endpoint(1, public=public.system_status)},
        "/sapi/v1/capital/config/getall": {"GET": Endpoint(10, private=private.coins)},
        "/sapi/v1/account/apiRestrictions": {"GET": Endpoint(1, private=key_rights)},
        "/sapi/v1/bnbBurn": {"GET": Endpoint(1, private=fees_in_bnb)},
        "/sapi/v1/asset/tradeFee": {"GET": Endpoint(1, private=private.trade_fees)},
        "/sapi/v1/margin/allPairs": nothing,
        "/sapi/v1/margin/allAssets": nothing,
        "/sapi/v1/margin/isolated/allPairs": nothing,
        "/fapi/v1/exchangeInfo": contracts,
        "/dapi/v1/exchangeInfo": contracts,
        "/eapi/v1/exchangeInfo": contracts,
    }


def socket_endpoints(public: PublicApi, private: PrivateApi) -> dict[str, Endpoint]:
    """Endpoints by the WebSocket API's method name."""
    return {
        "ping": Endpoint(1, public=public.ping),
        "time": Endpoint(1, public=public.time),
        "exchangeInfo": Endpoint(20, public=public.exchange_info),
        "depth": Endpoint(5, public=public.depth),
        "klines": Endpoint(2, public=public.klines),
        "trades.recent": Endpoint(25, public=public.trades),
        "trades.historical": Endpoint(25, public=public.trades),
        "trades.aggregate": Endpoint(4, public=public.agg_trades),
        "avgPrice": Endpoint(2, public=public.average_price),
        "ticker.24hr": Endpoint(2, public=public.ticker_24h),
        "ticker.price": Endpoint(2, public=public.ticker_price),
        "ticker.book": Endpoint(2, public=public.ticker_book),
        "account.status": Endpoint(20, private=private.account),
        "account.commission": Endpoint(20, private=private.commission),
        "order.place": Endpoint(1, private=private.create, is_order=True),
        "order.test": Endpoint(1, private=private.test),
        "order.status": Endpoint(4, private=private.query),
        "order.cancel": Endpoint(1, private=private.cancel),
        "openOrders.status": Endpoint(6, private=private.open_orders),
        "openOrders.cancelAll": Endpoint(1, private=private.cancel_all),
        "allOrders": Endpoint(20, private=private.all_orders),
        "myTrades": Endpoint(20, private=private.my_trades),
    }
