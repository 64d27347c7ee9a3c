"""What each venue does in its own way with orders, as far as a story about any of them has to know it.

Not here: how a venue is started and asked (`tests.kit.venues`). Invariant: written from the venue's
documentation, not from its capability row: that both say the same is what is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from parley.messages import Intent
from tests.kit.venues import Orders

_ASSUMES: Final = "undocumented: how long it finds an order"


@dataclass(frozen=True)
class Ways:
    """What a venue does in its own way, as the stories below find it.

    ``fee_asset`` is what a buyer of BTC pays in, ``clock_ms`` how well its clock is known. ``good`` is an id
    of another form than ours that it takes, of the ``longest`` it takes where that is said; ``wrong`` are
    those it does not take, and ``wrong_codes`` what they are refused with. ``maker`` is how an order ends
    that may only rest and would trade: the state it is found in, or the code it is refused with. ``refused``
    are orders by the code they are refused with.
    """

    uniqueness: str
    maker: str
    wrong: tuple[str, ...]
    refused: Mapping[str, Callable[[Orders], Intent]]
    good: str = ""
    longest: int = 0
    wrong_codes: tuple[str, ...] = ("venue:client_id",)
    min_notional: int = 5
    fee_asset: str = "BTC"
    clock_ms: int = 5000
    lacks: str = ""
    cancel_by_cid: bool = True


def _poor(orders: Orders) -> Intent:
    return orders.limit(qty=Decimal(5000))


def _far_above(orders: Orders) -> Intent:
    return orders.limit("7")


def _far_below(orders: Orders) -> Intent:
    return orders.limit(side="sell", px=Decimal("100.00"))


def _of_qty(qty: str) -> Callable[[Orders], Intent]:
    return lambda orders: orders.limit(qty=Decimal(qty))


WAYS = {
    "okx": Ways(
        "open", "expired", ("x" * 33, "a_b", ""), good="Az09" * 8, longest=32, min_notional=0,
        refused={
            "venue:51008": _poor, "venue:51137": _far_above, "venue:51138": _far_below,
            "venue:request": _of_qty("0.000000001"),
        },
    ),
    "bybit": Ways(
        "forever", "expired", ("x" * 37, "a b", ""), good="Az09_-" * 6, longest=36,
        refused={
            "venue:170131": _poor, "venue:170140": _of_qty("0.00005"), "venue:170194": _far_below,
            "venue:request": _of_qty("0.000000001"),
        },
    ),
    "kucoin": Ways(
        "none", "canceled", ("x" * 41, "a b", ""), good="aZ0_-" * 8, longest=40,
        refused={
            "venue:200004": _poor, "venue:400370": _far_above, "venue:400760": _far_below,
            "venue:600100": _of_qty("0.00001"), "venue:request": _of_qty("0.000000001"),
        },
    ),
    "kraken": Ways(
        "open", "expired", ("x" * 19, "x" * 32, "a_b", ""), good="aA09", fee_asset="USDT", clock_ms=100,
        wrong_codes=("venue:client_id", "venue:request"), lacks=_ASSUMES,
        refused={
            "venue:EOrder:Insufficient funds": _poor, "venue:EOrder:Invalid price": _far_above,
            "venue:EOrder:Tick size check failed": lambda orders: orders.limit(px=Decimal("40000.001")),
            "venue:EGeneral:Invalid arguments:volume": _of_qty("0.000000001"),
            "venue:EOrder:Cost minimum not met": _of_qty("0.00001"),
        },
    ),
    "coinbase": Ways(
        "idempotent", "venue:invalid_limit_price_post_only", ("x" * 37, "a_b", ""),
        good="A-z09" * 7 + "x", longest=36, fee_asset="USDT", clock_ms=300, lacks=_ASSUMES,
        cancel_by_cid=False,
        refused={
            "venue:insufficient_fund": _poor, "venue:limit_price_too_far_from_market": _far_above,
            "venue:invalid_size_precision": _of_qty("1.0000001"),
            "venue:invalid_base_size_too_small": _of_qty("0.000001"),
            "venue:invalid_quote_size_too_small": _of_qty("0.00001"),
        },
    ),
    "hyperliquid": Ways(
        "none", "venue:badAloPxRejected", ("x" * 32, "0" * 31, "A" * 31, ""), min_notional=10,
        lacks=_ASSUMES,
        refused={
            "venue:insufficientSpotBalanceRejected": _poor, "venue:minTradeNtlRejected": _of_qty("0.0001"),
            "venue:iocCancelRejected": lambda orders: orders.limit(tif="IOC"),
        },
    ),
}  # fmt: skip
