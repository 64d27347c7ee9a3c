"""Which protocols the sandbox speaks.

Not here: what they are. Invariant: the names are those of `config.PROTOCOLS`.
"""

from __future__ import annotations

from typing import Final

from venues.sandbox.binance.assembly import BINANCE_SPOT
from venues.sandbox.binance_usdm.assembly import BINANCE_USDM
from venues.sandbox.bybit.assembly import BYBIT_SPOT
from venues.sandbox.coinbase.assembly import COINBASE_SPOT
from venues.sandbox.hyperliquid.assembly import HYPERLIQUID_SPOT
from venues.sandbox.kraken.assembly import KRAKEN_SPOT
from venues.sandbox.kucoin.assembly import KUCOIN_SPOT
from venues.sandbox.okx.assembly import OKX_SPOT
from venues.sandbox.protocol import Dialect

DIALECTS: Final[dict[str, Dialect]] = {
    "binance": BINANCE_SPOT,
    "binanceusdm": BINANCE_USDM,
    "bybit": BYBIT_SPOT,
    "okx": OKX_SPOT,
    "coinbase": COINBASE_SPOT,
    "kraken": KRAKEN_SPOT,
    "kucoin": KUCOIN_SPOT,
    "hyperliquid": HYPERLIQUID_SPOT,
}
