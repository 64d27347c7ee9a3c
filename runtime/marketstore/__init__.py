"""Market data that is kept: candles, public trades and funding rates in files, and a copy in PostgreSQL.

`MarketStore` is the folder, `Series` names what is in it. Files come in through `importing`, venues through
`downloading`, go out through `exporting`; `check` finds faults, `database` copies. Who only reads candles for
a run uses `venues.recorded`, which reads the same files.

Invariant: nothing here is loaded by a desk, a gateway or an agent.
"""

from runtime.marketstore.series import Series
from runtime.marketstore.store import MarketStore

__all__ = ["MarketStore", "Series"]
