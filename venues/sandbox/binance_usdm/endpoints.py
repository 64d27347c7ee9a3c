"""The table of endpoints of contracts: path and method, security and weight.

Not here: transport. Invariant: a signed endpoint cannot be reached without its account.
"""

from __future__ import annotations

from venues.sandbox.accounts import Account
from venues.sandbox.binance.endpoints import Endpoint, PrivateHandler, PublicHandler, key_rights
from venues.sandbox.binance.params import Params
from venues.sandbox.binance_usdm.account_api import AccountApi
from venues.sandbox.binance_usdm.countdown_api import CountdownApi
from venues.sandbox.binance_usdm.modes_api import ModesApi
from venues.sandbox.binance_usdm.orders_api import OrdersApi
from venues.sandbox.binance_usdm.public_api import ContractPublicApi

Table = dict[str, dict[str, Endpoint]]


def contract_rights(account: Account, params: Params) -> object:
    """GET /sapi/v1/account/apiRestrictions: what the key may do"""
    rights = key_rights(account, params)
    assert isinstance(rights, dict)
    return rights | {"enableFutures": True, "enableSpotAndMarginTrading": False}


def nothing(account: Account, params: Params) -> object:
    """GET /sapi/v1/margin/allPairs, which clients ask for with the markets: there is no spot here"""
    return []


def _open(weight: int, handler: PublicHandler) -> dict[str, Endpoint]:
    return {"GET": Endpoint(weight, public=handler)}


def _signed(weight: int, handler: PrivateHandler) -> dict[str, Endpoint]:
    return {"GET": Endpoint(weight, private=handler)}


def _orders(api: OrdersApi, countdowns: CountdownApi) -> Table:
    return {
        "/fapi/v1/order": {
            "POST": Endpoint(0, private=api.create, is_order=True),
            "GET": Endpoint(1, private=api.query),
            "DELETE": Endpoint(1, private=api.cancel, is_cancel=True),
        },
        "/fapi/v1/algoOrder": {
            "POST": Endpoint(0, private=api.create_algo, is_order=True),
            "GET": Endpoint(1, private=api.query_algo),
            "DELETE": Endpoint(1, private=api.cancel_algo, is_cancel=True),
        },
        "/fapi/v1/order/test": {"POST": Endpoint(0, private=api.test)},
        "/fapi/v1/openOrder": _signed(1, api.query_open),
        "/fapi/v1/openOrders": _signed(40, api.open_orders),
        "/fapi/v1/openAlgoOrders": _signed(40, api.open_algos),
        "/fapi/v1/allOpenOrders": {"DELETE": Endpoint(1, private=api.cancel_all)},
        "/fapi/v1/algoOpenOrders": {"DELETE": Endpoint(1, private=api.cancel_all_algos)},
        "/fapi/v1/countdownCancelAll": {"POST": Endpoint(10, private=countdowns.countdown)},
        "/fapi/v1/allOrders": _signed(5, api.all_orders),
        "/fapi/v1/allAlgoOrders": _signed(5, api.all_algos),
        "/fapi/v1/forceOrders": _signed(20, api.force_orders),
        "/fapi/v1/userTrades": _signed(5, api.user_trades),
    }


def _account(api: AccountApi, modes: ModesApi) -> Table:
    return {
        "/fapi/v1/leverage": {"POST": Endpoint(1, private=api.change_leverage)},
        "/fapi/v1/marginType": {"POST": Endpoint(1, private=api.change_margin_type)},
        "/fapi/v1/positionMargin": {"POST": Endpoint(1, private=api.change_margin)},
        "/fapi/v1/positionSide/dual": {
            "GET": Endpoint(30, private=modes.position_side),
            "POST": Endpoint(1, private=modes.change_position_side),
        },
        "/fapi/v1/multiAssetsMargin": {
            "GET": Endpoint(30, private=modes.multi_assets),
            "POST": Endpoint(1, private=modes.change_multi_assets),
        },
        "/fapi/v1/feeBurn": {
            "GET": Endpoint(30, private=modes.fee_burn),
            "POST": Endpoint(1, private=modes.change_fee_burn),
        },
        "/fapi/v1/leverageBracket": _signed(1, api.brackets),
        "/fapi/v1/symbolConfig": _signed(5, api.symbol_config),
        "/fapi/v1/accountConfig": _signed(5, modes.account_config),
        "/fapi/v1/commissionRate": _signed(20, api.commission),
        "/fapi/v1/income": _signed(30, api.income),
        "/fapi/v2/balance": _signed(5, api.balance),
        "/fapi/v3/balance": _signed(5, api.balance),
        "/fapi/v2/account": _signed(5, api.account_v2),
        "/fapi/v3/account": _signed(5, api.account_v3),
        "/fapi/v2/positionRisk": _signed(5, api.risk_v2),
        "/fapi/v3/positionRisk": _signed(5, api.risk_v3),
        "/sapi/v1/capital/config/getall": _signed(10, api.coins),
        "/sapi/v1/margin/allPairs": _signed(1, nothing),
        "/sapi/v1/account/apiRestrictions": _signed(1, contract_rights),
    }


def _public(api: ContractPublicApi) -> Table:
    return {
        "/fapi/v1/ping": _open(1, api.ping),
        "/fapi/v1/time": _open(1, api.time),
        "/fapi/v1/exchangeInfo": _open(1, api.exchange_info),
        "/fapi/v1/depth": _open(5, api.depth),
        "/fapi/v1/klines": _open(2, api.klines),
        "/fapi/v1/markPriceKlines": _open(2, api.mark_klines),
        "/fapi/v1/trades": _open(5, api.trades),
        "/fapi/v1/historicalTrades": _open(20, api.trades),
        "/fapi/v1/aggTrades": _open(20, api.agg_trades),
        "/fapi/v1/premiumIndex": _open(1, api.premium_index),
        "/fapi/v1/fundingRate": _open(1, api.funding_rates),
        "/fapi/v1/fundingInfo": _open(1, api.funding_info),
        "/fapi/v1/ticker/24hr": _open(1, api.ticker_24h),
        "/fapi/v1/ticker/price": _open(1, api.ticker_price),
        "/fapi/v2/ticker/price": _open(1, api.ticker_price),
        "/fapi/v1/ticker/bookTicker": _open(2, api.ticker_book),
        "/sapi/v1/system/status": _open(1, api.status),
    }


def contract_endpoints(
    public: ContractPublicApi, orders: OrdersApi, countdowns: CountdownApi, account: AccountApi,
    modes: ModesApi,
) -> Table:  # fmt: skip
    """Endpoints by path, then method."""
    return _public(public) | _orders(orders, countdowns) | _account(account, modes)
